"""Saves the random number generators of every rank in the checkpoint, so that a resumed run draws the same numbers."""

import logging
import random
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer

_log = logging.getLogger(__name__)
_KEY = "random_states"


class RandomStates(Callback):
    """Saves the states of PyTorch's (CPU and GPU), NumPy's and Python's generators of all ranks, and restores them."""

    def __init__(self) -> None:
        self._restored: dict[str, Any] | None = None

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Gather every rank's states."""
        states = [read_states()]
        if trainer.world_size > 1:
            states = [{} for _ in range(trainer.world_size)]
            dist.all_gather_object(states, read_states())
        checkpoint[_KEY] = states

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Find this rank's states; warn if the number of ranks has changed."""
        states = checkpoint.get(_KEY, [])
        if len(states) != trainer.world_size:
            if trainer.is_global_zero:
                _log.warning(
                    "the checkpoint is of %d ranks, this run has %d: it goes on with other batches than it would have",
                    len(states),
                    trainer.world_size,
                )
            return
        self._restored = states[trainer.global_rank]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the states, after the random draws of the setup."""
        if self._restored is not None:
            write_states(self._restored)
            self._restored = None


def read_states() -> dict[str, Any]:
    """The generators' states as tensors and plain values, which load as weights only."""
    name, keys, *rest = np.random.get_state(legacy=True)
    version, internal, gauss = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
        "numpy": [str(name), torch.from_numpy(np.asarray(keys).astype(np.int64)), *map(float, rest)],
        "python": [version, list(internal), gauss],
    }


def write_states(states: dict[str, Any]) -> None:
    """Set the generators to states of :func:`read_states`."""
    torch.set_rng_state(states["torch"].cpu())
    if states["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"].cpu())
    name, keys, position, has_gauss, gauss = states["numpy"]
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), int(position), int(has_gauss), gauss))
    version, internal, last = states["python"]
    random.setstate((version, tuple(internal), last))
