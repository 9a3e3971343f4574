"""The command that prints completion scripts for shells."""

import argparse

from orthrus.cli.command import Command, Result, argument


def _completion(options: argparse.Namespace) -> Result:
    import shtab

    from orthrus.cli.parser import build_parser
    from orthrus.cli.table import COMMANDS

    script = shtab.complete(build_parser(COMMANDS, ""), options.shell)
    return Result(figures={"script": script}, shown=[script])


COMMANDS = (
    Command(
        "completion", "Help", "Print a shell's completion script for orthrus.", _completion,
        (argument("shell", choices=("bash", "zsh", "tcsh"), help="the shell"),),
        (
            "orthrus completion bash > ~/.local/share/bash-completion/completions/orthrus",
            "orthrus completion zsh > ~/.zfunc/_orthrus",
        ),
    ),
)  # fmt: skip
