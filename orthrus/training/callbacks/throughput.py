"""Throughput: the speed of training, and what limits it."""

import time
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from orthrus.loading.batch import PairBatch
from orthrus.loading.lightning_internals import is_logging_step, within_a_step
from orthrus.nn.encoder import MambaEncoder
from orthrus.nn.products import product_flops

# Dense bfloat16 FLOP/s from NVIDIA's data sheets, by a part of the device's name.
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

    - ``train/nt_per_s``: real positions of all ranks;
    - ``train/mfu``, model FLOP utilisation (Chowdhery et al. 2022, arXiv 2204.02311, appendix B): matrix products of
      the encoder, forward and backward, on real positions, as a share of the device's peak (:func:`peak_flops`);
      the scan and recomputation to save memory do not count;
    - ``perf/pairs_per_step``: pairs of all ranks;
    - ``perf/padding``: the share of positions that are padding;
    - ``perf/loader_wait``: the share of time spent waiting for a batch.
    """

    def __init__(self) -> None:
        self._since: float | None = None
        self._waiting_since: float | None = None
        self._wait = 0.0
        self._nt = torch.zeros((), dtype=torch.int64)
        self._positions = self._pairs = self._steps = 0

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
        self._nt = self._nt.to(batch.lengths_V.device) + batch.lengths_V.sum()  # read only at logging steps
        self._positions += batch.codes_VL.numel()
        self._pairs += len(batch.pair_kind_N)
        self._waiting_since = time.perf_counter()
        if within_a_step(trainer):
            return
        self._steps += 1
        if not is_logging_step(trainer) or self._since is None:
            return
        nt = int(self._nt)  # on a GPU, the host waits here for the steps that it has started
        now = time.perf_counter()
        rate = nt / (now - self._since)
        encoder: Any = module.encoder
        module.log("train/nt_per_s", rate * trainer.world_size, prog_bar=True)
        peak = peak_flops(trainer.strategy.root_device, _dtype(str(trainer.precision)))
        module.log("train/mfu", rate * training_flops(encoder) / peak)
        module.log("perf/padding", 1 - nt / self._positions)
        module.log("perf/pairs_per_step", self._pairs * trainer.world_size / self._steps)
        module.log("perf/loader_wait", self._wait / (now - self._since))
        self._reset()
        self._since = self._waiting_since = now

    def on_validation_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Stop the clock, because validation is not training time."""
        self._reset()

    def on_save_checkpoint(self, trainer: Trainer, module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Do not count the time of a checkpoint as a wait for a batch."""
        self._waiting_since = None

    def _reset(self) -> None:
        self._since = self._waiting_since = None
        self._wait = 0.0
        self._nt = torch.zeros((), dtype=torch.int64)
        self._positions = self._pairs = self._steps = 0


def training_flops(encoder: MambaEncoder) -> float:
    """FLOP of the encoder's matrix products for one position (nt), forward and backward: six a matrix weight and token.

    A stem that looks its vectors up has no product.
    """
    named = (*encoder.layers.named_parameters(), *encoder.embedding.named_parameters())
    looked_up = 0 if isinstance(encoder.embedding, nn.Linear) else encoder.embedding.region.numel()
    weights = sum(p.numel() for name, p in named if p.ndim == 2 and not name.endswith("A_log"))
    return 6 * (weights - looked_up) / encoder.embedding.nt_per_token


def _dtype(precision: str) -> torch.dtype:
    """The type of matrix products, by Lightning's name of a precision."""
    return {"bf16": torch.bfloat16, "16": torch.float16}.get(precision.partition("-")[0], torch.float32)


@cache
def peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of matrix products: from the data sheet for bfloat16 on known GPUs, else measured on a large product."""
    if device.type == "cuda" and dtype == torch.bfloat16:
        name = torch.cuda.get_device_name(device)
        for part, flops in PEAK_FLOPS.items():
            if part in name:
                return flops
    side = 8192 if device.type == "cuda" else 1024
    return product_flops(device, dtype, side)
