import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orthrus.analyse.compression import read_text
from orthrus.embedding.variant_file import read_variants
from orthrus.errors import InputError
from orthrus.genome import files
from orthrus.genome.annotation import read_annotation
from orthrus.genome.files import open_bytes
from orthrus.genome.findings import Findings, Tally
from orthrus.genome.sequence import read_fasta, read_genome
from orthrus.genome.tables import read_tsv
from orthrus.probe.labels import read_labels


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = os.open(tmp_path / "pipe", os.O_RDWR)  # so that opening it to read does not wait
    try:
        with pytest.raises(InputError, match="is a pipe"), open_bytes(tmp_path / "pipe"):
            pass
    finally:
        os.close(writer)


READERS: dict[str, tuple[bytes, Callable[[Path], object]]] = {
    "FASTA": (b">x\n", lambda path: list(read_fasta(path))),
    "genome": (b">x\n", lambda path: list(read_genome(path, ["x"]))),
    "GTF": (b'1\tx\texon\t1\t9\t.\t+\t.\ttranscript_id "', lambda path: read_annotation(path, Findings())),
    "BED12": (b"1\t0\t9\t", lambda path: read_annotation(path, Findings(), format="bed12")),
    "table": (b"transcript_id\n", lambda path: read_tsv(path, ["transcript_id"])),
    "labels": (b"transcript_id\tvalue\n", lambda path: read_labels(path, "value")),
    "variants": (b"transcript_id\tpos\tref\talt\n", lambda path: read_variants(path, Tally())),
    "text": (b"", read_text),
}


@pytest.mark.parametrize("kind", READERS)
def test_a_file_that_expands_beyond_all_proportion_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, read = READERS[kind]
    monkeypatch.setattr(files, "HARMLESS", 4 << 20)
    bomb = tmp_path / "bomb.gz"
    bomb.write_bytes(gzip.compress(begin) + 16_000 * gzip.compress(b"A" * (1 << 20)))  # 16 GB in 16 MB
    monkeypatch.setattr(files, "MAX_RATIO", 1)
    with pytest.raises(InputError, match=r"bomb\.gz \(.* bytes\) expands to more than .* write it without"):
        read(bomb)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("kind", READERS)
def test_lines_that_end_in_cr_alone_are_said_whatever_is_read(
    kind: str, pack: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    begin, read = READERS[kind]
    path = tmp_path / "old"
    path.write_bytes(pack((begin.strip() + b"\rACGT\r") * 3))
    with pytest.raises(InputError, match=r"old has lines that end in CR alone; convert them"):
        read(path)


@pytest.mark.parametrize("digits", ["9" * 19, "9" * 5000, "²"])
@pytest.mark.parametrize(
    ("line", "read"),
    [
        ('1\tx\texon\t1\t{}\t.\t+\t.\tgene_id "g"; transcript_id "t";\n', READERS["GTF"][1]),
        ("t\t1\t+\t0\t{}\t0\t0\t1\t0,\t9,\n", READERS["GTF"][1]),
        ("1\t0\t{}\tt\t0\t+\t0\t0\t0\t1\t9,\t0,\n", READERS["BED12"][1]),
        ("transcript_id\tpos\tref\talt\nt\t{}\tA\tC\n", READERS["variants"][1]),
    ],
    ids=["GTF", "genePred", "BED12", "variants"],
)
def test_numbers_of_any_length_are_errors_of_one_line(
    line: str, read: Callable[[Path], object], digits: str, tmp_path: Path
) -> None:
    (tmp_path / "table").write_text(line.format(digits))
    with pytest.raises(InputError, match="table"):
        read(tmp_path / "table")


def test_an_index_of_a_genome_that_is_no_index_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "g.fa").write_text(">1\nACGT\n")
    for line in ("1\t" + "9" * 5000 + "\t3\t60\t61\n", "1\t²\t3\t60\t61\n", "\x00"):
        (tmp_path / "g.fa.fai").write_text(line)
        assert [name for name, _ in read_genome(tmp_path / "g.fa", ["1"])] == ["1"]


def test_a_header_with_a_cr_inside_is_no_name(tmp_path: Path) -> None:
    (tmp_path / "mixed.fa").write_bytes(b">a\rACGT\nACGT\n>b\nAC\n")
    with pytest.raises(InputError, match="'a\\\\rACGT' holds line ends of CR alone"):
        list(read_fasta(tmp_path / "mixed.fa"))


def test_proportion_is_that_of_the_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stretches of N pack a thousand times, in a genome that packs four times."""
    monkeypatch.setattr(files, "HARMLESS", 1 << 20)
    path = tmp_path / "genome.fa.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(b">x\n" + b"N" * (4 << 20) + b"\n>y\n" + os.urandom(1 << 18).hex().encode().upper() + b"\n")
    with open_bytes(path) as stream:
        assert len(stream.read()) > 4 << 20
