"""Exons where no row says them, and what rows given again add."""

import pytest

from tests.genome.conftest import Read
from tests.genome.rows import gff, gtf


def exons(read: Read, lines: list[str]) -> list[tuple[int, int]]:
    got, _ = read(lines)
    return list(zip(got.exon_starts.tolist(), got.exon_ends.tolist(), strict=True))


@pytest.mark.parametrize(
    ("gap", "expected"),
    [(0, [(0, 60)]), (1, [(0, 61)]), (2, [(0, 62)]), (3, [(0, 30), (33, 63)]), (-1, [(0, 59)])],
)
@pytest.mark.parametrize("strand", "+-")
def test_rows_up_to_two_bases_apart_are_one_exon(
    read: Read, gap: int, expected: list[tuple[int, int]], strand: str
) -> None:
    mrna = gff("mRNA", 1, 99, "ID=t", strand)
    rows = [gff("CDS", 1, 30, "ID=c;Parent=t", strand), gff("CDS", 31 + gap, 60 + gap, "ID=c;Parent=t", strand)]
    assert exons(read, [mrna, *rows]) == expected
    assert exons(read, [rows[1], mrna, rows[0]]) == expected


@pytest.mark.parametrize("names", [("five_prime_UTR", "three_prime_UTR"), ("5UTR", "3UTR"), ("UTR", "UTR")])
def test_utrs_are_exons_where_no_row_says_exons(read: Read, names: tuple[str, str]) -> None:
    left, right = names
    lines = [gtf(left, 1, 10), gtf("CDS", 11, 30), gtf("stop_codon", 31, 33), gtf(right, 34, 40), gtf(right, 51, 60)]
    assert exons(read, lines) == [(0, 40), (50, 60)]
    assert exons(read, [*lines, gtf("exon", 1, 60)]) == [(0, 60)]
    got, findings = read(lines)
    assert (got.cds_start[0], got.cds_end[0]) == (10, 33)
    assert "CDS and UTR rows are taken as their exons" in next(iter(findings.noted.counts))


def test_two_files_joined_give_each_transcript_once(read: Read) -> None:
    lines = [gtf("gene", 1, 60, ""), gtf("transcript", 1, 60), gtf("exon", 1, 30), gtf("exon", 41, 60)]
    lines += [gtf("CDS", 4, 30, phase=0), gtf("CDS", 41, 50, phase=0)]
    got, findings = read([*lines, *lines])
    assert got.transcript_id.to_pylist() == ["T"]
    assert exons(read, [*lines, *lines]) == [(0, 30), (40, 60)]
    assert got.frames.of(0) == [(3, 40)]
    assert not findings.noted.counts


def test_rows_of_ucsc_given_twice_are_one_transcript(read: Read) -> None:
    row = "T\tchr1\t+\t0\t9\t0\t9\t1\t0,\t9,"
    got, findings = read([row, row.replace("\t9,", "\t9"), row.replace("chr1", "chr2")])
    assert got.transcript_id.to_pylist() == ["T", "T_dup1"]
    assert findings.noted.counts["transcripts given twice, of which one is kept"] == 1
