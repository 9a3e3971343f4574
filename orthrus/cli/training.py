"""Commands that train, through LightningCLI, which parses their arguments itself."""

import argparse
import logging
import warnings
from pathlib import Path

from orthrus.cli.commands import AddCommand
from orthrus.errors import InputError

LIGHTNING_COMMANDS = ("fit", "validate", "finetune")


def add_commands(command: AddCommand) -> None:
    command("fit", None, "Pretrain an encoder (LightningCLI: --config, --print_config, --help, any override).")
    command("validate", None, "Evaluate a checkpoint on the validation families (LightningCLI).")
    command("finetune", None, "Train an encoder or a baseline on a probe's task, beside its probes (LightningCLI).")
    dashboard = command("dashboard", _dashboard, "Group a W&B project's curves, or write how to a file.")
    dashboard.add_argument("--project", default="orthrus", help="of W&B (default: %(default)s)")
    dashboard.add_argument("--entity", help="user or team of W&B; needed with a login")
    dashboard.add_argument(
        "--output",
        type=Path,
        metavar="FILE.json",
        help="write the definition here (default without a login: PROJECT.json)",
    )


def _dashboard(options: argparse.Namespace) -> None:
    try:
        from orthrus.training.dashboard import workspace, write_definition
    except ModuleNotFoundError:
        raise InputError("the dashboard needs wandb-workspaces: pip install wandb-workspaces") from None
    import wandb

    definition = workspace(options.project, options.entity or "")
    if options.output is None and wandb.login(prompt=False):
        if not options.entity:
            raise InputError("give the user or team that has the project: --entity NAME")
        definition.save()
        print(f"dashboard: {definition.url}")
        return
    output = options.output or Path(f"{options.project}.json")
    write_definition(definition, output)
    print(f"dashboard's definition: {output}. `wandb login`, then this command again, makes it on W&B.")


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
