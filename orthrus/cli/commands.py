"""How a module of commands adds them to the command line."""

import argparse
from collections.abc import Callable
from typing import Protocol


class AddCommand(Protocol):
    """Adds the command ``name``, which does ``run``, and returns its parser for arguments; ``text`` is its help."""

    def __call__(
        self, name: str, run: Callable[[argparse.Namespace], None] | None, text: str
    ) -> argparse.ArgumentParser: ...
