"""Checkpoint files: written whole or not at all, checked before they are trusted.

A file is written beside its name, synced and renamed, so that a name always holds a whole checkpoint, whatever
happens to the process or the machine. PyTorch's format is a zip archive with a checksum of every tensor; validity is
those checksums, which costs one read of the file.
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

    What keeps a checkpoint from being written (a full disk, say) is kept in ``failure`` rather than raised: the other
    ranks are on their way to a barrier. The name then still holds what it held before.
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
    """Checkpoints of a run by the step of their names, the last first."""
    return sorted(folder.glob(PATTERN), reverse=True)


def newest_valid(folder: Path) -> Path | None:
    """The checkpoint of ``folder`` with the most steps that is whole, None where there is none.

    The step is that inside, whatever the file's name and date. Warns of each that is not whole.
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
