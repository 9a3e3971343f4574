"""Memory that a step on a CPU has freed, given back to the system."""

import ctypes
from collections.abc import Mapping
from typing import Any

from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from orthrus.loading.batch import PairBatch
from orthrus.loading.lightning_internals import is_logging_step


class FreedMemory(Callback):
    """Gives back at every logging step what glibc's allocator keeps after ``free``; does nothing on a GPU.

    Batches differ in shape, so free blocks between those in use fit nothing that comes, and the process grows: 2.1 M
    parameters and steps of 24 k nt need 1.7 GB, and took 8 after 1,000 steps. ``malloc_trim`` (malloc_trim(3)) returns
    such blocks. Where the C library has none, nothing happens.
    """

    def __init__(self) -> None:
        self._trim = getattr(ctypes.CDLL(None), "malloc_trim", None)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        module: LightningModule,
        outputs: Tensor | Mapping[str, Any] | None,
        batch: PairBatch,
        batch_idx: int,
    ) -> None:
        """Give back what is free."""
        if self._trim and is_logging_step(trainer) and trainer.strategy.root_device.type == "cpu":
            self._trim(0)
