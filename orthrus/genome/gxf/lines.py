"""The lines of a GTF or GFF3 file: its format, where its annotation ends, and the first bad line.

Specifications: Sequence Ontology, GFF3 1.26; Brent lab, GTF 2.2.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from orthrus.errors import InputError
from orthrus.genome.files import open_bytes
from orthrus.genome.gxf.attributes import GFF3, GTF, Dialect, dialect_of
from orthrus.genome.tables import is_whole

BLOCK = 16 << 20
COLUMNS = ("contig", "source", "type", "start", "end", "score", "strand", "frame", "attributes")
STRANDS = "+-.?*"  # R's packages write * for GFF3's ?
MAX_POSITION = 10**10  # nt, more than the longest chromosomes have

_TOLD_BY = 4 << 20  # bytes at the beginning of a file
_VOTES = 100
_PARTS = {"exon", "CDS", "stop_codon", "start_codon"}


def blocks(stream: BinaryIO, path: Path) -> Iterator[bytes]:
    """A file in blocks of whole lines, without the sequences at the end of some GFF3s; the last line may lack its end.

    Sequences begin after the line ``##FASTA`` or, without it, with the first line that begins with ``>``.
    """
    rest = b""
    while chunk := stream.read(BLOCK):
        head, newline, rest = (rest + chunk).rpartition(b"\n")
        if len(rest) > BLOCK:
            raise first_fault(path) or InputError(f"{path} has no line breaks; expected a GTF or GFF3 file.")
        end = _end_of_annotation(head + newline)
        yield (head + newline)[:end]
        if end is not None:
            return
    yield rest[: _end_of_annotation(rest)]


def _end_of_annotation(block: bytes) -> int | None:
    """Where the annotation ends in a block of lines, None if it continues."""
    headers = _line_starts(block, b">")
    directives = (
        at for at in _line_starts(block, b"##FASTA") if is_fasta_directive(block[at : at + 80].partition(b"\n")[0])
    )
    return min((at for at in (next(headers, None), next(directives, None)) if at is not None), default=None)


def _line_starts(block: bytes, text: bytes) -> Iterator[int]:
    """Where lines begin with a rare text; searching for the text is faster than searching for line breaks."""
    at = block.find(text)
    while at >= 0:
        if at == 0 or block[at - 1 : at] == b"\n":
            yield at
        at = block.find(text, at + 1)


def is_fasta_directive(line: bytes) -> bool:
    """Whether a line ends the annotation: ``##FASTA`` alone. With words after it, the line is a comment."""
    return line.rstrip() == b"##FASTA"


def dialect_of_file(path: Path) -> Dialect | None:
    """The format of a file, by the attributes of its first exon and CDS rows, or of all first rows if it has none.

    Rows whose ninth column is empty, ``.``, or a bare id do not show the format; if there are no other rows, the line
    ``##gff-version 3`` does. None if the format is unknown.
    """
    votes: dict[bool, list[Dialect]] = {True: [], False: []}
    with open_bytes(path) as stream:
        head = stream.read(_TOLD_BY)
    for line in head.split(b"\n"):
        fields = line.decode("utf-8", "replace").rstrip("\r").split("\t")
        if line.startswith(b"#") or len(fields) != len(COLUMNS):
            continue
        if dialect := dialect_of(fields[8]):
            votes[fields[2] in _PARTS].append(dialect)
            if len(votes[True]) == _VOTES:
                break
    dialects = votes[True] or votes[False]
    if dialects:
        return max((GFF3, GTF), key=dialects.count)
    return GFF3 if re.search(rb"^##gff-version\s+3", head, re.MULTILINE) else None


def first_fault(path: Path) -> InputError | None:
    """The error of the first bad line of ``path``, naming the line; None if there is none.

    It reads line by line, which is slow, and is called only for files that are known to be bad.
    """
    with open_bytes(path) as stream:
        for number, line in enumerate(stream, start=1):
            if number > 1 and (line.startswith(b">") or is_fasta_directive(line)):
                break
            if fault := _fault(line, number == 1):
                return InputError(f"{path}, line {number}: {fault}")
    return None


def _fault(line: bytes, is_first: bool) -> str | None:
    if not line.strip() or line.startswith(b"#"):
        return None
    try:
        text = line.rstrip(b"\r\n").decode()
    except UnicodeDecodeError:
        return "not UTF-8 text; expected a GTF or GFF3 file"
    if is_first and text.startswith((">", ";")):
        return f"{text[:30]!r} is the header of a FASTA; expected a GTF or GFF3 file"
    fields = text.split("\t")
    if len(fields) != len(COLUMNS):
        cut = "" if line.endswith(b"\n") else "; the line has no end, so the file is truncated: fetch or copy it again"
        return (
            f"{len(fields)} tab-separated columns; expected the {len(COLUMNS)} of GTF and GFF3, or those of BED12,"
            f" genePred or refFlat ({text[:40]!r}){cut}"
        )
    for name, value in zip(COLUMNS[3:5], fields[3:5], strict=True):
        if not is_whole(value) or int(value) > MAX_POSITION:
            return f"{name} is {value[:30]!r}; expected a whole number from 1 to 10^10"
    start, end = int(fields[3]), int(fields[4])
    if start < 1:
        return f"start is {start}; expected 1 or more (positions count from 1)"
    if end < start:
        return f"end {end} is less than start {start}; expected start <= end"
    if fields[6] not in tuple(STRANDS):
        return f"strand is {fields[6][:30]!r}; expected one of {' '.join(STRANDS)}"
    return None


def is_cut(line: bytes, before: bytes, dialect: Dialect) -> bool:
    """Whether the last row of a file, a ``line`` without a line end, breaks off in its attributes.

    The signs are an open quote, an attribute without a value, and a missing semicolon where the row ``before`` has one.
    """
    text = line.rstrip()
    if before.rstrip().endswith(b";") and not text.endswith(b";"):
        return True
    last = text.rpartition(b"\t")[2].rpartition(b";")[2]
    if dialect is GTF:
        return text.count(b'"') % 2 == 1
    return bool(last.strip()) and not last.partition(b"=")[2]


def truncated(path: Path) -> InputError:
    """The error of a file whose last line breaks off."""
    with open_bytes(path) as stream:
        number = sum(1 for _ in stream)
    return InputError(f"{path}, line {number}: it breaks off, so the file is truncated; fetch or copy it again.")
