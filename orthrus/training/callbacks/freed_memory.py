"""Memory that steps on a CPU have freed."""

from collections.abc import Mapping
from typing import Any

from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from orthrus.loading.batch import PairBatch
from orthrus.loading.lightning_internals import is_logging_step
from orthrus.memory import give_back_freed_memory


class FreedMemory(Callback):
    """Gives freed memory back at every logging step on a CPU (:func:`orthrus.memory.give_back_freed_memory`)."""

    def on_train_batch_end(
        self,
        trainer: Trainer,
        module: LightningModule,
        outputs: Tensor | Mapping[str, Any] | None,
        batch: PairBatch,
        batch_idx: int,
    ) -> None:
        """Give it back."""
        if is_logging_step(trainer) and trainer.strategy.root_device.type == "cpu":
            give_back_freed_memory()
