"""How a module of commands adds them to the command line, and what several commands share."""

import argparse
from collections.abc import Callable
from typing import Protocol


class AddCommand(Protocol):
    """Adds the command ``name``, which does ``run``, and returns its parser for arguments; ``text`` is its help."""

    def __call__(
        self, name: str, run: Callable[[argparse.Namespace], None] | None, text: str
    ) -> argparse.ArgumentParser: ...


def add_device(parser: argparse.ArgumentParser) -> None:
    """The option that :func:`chosen_device` reads."""
    parser.add_argument("--device", default="cuda-if-available", help="cpu, cuda, cuda:1 ... (default: %(default)s)")


def chosen_device(options: argparse.Namespace) -> str:
    """The name of the device to compute on."""
    import torch

    if options.device != "cuda-if-available":
        return str(options.device)
    return "cuda" if torch.cuda.is_available() else "cpu"
