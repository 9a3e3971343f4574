"""All commands of ``orthrus``, in the order of the help."""

from orthrus.cli import agents, applications, data, effects, encoder, evaluation, probing, shell, studying, training
from orthrus.cli.command import Command

COMMANDS: tuple[Command, ...] = (
    *applications.COMMANDS,
    *effects.COMMANDS,
    *agents.COMMANDS,
    *encoder.COMMANDS,
    *data.COMMANDS,
    *training.COMMANDS,
    *probing.COMMANDS,
    *evaluation.COMMANDS,
    *studying.COMMANDS,
    *shell.COMMANDS,
)
