"""Where progress and remarks go: stderr, so that stdout holds results alone."""

import sys

from rich.console import Console


def messages(soft_wrap: bool = False) -> Console:
    """A console on stderr, which a terminal's is if the process was started with one there, and plain text otherwise.

    A notebook gets plain text: its stderr calls itself a terminal and would keep every frame of a bar, and Rich's own
    bars for notebooks need ipywidgets.
    """
    own = sys.stderr is sys.__stderr__
    return Console(stderr=True, soft_wrap=soft_wrap, force_jupyter=False, force_terminal=None if own else False)
