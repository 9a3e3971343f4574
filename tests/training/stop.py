from typing import Any

from lightning import Callback, LightningModule, Trainer


class StopAt(Callback):
    """Ends training after ``step`` steps, with the schedule unfinished; Lightning then saves last.ckpt."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *args: Any) -> None:
        if trainer.global_step == self.step:
            trainer.should_stop = True
