"""Where progress and remarks go: stderr, so that stdout holds results alone."""

from rich.console import Console


def messages(soft_wrap: bool = False) -> Console:
    """A console on stderr, which shows text as it is: names of users' may look like Rich's markup.

    It writes text in a notebook too, where bars of Rich's own kind would need ipywidgets.
    """
    return Console(stderr=True, soft_wrap=soft_wrap, force_jupyter=False, markup=False, emoji=False)
