"""Checkpoint files, which are written completely or not at all, and checked before use.

A file is written under a temporary name, synced and renamed, so that a checkpoint's name always holds a complete file,
even if the process or the machine fails. PyTorch's format is a zip archive with a checksum of every tensor; a file is
valid if they match, which costs one read of the file.
"""

import logging
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins import TorchCheckpointIO

from orthrus.errors import InputError
from orthrus.nn.integrity import archive_fault
from orthrus.output import atomic_file

PATTERN = "step-*.ckpt"

_log = logging.getLogger(__name__)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes each checkpoint to a temporary file, syncs it and renames it.

    An error in writing (a full disk, for example) is stored in ``failure`` instead of raised, because the other ranks
    are on their way to a barrier. The former file, if any, then stays.
    """

    def __init__(self) -> None:
        super().__init__()
        self.failure: Exception | None = None

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write ``checkpoint`` to ``path``."""
        self.failure = None
        try:
            with atomic_file(Path(path)) as scratch, scratch.open("wb") as stream:
                torch.save(checkpoint, stream)
        except (InputError, OSError, RuntimeError) as error:  # PyTorch's writer reports a short write as a RuntimeError
            while isinstance(error.__context__, OSError):
                error = error.__context__
            self.failure = error


def point(link: Path, target: Path) -> None:
    """Make ``link`` a symbolic link to ``target``, a file of the same folder, in one step."""
    scratch = link.with_name(f".{link.name}.tmp")
    scratch.unlink(missing_ok=True)
    scratch.symlink_to(target.name)
    scratch.replace(link)


def by_step(folder: Path) -> list[Path]:
    """Checkpoints of a run, sorted by the step in their names, the last one first."""
    return sorted(folder.glob(PATTERN), reverse=True)


def newest_valid(folder: Path) -> Path | None:
    """The valid checkpoint of ``folder`` with the most steps, None if there is none.

    The step is the one stored in the file, not that of its name. Warns about each checkpoint that is not valid.
    """
    found: list[tuple[int, Path]] = []
    for path in by_step(folder):
        fault = archive_fault(path)
        if fault is not None:
            _log.warning("%s is no whole checkpoint (%s); passed over for the one before it", path, fault)
            continue
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        found.append((int(content["global_step"]), path))
    return max(found, default=(0, None))[1]
