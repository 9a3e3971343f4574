"""Labels of transcripts, from a tab-separated table or a Parquet data frame, as texts with their place in the file.

A table has a column of ids, target columns and optionally ``gene_name`` (or ``gene``), ``chromosome`` and folds. In a
data frame with sequences and without the column of ids (mRNABench's format), the row numbers are the ids, as in
``orthrus embed``. Missing values, in any column, are empty, NA, N/A, NaN, null or None.
"""

import csv
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from orthrus.errors import InputError
from orthrus.genome.files import open_bytes
from orthrus.genome.mrna_frames import PARQUET_SUFFIXES, row_ids
from orthrus.genome.parquet import read_columns, read_schema
from orthrus.genome.tables import read_header

_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "<na>"})
_GENE_COLUMNS = ("gene_name", "gene", "gene_id")
_SEQUENCE = "sequence"
_BULKY = (_SEQUENCE, "cds", "splice")  # columns of a data frame that are not labels


@dataclass(frozen=True)
class Labels:
    """The N transcripts of a table that have a label.

    ``values`` are the texts of each target column, ``lines`` the rows' line numbers in the file, 1-based, header
    included (in a data frame, row numbers from 0). ``columns`` holds the other columns' texts.
    """

    path: Path
    targets: tuple[str, ...]
    transcript_ids: tuple[str, ...]
    values: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]
    columns: Mapping[str, tuple[str, ...]]
    n_rows: int
    n_missing: int
    n_repeated: int

    @property
    def name(self) -> str:
        """The target, or the first of several and the number of others."""
        rest = f" and {len(self.targets) - 1} more" if len(self.targets) > 1 else ""
        return self.targets[0] + rest

    @property
    def gene_name(self) -> tuple[str, ...] | None:
        """The genes of the rows, from the first existing column of gene_name, gene and gene_id."""
        return next((self.columns[name] for name in _GENE_COLUMNS if name in self.columns), None)

    @property
    def numbered(self) -> bool:
        """Whether the ids are row numbers, since the data frame has no column of ids."""
        return _is_frame(self.path) and self.transcript_ids == tuple(map(str, self.lines))

    def place(self, row: int) -> str:
        """The place of a row, for an error."""
        return f"{self.path}, {'row' if _is_frame(self.path) else 'line'} {self.lines[row]}"

    def column(self, name: str) -> tuple[str, ...]:
        """Another column; raises InputError, naming the existing ones, if it does not exist."""
        if name not in self.columns:
            raise InputError(f"{self.path} has no column {name!r}; beside the target it has {_named(self.columns)}.")
        return self.columns[name]


def read_labels(path: str | Path, targets: str | Sequence[str], id_column: str = "transcript_id") -> Labels:
    """Read the target columns of a table (plain, gzip or bgzip) or of a Parquet data frame.

    Exact repeats of a row, and rows without a value in one of the targets, are dropped and counted. A list of 0 and 1
    in a data frame is read as a bit string. Raises InputError if the file cannot be read, a column is missing, an id is
    missing or repeated with other values, or no row has a value.
    """
    path, targets = Path(path), (targets,) if isinstance(targets, str) else tuple(targets)
    if not path.is_file():
        raise InputError(f"no labels file {path}; expected a tab-separated table with a column transcript_id.")
    frame = _is_frame(path)
    table = _read_frame(path, targets, id_column) if frame else _read_table(path)
    for column in (id_column, *targets):
        if column not in table:
            hint = " (are its columns separated by tabs?)" if len(table.columns) == 1 else ""
            other = "; say which column holds the ids: --id, or `id` of the task" if column == id_column else ""
            raise InputError(f"{path} has no column {column!r}; it has {_named(table.columns)}{hint}{other}.")
        if not frame and read_header(path).count(column) > 1:
            raise InputError(f"{path} has the column {column!r} twice; expected it once.")
    for name in table:
        texts = table[name].str.strip()
        table[name] = texts.mask(texts.str.lower().isin(_MISSING), "")
    if not frame:
        table.index += 2  # an index is a line number from here on
        table = table[(table != "").any(axis=1)]
    n_rows = len(table)
    table = table[~table.duplicated()]
    _check_ids(path, table, id_column)
    known = (table[list(targets)] != "").all(axis=1)
    if not known.any():
        named = f"column {targets[0]!r} has" if len(targets) == 1 else f"its {len(targets)} target columns have"
        raise InputError(f"{path}: {named} no value in any of its {len(table):,} rows.")
    kept = table[known]
    others = [name for name in kept.columns if name != id_column and name not in targets]
    return Labels(
        path=path,
        targets=targets,
        transcript_ids=tuple(kept[id_column]),
        values=tuple(tuple(kept[target]) for target in targets),
        lines=tuple(kept.index.tolist()),
        columns={str(name): tuple(kept[name]) for name in others},
        n_rows=n_rows,
        n_missing=int((~known).sum()),
        n_repeated=n_rows - len(table),
    )


def holds_sequences(path: Path) -> bool:
    """Whether a labels file is a data frame with the sequences of the transcripts."""
    return _is_frame(path) and path.is_file() and _SEQUENCE in read_schema(path).names


def _named(columns: Iterable[str]) -> str:
    names = [repr(name) for name in columns]
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _is_frame(path: Path) -> bool:
    return path.suffix in PARQUET_SUFFIXES


def _read_table(path: Path) -> pd.DataFrame:
    try:
        with open_bytes(path) as stream, warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a row longer than the header
            return pd.read_csv(
                stream, sep="\t", dtype=str, keep_default_na=False, skip_blank_lines=False,
                quoting=csv.QUOTE_NONE, encoding="utf-8-sig", index_col=False,
            ).fillna("")  # fmt: skip
    except InputError:
        raise
    except (ValueError, OSError, pd.errors.ParserWarning) as error:  # pandas' own errors are ValueErrors
        reason = str(error).strip().rstrip(".")
        raise InputError(f"{path} cannot be read as a tab-separated table: {reason}.") from None


def _read_frame(path: Path, targets: Sequence[str], id_column: str) -> pd.DataFrame:
    schema = read_schema(path)
    names = [
        field.name
        for field in schema
        if field.name in targets or (field.name not in _BULKY and not pa.types.is_nested(field.type))
    ]
    table = read_columns(path, names)
    texts = {name: _texts(path, name, table[name]) for name in names}
    if id_column not in texts and _SEQUENCE in schema.names:
        texts[id_column] = row_ids(len(table))
    return pd.DataFrame(texts, dtype=str)


def _texts(path: Path, name: str, column: pa.ChunkedArray) -> list[str]:
    if not pa.types.is_nested(column.type):
        return ["" if value is None else str(value) for value in column.to_pylist()]
    texts = []
    for row, values in enumerate(column.to_pylist()):
        numbers = np.asarray(values if values is not None else [], dtype=object)
        if not all(value in (0, 1) for value in numbers):
            raise InputError(f"{path}, row {row}: {name} holds more than 0 and 1; a list is a multilabel target.")
        texts.append("".join(str(int(value)) for value in numbers))
    return texts


def _check_ids(path: Path, table: pd.DataFrame, id_column: str) -> None:
    empty = table[table[id_column] == ""]
    if len(empty):
        raise InputError(f"{path}, line {empty.index[0]}: no {id_column}; each row needs one.")
    repeated = table[table[id_column].duplicated()]
    if len(repeated):
        raise InputError(
            f"{path}, line {repeated.index[0]}: {id_column} {repeated[id_column].iloc[0]!r} occurs again with other"
            f" values ({len(repeated):,} such rows); expected one row a transcript."
        )
