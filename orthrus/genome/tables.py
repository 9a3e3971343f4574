"""Tab-separated tables with a header line, plain, gzip or bgzip, read whole as columns of text."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from orthrus.errors import InputError, did_you_mean
from orthrus.genome.files import open_bytes


def is_whole(text: str) -> bool:
    """Whether a field is a whole number from 0 that a position may be; a longer one may be more than ``int`` reads."""
    return text.isascii() and text.isdigit() and len(text) <= 18


def read_header(path: Path) -> list[str]:
    """The fields of a table's first line, without a ``#`` in front; [""] of an empty file."""
    with open_bytes(path) as stream:
        line = stream.readline(1 << 20).removeprefix(b"\xef\xbb\xbf")
    return line.decode("utf-8", "replace").rstrip("\r\n").removeprefix("#").split("\t")


def read_tsv(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> pa.Table:
    """Read the ``required`` columns and the ``optional`` ones that exist, as strings; other columns are ignored.

    Raises InputError naming a missing column and the nearest existing name, or the first line with too few or too many
    fields.
    """
    first_line, _, body = _read(path).partition(b"\n")
    header = first_line.decode().rstrip("\r").removeprefix("#").split("\t")
    _check_header(path, header, required, optional)
    if not body.strip():
        raise InputError(f"{path} has a header and no rows; expected some.")
    return _parse(path, body, header, [name for name in header if name in (*required, *optional)], n_lines_before=1)


def read_columns(path: Path, names: Sequence[str]) -> pa.Table:
    """Read a table without a header line as strings; ``names`` are those of its columns. Errors are as in read_tsv."""
    return _parse(path, _read(path), names, names, n_lines_before=0)


def _read(path: Path) -> bytes:
    with open_bytes(path) as stream:
        data = stream.read().removeprefix(b"\xef\xbb\xbf")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}, line {line}: not UTF-8 text; expected a tab-separated table.") from None
    return data


def _parse(path: Path, body: bytes, header: Sequence[str], wanted: Sequence[str], n_lines_before: int) -> pa.Table:
    bad: list[csv.InvalidRow] = []

    def refuse(row: csv.InvalidRow) -> str:
        bad.append(row)
        return "error"

    try:
        return csv.read_csv(
            pa.BufferReader(body),
            csv.ReadOptions(column_names=list(header), use_threads=False),
            csv.ParseOptions(delimiter="\t", quote_char=False, double_quote=False, invalid_row_handler=refuse),
            csv.ConvertOptions(
                column_types=dict.fromkeys(wanted, pa.string()), include_columns=list(wanted), null_values=[]
            ),
        )
    except pa.ArrowInvalid as error:
        fault = ": " + " ".join(str(error).split())
        if bad:  # rows are numbered from 1
            fault = f", line {bad[0].number + n_lines_before}: {bad[0].actual_columns} tab-separated fields"
        raise InputError(f"{path}{fault}; expected {len(header)}, as in the first line.") from None


def _check_header(path: Path, header: list[str], required: Sequence[str], optional: Sequence[str]) -> None:
    for name in required:
        if name not in header:
            raise InputError(
                f"{path} has no column {name!r}{did_you_mean(name, header)}; expected a tab-separated table with a"
                f" header line and the columns {', '.join(required)}. It has {', '.join(map(repr, header[:8]))[:200]}."
            )
    for name in (*required, *optional):
        if header.count(name) > 1:
            raise InputError(f"{path} has the column {name!r} twice; expected it once.")
