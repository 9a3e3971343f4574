"""One line of progress: steps, loss, retrieval accuracy, nt/s."""

import sys

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar

from orthrus.loading.lightning_internals import trained_batches

_NAMES = {"train/loss": "loss", "train/retrieval_top1": "retrieval", "train/nt_per_s": "nt/s"}


class StepProgressBar(TQDMProgressBar):
    """A progress bar over ``trainer.max_steps``, because endless data have no epochs."""

    def __init__(self) -> None:
        # A log file needs fewer lines, and the host waits for the GPU at each refresh.
        super().__init__(refresh_rate=10 if sys.stderr.isatty() else 50)

    @property
    def total_train_batches(self) -> int:
        """All batches of the run."""
        return self.trainer.max_steps * self.trainer.accumulate_grad_batches

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin the bar with the steps that an interrupted run has done, which do not count for its rate."""
        super().on_train_start(trainer, pl_module)
        bar = self.train_progress_bar
        bar.reset(self.total_train_batches)
        bar.initial = bar.n = bar.last_print_n = trained_batches(trainer)
        bar.set_description("pretraining")

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The bar spans the run, not an epoch, whose start a resumed run does not see."""

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """The metrics of the bar under short names."""
        metrics = super().get_metrics(trainer, pl_module)
        shown = {short: metrics[name] for name, short in _NAMES.items() if name in metrics}
        return {name: f"{value:,.0f}" if name == "nt/s" else f"{value:.3f}" for name, value in shown.items()}
