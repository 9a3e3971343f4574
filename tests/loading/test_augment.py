import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthrus.errors import InputError
from orthrus.genome.codes import BASE_BITS, CDS_BIT, SPLICE_BIT, annotate, decode_bases, encode_bases
from orthrus.loading.augment import MaskBases, MaskTracks, choose_targets, graft

ANNOTATION_BITS = CDS_BIT | SPLICE_BIT
codes_arrays = st.lists(st.sampled_from([b | t for b in range(5) for t in (0, 8, 16, 24)]), max_size=60).map(
    lambda values: np.array(values, dtype=np.uint8)
)


@given(codes_arrays, st.floats(0, 1), st.integers(0, 99))
def test_masking_bases_clears_base_bits_and_nothing_else(codes: np.ndarray, fraction: float, seed: int) -> None:
    masked = MaskBases(fraction)(codes, np.random.default_rng(seed))
    assert masked.shape == codes.shape
    assert masked.dtype == np.uint8
    np.testing.assert_array_equal(masked & ANNOTATION_BITS, codes & ANNOTATION_BITS)
    kept = masked & BASE_BITS
    assert np.all((kept == 0) | (kept == codes & BASE_BITS))


@given(codes_arrays, st.floats(0, 1), st.integers(0, 99))
def test_masking_tracks_clears_annotation_bits_and_nothing_else(codes: np.ndarray, fraction: float, seed: int) -> None:
    masked = MaskTracks(fraction)(codes, np.random.default_rng(seed))
    np.testing.assert_array_equal(masked & BASE_BITS, codes & BASE_BITS)
    kept = masked & ANNOTATION_BITS
    assert np.all((kept == 0) | (kept == codes & ANNOTATION_BITS))


@pytest.mark.parametrize("mask", [MaskBases, MaskTracks])
def test_the_masked_share_is_the_fraction(mask: type[MaskBases] | type[MaskTracks]) -> None:
    codes = np.full((50, 1000), 1 | CDS_BIT, dtype=np.uint8)
    changed = mask(0.3)(codes, np.random.default_rng(0)) != codes
    assert changed.mean() == pytest.approx(0.3, abs=0.01)


def test_an_impossible_fraction_is_refused() -> None:
    with pytest.raises(InputError, match=r"MaskBases.fraction is 1.5"):
        MaskBases(1.5)


@given(codes_arrays, st.floats(0, 1), st.integers(0, 99))
def test_targets_are_the_bases_that_were_hidden(codes: np.ndarray, fraction: float, seed: int) -> None:
    hidden, targets = choose_targets(codes, fraction, np.random.default_rng(seed))
    np.testing.assert_array_equal(hidden + targets, codes)  # disjoint bits: what was taken is what is asked
    assert np.all(targets <= 4)
    assert not np.any(targets[codes & BASE_BITS == 0])


def test_no_targets_are_chosen_in_padding() -> None:
    _, targets = choose_targets(np.zeros((2, 100), dtype=np.uint8), 1.0, np.random.default_rng(0))
    assert not targets.any()


BASE = annotate(encode_bases("GGGG" + "ATGAAATAA" + "CCCCC", "base"), (4, 13), [8, 18])


@pytest.mark.parametrize(
    ("ortholog", "expected"),
    [
        ("ATGGATGCTTAA", "GGGGATGGATGCTTAACCCCC"),  # its own stop codon
        ("ATGGATGCT", "GGGGATGGATGCTTAACCCCC"),  # stop codon stripped: the base's stays
    ],
)
def test_grafting_puts_a_coding_sequence_between_the_utrs(ortholog: str, expected: str) -> None:
    coding = annotate(encode_bases(ortholog, "ortholog"), (0, len(ortholog)), [])
    grafted = graft(BASE, (4, 13), coding, (0, len(ortholog)))
    assert decode_bases(grafted) == expected
    assert np.flatnonzero(grafted & CDS_BIT).tolist() == [4, 7, 10, 13]  # the frame is intact, stop codon included
    assert grafted[-1] & SPLICE_BIT


def test_grafting_a_transcript_into_itself_changes_nothing() -> None:
    np.testing.assert_array_equal(graft(BASE, (4, 13), BASE, (4, 13)), BASE)


def test_grafting_leaves_an_incomplete_base_without_a_stop() -> None:
    base = annotate(encode_bases("GGATGAAA", "base"), (2, 8), [])
    coding = annotate(encode_bases("ATGCCC", "ortholog"), (0, 6), [])
    assert decode_bases(graft(base, (2, 8), coding, (0, 6))) == "GGATGCCC"
