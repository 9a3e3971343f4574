"""The parser of the table of commands: grouped help, examples, and suggestions for unknown names."""

import argparse
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

import shtab

from orthrus.cli.command import Argument, Command, OneOf
from orthrus.errors import InputError, did_you_mean

EXIT_CODES = """exit status:
  0    done
  1    a bug of the program, with a traceback: please report it
  2    input that cannot be used; one line states what is expected
  75   stopped by SIGUSR1 (fit saves first): queue the command again
  129  ended by SIGHUP
  130  interrupted
  143  ended by SIGTERM"""

_JSON = Argument(
    ("--json",), {"action": "store_true", "help": "print one JSON object on stdout: outputs, figures, warnings"}
)


class _Parser(argparse.ArgumentParser):
    """Raises InputError instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see `{self.prog} --help`")


class _MainParser(_Parser):
    """The main parser, whose help lists the commands by group."""

    commands: Sequence[Command] = ()

    def format_help(self) -> str:
        lines = [self.format_usage().rstrip(), "", str(self.description)]
        for group in dict.fromkeys(command.group for command in self.commands):
            lines += ["", f"{group}:"]
            lines += [f"  {each.name:<12} {each.help}" for each in self.commands if each.group == group]
        lines += [
            "", "options:", "  -h, --help   this help, or that of a command: orthrus COMMAND --help",
            "  --version    the version", "  --json       of every command: one JSON object on stdout", "", EXIT_CODES,
        ]  # fmt: skip
        return "\n".join(lines) + "\n"


def build_parser(commands: Sequence[Command], version: str) -> argparse.ArgumentParser:
    """The parser of all ``commands``."""
    parser = _MainParser(
        prog="orthrus", usage="orthrus COMMAND [OPTION ...]",
        description="Representation learning for mature mRNA, from annotation to answers about transcripts.",
    )  # fmt: skip
    parser.commands = commands
    parser.add_argument("--version", action="version", version=version)
    subparsers = parser.add_subparsers(prog="orthrus", metavar="COMMAND", required=True, parser_class=_Parser)
    for command in commands:
        sub = subparsers.add_parser(
            command.name, help=command.help, description=command.help, epilog=describe_examples(command),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        sub.set_defaults(command=command)
        for part in (*command.arguments, _JSON):
            if isinstance(part, OneOf):
                group = sub.add_mutually_exclusive_group(required=True)
                for each in part.arguments:
                    _add(group, each)
            else:
                _add(sub, part)
    return parser


def with_nearest_option(command: Command, message: str) -> str:
    """LightningCLI's ``message`` about an unknown option, with the nearest one of those that are changed most often."""
    unknown = re.search(r"(?i)unrecognized arguments: (--[\w.]+)", message)
    known = [flag for each in _flat(command) for flag in each.flags]
    return message.replace("; see", f"{did_you_mean(unknown[1], known)}; see") if unknown else message


def describe_examples(command: Command) -> str:
    """The examples of a command, for the end of its help."""
    lines = ["examples:", *(f"  {example}" for example in command.examples)]
    if command.lightning:
        lines += ["", "All settings: --help-all; all of a recipe with their values: --config RECIPE --print_config."]
    return "\n".join(lines)


def check_names(commands: Sequence[Command], args: Sequence[str]) -> None:
    """Raise InputError, with a suggestion, for an unknown command or an unknown long option of a command."""
    if not args or args[0].startswith("-"):
        return
    by_name = {command.name: command for command in commands}
    if args[0] not in by_name:
        raise InputError(f"no command {args[0]!r}{did_you_mean(args[0], by_name)}; `orthrus --help` lists the commands")
    command = by_name[args[0]]
    if command.lightning:
        return
    known = ["--help", *(flag for each in _flat(command) for flag in each.flags if flag.startswith("--"))]
    for arg in args[1:]:
        name = arg.split("=")[0]
        if name.startswith("--") and len(name) > 2 and not any(flag.startswith(name) for flag in known):
            raise InputError(
                f"{command.name} has no option {name}{did_you_mean(name, known)}; see `orthrus {command.name} --help`"
            )


def _flat(command: Command) -> Iterator[Argument]:
    for part in (*command.arguments, _JSON):
        yield from part.arguments if isinstance(part, OneOf) else (part,)


def _add(parser: argparse._ActionsContainer, each: Argument) -> None:
    action = parser.add_argument(*each.flags, **each.options)
    if each.options.get("type") is Path:
        action.complete = shtab.FILE  # type: ignore[attr-defined]
