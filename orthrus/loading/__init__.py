"""From a store to batches of positive pairs.

The LightningDataModule is in :mod:`orthrus.loading.datamodule`: embedding, which pads batches too, needs no Lightning.
"""

from orthrus.loading.augment import Augmentation, DropTracks, MaskBases, MaskTracks
from orthrus.loading.batch import PairBatch
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
    "Rearrangement",
]
