"""Results that cannot be meant are counted and said; nothing is said where nothing is wrong."""

import random

import pytest

from orthrus.genome.codes import CdsFrame, annotate, encode_bases
from orthrus.genome.findings import Findings
from orthrus.prepare.doubts import FEW_BASES, NO_BASE, NO_UTR, STOPS, doubting
from orthrus.store import Chunk, ChunkWriter

SENSE = [a + b + c for a in "ACGT" for b in "ACGT" for c in "ACGT" if a + b + c not in ("TAA", "TAG", "TGA")]


def coding(n: int, *stops: str, seed: int = 0) -> str:
    """ATG, codons without a stop but for the ``stops``, and TAA: 3 n nt."""
    codons = random.Random(seed).choices(SENSE, k=n - 2)
    codons[10 : 10 + 2 * len(stops) : 2] = stops
    return "".join(["ATG", *codons, "TAA"])


def chunk(*rows: tuple[str, int, int], genetic_code: int = 1, runs: list[tuple[int, int]] | None = None) -> Chunk:
    """Of sequences with their CDS, -1 without."""
    writer = ChunkWriter()
    for i, (sequence, start, end) in enumerate(rows):
        cds = (start, end) if start >= 0 else None
        codes = annotate(encode_bases(sequence, "test"), cds, [len(sequence)], runs)
        writer.add(codes, transcript_id=f"t{i}", gene_id="g", species="x", cds=cds, genetic_code=genetic_code)
    return writer.take()


def said(*chunks: Chunk, coding_only: bool = False, cds_frame: CdsFrame = "annotated") -> dict[str, int]:
    findings = Findings()
    assert list(doubting(chunks, findings, coding_only, cds_frame)) == list(chunks)
    assert not findings.dropped.counts
    return findings.noted.counts


def mrna(*stops: str, seed: int = 0) -> tuple[str, int, int]:
    cds = coding(60, *stops, seed=seed)
    return "ACGTA" + cds + "GGTAA", 5, 5 + len(cds)


def test_nothing_is_said_of_sound_transcripts() -> None:
    assert not said(chunk(*(mrna(seed=seed) for seed in range(20)), ("ACGTNACG", -1, -1)), chunk(mrna()))


def test_unknown_bases_are_said_whatever_their_share() -> None:
    sound = [mrna(seed=seed) for seed in range(30)]
    assert said(chunk(*sound, ("N" * 50, -1, -1), ("N" * 60, 3, 33), ("ACGT" + "N" * 5, -1, -1))) == {
        NO_BASE: 2,
        FEW_BASES: 1,
    }
    assert not said(chunk(*sound, ("ACGTA" + "N" * 5, -1, -1)))


@pytest.mark.parametrize(
    ("stops", "suspicious"),
    [((), False), (("TGA",), False), (("TAG",), True), (("TAA",), True), (("TGA", "TGA"), True)],
)
def test_stop_codons_inside_count_but_for_what_may_be_selenocysteine(stops: tuple[str, ...], suspicious: bool) -> None:
    assert said(chunk(mrna(), mrna(*stops))) == ({STOPS: 1} if suspicious else {})


def test_stop_codons_inside_are_said_from_a_share_on() -> None:
    sound = [mrna(seed=seed) for seed in range(99)]
    assert not said(chunk(*sound, mrna("TAA")), chunk(mrna()))
    assert said(chunk(*sound[:98]), chunk(mrna("TAA"))) == {STOPS: 1}
    assert not said(chunk(mrna("TAA"), mrna("TAG")), cds_frame="published")


def test_stop_codons_are_those_of_the_genetic_code() -> None:
    vertebrate_mitochondrial = chunk(mrna("TGA", "TGA"), genetic_code=2)
    assert not said(vertebrate_mitochondrial)
    assert said(chunk(mrna("AGA"), genetic_code=2)) == {STOPS: 1}


def test_stop_codons_are_those_of_the_annotated_frame() -> None:
    sequence, start, end = mrna()
    incomplete = sequence[start + 1 : end]  # two bases before the first whole codon
    assert not said(chunk(("ACG" + incomplete, 3, 3 + len(incomplete)), runs=[(5, 3 + len(incomplete))]))
    slipped = sequence[:95] + sequence[94:]  # a base is skipped behind a whole codon
    assert not said(chunk((slipped, start, end + 1), runs=[(start, 95), (96, end + 1)]))


def test_a_cds_that_fills_its_transcript_is_said_if_most_do() -> None:
    full = (coding(60), 0, 180)
    assert said(chunk(full, full, mrna())) == {NO_UTR: 2}
    assert not said(chunk(full, mrna(), mrna()))
    assert not said(chunk(full, full), coding_only=True)
