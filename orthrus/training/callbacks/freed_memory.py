"""Memory that steps on a CPU have freed."""

from typing import Any

from lightning import Callback, LightningModule, Trainer

from orthrus.memory import give_back_freed_memory


class FreedMemory(Callback):
    """Gives freed memory back after batches on a CPU (:func:`orthrus.memory.give_back_freed_memory`)."""

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Give it back."""
        self._after(trainer)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Give it back."""
        self._after(trainer)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Give it back."""
        self._after(trainer)

    @staticmethod
    def _after(trainer: Trainer) -> None:
        if trainer.strategy.root_device.type == "cpu":
            give_back_freed_memory()
