"""Plans of batches: the pairs of each batch, as arrays, before any sequence is read.

An epoch visits every base transcript once, in random order, in windows of about a hundred batches. A window draws a
partner for each of its bases, rearranges their parts (:mod:`orthrus.loading.views`), sorts the pairs by the length of
their longer view and packs neighbours into batches under a budget of padded positions. Similar lengths need little
padding, and length does not help to tell pairs apart. The ranks of a distributed run make the same plan and take turns
within each batch, so they have equally many steps of equal cost.

A window depends only on (seed, epoch, window), so a run resumes by planning one window. A pair costs 1 to 2 us, the
order of an epoch 30 ns and 8 bytes a base.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orthrus.errors import InputError
from orthrus.loading.pack import group
from orthrus.loading.views import Parts, Rearrangement, Window, lengths, whole
from orthrus.store import TranscriptStore
from orthrus.store.pairs import PairIndex

_LENGTH_JITTER = 0.02  # relative; gives pairs other neighbours in the next epoch if an epoch is one window
_STEPS_A_WINDOW = 128


class Place(NamedTuple):
    """A batch of the endless stream: the ``step``-th of a window of an epoch, all counted from 0."""

    epoch: int
    window: int
    step: int


START = Place(0, 0, 0)


class BatchPlan(NamedTuple):
    """The N pairs of one batch of one rank, and the seed of everything random in it."""

    base_N: NDArray[np.int64]
    partner_N: NDArray[np.int64]
    kind_N: NDArray[np.int8]
    family_N: NDArray[np.int32]
    parts_V42: Parts
    """int64 (2N, 4, 2), the first views, then the second; (N, 4, 2) of single views."""
    seed: tuple[int, ...]


class Planner:
    """Plans epochs over ``bases`` for one of ``world_size`` ranks.

    Args:
        store: the transcripts.
        index: their isoforms and orthologs.
        bases: int (m,), the transcripts that an epoch visits once each.
        token_budget: padded positions of all views of a batch on one rank.
        ortholog_probability: probability of an ortholog if a base also has isoforms.
        rearrangements: rearrangements of the parts of pairs, in order. A pair stays unchanged if one of its views would
            be longer than the longest transcript, or, if the last rearrangement is a Window, than that.
        views: 2: both views of a pair; 1: one of them, the first or the second with equal probability.
        seed: seed of all draws.

    Raises:
        InputError: if the bases make no batch or the budget cannot hold two pairs of the longest transcripts.
    """

    def __init__(
        self,
        store: TranscriptStore,
        index: PairIndex,
        bases: NDArray[np.int64],
        *,
        token_budget: int,
        ortholog_probability: float,
        rearrangements: Sequence[Rearrangement] = (),
        views: int = 2,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._store, self._index = store, index
        self.bases = bases.astype(np.int32)
        self.token_budget, self.seed, self.rank, self.world_size = token_budget, seed, rank, world_size
        self._ortholog_probability, self._rearrangements, self._views = ortholog_probability, rearrangements, views
        families = store.family[self.bases]
        least = max(2, world_size)  # a pair for every rank, and a negative
        if len(bases) < least or families.min() == families.max():
            raise InputError(
                f"{len(bases)} transcripts of {len(np.unique(families))} families to draw pairs from; at least"
                f" {least} of 2 families are needed for {world_size} device(s): use more transcripts or fewer devices"
            )
        self._longest = int(store.lengths.max())
        if rearrangements and isinstance(last := rearrangements[-1], Window):
            self._longest = min(self._longest, last.longest)
        if token_budget < (least_budget := 2 * views * self._longest):
            raise InputError(
                f"a token budget of {token_budget:,} cannot hold two pairs of {self._longest:,} nt ({2 * views} views):"
                f" raise data.token_budget to at least {least_budget:,}, make orthrus.loading.Window the last of"
                " data.rearrangements, or prepare the store with a smaller max_length"
            )
        nt = views * int(np.minimum(store.lengths[self.bases], self._longest).sum())
        self.n_windows = max(1, round(nt / (_STEPS_A_WINDOW * token_budget * world_size)))
        self._order = (-1, self.bases)

    def window(self, epoch: int, window: int) -> list[BatchPlan]:
        """The batches of a window for this rank, in training order."""
        order = self._order_of(epoch)
        first, last = (len(order) * w // self.n_windows for w in (window, window + 1))
        generator = np.random.default_rng([self.seed, epoch, window + 1])  # [a, b] and [a, b, 0] are one seed
        base_P, partner_P, kind_P = self._index.sample(
            order[first:last].astype(np.int64), self._ortholog_probability, generator
        )
        parts_SP42 = self._rearranged(base_P, partner_P, kind_P, generator)  # S sides of P pairs
        if self._views == 1:
            parts_SP42 = parts_SP42[generator.integers(2, size=len(kind_P)), np.arange(len(kind_P))][None]
        length_P = lengths(parts_SP42).max(axis=0)
        family_P = self._store.family[base_P]
        jitter = _LENGTH_JITTER / self.n_windows
        by_length_P = np.argsort(-length_P * generator.uniform(1 - jitter, 1 + jitter, len(length_P)), kind="stable")
        positions = self.token_budget // self._views
        groups = group(length_P[by_length_P], family_P[by_length_P], positions, self.world_size)
        rows = [by_length_P[groups[g][self.rank :: self.world_size]] for g in generator.permutation(len(groups))]
        if not rows:
            return []
        mine = np.concatenate(rows)
        base_R, partner_R, kind_R, family_R = (column[mine] for column in (base_P, partner_P, kind_P, family_P))
        parts_SR42 = parts_SP42[:, mine]
        plans = []
        last = 0
        for step, size in enumerate(map(len, rows)):
            its = slice(last, last := last + size)
            parts_V42, seed = np.concatenate(parts_SR42[:, its]), (self.seed, epoch, window, step, self.rank)
            plans.append(BatchPlan(base_R[its], partner_R[its], kind_R[its], family_R[its], parts_V42, seed))
        return plans

    def epoch(self, epoch: int) -> Iterator[BatchPlan]:
        """Yield the batches of an epoch, planned one window at a time."""
        for window in range(self.n_windows):
            yield from self.window(epoch, window)

    def _rearranged(
        self,
        base_P: NDArray[np.int64],
        partner_P: NDArray[np.int64],
        kind_P: NDArray[np.int8],
        generator: np.random.Generator,
    ) -> Parts:
        parts_2P42 = self._whole(base_P, partner_P)
        for rearrangement in self._rearrangements:
            parts_2P42 = rearrangement(parts_2P42, kind_P, self._store.all_codes, generator)
        long = np.flatnonzero(lengths(parts_2P42).max(axis=0) > self._longest)
        parts_2P42[:, long] = self._whole(base_P[long], partner_P[long])
        return parts_2P42

    def _whole(self, base_P: NDArray[np.int64], partner_P: NDArray[np.int64]) -> Parts:
        return np.stack([whole(self._store.offsets, self._store.cds, side_P) for side_P in (base_P, partner_P)])

    def _order_of(self, epoch: int) -> NDArray[np.int32]:
        """The bases in the order of an epoch."""
        cached, order = self._order
        if cached != epoch:
            order = np.random.default_rng([self.seed, epoch]).permutation(self.bases)
            self._order = epoch, order
        return order
