"""Signals that stop training after the current step is finished and saved.

=========  ============================================================  =====================================
signal     from                                                          exit status once the step is saved
=========  ============================================================  =====================================
SIGINT     Ctrl-C; a second one ends the process at once                 130
SIGHUP     a terminal that was closed                                    129
SIGTERM    a user, a scheduler that reclaims the machine                 0
SIGUSR1    Slurm, shortly before the time limit                          :data:`REQUEUE_STATUS`: run it again
=========  ============================================================  =====================================

Before training there is nothing to save: SIGUSR1 ends the process with the same status, so that the job runs again, and
SIGTERM with 143.
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

REQUEUE_STATUS = 75  # EX_TEMPFAIL of sysexits.h: try again later

EXIT_STATUS = {signal.SIGTERM: 0, signal.SIGUSR1: REQUEUE_STATUS, signal.SIGINT: 130, signal.SIGHUP: 129}
_AT_THE_START = {signal.SIGTERM: 143, signal.SIGUSR1: REQUEUE_STATUS, signal.SIGINT: 130, signal.SIGHUP: 129}


class StopSignals:
    """Records a signal in ``number``, 0 for none. The handler does nothing else, because it may run at any point."""

    def __init__(self) -> None:
        self.number = 0

    def listen(self) -> None:
        """Install the handlers, in the main thread; Lightning restores the former handlers at the end."""
        _handle(EXIT_STATUS, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT == self.number:
            os.write(2, b"ended at once; nothing was saved since the last checkpoint\n")
            os._exit(EXIT_STATUS[signal.SIGINT])
        self.number = number


@contextmanager
def ready_to_leave(message: str = "before the first step; there is nothing to save") -> Iterator[None]:
    """On a signal, print a line with ``message`` and end the process with the status of the signal."""

    def leave(number: int, frame: FrameType | None) -> None:
        _handle(_AT_THE_START, signal.SIG_IGN)  # further signals are ignored
        os.write(2, f"stopped by {signal.Signals(number).name} {message}\n".encode())
        raise SystemExit(_AT_THE_START[signal.Signals(number)])

    former = {number: signal.getsignal(number) for number in _AT_THE_START}
    _handle(_AT_THE_START, leave)
    try:
        yield
    finally:
        for number, handler in former.items():
            _handle({number: 0}, handler)


def _handle(numbers: dict[signal.Signals, int], handler: object) -> None:
    if threading.current_thread() is threading.main_thread():
        for number in numbers:
            signal.signal(number, handler)  # type: ignore[arg-type]
