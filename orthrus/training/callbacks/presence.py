"""Reports which rank is missing when a distributed run ends because the others waited for it.

The error of a collective operation that times out does not name the missing rank. Therefore each rank writes a small
file, its mark, into the run folder at every batch, and a thread touches it every two seconds. When an error ends the
run, the ranks report whose mark is of an earlier batch (that rank hangs in it) or was not touched recently (it was
stopped or cut off).
"""

import logging
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from socket import gethostname
from typing import Any

from lightning import Callback, LightningModule, Trainer

_TOUCHED, _SILENT = 2.0, 15.0  # seconds between touches; seconds without one until a rank counts as missing
_log = logging.getLogger(__name__)


class Presence(Callback):
    """Names the ranks that lag behind when an error ends a run of several ranks.

    Args:
        run_folder: folder of the run.
    """

    def __init__(self, run_folder: str) -> None:
        self._folder = Path(run_folder) / ".partial"
        self._batch = 0
        self._over = threading.Event()

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Begin to touch the mark."""
        if trainer.world_size > 1:
            self._over.clear()  # the teardown of the validation before the first step has set it
            threading.Thread(target=self._touch, args=(self._mark(trainer.global_rank),), daemon=True).start()

    def teardown(self, trainer: Trainer, module: LightningModule, stage: str) -> None:
        """Stop touching the mark."""
        self._over.set()

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Write the mark of this rank."""
        if trainer.world_size > 1:
            self._batch += 1
            self._mark(trainer.global_rank).write_text(
                f"{self._batch} process {os.getpid()} on {gethostname()}, at {time.strftime('%H:%M:%S')}"
            )

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        """Report the ranks that lag behind."""
        if trainer.world_size == 1 or not isinstance(exception, Exception):
            return
        for rank in range(trainer.world_size):
            count, _, who = self._read(rank).partition(" ")
            silent = self._touched(trainer.global_rank) - self._touched(rank) > _SILENT
            if rank != trainer.global_rank and (int(count) < self._batch or silent):
                _log.error(
                    "rank %d was not there: it began batch %s last (%s), this one is at batch %d. It hangs, was stopped"
                    " or is cut off: look at it there, end it, and go on with --resume auto",
                    rank, count, who or "it never began", self._batch,
                )  # fmt: skip

    def _touch(self, mark: Path) -> None:
        while not self._over.wait(_TOUCHED):
            with suppress(OSError):
                os.utime(mark)

    def _touched(self, rank: int) -> float:
        try:
            return self._mark(rank).stat().st_mtime
        except OSError:
            return 0.0

    def _mark(self, rank: int) -> Path:
        return self._folder / f"rank-{rank}"

    def _read(self, rank: int) -> str:
        try:
            return self._mark(rank).read_text() or "0"
        except OSError:
            return "0"
