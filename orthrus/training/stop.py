"""Signals that ask training to stop once the step at hand is finished and saved.

SIGTERM (a user, a scheduler that takes the machine back) ends the process with exit status 0. SIGUSR1 (Slurm, shortly
before the time limit) ends it with :data:`REQUEUE_STATUS`, by which a batch script knows that the job is to run again.
"""

import signal
import threading
from types import FrameType

REQUEUE_STATUS = 75  # EX_TEMPFAIL of sysexits.h: try again later

EXIT_STATUS = {signal.SIGTERM: 0, signal.SIGUSR1: REQUEUE_STATUS}


class StopSignals:
    """Notes that a signal came: ``number``, 0 for none. A handler does nothing more, since it may run anywhere."""

    def __init__(self) -> None:
        self.number = 0

    def listen(self) -> None:
        """Take the signals, where this is the main thread; Lightning restores the former handlers in the end."""
        if threading.current_thread() is threading.main_thread():
            for number in EXIT_STATUS:
                signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.number = number
