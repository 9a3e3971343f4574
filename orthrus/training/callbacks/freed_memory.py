"""Memory that steps on a CPU have freed."""

from typing import Any

from lightning import Callback, LightningModule, Trainer

from orthrus.memory import give_back_freed_memory

_STEPS = 10


class FreedMemory(Callback):
    """Gives freed memory back every tenth batch on a CPU (:func:`orthrus.memory.give_back_freed_memory`)."""

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Give it back."""
        if (batch_idx + 1) % _STEPS == 0 and trainer.strategy.root_device.type == "cpu":
            give_back_freed_memory()
