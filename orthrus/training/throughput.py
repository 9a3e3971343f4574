"""Throughput: how fast training goes, as nt/s of real positions, and how much of a batch is padding."""

import time
from collections.abc import Mapping
from typing import Any

from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from orthrus.loading.batch import PairBatch


class Throughput(Callback):
    """Logs ``perf/nt_per_s`` (all ranks), ``perf/padding`` and ``perf/pairs_per_step`` at every logging step.

    The rate covers whole steps, loading included, validation excluded.
    """

    def __init__(self) -> None:
        self._since: float | None = None
        self._nt = self._positions = self._pairs = self._steps = 0

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: PairBatch, batch_idx: int) -> None:
        """Start the clock at the first step after a pause."""
        if self._since is None:
            self._since = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        module: LightningModule,
        outputs: Tensor | Mapping[str, Any] | None,
        batch: PairBatch,
        batch_idx: int,
    ) -> None:
        """Count the batch; log at logging steps."""
        self._nt += int(batch.lengths_V.sum())
        self._positions += batch.codes_VL.numel()
        self._pairs += len(batch.pair_kind_N)
        self._steps += 1
        if not trainer._logger_connector.should_update_logs or self._since is None:
            return
        rate = self._nt * trainer.world_size / (time.perf_counter() - self._since)
        module.log("perf/nt_per_s", rate, prog_bar=True)
        module.log("perf/padding", 1 - self._nt / self._positions)
        module.log("perf/pairs_per_step", self._pairs * trainer.world_size / self._steps)
        self._reset()
        self._since = time.perf_counter()

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Stop the clock: what validation takes is not training time."""
        self._reset()

    def _reset(self) -> None:
        self._since = None
        self._nt = self._positions = self._pairs = self._steps = 0
