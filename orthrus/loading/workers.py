"""Processes that build batches: what they do when a signal comes to the whole group of processes."""

import os
import signal
import threading
from types import FrameType

_PATIENCE = 20.0  # seconds


def leave_signals_to_the_parent(worker: int) -> None:
    """Ctrl-C, Slurm's signals and the like are the parent's to answer, which may still need a batch for its last step.

    SIGTERM, by which PyTorch also ends a worker that does not end by itself, is answered after some seconds.
    """
    for name in ("SIGINT", "SIGHUP", "SIGUSR1"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_later)


def _end_later(number: int, frame: FrameType | None) -> None:
    timer = threading.Timer(_PATIENCE, os._exit, (0,))
    timer.daemon = True
    timer.start()
