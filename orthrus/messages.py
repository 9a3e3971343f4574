"""Where progress and remarks go: stderr, so that stdout holds results alone."""

import sys

from rich.console import Console


def messages(soft_wrap: bool = False) -> Console:
    """A console on stderr: a terminal's if that is what the process was started with, else plain text.

    It shows text as it is, since users' names may look like Rich's markup. In a notebook it writes plain text: stderr
    calls itself a terminal there and would keep every frame of a bar, and bars of Rich's own kind need ipywidgets.
    """
    own = sys.stderr is sys.__stderr__
    return Console(
        stderr=True, soft_wrap=soft_wrap, force_jupyter=False, force_terminal=None if own else False, markup=False,
        emoji=False,
    )  # fmt: skip
