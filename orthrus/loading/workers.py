"""How the processes that build batches handle signals to the whole group of processes."""

import os
import signal
import threading
from types import FrameType

_PATIENCE = 20.0  # seconds


def leave_signals_to_the_parent(worker: int) -> None:
    """Ignore Ctrl-C and Slurm's signals, because the parent handles them and may need a batch for its last step.

    SIGTERM, which PyTorch also sends to a worker that does not end by itself, takes effect after some seconds.
    """
    for name in ("SIGINT", "SIGHUP", "SIGUSR1"):
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_later)


def _end_later(number: int, frame: FrameType | None) -> None:
    timer = threading.Timer(_PATIENCE, os._exit, (0,))
    timer.daemon = True
    timer.start()
