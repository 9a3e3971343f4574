"""``metrics/version_K/metrics.csv`` of a run folder: one row a logged step, one file for each start of the run.

A full disk does not stop training: rows that cannot be written are kept in memory and written once there is space.
"""

import csv
import logging
import os
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning_utilities.core.rank_zero import rank_zero_only

from orthrus.errors import InputError
from orthrus.output import atomic_file

_log = logging.getLogger(__name__)


class MetricsFile(Logger):
    """Logs metrics to a CSV file.

    Args:
        save_dir: the run folder.
    """

    def __init__(self, save_dir: str | Path) -> None:
        super().__init__()
        self._folder = Path(save_dir) / "metrics"
        self._version: int | None = None
        self._columns: list[str] = []
        self._waiting: list[dict[str, Any]] = []
        self._failed = False

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self._folder.name

    @property
    def version(self) -> int:
        """The number of this start of the run, from 0."""
        if self._version is None:
            taken = [path.name.removeprefix("version_") for path in self._folder.glob("version_*")]
            self._version = max((int(number) for number in taken if number.isdecimal()), default=-1) + 1
        return self._version

    @property
    def path(self) -> Path:
        """The file of this start."""
        return self._folder / f"version_{self.version}" / "metrics.csv"

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Do nothing, because ``config.yaml`` of the run folder has them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Add a row, but not the same one twice (a step is logged before its checkpoint, then by Lightning)."""
        row = {"step": step, **metrics}
        if not (self._waiting and self._waiting[-1] == row) and row != getattr(self, "_last", None):
            self._waiting.append(row)
        self._last = row

    @rank_zero_only
    def save(self) -> None:
        """Write the rows in memory; warn, once, if the disk is full."""
        if not self._waiting:
            return
        try:
            self._write()
        except (OSError, InputError) as error:
            if not self._failed:
                _log.warning(
                    "%s cannot be written (%s); training goes on and keeps its rows in memory", self.path, error
                )
            self._failed = True
            return
        if self._failed:
            _log.warning("%s is written again, with all rows", self.path)
        self._waiting, self._failed = [], False

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Write the rows in memory."""
        self.save()

    def _write(self) -> None:
        path = self.path
        new = [name for row in self._waiting for name in row if name not in self._columns]
        if new or not path.exists():
            columns, rows = [*self._columns, *dict.fromkeys(new)], []
            if path.exists():
                with path.open(newline="", encoding="utf-8") as stream:
                    rows = list(csv.DictReader(stream))
            with atomic_file(path) as scratch, scratch.open("w", newline="", encoding="utf-8") as stream:
                writer = csv.DictWriter(stream, columns)
                writer.writeheader()
                writer.writerows(rows + self._waiting)
            self._columns = columns
            return
        size = path.stat().st_size
        try:
            with path.open("a", newline="", encoding="utf-8") as stream:
                csv.DictWriter(stream, self._columns).writerows(self._waiting)
        except OSError:
            os.truncate(path, size)  # without partly written rows
            raise
