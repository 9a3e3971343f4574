"""Batches of positive pairs, from a plan and a store.

V = 2N views of N pairs: rows 0..N-1 are the base transcripts, rows N..2N-1 their partners in the same order. Or V = N,
one view of each pair, for objectives that need no partner. Codes travel as one byte a base; tracks are made from them
on the device (:func:`orthrus.nn.tracks.codes_to_tracks`).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from orthrus.genome.codes import Codes
from orthrus.loading.augment import Augmentation
from orthrus.loading.draws import seeded
from orthrus.loading.hidden import hide_targets
from orthrus.loading.plan import BatchPlan
from orthrus.loading.views import gather
from orthrus.store import TranscriptStore


class PairBatch(NamedTuple):
    """Both views, or one, of N positive pairs, right-padded with 0."""

    codes_VL: Tensor
    """uint8 (V, L), augmented and masked."""
    targets_VL: Tensor
    """uint8 (V, L), the targets of masked modelling. Bits 0-2: the base (1..4), 0 for none. Bit 5: predict the
    annotation, whose CDS and splice bits are bits 3 and 4.
    """
    lengths_V: Tensor
    """int64 (V,), nt."""
    pair_kind_N: Tensor
    """int64 (N,): 0 self, 1 splice, 2 ortholog."""
    family_N: Tensor
    """int64 (N,), equal for pairs of one family."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as arrays: bytes through a worker's pipe are cheaper than a shared-memory file for each tensor."""
        return _from_arrays, tuple(tensor.numpy() for tensor in self)


def _from_arrays(*arrays: NDArray[Any]) -> PairBatch:
    return PairBatch(*map(torch.from_numpy, arrays))


class PairDataset(Dataset[PairBatch]):
    """Builds the batch of a :class:`BatchPlan` from a store.

    The targets of masked modelling are chosen and hidden first; then the augmentations apply in the given order. The
    generator of each batch is seeded by its plan, so that a batch does not depend on the worker that builds it.
    """

    def __init__(
        self,
        store: TranscriptStore,
        augmentations: Sequence[Augmentation] = (),
        mlm_fraction: float = 0.0,
        annotation_fraction: float = 0.0,
    ) -> None:
        self._store, self._augmentations = store, augmentations
        self._fractions = (mlm_fraction, annotation_fraction)

    def __getitem__(self, plan: BatchPlan) -> PairBatch:
        """The batch of a plan."""
        generator = seeded(plan.seed)
        codes_VL, lengths_V = gather(self._store.all_codes, plan.parts_V42)
        codes_VL, targets_VL = hide_targets(codes_VL, lengths_V, *self._fractions, generator)
        for augmentation in self._augmentations:
            codes_VL = augmentation(codes_VL, generator)
        return PairBatch(
            torch.from_numpy(codes_VL),
            torch.from_numpy(targets_VL),
            torch.from_numpy(lengths_V),
            torch.from_numpy(plan.kind_N.astype(np.int64)),
            torch.from_numpy(plan.family_N.astype(np.int64)),
        )


def pad(sequences: Sequence[Codes]) -> tuple[Codes, np.ndarray]:
    """Sequences side by side, right-padded with 0: uint8 (B, L) and their lengths, int64 (B,)."""
    lengths_B = np.array([len(s) for s in sequences], dtype=np.int64)
    codes_BL = np.zeros((len(sequences), lengths_B.max()), dtype=np.uint8)
    for row, sequence in zip(codes_BL, sequences, strict=True):
        row[: len(sequence)] = sequence
    return codes_BL, lengths_B
