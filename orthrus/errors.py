"""The one error type for what a user gave us."""

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Input that cannot be used: its message names the value, what was expected and what to do next.

    The command line prints the message without a traceback and exits with status 2.
    """


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """The part of a message that names the nearest of the ``known`` names; empty if none is near.

    Examples:
        >>> did_you_mean("half_live", ["half_life", "localization"])
        " (did you mean 'half_life'?)"
    """
    near = get_close_matches(given, list(known), n=1, cutoff=0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""
