"""Unique transcript ids, and their order."""

from bisect import bisect_left
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from orthrus.genome.annotation import unused_id
from orthrus.genome.findings import Tally
from orthrus.store.layout import RENAMED_SCHEMA

_BLOCK = 1 << 22

REPEATED = "transcript ids that a source gives again for the species, suffixed _dup1, ..."
SHARED = "transcript ids that another species has, written as species:id"


class Ids(NamedTuple):
    """``names`` (n,), which are distinct, and ``order`` (n,), the rows sorted by them, by code points.

    ``renamed``: the rows, ascending, whose id was changed, with their original id.
    """

    names: pa.ChunkedArray
    order: NDArray[np.int64]
    renamed: pa.Table


def make_unique(names: pa.ChunkedArray, species: NDArray[np.integer], species_names: list[str], noted: Tally) -> Ids:
    """Make the ids of n transcripts unique; the first transcript with an id keeps it.

    A later one of the same species gets the suffix ``_dup1``, ``_dup2``, ..., one of another species becomes
    ``species:id``. ``noted`` counts the changed ids.
    """
    order = _order(names)
    rows, firsts = _repeats(names, order)
    if not len(rows):
        return Ids(names, order, RENAMED_SCHEMA.empty_table())
    given = names.take(pa.array(rows))
    foreign = species[rows] != species[firsts]
    prefix = pa.array(species_names, pa.string()).take(pa.array(species[rows]))
    wanted = pc.if_else(pa.array(foreign), pc.binary_join_element_wise(prefix, given.cast(pa.string()), ":"), given)
    free = pc.invert(pc.is_in(wanted, value_set=names.combine_chunks()))
    first_use = np.zeros(len(rows), dtype=np.bool_)
    first_use[np.unique(wanted.combine_chunks().dictionary_encode().indices.to_numpy(), return_index=True)[1]] = True
    settled = np.asarray(free) & first_use
    new = wanted.to_pylist()
    taken = _Taken(names, order, {new[i] for i in np.flatnonzero(settled).tolist()})
    for i in np.flatnonzero(~settled).tolist():
        new[i] = unused_id(new[i], taken)
        taken.new.add(new[i])
    for reason, which in ((REPEATED, ~foreign), (SHARED, foreign)):
        noted.add(reason, given.filter(pa.array(which)).to_pylist())
    mask = np.zeros(len(names), dtype=np.bool_)
    mask[rows] = True
    renamed = pc.replace_with_mask(names.combine_chunks(), pa.array(mask), pa.array(new, names.type))
    table = pa.table([rows, given.cast(pa.string())], schema=RENAMED_SCHEMA)
    return Ids(pa.chunked_array([renamed]), _order(renamed), table)


def as_given(names: pa.ChunkedArray, start: int, renamed: pa.Table) -> pa.Array:
    """Undo :func:`make_unique` for ``names``, the ids of the rows from ``start``."""
    bounds = np.searchsorted(renamed["row"].to_numpy(), [start, start + len(names)])
    here = renamed.slice(bounds[0], bounds[1] - bounds[0])
    mask = np.zeros(len(names), dtype=np.bool_)
    mask[here["row"].to_numpy() - start] = True
    return pc.replace_with_mask(names.combine_chunks(), pa.array(mask), here["given_id"].combine_chunks())


class _Taken:
    """The ids in use: the given ones, found by bisection, and the ``new`` ones."""

    def __init__(self, names: pa.ChunkedArray, order: NDArray[np.int64], new: set[str]) -> None:
        self._names, self._order, self.new = names, order, new

    def __contains__(self, name: object) -> bool:
        place = bisect_left(range(len(self._order)), str(name), key=self._name_at)
        return name in self.new or (place < len(self._order) and self._name_at(place) == name)

    def _name_at(self, place: int) -> str:
        name: str = self._names[int(self._order[place])].as_py()
        return name


def _order(names: pa.ChunkedArray) -> NDArray[np.int64]:
    return np.asarray(pc.sort_indices(names), dtype=np.int64)


def _repeats(names: pa.ChunkedArray, order: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows, ascending, whose name occurred before, and the first row with the name of each."""
    same = [np.zeros(1, dtype=np.bool_)]
    for start in range(0, len(order) - 1, _BLOCK):
        block = names.take(pa.array(order[start : start + _BLOCK + 1]))
        same.append(np.asarray(pc.equal(block[1:], block[:-1])))
    repeated = np.concatenate(same)
    first = order[np.maximum.accumulate(np.where(repeated, 0, np.arange(len(order))))]
    rows, firsts = order[repeated], first[repeated]
    by_row = np.argsort(rows)
    return rows[by_row], firsts[by_row]
