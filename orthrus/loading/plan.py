"""Epoch plans: which pairs meet in which batch, as arrays, before any sequence is read.

A plan draws a partner for every base transcript, sorts the pairs by the length of their longer view and packs them
into batches of like length under a budget of padded positions. Like lengths waste little on padding and make length no
shortcut for telling pairs apart. A family is at most once in a batch while other batches are open to take it.
Everything follows from (seed, epoch); the ranks of a distributed run share a plan and take turns within each batch, so
their steps cost the same and are equally many. One million pairs plan in about a second.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from orthrus.errors import InputError
from orthrus.pairs import ORTHOLOG, PairIndex

_LENGTH_JITTER = 0.05  # relative; lets a pair meet other neighbours in every epoch
_OPEN_BATCHES = 64


class BatchPlan(NamedTuple):
    """The P pairs of one batch of one rank, and the seed of everything random in it."""

    base_P: NDArray[np.int64]
    partner_P: NDArray[np.int64]
    kind_P: NDArray[np.int8]
    graft_P: NDArray[np.bool_]
    seed: tuple[int, ...]


class Planner:
    """Plans epochs over ``bases``.

    Args:
        index: isoforms and orthologs.
        lengths: int64 (n,), nt of every transcript.
        cds: int32 (n, 2), half-open CDS on the mRNA, -1 without.
        bases: int64 (m,), the transcripts that an epoch passes once each.
        token_budget: padded positions of both views of a batch on one rank.
        ortholog_probability: of an ortholog where a base also has isoforms.
        graft_probability: of putting an ortholog's CDS between the base's UTRs. An ortholog that is CDS only is
            always grafted where the base has a CDS.
        seed: of all draws.

    Raises:
        InputError: if there are no bases or the budget cannot hold two pairs of the longest transcripts.
    """

    def __init__(
        self,
        index: PairIndex,
        lengths: NDArray[np.int64],
        cds: NDArray[np.int32],
        bases: NDArray[np.int64],
        *,
        token_budget: int,
        ortholog_probability: float,
        graft_probability: float,
        seed: int,
    ) -> None:
        if len(bases) < 2:
            raise InputError(f"{len(bases)} transcripts to draw pairs from; contrastive learning needs at least 2")
        self.index, self.lengths, self.cds, self.bases = index, lengths, cds, bases
        self.token_budget = token_budget
        self.ortholog_probability = ortholog_probability
        self.graft_probability = graft_probability
        self.seed = seed
        self._cds_only = (cds[:, 0] == 0) & (cds[:, 1] == lengths)

    def batches(self, epoch: int, rank: int = 0, world_size: int = 1) -> list[BatchPlan]:
        """The batches of an epoch for one rank, in the order in which they are to be trained on."""
        generator = np.random.default_rng([self.seed, epoch])
        pairs = self.index.sample(self.bases, self.ortholog_probability, generator)
        graft_P = self._choose_grafts(pairs.partner_P, pairs.kind_P, generator)
        length_P = self._longest_view(pairs.partner_P, graft_P)
        longest = int(length_P.max())
        if self.token_budget < 4 * longest:
            raise InputError(
                f"a token budget of {self.token_budget:,} cannot hold two pairs of {longest:,} nt (4 views): raise"
                f" data.token_budget to at least {4 * longest:,} or prepare the store with a smaller max_length"
            )
        order_P = np.argsort(-length_P * generator.uniform(1 - _LENGTH_JITTER, 1 + _LENGTH_JITTER, len(length_P)))
        batch_P = pack(length_P[order_P], self.index.family[self.bases[order_P]], self.token_budget, world_size)
        by_batch_P = np.argsort(batch_P, kind="stable")
        starts = np.flatnonzero(np.diff(batch_P[by_batch_P], prepend=-1))
        groups = [order_P[g] for g in np.split(by_batch_P, starts[1:])]
        groups = [g for g in groups if len(g) >= 2 * world_size]  # a lone pair has no negatives
        return [
            BatchPlan(
                self.bases[mine],
                pairs.partner_P[mine],
                pairs.kind_P[mine],
                graft_P[mine],
                (self.seed, epoch, step, rank),
            )
            for step, g in enumerate(generator.permutation(len(groups)))
            for mine in [groups[g][rank::world_size]]
        ]

    def _choose_grafts(
        self, partner_P: NDArray[np.int64], kind_P: NDArray[np.int8], generator: np.random.Generator
    ) -> NDArray[np.bool_]:
        drawn = generator.random(len(partner_P)) < self.graft_probability
        possible = (kind_P == ORTHOLOG) & (self.cds[self.bases, 0] >= 0) & (self.cds[partner_P, 0] >= 0)
        grafts: NDArray[np.bool_] = possible & (drawn | self._cds_only[partner_P])
        return grafts

    def _longest_view(self, partner_P: NDArray[np.int64], graft_P: NDArray[np.bool_]) -> NDArray[np.int64]:
        """nt of the longer view of each pair; a graft may be 3 nt shorter than this."""
        base_P, coding = self.lengths[self.bases], np.diff(self.cds, axis=1)[:, 0]
        grafted_P = base_P - coding[self.bases] + coding[partner_P] + 3
        return np.maximum(base_P, np.where(graft_P, grafted_P, self.lengths[partner_P]))


@njit(cache=True)
def pack(
    length_P: NDArray[np.int64], family_P: NDArray[np.int32], token_budget: int, world_size: int
) -> NDArray[np.int64]:
    """The batch of each pair, first fit in the order given, int64 (P,), numbered by first pair.

    A batch of n pairs and longest view L obeys ``2 * ceil(n / world_size) * L <= token_budget``. A pair goes to the
    oldest open batch that has room and none of its family, else to a new one; when too many are open, the oldest is
    closed as it is.
    """
    batch_P = np.empty(len(length_P), dtype=np.int64)
    most = world_size * (token_budget // (2 * length_P.min()) + 1)
    members = np.empty((_OPEN_BATCHES, most), dtype=np.int64)  # families in each open batch
    size = np.zeros(_OPEN_BATCHES, dtype=np.int64)
    longest = np.zeros(_OPEN_BATCHES, dtype=np.int64)
    number = np.full(_OPEN_BATCHES, -1)  # of the batch, -1 where none is open
    n_batches = 0
    for p in range(len(length_P)):
        chosen = -1
        for b in range(_OPEN_BATCHES):
            rows = size[b] // world_size + 1
            fits = 2 * rows * max(longest[b], length_P[p]) <= token_budget
            older = chosen < 0 or number[b] < number[chosen]
            if number[b] >= 0 and older and fits and family_P[p] not in members[b, : size[b]]:
                chosen = b
        if chosen < 0:
            chosen = int(number.argmin())  # a free slot, or the oldest batch
            number[chosen], size[chosen], longest[chosen] = n_batches, 0, 0
            n_batches += 1
        members[chosen, size[chosen]] = family_P[p]
        size[chosen] += 1
        longest[chosen] = max(longest[chosen], length_P[p])
        batch_P[p] = number[chosen]
        if 2 * (size[chosen] // world_size + 1) * longest[chosen] > token_budget:
            number[chosen] = -1  # full
    return batch_P
