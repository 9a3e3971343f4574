"""Progress and remarks go to stderr, so that stdout has only results."""

import sys

from rich.console import Console


def messages(soft_wrap: bool = False) -> Console:
    """A console on stderr: a terminal if the process was started with one, else plain text.

    It shows text without markup, because users' names may look like Rich's markup. In a notebook it writes plain text,
    because stderr claims to be a terminal there and would keep every frame of a bar, and Rich's notebook bars need
    ipywidgets.
    """
    own = sys.stderr is sys.__stderr__
    return Console(
        stderr=True, soft_wrap=soft_wrap, force_jupyter=False, force_terminal=None if own else False, markup=False,
        emoji=False,
    )  # fmt: skip
