"""From a store to batches of positive pairs."""

from orthrus.loading.augment import Augmentation, DropTracks, MaskBases, MaskTracks
from orthrus.loading.batch import PairBatch
from orthrus.loading.datamodule import PairDataModule
from orthrus.loading.views import CodingOnly, DropUtrs, Graft, Rearrangement

__all__ = [
    "Augmentation",
    "CodingOnly",
    "DropTracks",
    "DropUtrs",
    "Graft",
    "MaskBases",
    "MaskTracks",
    "PairBatch",
    "PairDataModule",
    "Rearrangement",
]
