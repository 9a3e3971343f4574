"""The command line: one entry point, ``orthrus``, a command for each step from annotation to report.

User errors are one line on stderr and exit status 2; anything else is a bug and keeps its traceback.
"""

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence

import pyarrow as pa
from rich.console import Console
from rich.logging import RichHandler
from rich.markup import escape

from orthrus.cli import applications, data, encoder, evaluation, probing, training
from orthrus.errors import InputError

_TERMINATING: dict[int, int] = {signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGUSR1: 75}
"""Exit statuses of signals; SIGUSR1 is Slurm's before a time limit, and 75 says that the command is to be run again."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, 2 for unusable input, 130 when interrupted."""
    args = list(sys.argv[1:] if argv is None else argv)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before PyTorch is there: spinning threads starve our own
    for number in _TERMINATING:
        signal.signal(number, _terminate)
    pa.enable_signal_handlers(False)  # Arrow's own would lose an interrupt that comes as a read ends
    _show_log()
    try:
        if args and args[0] in training.LIGHTNING_COMMANDS:
            training.run_lightning(args)
        else:
            options = _parser().parse_args(args)
            options.run(options)
    except InputError as error:
        Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def _show_log() -> None:
    """What the package logs, such as the scan backend that runs, goes to stderr."""
    logger = logging.getLogger("orthrus")
    logger.setLevel(logging.INFO)
    if not logger.handlers:
        console = Console(stderr=True, soft_wrap=True)
        logger.addHandler(RichHandler(console=console, show_time=False, show_level=False, show_path=False))


def _terminate(number: int, frame: object) -> None:
    raise SystemExit(_TERMINATING[number])  # unwinds, so that nothing half-written stays


def _parser() -> argparse.ArgumentParser:
    from importlib.metadata import version

    parser = argparse.ArgumentParser(
        prog="orthrus", description="Representation learning for mature mRNA, from annotation to a probed embedding."
    )
    parser.add_argument("--version", action="version", version=version("orthrus-mrna"))
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], None] | None, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    for module in (data, training, encoder, probing, evaluation, applications):
        module.add_commands(command)
    return parser
