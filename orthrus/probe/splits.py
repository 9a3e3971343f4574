"""Splits of labelled transcripts into training, validation and test, whole groups at a time.

Rows that share a family or a gene are one group; a row without either is a group of its own. The order of groups
depends only on the seed and their smallest transcript ids, so a split does not depend on the order of rows. It is cut
at 70 % and 85 % of the rows. The cost is one hash for each group and seed. Folds that come with the labels are used
unchanged.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from orthrus.errors import InputError

FRACTIONS = {"train": 0.70, "validation": 0.15, "test": 0.15}

Indices = NDArray[np.int64]


class SplitUnit(str, Enum):
    """The unit that a split never divides.

    ``family``: genes joined by orthology, and by homology if the store was prepared with it. ``homology``: families
    joined by a table of gene groups. ``kmer-cluster``: genes joined by near-identical sequences. ``chromosome``: all
    genes of a chromosome. ``random``: single rows, to measure leaks. ``folds``: folds of the labels.
    """

    FAMILY = "family"
    HOMOLOGY = "homology"
    CHROMOSOME = "chromosome"
    KMER_CLUSTER = "kmer-cluster"
    RANDOM = "random"
    FOLDS = "folds"


@dataclass(frozen=True)
class Split:
    """Row numbers of the three sides of one seed, ascending, int64; every row is on one side."""

    seed: int
    train: Indices
    validation: Indices
    test: Indices


@dataclass(frozen=True)
class Groups:
    """``of_row[i]`` is the number of the group of row i, ``names`` names each group by its smallest member."""

    of_row: NDArray[np.int64]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)


def group_rows(transcript_ids: Sequence[str], keys: Sequence[tuple[str, Sequence[str | None]]]) -> Groups:
    """Groups of N rows: connected components of 'has the same value in one of the ``keys``'.

    Each key is its kind (family_id, gene_name) and N values; values of one kind are compared with each other, also
    across keys. None, "" and "nan" are unknown and join no rows. A transcript without a known key is a group of its
    own. Raises InputError if ``keys`` is empty.
    """
    if not keys:
        raise InputError(
            "nothing says which transcripts are related, so test rows could leak into training: give --store, embed"
            " from a store, or add a column gene_name to the labels; where no rows are related, pass --split random."
        )
    n_rows = len(transcript_ids)
    node_of: dict[tuple[str, str], int] = {}
    edges = [
        (row, node_of.setdefault((kind, value), n_rows + len(node_of)))
        for kind, values in keys
        for row, value in enumerate(values)
        if value and value.lower() != "nan"
    ]
    n_nodes = n_rows + len(node_of)
    ends = np.array(edges, dtype=np.int64).reshape(-1, 2)
    graph = coo_matrix((np.ones(len(ends), dtype=np.int8), (ends[:, 0], ends[:, 1])), (n_nodes, n_nodes))
    _, component = connected_components(graph, directed=False)
    # A group is named by its smallest transcript id, so that names do not depend on the order of rows.
    name_of: dict[int, str] = {}
    for name, label in zip(transcript_ids, component[:n_rows], strict=True):
        name_of[label] = min(name, name_of.get(label, name))
    number_of = {label: i for i, label in enumerate(name_of)}
    of_row = np.array([number_of[label] for label in component[:n_rows]], dtype=np.int64)
    return Groups(of_row, tuple(name_of.values()))


def split_groups(groups: Groups, seed: int) -> Split:
    """The split of a seed: whole groups, with 70 / 15 / 15 % of the rows as nearly as their sizes allow.

    Raises InputError with fewer than three groups. A group belongs to the side in which its middle row lies; the first
    group is always in test and the last in training, so no side is empty.
    """
    if len(groups) < len(FRACTIONS):
        raise InputError(
            f"{len(groups)} group(s) of related transcripts among {len(groups.of_row):,} labelled rows; a split into"
            " training, validation and test needs at least 3. Label transcripts of more genes."
        )
    sizes = np.bincount(groups.of_row, minlength=len(groups))
    digests = [hashlib.sha256(f"{seed}\t{name}".encode()).digest() for name in groups.names]
    order = np.array(sorted(range(len(groups)), key=digests.__getitem__), dtype=np.int64)
    middle = (np.cumsum(sizes[order]) - sizes[order] / 2) / sizes.sum()
    cuts = [FRACTIONS["test"], FRACTIONS["test"] + FRACTIONS["validation"]]
    side_in_order = np.searchsorted(cuts, middle, side="right")  # 0 test, 1 validation, 2 training
    side_in_order[0], side_in_order[-1] = 0, 2
    if 1 not in side_in_order:  # give it the last test group, or the first training group if there is one test group
        side_in_order[max(np.searchsorted(side_in_order, 2) - 1, 1)] = 1
    side_of_group = np.empty(len(groups), dtype=np.int64)
    side_of_group[order] = side_in_order
    side = side_of_group[groups.of_row]
    return Split(seed, np.flatnonzero(side == 2), np.flatnonzero(side == 1), np.flatnonzero(side == 0))


def split_folds(fold_of_row: Sequence[str], seed: int) -> Split:
    """Given folds as a split: fold number ``seed`` is the test side, the next fold validation, the others training.

    Folds are numbered in the natural order of their names, cyclically. Raises InputError with fewer than three.
    """
    names = sorted(set(fold_of_row), key=_natural)
    if len(names) < len(FRACTIONS):
        raise InputError(
            f"{len(names)} fold(s) among {len(fold_of_row):,} labelled rows ({', '.join(names)}); training, validation"
            " and test need at least 3."
        )
    fold = np.array([names.index(name) for name in fold_of_row])
    test, validation = seed % len(names), (seed + 1) % len(names)
    in_training = (fold != test) & (fold != validation)
    return Split(seed, np.flatnonzero(in_training), np.flatnonzero(fold == validation), np.flatnonzero(fold == test))


def _natural(name: str) -> list[tuple[int, str]]:
    """A sort key that compares digits as numbers: fold 10 comes after fold 9."""
    parts = [part for part in re.split(r"(\d+)", name) if part]
    return [(len(part.lstrip("0")), part.lstrip("0")) if part.isdecimal() else (-1, part) for part in parts]
