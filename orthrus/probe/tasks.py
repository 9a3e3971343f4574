"""Labels of transcripts: a tab-separated table in, numbers to predict out.

A table has ``transcript_id``, a target column and, if families are not known from elsewhere, ``gene_name``. What can
be dropped (missing values, labels too rare to score) is dropped, counted and named; what cannot be meant is an
InputError with its line.
"""

import csv
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from orthrus.errors import InputError

MIN_POSITIVES = 50  # of a term in a comma-separated list; as many rows must lack it
MIN_OF_CLASS = 10  # of a class, and of either value of a bit: fewer leave some split's test side without any
MAX_CLASSES = 100

_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})


class Task(str, Enum):
    """What a target is: a number, one class of several, or several yes-or-no labels."""

    REGRESSION = "regression"
    CLASSIFICATION = "classification"
    MULTILABEL = "multilabel"


@dataclass(frozen=True)
class Labels:
    """Labelled transcripts of a table, rows without a value left out.

    ``values`` are the target's texts and ``lines`` their line numbers in the file, 1-based, header included.
    """

    path: Path
    target: str
    transcript_ids: tuple[str, ...]
    values: tuple[str, ...]
    lines: tuple[int, ...]
    gene_name: tuple[str, ...] | None
    n_rows: int
    n_missing: int


@dataclass(frozen=True)
class Target:
    """What to predict for M rows.

    ``values`` is (M, T): float64 numbers (T = 1) for regression, 0/1 of each label for multilabel, 0/1 of each class
    (one-hot, or T = 1 for two classes, then of the second) for classification. ``rows`` are the M rows of the labels
    that were encoded, ``dropped`` says why of each label or class that was left out.
    """

    task: Task
    names: tuple[str, ...]
    values: NDArray[np.float64]
    rows: NDArray[np.int64]
    dropped: dict[str, str]


