"""Commands that train, through LightningCLI, which parses their arguments itself."""

import logging
import warnings

from orthrus.cli.commands import AddCommand

LIGHTNING_COMMANDS = ("fit", "validate", "finetune")


def add_commands(command: AddCommand) -> None:
    command("fit", None, "Pretrain an encoder (LightningCLI: --config, --print_config, --help, any override).")
    command("validate", None, "Evaluate a checkpoint on the validation families (LightningCLI).")
    command("finetune", None, "Train an encoder or a baseline on a probe's task, beside its probes (LightningCLI).")


def run_lightning(args: list[str]) -> None:
    """Run one of :data:`LIGHTNING_COMMANDS`, ``args[0]``, with its arguments."""
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # inside Lightning, nothing to act on
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
    warnings.filterwarnings("ignore", message=r"[\s\S]*deprecated in v4.49.0")  # Lightning's use of jsonargparse
    warnings.filterwarnings("ignore", message=r"[\s\S]*JsonargparseDeprecationWarning per type")
    warnings.filterwarnings("ignore", message=".*sync_dist=True")  # what we log unsynced is equal on all ranks
    warnings.filterwarnings("ignore", message=".*`srun` command is available")  # a laptop may have Slurm's client
    warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")  # a frozen encoder
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(lambda line: "Tip:" not in line.getMessage())
    if args[0] == "finetune":
        from orthrus.finetune.cli import run as finetune

        finetune(args[1:])
        return
    from orthrus.training.cli import run

    run(args)
