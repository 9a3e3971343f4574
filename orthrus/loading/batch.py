"""Batches of positive pairs, from a plan and a store.

V = 2N views of N pairs: rows 0..N-1 are the base transcripts, rows N..2N-1 their partners in the same order. Codes
travel as one byte a base; tracks are made from them on the device (:func:`orthrus.nn.tracks.codes_to_tracks`).
"""

from collections.abc import Iterator, Sequence
from itertools import count
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from orthrus.genome.codes import Codes
from orthrus.loading.augment import Augmentation, choose_targets, graft
from orthrus.loading.plan import BatchPlan, Planner
from orthrus.store import TranscriptStore


class PairBatch(NamedTuple):
    """Two views of N positive pairs, right-padded with 0."""

    codes_VL: Tensor
    """uint8 (2N, L), augmented and masked."""
    targets_VL: Tensor
    """uint8 (2N, L): the base (1..4) where masked language modelling is to predict it, 0 elsewhere."""
    lengths_V: Tensor
    """int64 (2N,), nt."""
    pair_kind_N: Tensor
    """int64 (N,): 0 self, 1 splice, 2 ortholog."""
    family_N: Tensor
    """int64 (N,), equal for pairs of one family."""


class PairDataset(Dataset[PairBatch]):
    """Builds the batch of a :class:`BatchPlan`; augmentations apply in the order given, then MLM targets are chosen.

    The one generator of a worker is seeded anew with the plan's seed for every batch, so that a batch is the same
    whichever worker builds it.
    """

    def __init__(
        self, store: TranscriptStore, planner: Planner, augmentations: Sequence[Augmentation], mlm_fraction: float
    ) -> None:
        self._store, self._planner = store, planner
        self._augmentations, self._mlm_fraction = augmentations, mlm_fraction

    def __getitem__(self, plan: BatchPlan) -> PairBatch:
        """The batch of a plan."""
        generator = np.random.default_rng(plan.seed)
        views = [self._store.codes(int(base)) for base in plan.base_P]
        views += [self._partner(*pair) for pair in zip(plan.base_P, plan.partner_P, plan.graft_P, strict=True)]
        codes_VL, lengths_V = pad(views)
        for augmentation in self._augmentations:
            codes_VL = augmentation(codes_VL, generator)
        codes_VL, targets_VL = choose_targets(codes_VL, self._mlm_fraction, generator)
        return PairBatch(
            torch.from_numpy(codes_VL),
            torch.from_numpy(targets_VL),
            torch.from_numpy(lengths_V),
            torch.from_numpy(plan.kind_P.astype(np.int64)),
            torch.from_numpy(self._planner.index.family[plan.base_P].astype(np.int64)),
        )

    def _partner(self, base: int, partner: int, grafted: bool) -> Codes:
        codes = self._store.codes(partner)
        if not grafted:
            return codes
        cds = self._planner.cds
        return graft(self._store.codes(base), tuple(cds[base]), codes, tuple(cds[partner]))


class EndlessPlans(Sampler[BatchPlan]):
    """The plans of epoch 0, 1, 2, ... of one rank, without end; the first ``start`` batches are passed over."""

    def __init__(self, planner: Planner, rank: int = 0, world_size: int = 1, start: int = 0) -> None:
        self._planner, self._rank, self._world_size, self._start = planner, rank, world_size, start

    def __iter__(self) -> Iterator[BatchPlan]:
        """Batch plans, in training order."""
        skip = self._start
        for epoch in count():
            plans = self._planner.batches(epoch, self._rank, self._world_size)
            yield from plans[skip:]
            skip = max(0, skip - len(plans))


def pad(sequences: Sequence[Codes]) -> tuple[Codes, np.ndarray]:
    """Sequences side by side, right-padded with 0: uint8 (B, L) and their lengths, int64 (B,)."""
    lengths_B = np.array([len(s) for s in sequences], dtype=np.int64)
    codes_BL = np.zeros((len(sequences), lengths_B.max()), dtype=np.uint8)
    for row, sequence in zip(codes_BL, sequences, strict=True):
        row[: len(sequence)] = sequence
    return codes_BL, lengths_B
