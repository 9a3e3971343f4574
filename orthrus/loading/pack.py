"""Packs pairs of similar length into batches under a budget of padded positions. P pairs."""

import numpy as np
from numpy.typing import NDArray

from orthrus.compiled import compiled

_OPEN_BATCHES = 64  # one bit each


def group(
    length_P: NDArray[np.int64], family_P: NDArray[np.int32], positions: int, world_size: int
) -> list[NDArray[np.int64]]:
    """The pairs of each batch, as indices; the input pairs are sorted by length.

    ``positions`` is the budget of padded positions of one view on one rank: a batch of n pairs whose longest view is L
    satisfies ``ceil(n / world_size) * L <= positions``. It has a pair for every rank and at least two families, because
    a pair without negatives gives no signal. A family occurs once in a batch as long as there are enough families. The
    remaining pairs are packed by length only, and those that still make no batch are dropped.
    """
    least = max(2, world_size)
    number_P = np.unique(family_P, return_inverse=True)[1].astype(np.int64)
    groups = _split(pack(length_P, number_P, positions, world_size))
    left = np.sort(np.concatenate([g for g in groups if len(g) < least] or [np.empty(0, dtype=np.int64)]))
    groups = [g for g in groups if len(g) >= least]
    if len(left) >= least:
        packed = pack(length_P[left], np.arange(len(left)), positions, world_size)
        further = (left[g] for g in _split(packed))
        groups += [g for g in further if len(g) >= least and np.ptp(number_P[g]) > 0]
    return groups


def _split(batch_P: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    by_batch_P = np.argsort(batch_P, kind="stable")
    return np.split(by_batch_P, np.flatnonzero(np.diff(batch_P[by_batch_P])) + 1)


@compiled(nogil=True)
def pack(
    length_P: NDArray[np.int64], family_P: NDArray[np.int64], positions: int, world_size: int
) -> NDArray[np.int64]:
    """The batch of each pair, first fit in the order given, int64 (P,); families are numbered 0, 1, ...

    A pair goes to the oldest open batch that has room and no pair of its family, else to a new one; when too many
    batches are open, the oldest is closed.
    """
    n_pairs = len(length_P)
    batch_P = np.empty(n_pairs, dtype=np.int64)
    previous_P = np.empty(n_pairs, dtype=np.int64)  # pair of the same batch, -1 at its first
    slots_of_family = np.zeros(family_P.max() + 1, dtype=np.uint64)  # bit s: the batch in slot s holds it
    by_age = np.arange(_OPEN_BATCHES)  # slots, of which the first n_open are in use, the oldest first
    number, size, longest, last = np.zeros((4, _OPEN_BATCHES), dtype=np.int64)
    n_open = n_batches = 0
    for p in range(n_pairs):
        at = 0
        while at < n_open:
            slot = by_age[at]
            fits = (size[slot] // world_size + 1) * max(longest[slot], length_P[p]) <= positions
            if fits and not (slots_of_family[family_P[p]] >> np.uint64(slot)) & np.uint64(1):
                break
            at += 1
        if at == n_open:
            if n_open == _OPEN_BATCHES:
                _close(0, by_age, n_open, last, previous_P, family_P, slots_of_family)
                n_open -= 1
            at, slot = n_open, by_age[n_open]
            number[slot], size[slot], longest[slot], last[slot] = n_batches, 0, 0, -1
            n_open += 1
            n_batches += 1
        slot = by_age[at]
        batch_P[p], previous_P[p], last[slot] = number[slot], last[slot], p
        slots_of_family[family_P[p]] |= np.uint64(1) << np.uint64(slot)
        size[slot] += 1
        longest[slot] = max(longest[slot], length_P[p])
        if (size[slot] // world_size + 1) * longest[slot] > positions:  # full
            _close(at, by_age, n_open, last, previous_P, family_P, slots_of_family)
            n_open -= 1
    return batch_P


@compiled(nogil=True)
def _close(
    at: int,
    by_age: NDArray[np.int64],
    n_open: int,
    last: NDArray[np.int64],
    previous_P: NDArray[np.int64],
    family_P: NDArray[np.int64],
    slots_of_family: NDArray[np.uint64],
) -> None:
    """Free the slot ``by_age[at]`` and clear the families of its batch."""
    slot = by_age[at]
    p = last[slot]
    while p >= 0:
        slots_of_family[family_P[p]] &= ~(np.uint64(1) << np.uint64(slot))
        p = previous_P[p]
    by_age[at : n_open - 1] = by_age[at + 1 : n_open].copy()
    by_age[n_open - 1] = slot
