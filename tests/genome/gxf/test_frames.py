"""Column 8 of GTF and GFF3, and exonFrames, to codon starts: the kinds that the written formats do not cover."""

import pytest

from tests.genome.conftest import Read
from tests.genome.rows import gff, gtf


def runs(read: Read, lines: list[str]) -> list[tuple[int, int]]:
    got, _ = read(lines)
    return got.frames.of(0)


@pytest.mark.parametrize("phase", [".", "-", "3", ""])
def test_a_phase_that_says_nothing_counts_from_the_first_base(read: Read, phase: str) -> None:
    lines = [gtf("exon", 1, 50), gtf("exon", 61, 90), gtf("CDS", 8, 50, phase=phase), gtf("CDS", 61, 80, phase=phase)]
    assert runs(read, lines) == [(7, 70)]


def test_rows_that_touch_and_differ_in_frame_are_a_correction(read: Read) -> None:
    """NCBI's models of genes with a frame shift in the genome: rows of one exon, each with its phase."""
    exon, parent = gff("exon", 1, 100, "Parent=t"), "ID=c;Parent=t"
    mrna = gff("mRNA", 1, 100, "ID=t")
    lines = [mrna, exon, gff("CDS", 1, 40, parent, phase=0), gff("CDS", 41, 100, parent, phase=0)]
    assert runs(read, lines) == [(0, 40), (40, 100)]
    reverse = [line.replace("\t+\t", "\t-\t") for line in lines]
    assert runs(read, reverse) == [(0, 100)]


def test_phases_that_contradict_each_other_are_counted_and_the_first_is_followed(read: Read) -> None:
    lines = []
    for name in ("A", "B", "C"):
        lines += [gtf("exon", 1, 50, name), gtf("exon", 101, 150, name)]
        lines += [gtf("CDS", 1, 50, name, phase=1), gtf("CDS", 101, 150, name, phase=1)]
    got, findings = read([*lines, gtf("exon", 1, 9, "sound")])
    (note,) = findings.noted.counts
    assert "phases (column 8) contradict each other" in note
    assert findings.noted.counts[note] == 3
    assert got.frames.of(0) == [(1, 100)]


def test_a_stop_codon_counts_on_whatever_its_own_frame_says(read: Read) -> None:
    lines = [gtf("exon", 1, 30), gtf("CDS", 4, 18, phase=0), gtf("stop_codon", 19, 21, phase=2)]
    assert runs(read, lines) == [(3, 21)]


def test_exon_frames_of_a_slip_and_of_no_frame_at_all(read: Read) -> None:
    row = ["T", "chr1", "+", "0", "101", "0", "101", "2", "0,61,", "60,101,", "0", "G", "cmpl", "cmpl"]
    assert runs(read, ["\t".join([*row, "0,0,"])]) == [(0, 100)]
    assert runs(read, ["\t".join([*row, "0,1,"])]) == [(0, 60), (62, 100)]  # one base apart: a frame shift
    assert runs(read, ["\t".join([*row, "-1,-1,"])]) == [(0, 100)]
    assert runs(read, ["\t".join([*row, "2,2,"])]) == [(1, 100)]