def read_labels(path: str | Path, target: str) -> Labels:
    """Read a tab-separated table, gzipped if its name ends in .gz.

    Missing values are empty, NA, N/A, NaN, null or None. Raises InputError if the file cannot be read, a column is
    missing, an id is missing or repeated, or no row has a value.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no labels file {path}; expected a tab-separated table with a column transcript_id.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # a row longer than the header
            table = pd.read_csv(
                path, sep="\t", dtype=str, keep_default_na=False, skip_blank_lines=False,
                quoting=csv.QUOTE_NONE, encoding="utf-8-sig", index_col=False,
            ).fillna("")  # fmt: skip
    except (
        ValueError,
        EOFError,
        OSError,
        pd.errors.ParserWarning,
    ) as error:  # pandas' parser and decoding errors are ValueErrors
        reason = str(error).strip().rstrip(".")
        raise InputError(f"{path} cannot be read as a tab-separated table: {reason}.") from None
    for column in ("transcript_id", target):
        if column not in table:
            raise InputError(
                f"{path} has no column {column!r}; it has {', '.join(map(repr, table.columns))}"
                + (" (are its columns separated by tabs?)." if len(table.columns) == 1 else ".")
            )
    table.index += 2  # an index is a line number from here on
    table = table[(table != "").any(axis=1)]
    _check_ids(path, table)
    known = ~table[target].str.strip().str.lower().isin(_MISSING)
    if not known.any():
        raise InputError(f"{path}: column {target!r} has no value in any of its {len(table):,} rows.")
    kept = table[known]
    return Labels(
        path=path,
        target=target,
        transcript_ids=tuple(kept["transcript_id"]),
        values=tuple(kept[target].str.strip()),
        lines=tuple(kept.index.tolist()),
        gene_name=tuple(kept["gene_name"].str.strip()) if "gene_name" in kept else None,
        n_rows=len(table),
        n_missing=int((~known).sum()),
    )


def _check_ids(path: Path, table: pd.DataFrame) -> None:
    empty = table[table["transcript_id"] == ""]
    if len(empty):
        raise InputError(f"{path}, line {empty.index[0]}: no transcript_id; each row needs one.")
    repeated = table[table["transcript_id"].duplicated()]
    if len(repeated):
        raise InputError(
            f"{path}, line {repeated.index[0]}: transcript_id {repeated['transcript_id'].iloc[0]!r} occurs again"
            f" ({len(repeated):,} such rows); expected one row a transcript."
        )


def encode_target(labels: Labels, rows: NDArray[np.int64], task: Task, min_positives: int = MIN_POSITIVES) -> Target:
    """Numbers to predict for the given ``rows`` of the labels.

    Multilabel values are bit strings of one length ("1101010", bits named from 1) or comma-separated terms. Labels
    too rare, or too common, to score are dropped. Raises InputError if a value does not fit the task, if the target is
    constant, or if nothing is left to predict.
    """
    values = [labels.values[row] for row in rows]
    if task is Task.REGRESSION:
        return _numbers(labels, rows, values)
    if task is Task.CLASSIFICATION:
        return _classes(labels, rows, values)
    return _multilabel(labels, rows, values, min_positives)


def _numbers(labels: Labels, rows: NDArray[np.int64], values: Sequence[str]) -> Target:
    numbers = pd.to_numeric(pd.Series(values, dtype=object), errors="coerce").to_numpy(dtype=np.float64)
    text = np.flatnonzero(np.isnan(numbers))
    if text.size:
        raise InputError(
            f"{labels.path}, line {labels.lines[rows[text[0]]]}: {labels.target} is {values[text[0]]!r}, not a number"
            f" ({text.size:,} such rows); a regression target is numeric, or pass --task classification or multilabel."
        )
    finite = np.isfinite(numbers)
    numbers = numbers[finite]
    if len(numbers) == 0 or np.ptp(numbers) == 0:
        what = f"is {numbers[0]:g} in every row" if len(numbers) else "has no finite value"
        raise InputError(f"{labels.path}: target {labels.target!r} {what} that has an embedding; nothing to learn.")
    n_infinite = int((~finite).sum())
    dropped = {"infinite values": f"{n_infinite:,} rows"} if n_infinite else {}
    return Target(Task.REGRESSION, (labels.target,), numbers[:, None], rows[finite], dropped)


def _classes(labels: Labels, rows: NDArray[np.int64], values: Sequence[str]) -> Target:
    counts = Counter(values)
    if len(counts) > MAX_CLASSES:
        raise InputError(
            f"{labels.path}: target {labels.target!r} has {len(counts):,} distinct values; a classification target has"
            f" at most {MAX_CLASSES}. If it is a number, pass --task regression."
        )
    if len(counts) == 1:
        raise InputError(
            f"{labels.path}: target {labels.target!r} is {values[0]!r} in every row that has an embedding;"
            " nothing to learn."
        )
    names = sorted(name for name, count in counts.items() if count >= MIN_OF_CLASS)
    if len(names) < 2:
        raise InputError(
            f"{labels.path}: of the {len(counts)} classes of {labels.target!r}, {len(names)} has {MIN_OF_CLASS} or more"
            " rows with an embedding; at least two are needed."
        )
    dropped = {
        f"class {name}": f"{count} rows, fewer than {MIN_OF_CLASS}"
        for name, count in sorted(counts.items())
        if count < MIN_OF_CLASS
    }
    kept = np.array([value in names for value in values])
    one_hot = np.array(values, dtype=object)[kept][:, None] == np.array(names, dtype=object)
    if len(names) == 2:
        names, one_hot = names[1:], one_hot[:, 1:]
    return Target(Task.CLASSIFICATION, tuple(names), one_hot.astype(np.float64), rows[kept], dropped)


def _multilabel(labels: Labels, rows: NDArray[np.int64], values: Sequence[str], min_positives: int) -> Target:
    if all(re.fullmatch("[01]+", value) for value in values):
        names, matrix = _bits(labels, rows, values)
        kind, floor = "bits", MIN_OF_CLASS
    else:
        names, matrix = _terms(values)
        kind, floor = "terms", min_positives
    n_positive = matrix.sum(axis=0)
    kept = (n_positive >= floor) & (len(values) - n_positive >= floor)
    if kind == "bits":
        dropped = dict(_why_dropped(names, n_positive, len(values), floor))
    elif kept.all():
        dropped = {}
    else:  # thousands of rare terms are a count, not a list
        dropped = {"terms": f"{(~kept).sum():,} of {len(names):,}, fewer than {floor} rows with or without them"}
    if not kept.any():
        raise InputError(
            f"{labels.path}: none of the {len(names):,} labels in {labels.target!r} has at least {floor} rows with it"
            f" and {floor} without it among the {len(values):,} that have an embedding; nothing to score."
        )
    chosen = tuple(name for name, keep in zip(names, kept, strict=True) if keep)
    return Target(Task.MULTILABEL, chosen, matrix[:, kept].astype(np.float64), rows, dropped)


def _bits(labels: Labels, rows: NDArray[np.int64], values: Sequence[str]) -> tuple[list[str], NDArray[np.bool_]]:
    width = len(values[0])
    for row, value in zip(rows, values, strict=True):
        if len(value) != width:
            raise InputError(
                f"{labels.path}, line {labels.lines[row]}: {labels.target} has {len(value)} bits ({value!r}), line"
                f" {labels.lines[rows[0]]} has {width}; expected one length throughout."
            )
    letters = np.frombuffer("".join(values).encode(), dtype=np.uint8).reshape(len(values), width)
    return [f"bit {i + 1}" for i in range(width)], letters == ord("1")


def _terms(values: Sequence[str]) -> tuple[list[str], NDArray[np.bool_]]:
    terms_of_row = [{term.strip() for term in value.split(",")} - {""} for value in values]
    names = sorted(set().union(*terms_of_row))
    column = {name: i for i, name in enumerate(names)}
    matrix = np.zeros((len(values), len(names)), dtype=np.bool_)
    for row, terms in enumerate(terms_of_row):
        matrix[row, [column[term] for term in terms]] = True
    return names, matrix


def _why_dropped(
    names: Sequence[str], n_positive: NDArray[np.int64], n_rows: int, floor: int
) -> Iterator[tuple[str, str]]:
    for name, positive in zip(names, n_positive, strict=True):
        if positive in (0, n_rows):
            yield name, f"constant, {'in every' if positive else 'in no'} row"
        elif min(positive, n_rows - positive) < floor:
            yield name, f"{positive} of {n_rows:,} rows, fewer than {floor} with or without it"
