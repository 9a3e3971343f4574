import os
import time
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from orthrus.objectives import JointObjective, Views


class StopAt(Callback):
    """Ends training after ``step`` steps, with the schedule unfinished."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *args: Any) -> None:
        if trainer.global_step == self.step:
            trainer.should_stop = True


class SignalAt(Callback):
    """Sends ``number`` to the process of ``rank`` at ``hook``, once ``step`` steps are done: SIGKILL by default."""

    def __init__(self, step: int, hook: str = "on_train_batch_end", rank: int = 0, number: int = 9) -> None:
        def strike(trainer: Trainer, *args: Any, **kwargs: Any) -> None:
            if trainer.state.fn == TrainerFn.FITTING and trainer.global_step == step and trainer.global_rank == rank:
                print("struck", flush=True)
                os.kill(os.getpid(), number)

        setattr(self, hook, strike)


class Pause(Callback):
    """Sleeps after every step, so that there is time to interfere."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_train_batch_end(self, *args: Any) -> None:
        time.sleep(self.seconds)


class SometimesNaN(JointObjective):
    """Its loss is NaN in the forward passes of training numbered ``at``, from 0, on ``rank``."""

    def __init__(self, d_model: int, at: list[int], rank: int = 0) -> None:
        super().__init__(d_model)
        self.at, self.rank, self.passes = at, rank, 0

    def forward(self, views: Views) -> dict[str, Tensor]:
        scores = super().forward(views)
        if self.training:
            if self.passes in self.at and int(os.environ.get("LOCAL_RANK", "0")) == self.rank:
                scores["loss"] = scores["loss"] * float("nan")
            self.passes += 1
        return scores
