"""Annotation files that cannot be read: one clear error, with the line where there is one; never anything else."""

import gzip
from pathlib import Path

import pytest

from orthrus.errors import InputError
from orthrus.genome.annotation import read_annotation
from orthrus.genome.findings import Findings

GOOD = b'1\tsrc\texon\t1\t9\t.\t+\t.\tgene_id "G"; transcript_id "T";\n'
GFF = b"##gff-version 3\n1\ts\tmRNA\t1\t9\t.\t+\t.\tID=a;Parent=g\n1\ts\texon\t1\t9\t.\t+\t.\tParent=a\n"


def fault(tmp_path: Path, data: bytes, name: str = "a.gtf") -> str:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_annotation(path, Findings())
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"1\tsrc\texon\t1\t9\n", "5 tab-separated columns; expected the 9"),
        (GOOD.rstrip() + b"\textra\n", "10 tab-separated columns"),
        (GOOD.replace(b"\t1\t9\t", b"\t9\t1\t"), "end 1 is less than start 9"),
        (GOOD.replace(b"\t1\t9\t", b"\t0\t9\t"), "start is 0; expected 1 or more"),
        (GOOD.replace(b"\t1\t9\t", b"\t-4\t9\t"), "start is '-4'; expected a whole number"),
        (GOOD.replace(b"\t1\t9\t", b"\t1.5\t9\t"), "start is '1.5'"),
        (GOOD.replace(b"\t1\t9\t", b"\t1\t\t"), "end is ''"),
        (GOOD.replace(b"\t9\t", b"\t99999999999999999999\t"), "end is '99999999999999999999'"),
        (GOOD.replace(b"\t+\t", b"\tplus\t"), "strand is 'plus'; expected one of + - . ?"),
        (GOOD.replace(b"src", b"s\xffc"), "not UTF-8 text"),
    ],
)
@pytest.mark.parametrize("before", [b"", b"# comment\n" + GOOD * 3], ids=["first", "fifth"])
def test_the_bad_line_is_named(tmp_path: Path, line: bytes, message: str, before: bytes) -> None:
    told = fault(tmp_path, before + line + GOOD)
    number = before.count(b"\n") + 1
    assert f"line {number}: {message}" in told


def test_the_line_is_named_far_into_the_file(tmp_path: Path) -> None:
    n = (17 << 20) // len(GOOD)
    assert f"line {n + 1}: 1 tab-separated" in fault(tmp_path, GOOD * n + b"oops\n" + GOOD)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no annotation rows"),
        (b"# only\n# comments\n", "no annotation rows"),
        (GOOD.replace(b"exon", b"gene"), "no exon or CDS rows"),
        (GOOD.replace(b"transcript_id", b"name"), "no exon or CDS row has the GTF attribute transcript_id"),
        (GFF.replace(b"Parent=a", b"Name=a"), "no exon or CDS row has the GFF3 attribute Parent"),
        (GOOD.replace(b'gene_id "G"; transcript_id "T";', b"."), "neither GTF"),
        (b">chr1 description\nACGTACGT\n", "header of a FASTA"),
        (b"chr1\t0\t9\tT\t0\t+\n", "6 tab-separated columns"),
        (bytes(range(256)) * 50, "2 tab-separated columns"),
        (b"\x89PNG\x0d\x0a" * 50, "not UTF-8 text"),
        (b"\x00" * 1000, "1 tab-separated columns"),
        (b"A" * (40 << 20), "1 tab-separated columns"),
    ],
)
def test_what_is_no_annotation_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    assert message in fault(tmp_path, data)


def test_broken_compression(tmp_path: Path) -> None:
    whole = gzip.compress(GOOD * 1000)
    assert "truncated gzip" in fault(tmp_path, whole[:-12], "a.gtf.gz")
    assert "damaged gzip" in fault(tmp_path, whole[:30] + b"?" + whole[31:], "b.gtf.gz")
    assert "is no gzip file" in fault(tmp_path, GOOD, "c.gtf.gz")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_annotation(tmp_path / "none.gtf", Findings())
    with pytest.raises(InputError, match="Is a directory"):
        read_annotation(tmp_path, Findings())
