"""From a store to batches of positive pairs.

The LightningDataModule is in :mod:`orthrus.loading.datamodule`: embedding, which pads batches too, needs no Lightning.
"""

from orthrus.loading.augment import Augmentation, DropTracks, MaskBases, MaskTracks
from orthrus.loading.batch import PairBatch
from orthrus.loading.views import CodingOnly, Crop, DropUtrs, Graft, Rearrangement, Window

__all__ = [
    "Augmentation",
    "CodingOnly",
    "Crop",
    "DropTracks",
    "DropUtrs",
    "Graft",
    "MaskBases",
    "MaskTracks",
    "PairBatch",
    "Rearrangement",
    "Window",
]
