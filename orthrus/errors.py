"""The one error type for what a user gave us."""


class InputError(ValueError):
    """Input that cannot be used: its message names the value, what was expected and what to do next.

    The command line prints the message without a traceback and exits with status 2.
    """
