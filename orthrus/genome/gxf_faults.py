"""What is wrong with a GTF or GFF3 file, found line by line: the slow way, taken only once it is known to be bad."""

from pathlib import Path

from orthrus.errors import InputError
from orthrus.genome.files import open_bytes

COLUMNS = ("contig", "source", "type", "start", "end", "score", "strand", "frame", "attributes")
STRANDS = "+-.?"
MAX_POSITION = 1 << 40


def first_fault(path: Path) -> InputError | None:
    """The error of the first bad line of ``path``, naming the line; None if there is none."""
    with open_bytes(path) as stream:
        for number, line in enumerate(stream, start=1):
            if line.startswith(b"##FASTA"):
                break
            fault = _fault(line.rstrip(b"\r\n"), number == 1)
            if fault:
                return InputError(f"{path}, line {number}: {fault}")
    return None


def _fault(line: bytes, is_first: bool) -> str | None:
    if not line or line.startswith(b"#"):
        return None
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return "not UTF-8 text; expected a GTF or GFF3 file"
    if is_first and text.startswith((">", ";")):
        return f"{text[:30]!r} is the header of a FASTA; expected a GTF or GFF3 file"
    fields = text.split("\t")
    if len(fields) != len(COLUMNS):
        return (
            f"{len(fields)} tab-separated columns; expected the {len(COLUMNS)} of GTF and GFF3, or those of BED12,"
            f" genePred or refFlat ({text[:40]!r})"
        )
    for name, value in zip(COLUMNS[3:5], fields[3:5], strict=True):
        if not (value.isascii() and value.isdigit()) or int(value) >= MAX_POSITION:
            return f"{name} is {value[:30]!r}; expected a whole number from 1 to 10^12"
    start, end = int(fields[3]), int(fields[4])
    if start < 1:
        return f"start is {start}; expected 1 or more (positions count from 1)"
    if end < start:
        return f"end {end} is less than start {start}; expected start <= end"
    if fields[6] not in tuple(STRANDS):
        return f"strand is {fields[6][:30]!r}; expected one of {' '.join(STRANDS)}"
    return None
