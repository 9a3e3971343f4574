"""Annotation files that cannot be read: one clear error, with the line where there is one; never anything else."""

import dataclasses
import gzip
from pathlib import Path

import pytest

from orthrus.errors import InputError
from orthrus.genome.annotation import read_annotation
from orthrus.genome.findings import Findings
from orthrus.genome.gxf import lines
from orthrus.genome.models import TranscriptModels
from tests.genome.conftest import Read
from tests.genome.rows import gff

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
    assert "is not a gzip file" in fault(tmp_path, GOOD, "c.gtf.gz")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_annotation(tmp_path / "none.gtf", Findings())
    with pytest.raises(InputError, match="Is a directory"):
        read_annotation(tmp_path, Findings())


@pytest.mark.parametrize(
    ("head", "row"),
    [
        (b"", b"1\ts\tcontig\t1\t99\t.\t.\t.\t.\n"),  # undefined
        (b"##gff-version 3\n", b"1\ts\tregion\t1\t99\t.\t.\t.\tHomo sapiens chromosome 1\n"),
        (b"\xef\xbb\xbf", b"\n  \n# a comment\twith\ta\ttab\n"),
    ],
)
def test_the_format_is_told_by_all_rows(tmp_path: Path, head: bytes, row: bytes) -> None:
    path = tmp_path / "a"
    for rows in (GOOD, GFF.partition(b"\n")[2]):
        if not (rows == GOOD and b"gff-version" in head):
            for text in (
                head + row + rows,
                (head + row + rows).replace(b"\n", b"\r\n"),
                gzip.compress(head + row + rows),
            ):
                path.write_bytes(text)
                assert read_annotation(path, Findings()).transcript_id.to_pylist() in (["T"], ["a"])


def test_bare_ids_of_augustus_are_gtf(tmp_path: Path) -> None:
    path = tmp_path / "a"
    rows = b"1\ts\tgene\t1\t9\t.\t+\t.\tG\n1\ts\ttranscript\t1\t9\t.\t+\t.\tT\n" + GOOD
    path.write_bytes(rows)
    got = read_annotation(path, Findings())
    assert (got.transcript_id.to_pylist(), got.gene_id.to_pylist()) == (["T"], ["G"])


def test_only_the_directive_by_itself_or_a_header_ends_the_annotation(tmp_path: Path) -> None:
    path = tmp_path / "a"
    second = GFF.partition(b"\n")[2].replace(b"=a", b"=b")
    for remark in (b"##FASTA source: x\n", b"##FASTA-like\n", b"# >chr1\n", b"##FASTAn\n##FASTAm\n"):
        path.write_bytes(GFF + remark + second)
        assert read_annotation(path, Findings()).transcript_id.to_pylist() == ["a", "b"], remark
    for end in (
        b"##FASTA\n>1\nACGT\n",
        b"##FASTA \r\n>1\nAC\n",
        b">1 chromosome\nACGT\n",
        b"##FASTA",
        b"##FASTA x\n>1\nA\n",
    ):
        path.write_bytes(GFF + end + (second if end.endswith(b"\n") else b""))
        assert read_annotation(path, Findings()).transcript_id.to_pylist() == ["a"], end


def test_a_row_that_breaks_off_anywhere_is_a_truncated_file(tmp_path: Path) -> None:
    """Cut at any byte of its last row, a file is refused, unless what is left of the row says all that is read."""
    for before, last, whole in (
        (GOOD, GOOD.replace(b'"T"', b'"T2"'), b'transcript_id "T2";'),
        (GFF, b"1\ts\texon\t11\t19\t.\t+\t.\tID=e;Parent=a\n", b"Parent=a"),
    ):
        path = tmp_path / "a"
        for n in range(1, len(last)):
            path.write_bytes(before + last[:n])
            if last[:n].endswith(whole):
                assert len(read_annotation(path, Findings())) > 0
                continue
            line = before.count(b"\n") + 1
            assert f"line {line}" in fault(tmp_path, before + last[:n], "a"), last[:n]


def test_a_parent_that_only_the_last_row_lacks_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(GFF + b"1\ts\texon\t11\t19\t.\t+\t.\tParent=transcript")
    with pytest.raises(InputError, match="line 4: it breaks off, so the file is truncated"):
        read_annotation(path, Findings())
    path.write_bytes(GFF + b"1\ts\texon\t11\t19\t.\t+\t.\tParent=transcript\n")
    assert len(read_annotation(path, Findings())) == 2


def test_text_in_utf_16_is_refused(tmp_path: Path) -> None:
    assert "is text in UTF-16; save it as UTF-8" in fault(tmp_path, GOOD.decode().encode("utf-16"))


def test_a_file_is_the_same_whatever_the_blocks_that_it_is_read_in(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of one transcript far apart, genes behind their transcripts, and what is said of contigs anywhere."""
    texts = [gff("mRNA", 1 + 20 * t, 20 + 20 * t, f"ID=t{t};Parent=g{t // 2}", contig=f"c{t % 3}") for t in range(12)]
    texts += [gff("exon", 1 + 20 * t, 9 + 20 * t, f"Parent=t{t}", contig=f"c{t % 3}") for t in range(12)]
    texts += [
        gff("CDS", 12 + 20 * t, 20 + 20 * t, f"ID=p;Parent=t{t};transl_table=4", contig=f"c{t % 3}") for t in range(4)
    ]
    texts += [gff("gene", 1, 400, f"ID=g{g};Name=n{g};biotype=b{g}") for g in range(6)]
    texts += ["##sequence-region c0 1 500", gff("region", 1, 600, "ID=r;Is_circular=true;chromosome=2", contig="c1")]
    texts += [gff("exon", 12 + 20 * t, 20 + 20 * t, f"Parent=t{t}", contig=f"c{t % 3}") for t in range(12)]
    whole, _ = read(texts, "a.gff3")
    monkeypatch.setattr(lines, "BLOCK", 150)
    parted, _ = read(texts, "a.gff3")
    assert whole.contig_ends == {"c0": 500, "c1": 600}
    assert whole.genetic_codes == {"c0": 4, "c1": 4, "c2": 4}
    for field in dataclasses.fields(TranscriptModels):
        one, other = (str(getattr(models, field.name)) for models in (whole, parted))
        assert one == other, field.name
