import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthrus.errors import InputError
from orthrus.genome.codes import BASE_BITS, CDS_BIT, SPLICE_BIT
from orthrus.loading.augment import Augmentation, DropTracks, MaskBases, MaskTracks
from orthrus.loading.draws import seeded
from tests.loading.views import padded_codes

PADDED = padded_codes()
ANNOTATION_BITS = CDS_BIT | SPLICE_BIT
SEEDS = st.integers(0, 99)


@given(PADDED, SEEDS, st.sampled_from([(MaskBases, BASE_BITS), (MaskTracks, ANNOTATION_BITS)]), st.floats(0, 1))
def test_masking_clears_its_bits_together_and_no_others(
    padded: tuple[np.ndarray, np.ndarray], seed: int, mask: tuple[type[MaskBases], int], fraction: float
) -> None:
    codes_VL, _ = padded
    before = codes_VL.copy()
    masked_VL = mask[0](fraction)(codes_VL, seeded([seed]))
    np.testing.assert_array_equal(codes_VL, before)
    assert masked_VL.dtype == np.uint8
    np.testing.assert_array_equal(masked_VL & ~np.uint8(mask[1]), codes_VL & ~np.uint8(mask[1]))
    kept_VL = masked_VL & mask[1]
    assert np.all((kept_VL == 0) | (kept_VL == codes_VL & mask[1]))


@given(PADDED, SEEDS, st.floats(0, 1), st.floats(0, 1))
def test_dropping_tracks_empties_a_track_of_a_view_or_leaves_it(
    padded: tuple[np.ndarray, np.ndarray], seed: int, cds: float, splice: float
) -> None:
    codes_VL, _ = padded
    dropped_VL = DropTracks(cds, splice)(codes_VL, seeded([seed]))
    np.testing.assert_array_equal(dropped_VL & BASE_BITS, codes_VL & BASE_BITS)
    for bit in (CDS_BIT, SPLICE_BIT):
        for dropped, codes in zip(dropped_VL & bit, codes_VL & bit, strict=True):
            assert not dropped.any() or np.array_equal(dropped, codes)


@pytest.mark.parametrize("fraction", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("augmentation", [MaskBases, MaskTracks])
def test_the_masked_share_is_the_fraction(augmentation: type[MaskBases] | type[MaskTracks], fraction: float) -> None:
    codes_VL = np.full((50, 1000), 1 | CDS_BIT, dtype=np.uint8)
    changed = augmentation(fraction)(codes_VL, seeded([0])) != codes_VL
    assert changed.mean() == pytest.approx(fraction, abs=0.01)


def test_tracks_are_dropped_from_views_at_their_rates_each_by_itself() -> None:
    codes_VL = np.full((4000, 3), CDS_BIT | SPLICE_BIT, dtype=np.uint8)
    dropped_V = DropTracks(cds=0.2, splice=0.5)(codes_VL, seeded([0]))[:, 0]
    assert np.mean(dropped_V & CDS_BIT == 0) == pytest.approx(0.2, abs=0.03)
    assert np.mean(dropped_V & SPLICE_BIT == 0) == pytest.approx(0.5, abs=0.03)
    assert np.mean(dropped_V == 0) == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MaskBases(1.5), "MaskBases.fraction is 1.5"),
        (lambda: MaskTracks(-1), "MaskTracks.fraction is -1"),
        (lambda: DropTracks(cds=2), "DropTracks.cds is 2"),
        (lambda: DropTracks(splice=2), "DropTracks.splice is 2"),
    ],
)
def test_an_impossible_fraction_is_refused(make: type[Augmentation], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
