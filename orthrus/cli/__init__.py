"""The command line: one entry point, ``orthrus``, and a table of commands from annotation to predictions.

A user error is one line on stderr with exit status 2; any other error is a bug and keeps its traceback. With ``--json``
stdout always holds one object, with ``command``, ``outputs``, ``figures`` and ``warnings``, or with ``command``,
``error`` and ``warnings``; output for people goes to stderr.
"""

import errno
import json
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.highlighter import NullHighlighter
from rich.logging import RichHandler
from rich.markup import escape

import orthrus
from orthrus.cli.command import Command, Result
from orthrus.cli.parser import build_parser, check_names, with_nearest_option
from orthrus.cli.table import COMMANDS
from orthrus.errors import InputError

_LIGHTNING = {command.name: command for command in COMMANDS if command.lightning}
_TERMINATING: dict[int, int] = {signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGUSR1: 75}
"""Exit statuses of signals; Slurm sends SIGUSR1 before a time limit, and 75 means that the command can continue."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status (:data:`orthrus.cli.parser.EXIT_CODES`)."""
    args = list(sys.argv[1:] if argv is None else argv)
    os.environ.setdefault(
        "OMP_WAIT_POLICY", "PASSIVE"
    )  # before PyTorch is imported: spinning threads would slow our own down
    for number in _TERMINATING:
        signal.signal(number, _terminate)
    pa.enable_signal_handlers(False)  # Arrow's own handlers lose an interrupt that arrives at the end of a read
    as_json = "--json" in args
    args = [arg for arg in args if arg != "--json"]
    warnings = _show_log()
    document: dict[str, Any] = {"command": args[0] if args else ""}
    status = 0
    try:
        with redirect_stdout(sys.stderr) if as_json else nullcontext():
            result = _run(args)
        document |= {"outputs": [str(path) for path in result.outputs], "figures": result.figures}
    except (InputError, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.ENAMETOOLONG:
            raise  # where it can happen for the user's sake, it is an InputError by now
        Console(stderr=True, soft_wrap=True, emoji=False).print(
            f"[bold red]error:[/] {escape(str(error))}", highlight=False
        )
        document["error"], status = str(error), 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        document["error"], status = "interrupted", 130
    except SystemExit as stop:  # help, --version, --print_config; or a signal
        if not as_json:
            raise
        status = int(stop.code or 0)
        document["error"] = "ended by a signal"
        if status == 0:
            document = {"command": document["command"], "outputs": [], "figures": {}}
    if as_json:
        with _reader_may_leave():
            print(json.dumps(document | {"warnings": warnings.lines}, indent=2, default=str))
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # all is done: Slurm's notice must not make a failure of it
    return status


def _run(args: list[str]) -> Result:
    """Parse ``args``, run the command and print its result."""
    check_names(COMMANDS, args)
    command = _LIGHTNING.get(args[0]) if args else None
    if command is not None and args[1:] not in (["--help"], ["-h"]):
        try:
            result = command.run(_lightning_options(["--help" if arg == "--help-all" else arg for arg in args]))
        except InputError as error:
            raise InputError(with_nearest_option(command, str(error))) from error
    else:
        options = build_parser(COMMANDS, orthrus.__version__).parse_args(args)
        chosen: Command = options.command
        result = chosen.run(options)
    console = Console(markup=False, emoji=False)  # users' names are printed unchanged
    with _reader_may_leave():
        for part in result.shown:
            if isinstance(part, str):
                print(part)  # without wrapping at any width
            else:
                with console.capture() as rendered:
                    console.print(part)
                print(rendered.get(), end="")
    return result


@contextmanager
def _reader_may_leave() -> Iterator[None]:
    """Let the reader of stdout leave early, as in ``orthrus recipes | head``: the work is done, the rest is dropped."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _lightning_options(args: list[str]) -> Any:
    from argparse import Namespace

    return Namespace(args=args)


class _Warnings(logging.Handler):
    """Keeps the text of the package's warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage().removeprefix("warning: "))


def _show_log() -> _Warnings:
    """Send the package's log to stderr; returns the handler that keeps its warnings."""
    logger = logging.getLogger("orthrus")
    logger.setLevel(logging.INFO)
    if not any(isinstance(handler, RichHandler) for handler in logger.handlers):
        console = Console(stderr=True, soft_wrap=True)
        plain = NullHighlighter()  # Rich's own searches a name of 100,000 letters for minutes
        logger.addHandler(
            RichHandler(console=console, highlighter=plain, show_time=False, show_level=False, show_path=False)
        )
    for handler in [each for each in logger.handlers if isinstance(each, _Warnings)]:
        logger.removeHandler(handler)
    kept = _Warnings()
    logger.addHandler(kept)
    return kept


def _terminate(number: int, frame: object) -> None:
    raise SystemExit(_TERMINATING[number])  # unwinds the stack, so that no half-written output stays
