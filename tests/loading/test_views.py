import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from orthrus.errors import InputError
from orthrus.genome.codes import CDS_BIT, annotate, decode_bases, encode_bases
from orthrus.loading.draws import seeded
from orthrus.loading.views import CodingOnly, Crop, DropUtrs, Graft, Rearrangement, Window, gather, lengths
from orthrus.store.pairs import PairKind
from tests.loading.views import Transcripts, transcripts
from tests.oracles import loading as oracle

TRANSCRIPTS, CODING = transcripts(), transcripts(coding=True)


def rearrange(
    rearrangement: Rearrangement, drawn: Transcripts, kind: int = PairKind.ORTHOLOG
) -> tuple[np.ndarray, np.ndarray]:
    """The two views of transcripts 0 and 1 after ``rearrangement``."""
    parts = np.stack([drawn.parts([0]), drawn.parts([1])])
    before = parts.copy()
    changed = rearrangement(parts, np.array([kind], dtype=np.int8), drawn.codes, seeded([0]))
    np.testing.assert_array_equal(parts, before)
    codes_VL, lengths_V = gather(drawn.codes, changed[:, 0])
    np.testing.assert_array_equal(lengths_V, lengths(changed)[:, 0])
    first, second = (row[:length] for row, length in zip(codes_VL, lengths_V, strict=True))
    return first, second


def utrs_of(drawn: Transcripts, i: int) -> int:
    start, end = drawn.cds[i]
    return int(start + len(drawn.of(i)) - end)


def check_frame(view: np.ndarray) -> None:
    """A codon begins every third base from the first on."""
    starts = np.flatnonzero(view & CDS_BIT)
    if len(starts):
        np.testing.assert_array_equal(starts, np.arange(starts[0], starts[-1] + 1, 3))


@given(TRANSCRIPTS)
def test_parts_of_a_transcript_are_the_transcript(drawn: Transcripts) -> None:
    rows = list(range(len(drawn.cds)))
    codes_VL, lengths_V = gather(drawn.codes, drawn.parts(rows))
    for i in rows:
        np.testing.assert_array_equal(codes_VL[i, : lengths_V[i]], drawn.of(i))
        assert not codes_VL[i, lengths_V[i] :].any()


@given(CODING)
def test_grafting_is_that_of_the_literal_definition(drawn: Transcripts) -> None:
    first, second = rearrange(Graft(whole=1.0), drawn)
    np.testing.assert_array_equal(first, drawn.of(0))
    np.testing.assert_array_equal(second, oracle.graft(drawn.of(0), drawn.cds[0], drawn.of(1), drawn.cds[1]))
    check_frame(second)


@given(TRANSCRIPTS, st.sampled_from([Graft(whole=1.0), CodingOnly(1.0), DropUtrs(1.0)]))
def test_a_pair_without_two_coding_sequences_stays_as_it_is(drawn: Transcripts, change: Rearrangement) -> None:
    assume((drawn.cds[:2] < 0).any())
    for i, view in enumerate(rearrange(change, drawn)):
        np.testing.assert_array_equal(view, drawn.of(i))


@given(CODING)
def test_only_an_ortholog_without_utrs_is_grafted_by_default(drawn: Transcripts) -> None:
    _, second = rearrange(Graft(), drawn)
    if utrs_of(drawn, 1):
        np.testing.assert_array_equal(second, drawn.of(1))
    else:
        assert len(second) in (len(drawn.of(1)) + utrs_of(drawn, 0) + lent for lent in (0, 3))
    _, second = rearrange(Graft(whole=1.0), drawn, kind=PairKind.SPLICE)
    np.testing.assert_array_equal(second, drawn.of(1))


@given(CODING)
def test_coding_only_leaves_the_coding_sequences(drawn: Transcripts) -> None:
    for i, view in enumerate(rearrange(CodingOnly(1.0), drawn)):
        np.testing.assert_array_equal(view, drawn.of(i)[slice(*drawn.cds[i])])
        assert np.flatnonzero(view & CDS_BIT).tolist() == list(range(0, len(view), 3))


@given(CODING)
def test_utrs_are_dropped_where_the_partner_has_none(drawn: Transcripts) -> None:
    bare = utrs_of(drawn, 0) == 0 or utrs_of(drawn, 1) == 0
    for i, view in enumerate(rearrange(DropUtrs(1.0), drawn)):
        np.testing.assert_array_equal(view, drawn.of(i)[slice(*drawn.cds[i])] if bare else drawn.of(i))


@given(TRANSCRIPTS, st.permutations([Graft(whole=0.5), CodingOnly(0.5), DropUtrs(0.5)]), st.integers(0, 99))
def test_in_any_order_the_frame_stays_intact_and_no_base_is_made_up(
    drawn: Transcripts, changes: list[Rearrangement], seed: int
) -> None:
    n = len(drawn.cds)
    parts = np.stack([drawn.parts(list(range(n))), drawn.parts(list(range(n))[::-1])])
    kinds, generator = np.full(n, PairKind.ORTHOLOG, dtype=np.int8), seeded([seed])
    for change in changes:
        parts = change(parts, kinds, drawn.codes, generator)
        codes_VL, lengths_V = gather(drawn.codes, parts.reshape(-1, 4, 2))
        np.testing.assert_array_equal(lengths(parts).ravel(), lengths_V)
        assert lengths_V.min() > 0
        for view, length in zip(codes_VL, lengths_V, strict=True):
            check_frame(view[:length])


