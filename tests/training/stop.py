import os
import time
from typing import Any

from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor


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


class Poison(Callback):
    """Makes the loss of ``rank`` NaN in the training steps numbered ``at``, from 0."""

    def __init__(self, at: list[int], rank: int = 0) -> None:
        self.at, self.rank = at, rank

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        def poison(objective: Any, given: Any, scores: dict[str, Tensor]) -> dict[str, Tensor]:
            bad = objective.training and trainer.global_step in self.at and trainer.global_rank == self.rank
            return scores | {"loss": scores["loss"] * float("nan")} if bad else scores

        module.objective.register_forward_hook(poison)
