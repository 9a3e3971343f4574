"""Which rank is missing when a run of several ends because the others waited for it in vain.

A collective operation that times out says that somebody did not come, not who. So each rank leaves a mark in the run
folder at every step, a file of some bytes, and when an error ends the run the marks of ranks that lag behind are told.
"""

import logging
import os
import time
from pathlib import Path
from socket import gethostname
from typing import Any

from lightning import Callback, LightningModule, Trainer

_log = logging.getLogger(__name__)


class Presence(Callback):
    """Names the ranks that lag behind when an error ends a run of several ranks.

    Args:
        run_folder: folder of the run.
    """

    def __init__(self, run_folder: str) -> None:
        self._folder = Path(run_folder) / ".partial"
        self._batch = 0

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Leave this rank's mark."""
        if trainer.world_size > 1:
            self._batch += 1
            self._mark(trainer.global_rank).write_text(
                f"{self._batch} process {os.getpid()} on {gethostname()}, at {time.strftime('%H:%M:%S')}"
            )

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        """Tell who lags behind."""
        if trainer.world_size == 1 or not isinstance(exception, Exception):
            return
        for rank in range(trainer.world_size):
            count, _, who = self._read(rank).partition(" ")
            if rank != trainer.global_rank and int(count) < self._batch:
                _log.error(
                    "rank %d was not there: it began batch %s last (%s), this one is at batch %d. It hangs, was stopped"
                    " or is cut off: look at it there, end it, and go on with --resume auto",
                    rank, count, who or "it never began", self._batch,
                )  # fmt: skip

    def _mark(self, rank: int) -> Path:
        return self._folder / f"rank-{rank}"

    def _read(self, rank: int) -> str:
        try:
            return self._mark(rank).read_text() or "0"
        except OSError:
            return "0"
