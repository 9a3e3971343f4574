from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given

from orthrus.errors import InputError
from orthrus.genome.coordinates import read_coordinates
from tests.damage import damage, deep, quick

HEADER = "transcript_id\tgene_name\tlength\tcds_start\tcds_end\texon_ends\textra\n"


FASTA = Path("not-read.fa")


def table(path: Path, *rows: str, header: str = HEADER) -> Path:
    path.write_text(header + "".join(row + "\n" for row in rows))
    return path


def test_defaults_of_what_a_table_leaves_out(tmp_path: Path) -> None:
    got = read_coordinates(
        table(tmp_path / "t.tsv", "A\tGA\t9\t0\t9\t4,9\tx", "B\tGB\t7\t\t\t\tx", "C\tGC\t7\t-1\t-1\t7,\t"), "cat", FASTA
    )
    assert got.gene_id == ["GA", "GB", "GC"]
    assert got.species == ["cat"] * 3
    assert got.biotype == ["protein_coding", "non_coding", "non_coding"]
    assert got.cds_end.tolist() == [9, -1, -1]
    assert [ends.tolist() for ends in got.exon_ends] == [[4, 9], [], [7]]


def test_columns_that_override(tmp_path: Path) -> None:
    header = "species\tbiotype\tgene_id\ttranscript_id\tlength\tcds_start\tcds_end\r\n"
    got = read_coordinates(
        table(tmp_path / "t.tsv", "dog\tlncRNA\tG\tA\t9\t0\t9\r", "\t\t\tB\t9\t0\t9\r", header=header), "cat", FASTA
    )
    assert (got.species, got.biotype, got.gene_id) == (["dog", "cat"], ["lncRNA", "protein_coding"], ["G", "B"])
    assert got.gene_name == ["", ""]
    assert [len(ends) for ends in got.exon_ends] == [0, 0]


@pytest.mark.parametrize("header", [HEADER.replace("length\t", ""), HEADER])
def test_without_a_length_the_sequence_tells_it(tmp_path: Path, header: str) -> None:
    (tmp_path / "t.fa").write_text(">A a header\nACGTACGTA\n>B\nACGTACG\n")
    blank = "\t" if header == HEADER else ""
    rows = [f"A\tGA{blank}\t0\t9\t4,9\t", f"B\tGB{blank}\t\t\t\t", f"C\tGC{blank}\t0\t3\t5\t"]
    got = read_coordinates(table(tmp_path / "t.tsv", *rows, header=header), "cat", tmp_path / "t.fa")
    assert got.length.tolist() == [9, 7, 5]
    wrong = table(tmp_path / "t.tsv", f"A\tGA{blank}\t0\t10\t\t", header=header)
    with pytest.raises(InputError, match="line 2: CDS 0-10 of A does not lie in its 9 nt"):
        read_coordinates(wrong, "cat", tmp_path / "t.fa")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("A\tG\tnine\t0\t9\t\t", "line 3: length is 'nine'; expected a whole number"),
        ("A\tG\t0\t\t\t\t", "line 3: length is 0"),
        ("A\tG\t9\t0\t10\t\t", "line 3: CDS 0-10 of A does not lie in its 9 nt"),
        ("A\tG\t9\t5\t5\t\t", "CDS 5-5"),
        ("A\tG\t9\t5\t\t\t", "CDS 5--1"),
        ("A\tG\t9\t0\t9\t4,8\t", "line 3: exon_ends of A do not ascend from 1 to its length, 9"),
        ("A\tG\t9\t0\t9\t5,5,9\t", "exon_ends of A"),
        ("A\tG\t9\t0\t9\t0,9\t", "exon_ends of A"),
        ("A\tG\t9\t0\t9\t4;9\t", "line 3: exon_ends is '4;9'; expected numbers joined by commas"),
        ("A\tG\t9\t0\t9", "line 3: 5 tab-separated fields; expected 7"),
        ("first\tG\t9\t0\t9\t\t", "line 3: transcript_id 'first' occurs again"),
        ("\tG\t9\t0\t9\t\t", "line 3: no transcript_id"),
    ],
)
def test_the_bad_line_is_named(tmp_path: Path, row: str, message: str) -> None:
    path = table(tmp_path / "t.tsv", "first\tG\t9\t0\t9\t9\t", row)
    with pytest.raises(InputError) as caught:
        read_coordinates(path, "cat", FASTA)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("transcript_id\tgene_name\tlength\tcds_strat\tcds_end\n", "no column 'cds_start' \\(did you mean 'cds_strat'"),
        ("transcript_id\tlength\tcds_start\tcds_end\n", "neither a column 'gene_id' nor 'gene_name'"),
        ("transcript_id\tlength\tlength\tgene_id\tcds_start\tcds_end\n", "the column 'length' twice"),
        (">transcript\nACGT\n", "no column 'transcript_id'"),
        ("", "no column 'transcript_id'"),
        (HEADER, "a header and no rows"),
    ],
)
def test_bad_headers(tmp_path: Path, header: str, message: str) -> None:
    rows = [] if header in ("", HEADER) else ["A" + "\tx" * header.count("\t")]
    with pytest.raises(InputError, match=message):
        read_coordinates(table(tmp_path / "t.tsv", *rows, header=header), "cat", FASTA)


SEED = (HEADER + "A\tGA\t9\t0\t9\t4,9\tx\nB\tGB\t7\t\t\t\tx\n").encode()


def returns_rows_or_the_error(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    with suppress(InputError):
        got = read_coordinates(path, "cat", FASTA)
        assert all(end <= length for end, length in zip(got.cds_end, got.length, strict=True))


@given(text=damage(SEED))
@quick
def test_any_damage_gives_rows_or_the_error(tmp_path: Path, text: bytes) -> None:
    returns_rows_or_the_error(tmp_path / "t.tsv", text)


@pytest.mark.slow
@given(text=damage(SEED))
@deep
def test_any_damage_at_length(tmp_path: Path, text: bytes) -> None:
    returns_rows_or_the_error(tmp_path / "t.tsv", text)
