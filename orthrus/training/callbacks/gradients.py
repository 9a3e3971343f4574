"""The norm of the gradient at every step, and the handling of steps whose gradient is not finite."""

import logging
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from orthrus.errors import InputError
from orthrus.loading.batch import PairBatch
from orthrus.objectives.memory import PairMemory
from orthrus.output import atomic_file
from orthrus.training.checkpoint_files import by_step

_log = logging.getLogger(__name__)


class Gradients(Callback):
    """Logs ``train/grad_norm`` (before clipping) and skips steps whose gradient is infinite or NaN.

    All ranks have the same gradient, so they skip the same steps without communication. A skipped step changes neither
    weights nor optimiser nor running statistics; its batch is written to ``bad_batches/`` of the run.

    Args:
        run_folder: folder of the run.
        max_bad_steps: skipped steps in a row; one more ends the run and reports the cause.
    """

    def __init__(self, run_folder: str, max_bad_steps: int = 3) -> None:
        if max_bad_steps < 0:
            raise InputError(f"gradients.max_bad_steps is {max_bad_steps}; expected 0 or more")
        self.folder = Path(run_folder) / "bad_batches"
        self.max_bad_steps = max_bad_steps
        self._bad_steps = 0
        self._batches: list[PairBatch] = []
        self._losses: list[Tensor] = []
        self._buffers: dict[str, Tensor] = {}
        self._remembered: list[tuple[PairMemory, int]] = []

    @property
    def in_bad_streak(self) -> bool:
        """Whether the last step was skipped."""
        return self._bad_steps > 0

    def state_dict(self) -> dict[str, Any]:
        """The number of skipped steps in a row."""
        return {"bad_steps": self._bad_steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the count."""
        self._bad_steps = state_dict["bad_steps"]

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: PairBatch, batch_idx: int) -> None:
        """Keep the state that is needed to report and undo a bad step."""
        if not self._batches:
            self._buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
            self._remembered = [
                (memory, memory.written) for memory in module.modules() if isinstance(memory, PairMemory)
            ]
        self._batches.append(batch)

    def on_before_backward(self, trainer: Trainer, module: LightningModule, loss: Tensor) -> None:
        """Keep the loss of this rank."""
        self._losses.append(loss.detach())

    def on_before_optimizer_step(
        self, trainer: Trainer, module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Log the norm, and remove the gradient if it is not finite."""
        norm = gradient_norm(optimizer)
        module.log("train/grad_norm", norm)
        if norm.isfinite():
            self._bad_steps = 0
        else:
            self._bad_steps += 1
            optimizer.zero_grad(set_to_none=True)  # the optimiser skips parameters without gradient, and their moments
            with torch.no_grad():
                for name, buffer in module.named_buffers():
                    buffer.copy_(self._buffers[name])
            for memory, written in self._remembered:
                memory.written = written
            self._report(trainer, float(norm))
        self._batches, self._losses, self._buffers = [], [], {}

    def _report(self, trainer: Trainer, norm: float) -> None:
        step = trainer.global_step + 1
        losses = [float(loss) * trainer.accumulate_grad_batches for loss in self._losses]
        path = self.folder / f"step-{step:08d}-rank{trainer.global_rank}.pt"
        batches = [{name: part.cpu() for name, part in batch._asdict().items()} for batch in self._batches]
        try:
            with atomic_file(path) as scratch:
                torch.save({"batches": batches, "losses": losses, "gradient_norm": norm}, scratch)
        except (InputError, RuntimeError) as error:  # a full disk costs the batch, not the run
            _log.warning("the batch of step %d could not be kept: %s", step, error)
        what = f"gradient norm {norm}, loss {', '.join(f'{loss:.4g}' for loss in losses)}"
        if self._bad_steps > self.max_bad_steps:
            rate: Any = trainer.optimizers[0].param_groups[0]["initial_lr"]
            raise InputError(
                f"step {step:,} is number {self._bad_steps} in a row without a finite gradient ({what}); its batch is"
                f" {path}. {_way_out(trainer, float(rate))}"
            )
        _log.warning("step %d is left out: %s; its batch is %s", step, what, path)


def _way_out(trainer: Trainer, rate: float) -> str:
    """The command that continues from before the bad steps, or starts again, with another learning rate."""
    folder = Path(trainer.default_root_dir)
    change = f"--model.learning_rate {rate / 2:g}, or --trainer.precision 32-true"
    if by_step(folder / "checkpoints"):
        return (
            "The last checkpoint is of before them: go on from it by `orthrus fit --config"
            f" {folder / 'config.yaml'} --resume auto` with {change}"
        )
    return f"There is no checkpoint of before them: begin anew with {change}"


def gradient_norm(optimizer: torch.optim.Optimizer) -> Tensor:
    """Euclidean norm of all gradients, 0 without gradients."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    norms = [p.grad.norm() for p in parameters if p.grad is not None]
    return torch.stack(norms).norm() if norms else torch.zeros(())
