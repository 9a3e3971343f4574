import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from orthrus.genome.codes import BASE_BITS
from orthrus.loading.draws import seeded
from orthrus.loading.hidden import ANNOTATION_BITS, ANNOTATION_TARGET, hide_targets
from tests.loading.views import padded_codes
from tests.oracles import loading as oracle

PADDED = padded_codes()
FRACTIONS = st.floats(0.01, 1)  # 0 draws nothing


@given(PADDED, FRACTIONS, FRACTIONS, st.integers(0, 99))
def test_targets_are_those_of_the_literal_definition(
    padded: tuple[np.ndarray, np.ndarray], base: float, annotation: float, seed: int
) -> None:
    codes_VL, lengths_V = padded
    left_VL, targets_VL = hide_targets(codes_VL, lengths_V, base, annotation, seeded([seed]))
    bits = np.random.SFC64((seed,))
    asked = [np.reshape(oracle.choose(codes_VL.size, f, bits), codes_VL.shape).tolist() for f in (base, annotation)]
    for row, codes in enumerate(codes_VL.tolist()):
        expected = oracle.hide_targets(codes, int(lengths_V[row]), asked[0][row], asked[1][row])
        assert (left_VL[row].tolist(), targets_VL[row].tolist()) == expected


@given(PADDED, st.floats(0, 1), st.floats(0, 1), st.integers(0, 99))
def test_what_is_asked_was_taken_and_nothing_else(
    padded: tuple[np.ndarray, np.ndarray], base: float, annotation: float, seed: int
) -> None:
    codes_VL, lengths_V = padded
    left_VL, targets_VL = hide_targets(codes_VL, lengths_V, base, annotation, seeded([seed]))
    np.testing.assert_array_equal(left_VL | targets_VL & ~np.uint8(ANNOTATION_TARGET), codes_VL)
    assert not (left_VL & targets_VL).any()
    asked_VL = targets_VL & ANNOTATION_TARGET > 0
    assert not (targets_VL[~asked_VL] & ANNOTATION_BITS).any()
    assert not (left_VL[asked_VL] & ANNOTATION_BITS).any()
    assert not targets_VL[np.arange(codes_VL.shape[1]) >= lengths_V[:, None]].any()


@given(PADDED)
def test_everything_can_be_asked_for(padded: tuple[np.ndarray, np.ndarray]) -> None:
    codes_VL, lengths_V = padded
    left_VL, targets_VL = hide_targets(codes_VL, lengths_V, 1.0, 1.0, seeded([0]))
    assert not left_VL.any()
    np.testing.assert_array_equal(targets_VL & (BASE_BITS | ANNOTATION_BITS), codes_VL)
    np.testing.assert_array_equal((targets_VL >= ANNOTATION_TARGET).sum(axis=1), lengths_V)
