import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthrus.errors import InputError
from orthrus.loading.draws import check_fraction, choose, seeded
from tests.oracles import loading as oracle


@given(st.integers(0, 5), st.integers(0, 9), st.floats(0, 1), st.integers(0, 2**64 - 1))
def test_choices_are_those_of_the_literal_definition(rows: int, columns: int, fraction: float, seed: int) -> None:
    chosen = choose((rows, columns), fraction, seeded([seed, 1]))
    assert chosen.shape == (rows, columns)
    assert chosen.flatten().tolist() == oracle.choose(rows * columns, fraction, np.random.SFC64((seed, 1)))


def test_choices_are_the_same_everywhere() -> None:
    assert np.flatnonzero(choose((40,), 0.3, seeded([7, 0, 1]))).tolist() == [0, 1, 5, 7, 9, 14, 19, 27, 30, 34, 39]


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.15, 0.3, 1.0])
def test_the_chosen_share_is_the_fraction(fraction: float) -> None:
    share = choose((1_000_000,), fraction, seeded([0])).mean()
    assert share == pytest.approx(fraction, abs=4 * (fraction * (1 - fraction) / 1e6) ** 0.5 + 2**-17)


def test_positions_are_chosen_independently_of_their_neighbours() -> None:
    chosen = choose((1_000_000,), 0.3, seeded([0])).astype(float)
    for lag in (1, 2, 3, 4, 8):
        assert abs(np.corrcoef(chosen[:-lag], chosen[lag:])[0, 1]) < 0.005


@pytest.mark.parametrize("fraction", [-0.1, 1.5, float("nan")])
def test_an_impossible_fraction_is_refused(fraction: float) -> None:
    with pytest.raises(InputError, match=rf"data.x is {fraction}; expected a fraction between 0 and 1"):
        check_fraction(fraction, "data.x")
