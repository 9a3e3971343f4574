"""The targets of a probe: converts the texts of labels to numbers.

Infinite numbers and labels too rare to score are dropped, counted and named; an invalid value raises an InputError with
its line.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from orthrus.errors import InputError
from orthrus.probe.labels import Labels

MIN_POSITIVES = 50  # rows with a term of a comma-separated list, and rows without it
MIN_OF_CLASS = 10  # rows of a class, and of each value of a bit; with fewer, some test sides have none
MAX_CLASSES = 100
MAX_NUMBER = 1e100  # its square times a number of rows fits a float64; its inverse is the least spread

_TRUE, _FALSE = frozenset({"1", "1.0", "true"}), frozenset({"0", "0.0", "false"})


class Task(str, Enum):
    """The type of a target: a number, one class of several, or several yes-or-no labels."""

    REGRESSION = "regression"
    CLASSIFICATION = "classification"
    MULTILABEL = "multilabel"


@dataclass(frozen=True)
class Target:
    """What to predict for M rows.

    ``values`` is (M, T): float64 numbers for regression, 0/1 of each label for multilabel, 0/1 of each class (one-hot,
    or T = 1 for two classes: 1 for the second) for classification. ``rows`` are the M encoded rows of the labels,
    ``dropped`` gives the reason for each dropped label or class.
    """

    task: Task
    names: tuple[str, ...]
    values: NDArray[np.float64]
    rows: NDArray[np.int64]
    dropped: dict[str, str]


def encode_target(labels: Labels, rows: NDArray[np.int64], task: Task, min_positives: int = MIN_POSITIVES) -> Target:
    """Numbers to predict for the given ``rows`` of the labels.

    Multilabel values are bit strings of one length ("1101010" or "1,1,0", bits named from 1), comma-separated terms, or
    several columns of 0 and 1. Labels too rare, or too common, to score are dropped. Raises InputError if a value does
    not fit the task, if the target is constant, or if no label remains.
    """
    columns = [[values[row] for row in rows] for values in labels.values]
    if task is Task.REGRESSION:
        return _numbers(labels, rows, columns)
    if task is Task.MULTILABEL:
        return _multilabel(labels, rows, columns, min_positives)
    if len(columns) > 1:
        raise InputError(
            f"{labels.path}: a classification has one target column, not {len(columns)}; columns of 0 and 1 are a"
            " multilabel task."
        )
    return _classes(labels, rows, columns[0])


def _numbers(labels: Labels, rows: NDArray[np.int64], columns: Sequence[Sequence[str]]) -> Target:
    numbers = np.empty((len(rows), len(columns)))
    for name, values, column in zip(labels.targets, columns, numbers.T, strict=True):
        column[:] = pd.to_numeric(pd.Series(values, dtype=object), errors="coerce").to_numpy(dtype=np.float64)
        text = np.flatnonzero(np.isnan(column))
        if text.size:
            raise InputError(
                f"{labels.place(rows[text[0]])}: {name} is {values[text[0]]!r}, not a number ({text.size:,} such rows);"
                " a regression target is numeric, or is this a classification or multilabel task?"
            )
    finite = np.asarray(np.isfinite(numbers).all(axis=1))
    too_large = np.argwhere(finite[:, None] & (np.abs(numbers) > MAX_NUMBER))
    if len(too_large):
        row, column = too_large[0]
        raise InputError(
            f"{labels.place(rows[row])}: {labels.targets[column]} is {columns[column][row]}, beyond ±{MAX_NUMBER:g}:"
            f" its square cannot be summed ({len(too_large):,} such values); take logarithms or another unit."
        )
    numbers = numbers[finite]
    constant = [
        name
        for name, column in zip(labels.targets, numbers.T, strict=True)
        if not len(column) or np.ptp(column) <= 1 / MAX_NUMBER
    ]
    if constant:
        what = (
            f"is {numbers[0, labels.targets.index(constant[0])]:g} in every row"
            if len(numbers)
            else "has no finite value"
        )
        raise InputError(f"{labels.path}: target {constant[0]!r} {what} that has an embedding; nothing to learn.")
    n_infinite = int((~finite).sum())
    dropped = {"infinite values": f"{n_infinite:,} rows"} if n_infinite else {}
    return Target(Task.REGRESSION, labels.targets, numbers, rows[finite], dropped)


def _classes(labels: Labels, rows: NDArray[np.int64], values: Sequence[str]) -> Target:
    counts = Counter(values)
    if len(counts) > MAX_CLASSES:
        raise InputError(
            f"{labels.path}: target {labels.name!r} has {len(counts):,} distinct values; a classification target has"
            f" at most {MAX_CLASSES}. If it is a number, the task is regression (--task regression)."
        )
    if len(counts) == 1:
        raise InputError(
            f"{labels.path}: target {labels.name!r} is {values[0]!r} in every row that has an embedding;"
            " nothing to learn."
        )
    names = sorted(name for name, count in counts.items() if count >= MIN_OF_CLASS)
    if len(names) < 2:
        raise InputError(
            f"{labels.path}: of the {len(counts)} classes of {labels.name!r}, {len(names)} has {MIN_OF_CLASS} or more"
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


def _multilabel(
    labels: Labels, rows: NDArray[np.int64], columns: Sequence[Sequence[str]], min_positives: int
) -> Target:
    values = columns[0]
    if len(columns) > 1:
        names, matrix = list(labels.targets), _zeros_and_ones(labels, rows, columns)
        kind, floor = "columns", MIN_OF_CLASS
    elif (bits := _as_bits(values)) is not None:
        names, matrix = _bits(labels, rows, bits)
        kind, floor = "bits", MIN_OF_CLASS
    else:
        names, matrix = _terms(labels, rows, values)
        kind, floor = "terms", min_positives
    n_positive = matrix.sum(axis=0)
    kept = (n_positive >= floor) & (len(values) - n_positive >= floor)
    if kind != "terms":
        dropped = dict(_why_dropped(names, n_positive, len(values), floor))
    elif kept.all():
        dropped = {}
    else:  # there may be thousands of rare terms
        dropped = {"terms": f"{(~kept).sum():,} of {len(names):,}, fewer than {floor} rows with or without them"}
    if not kept.any():
        raise InputError(
            f"{labels.path}: none of the {len(names):,} labels in {labels.name!r} has at least {floor} rows with it"
            f" and {floor} without it among the {len(values):,} that have an embedding; nothing to score."
        )
    chosen = tuple(name for name, keep in zip(names, kept, strict=True) if keep)
    return Target(Task.MULTILABEL, chosen, matrix[:, kept].astype(np.float64), rows, dropped)


def _as_bits(values: Sequence[str]) -> list[str] | None:
    """Strings of 0 and 1 from such strings, or from lists of 0 and 1, true and false; None if any value is neither."""
    if all(re.fullmatch("[01]+", value) for value in values):
        return list(values)
    bits_of_row = [value.lower().replace(" ", "").removesuffix(",").split(",") for value in values]
    if not all(bit in _TRUE | _FALSE for bits in bits_of_row for bit in bits):
        return None
    return ["".join("1" if bit in _TRUE else "0" for bit in bits) for bits in bits_of_row]


def _bits(labels: Labels, rows: NDArray[np.int64], values: Sequence[str]) -> tuple[list[str], NDArray[np.bool_]]:
    width = len(values[0])
    for row, value in zip(rows, values, strict=True):
        if len(value) != width:
            raise InputError(
                f"{labels.place(row)}: {labels.name} has {len(value)} bits ({value!r}), line {labels.lines[rows[0]]}"
                f" has {width}; expected one length throughout."
            )
    letters = np.frombuffer("".join(values).encode(), dtype=np.uint8).reshape(len(values), width)
    return [f"bit {i + 1}" for i in range(width)], letters == ord("1")


def _zeros_and_ones(labels: Labels, rows: NDArray[np.int64], columns: Sequence[Sequence[str]]) -> NDArray[np.bool_]:
    matrix = np.zeros((len(rows), len(columns)), dtype=np.bool_)
    for name, values, column in zip(labels.targets, columns, matrix.T, strict=True):
        for row, value in enumerate(values):
            if value.lower() not in _TRUE | _FALSE:
                raise InputError(f"{labels.place(rows[row])}: {name} is {value!r}; expected 0 or 1 in each column.")
            column[row] = value.lower() in _TRUE
    return matrix


def _terms(labels: Labels, rows: NDArray[np.int64], values: Sequence[str]) -> tuple[list[str], NDArray[np.bool_]]:
    with_semicolon = [i for i, value in enumerate(values) if ";" in value]
    if with_semicolon and not any("," in value for value in values):
        first = with_semicolon[0]
        raise InputError(
            f"{labels.place(rows[first])}: {labels.name} is {values[first]!r}; terms are separated by commas: write"
            f" {values[first].replace(';', ',')!r} ({len(with_semicolon):,} such rows)."
        )
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
