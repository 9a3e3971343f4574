"""Throughput: how fast training goes, and what keeps it from going faster."""

import time
from collections.abc import Mapping
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from orthrus.loading.batch import PairBatch
from orthrus.loading.lightning_internals import is_logging_step

# Dense bfloat16 FLOP/s by NVIDIA's data sheets, by a part of the device's name.
PEAK_FLOPS = {
    "B200": 2250e12,
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "A10": 125e12,
    "RTX 4090": 165e12,
}


class Throughput(Callback):
    """Logs rates at every logging step, over whole steps, loading included and validation excluded.

    - ``perf/nt_per_s``: real positions of all ranks;
    - ``perf/pairs_per_step``: of all ranks;
    - ``perf/padding``: the share of positions that are padding;
    - ``perf/loader_wait``: the share of time spent waiting for a batch;
    - ``perf/peak_share``: matrix products of the encoder, forward and backward, on real positions, as a share of what
      the device's data sheet allows in bfloat16; where that is known.
    """

    def __init__(self) -> None:
        self._since: float | None = None
        self._waiting_since: float | None = None
        self._wait = 0.0
        self._nt = self._positions = self._pairs = self._steps = 0

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: PairBatch, batch_idx: int) -> None:
        """Start the clock at the first step after a pause; end the wait for the batch."""
        now = time.perf_counter()
        if self._since is None:
            self._since = now
        elif self._waiting_since is not None:
            self._wait += now - self._waiting_since

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
        now = self._waiting_since = time.perf_counter()
        if not is_logging_step(trainer) or self._since is None:
            return
        seconds = now - self._since
        rate = self._nt / seconds
        module.log("perf/nt_per_s", rate * trainer.world_size, prog_bar=True)
        module.log("perf/padding", 1 - self._nt / self._positions)
        module.log("perf/pairs_per_step", self._pairs * trainer.world_size / self._steps)
        module.log("perf/loader_wait", self._wait / seconds)
        peak = peak_flops(trainer.strategy.root_device)
        if peak is not None:
            encoder: Any = module.encoder
            module.log("perf/peak_share", rate * training_flops(encoder) / peak)
        self._reset()
        self._since = self._waiting_since = now

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Stop the clock: what validation takes is not training time."""
        self._reset()

    def on_save_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Time spent on a checkpoint is no wait for a batch."""
        self._waiting_since = None

    def _reset(self) -> None:
        self._since = self._waiting_since = None
        self._wait = 0.0
        self._nt = self._positions = self._pairs = self._steps = 0


def training_flops(encoder: nn.Module) -> int:
    """FLOP of the encoder's matrix products for one position, forward and backward: six a weight of a matrix."""
    weights = (p for name, p in encoder.named_parameters() if p.ndim == 2 and not name.endswith("A_log"))
    return 6 * sum(weight.numel() for weight in weights)


def peak_flops(device: torch.device) -> float | None:
    """bfloat16 FLOP/s of a GPU whose data sheet is known, None of any other device."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((flops for part, flops in PEAK_FLOPS.items() if part in name), None)