def test_rearranging_happens_at_its_rate() -> None:
    codes = annotate(encode_bases("GG" + "ATGTAA" + "CC", "test"), (2, 8), [10])
    drawn = Transcripts(codes, np.array([0, 10]), np.array([[2, 8]], dtype=np.int32))
    n = 4000
    pairs = np.stack([drawn.parts([0] * n)] * 2)
    cut = lengths(CodingOnly(0.25)(pairs, np.zeros(n, dtype=np.int8), codes, seeded([0])))
    np.testing.assert_array_equal(cut[0], cut[1])  # both views of a pair
    assert np.mean(cut[0] == 6) == pytest.approx(0.25, abs=0.03)


BASE = "GGGG" + "ATGAAATAA" + "CCCCC"


@pytest.mark.parametrize(
    ("ortholog", "expected"),
    [
        ("ATGGATGCTTAA", "GGGGATGGATGCTTAACCCCC"),  # its own stop codon
        ("ATGGATGCT", "GGGGATGGATGCTTAACCCCC"),  # stop codon stripped: the base lends its own
    ],
)
def test_a_grafted_frame_ends_in_a_stop_codon(ortholog: str, expected: str) -> None:
    rows = [
        annotate(encode_bases(BASE, "base"), (4, 13), [8, 18]),
        annotate(encode_bases(ortholog, "ortholog"), (0, len(ortholog)), []),
    ]
    drawn = Transcripts(
        np.concatenate(rows),
        np.cumsum([0, *map(len, rows)]),
        np.array([[4, 13], [0, len(ortholog)]], dtype=np.int32),
    )
    _, grafted = rearrange(Graft(), drawn)
    assert decode_bases(grafted) == expected
    assert np.flatnonzero(grafted & CDS_BIT).tolist() == [4, 7, 10, 13]


@given(TRANSCRIPTS, st.floats(0, 1))
def test_a_crop_is_a_window_of_each_view_of_a_self_pair(drawn: Transcripts, shortest: float) -> None:
    for i, view in enumerate(rearrange(Crop(shortest, drop_utr=0), drawn, kind=PairKind.SELF)):
        whole = drawn.of(i).tobytes()
        assert max(1, shortest * len(whole)) <= len(view) <= len(whole)
        assert view.tobytes() in whole


@given(CODING)
def test_a_crop_drops_utrs(drawn: Transcripts) -> None:
    for i, view in enumerate(rearrange(Crop(shortest=1, drop_utr=1), drawn, kind=PairKind.SELF)):
        np.testing.assert_array_equal(view, drawn.of(i)[slice(*drawn.cds[i])])


@given(TRANSCRIPTS, st.sampled_from([PairKind.SPLICE, PairKind.ORTHOLOG]))
def test_pairs_of_two_transcripts_are_not_cropped(drawn: Transcripts, kind: PairKind) -> None:
    for i, view in enumerate(rearrange(Crop(), drawn, kind=kind)):
        np.testing.assert_array_equal(view, drawn.of(i))


def test_crops_of_one_transcript_differ_and_reach_both_of_its_ends() -> None:
    codes = annotate(encode_bases("ACGTACGTACGTACGTACGT", "row"), (4, 13), [20])
    drawn = Transcripts(codes, np.array([0, 20]), np.array([[4, 13]], dtype=np.int32))
    parts = np.stack([drawn.parts([0] * 400)] * 2)
    cropped = Crop(drop_utr=0.5)(parts, np.zeros(400, dtype=np.int8), codes, seeded([0]))
    rows, _ = gather(codes, cropped.reshape(-1, 4, 2))
    assert len({row.tobytes() for row in rows}) > 60
    assert (cropped[..., 0, 0] == cropped[..., 0, 1]).mean() == pytest.approx(0.5, abs=0.2)
    assert {0, 20} <= set(np.unique(cropped[..., [0, 3], [0, 1]]))


@given(TRANSCRIPTS, st.integers(1, 40))
def test_a_window_is_as_long_as_it_may_be(drawn: Transcripts, longest: int) -> None:
    for i, view in enumerate(rearrange(Window(longest), drawn)):
        whole = drawn.of(i).tobytes()
        assert len(view) == min(longest, len(whole))
        assert view.tobytes() in whole


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Crop(shortest=2), "Crop.shortest is 2"),
        (lambda: Crop(drop_utr=-1), "Crop.drop_utr is -1"),
        (lambda: Window(0), "Window.longest is 0"),
        (lambda: Graft(coding=2), "Graft.coding is 2"),
        (lambda: Graft(whole=-1), "Graft.whole is -1"),
        (lambda: CodingOnly(2), "CodingOnly.probability is 2"),
        (lambda: DropUtrs(2), "DropUtrs.probability is 2"),
    ],
)
def test_an_impossible_probability_is_refused(make: type[Rearrangement], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()
