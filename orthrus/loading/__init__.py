"""From a store to batches of positive pairs."""

from orthrus.loading.augment import Augmentation, MaskBases, MaskTracks
from orthrus.loading.batch import PairBatch
from orthrus.loading.datamodule import PairDataModule

__all__ = ["Augmentation", "MaskBases", "MaskTracks", "PairBatch", "PairDataModule"]
