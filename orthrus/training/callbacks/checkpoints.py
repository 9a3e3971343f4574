"""Checkpoints of a run: when they are written, which are kept, and how a run ends on a signal.

::

    checkpoints/step-00000500.ckpt   whole states: weights, optimiser, schedule, data position, random states, counters
    checkpoints/last.ckpt            link to the newest
    checkpoints/best.ckpt            link to the one with the lowest monitored value

A checkpoint is written after a step and before the validation that may follow it, and a run resumed from it validates
first. A resumed run therefore does exactly what the uninterrupted one did. A save writes three times the size of the
weights.
"""

import logging
import time
from pathlib import Path
from signal import Signals
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from orthrus.errors import InputError
from orthrus.loading.lightning_internals import (
    is_trial,
    log_step,
    mark_validation_begun,
    validation_follows,
    within_a_step,
)
from orthrus.output import refuse_lost_hold
from orthrus.training.callbacks.gradients import Gradients
from orthrus.training.checkpoint_files import AtomicCheckpointIO, by_step, point
from orthrus.training.stop import EXIT_STATUS, StopSignals

_log = logging.getLogger(__name__)


class Checkpoints(Checkpoint):
    """Writes checkpoints by step and by time, at every validation, at the end, and when asked to stop by a signal.

    Args:
        dirpath: folder of the checkpoints.
        every_n_steps: optimiser steps between checkpoints.
        every_minutes: the longest time between checkpoints, by the clock of rank 0.
        keep: the number of newest checkpoints to keep, in addition to the best.
        monitor: the validation metric whose lowest value defines the best checkpoint.
    """

    def __init__(
        self,
        dirpath: str,
        every_n_steps: int = 500,
        every_minutes: float = 15.0,
        keep: int = 2,
        monitor: str = "val/loss",
    ) -> None:
        for name, value in (("every_n_steps", every_n_steps), ("every_minutes", every_minutes), ("keep", keep)):
            if value <= 0:
                raise InputError(f"checkpoint.{name} is {value}; expected more than 0")
        self.folder = Path(dirpath)
        self.every_n_steps, self.every_minutes, self.keep, self.monitor = every_n_steps, every_minutes, keep, monitor
        self.best_score = float("inf")
        self._signals = StopSignals()
        self._saved_step = -1
        self._saved_at = time.monotonic()
        self._ended = False

    def path_of(self, step: int) -> Path:
        """The checkpoint after ``step`` optimiser steps."""
        return self.folder / f"step-{step:08d}.ckpt"

    def state_dict(self) -> dict[str, Any]:
        """The best value so far."""
        return {"best_score": self.best_score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best value so far."""
        self.best_score = state_dict["best_score"]

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to listen to signals."""
        self._signals.listen()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to listen to signals and to measure time; set aside what a run that goes back had saved later."""
        self._signals.listen()
        self._saved_step, self._saved_at, self._ended = trainer.global_step, time.monotonic(), False
        if trainer.is_global_zero and not is_trial(trainer):
            self._set_aside(trainer.global_step)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        """Save if a checkpoint is due, and end the process if any rank received a signal."""
        step = trainer.global_step
        if step == self._saved_step or within_a_step(trainer):
            return  # between the batches of one step
        signal_number, late = self._agree(trainer)
        at_the_end = step >= trainer.max_steps
        validation = validation_follows(trainer)
        regular = step % self.every_n_steps == 0 or late or validation or trainer.should_stop
        regular &= not _in_bad_streak(trainer)  # so that the last checkpoint is from before the bad steps
        if signal_number or (at_the_end and not validation) or (regular and not at_the_end):
            self._save(trainer)
        if signal_number:
            self._end(trainer, signal_number)

    def on_validation_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any, **kwargs: Any) -> None:
        """End the process on a signal; the weights under validation are saved already."""
        signal_number, _ = self._agree(trainer)
        if signal_number:
            self._end(trainer, signal_number)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Link ``best.ckpt`` to the validated checkpoint if it is the best."""
        if self.monitor not in trainer.callback_metrics:
            known = ", ".join(sorted(name for name in trainer.callback_metrics if name.startswith("val/")))
            raise InputError(f"checkpoint.monitor is {self.monitor!r}; expected one of {known}")
        if trainer.state.fn != TrainerFn.FITTING:
            return
        score = float(trainer.callback_metrics[self.monitor])
        better = score < self.best_score or not (self.folder / "best.ckpt").exists()
        if better:
            self.best_score = score
        if trainer.global_step >= trainer.max_steps:
            self._save(trainer)
        checkpoint = self.path_of(trainer.global_step)
        if better and trainer.is_global_zero and checkpoint.exists():
            point(self.folder / "best.ckpt", checkpoint)
            self._prune()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save where the run ended for another reason than its number of steps; fail if that could not be written."""
        self._ended = True
        if trainer.global_step != self._saved_step and not _in_bad_streak(trainer):
            self._save(trainer)
        failure = _files(trainer).failure
        if failure is not None:
            raise InputError(self._failure_text(trainer.global_step, failure))

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """If a validation follows the step, mark it as begun."""
        if not trainer.validating and not self._ended and validation_follows(trainer):
            mark_validation_begun(checkpoint)

    def _agree(self, trainer: Trainer) -> tuple[int, bool]:
        """The signal that any rank received, and whether the last checkpoint is too old by the clock of rank 0."""
        late = trainer.is_global_zero and time.monotonic() - self._saved_at >= 60 * self.every_minutes
        asked = torch.tensor([self._signals.number, int(late)], device=trainer.strategy.root_device)
        signal_number, late = trainer.strategy.reduce(asked, reduce_op="max").tolist()
        return signal_number, bool(late)

    def _save(self, trainer: Trainer) -> None:
        if is_trial(trainer):
            return
        step = trainer.global_step
        if trainer.is_global_zero:
            refuse_lost_hold(Path(trainer.default_root_dir), grows=True)
        if trainer.training and not self._ended:
            log_step(trainer)  # Lightning logs after this hook, but the log must be complete before the checkpoint
        for logger in trainer.loggers:
            logger.save()
        trainer.save_checkpoint(self.path_of(step), weights_only=False)
        self._saved_step, self._saved_at = step, time.monotonic()
        if not trainer.is_global_zero:
            return
        failure = _files(trainer).failure
        if failure is not None:
            _log.warning("%s; training goes on", self._failure_text(step, failure))
        else:
            point(self.folder / "last.ckpt", self.path_of(step))
            self._prune()

    def _set_aside(self, step: int) -> None:
        """Move checkpoints of later steps to a folder of their own, so that the run goes on from those it makes now."""
        later = [path for path in by_step(self.folder) if path.name > self.path_of(step).name]
        if not later:
            return
        aside = self.folder / f"set-aside-{time.strftime('%Y%m%dT%H%M%S')}"
        aside.mkdir()
        for path in later:
            path.rename(aside / path.name)
        for link in (self.folder / "last.ckpt", self.folder / "best.ckpt"):
            if link.is_symlink() and not link.exists():
                link.unlink()
        _log.warning("going back to step %d; %d checkpoints of later steps are now in %s", step, len(later), aside)

    def _prune(self) -> None:
        best = (self.folder / "best.ckpt").resolve()
        for path in by_step(self.folder)[self.keep :]:
            if path.resolve() != best:
                path.unlink()

    def _failure_text(self, step: int, failure: Exception) -> str:
        kept = next((f"; {path} is kept" for path in by_step(self.folder)), "")
        return f"the checkpoint of step {step:,} could not be written to {self.folder} ({failure}){kept}"

    def _end(self, trainer: Trainer, signal_number: int) -> None:
        if trainer.is_global_zero:
            failure = _files(trainer).failure
            if failure is not None:
                raise InputError(self._failure_text(trainer.global_step, failure))
            newest = next((str(path) for path in by_step(self.folder)), "nothing, before the first step")
            _log.warning("stopped by %s; saved: %s", Signals(signal_number).name, newest)
            if signal_number in (Signals.SIGINT, Signals.SIGHUP):
                config = Path(trainer.default_root_dir, "config.yaml")
                _log.warning("go on with: orthrus fit --config %s --resume auto", config)
            raise SystemExit(EXIT_STATUS[Signals(signal_number)])
        raise SystemExit(0)  # the exit status of a run is that of rank 0


def _files(trainer: Trainer) -> AtomicCheckpointIO:
    files = trainer.strategy.checkpoint_io
    assert isinstance(files, AtomicCheckpointIO)
    return files


def _in_bad_streak(trainer: Trainer) -> bool:
    callbacks: Any = trainer.callbacks  # type: ignore[attr-defined]
    return any(each.in_bad_streak for each in callbacks if isinstance(each, Gradients))
