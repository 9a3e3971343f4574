"""Commands that train, through LightningCLI, which parses their arguments."""

import argparse
import logging
import warnings
from pathlib import Path

from orthrus.cli.command import Command, Result, argument
from orthrus.errors import InputError


def _dashboard(options: argparse.Namespace) -> Result:
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
        return Result(figures={"url": definition.url}, shown=[f"dashboard: {definition.url}"])
    output = options.output or Path(f"{options.project}.json")
    write_definition(definition, output)
    return Result(
        [output],
        shown=[
            f"definition of the dashboard: {output}. To make it on W&B, run `wandb login`, then this command again."
        ],
    )


def _fit(options: argparse.Namespace) -> Result:
    from orthrus.training.cli import run

    _quiet()
    trainer = run(options.args)
    root = Path(trainer.default_root_dir)
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    fitted = options.args[0] == "fit"
    return Result([root] if fitted else [], {"steps": trainer.global_step, "metrics": metrics})


def _finetune(options: argparse.Namespace) -> Result:
    from orthrus.finetune.cli import run

    _quiet()
    root = run(options.args[1:])
    return Result([root], {"result": str(root / "result" / "metrics.json")})


def _quiet() -> None:
    """Silence the messages of Lightning that users cannot act on."""
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # inside Lightning
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
    warnings.filterwarnings("ignore", message=r"[\s\S]*deprecated in v4.49.0")  # Lightning's use of jsonargparse
    warnings.filterwarnings("ignore", message=r"[\s\S]*JsonargparseDeprecationWarning per type")
    warnings.filterwarnings(
        "ignore", message=".*sync_dist=True"
    )  # the values we log without sync are equal on all ranks
    warnings.filterwarnings("ignore", message=".*`srun` command is available")  # a laptop may have Slurm's client
    warnings.filterwarnings("ignore", message=r"Found \d+ module\(s\) in eval mode")  # a frozen encoder
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(lambda line: "Tip:" not in line.getMessage())


_GROUP = "Training"
_ROOT = argument(
    "--trainer.default_root_dir", metavar="RUN", help="folder of the run: configuration, curves, checkpoints"
)
_DEVICES = argument("--trainer.devices", metavar="N", help="GPUs of each node, or processes on CPUs")
_PRINT = argument("--print_config", action="store_true", help="print the whole recipe with your changes and exit")
_RECIPE = argument("--config", metavar="RECIPE", help="YAML, or the name of a shipped recipe (`orthrus recipes`)")
_RATE = argument("--model.learning_rate", metavar="RATE", help="peak of the schedule")
_FIT = (
    _RECIPE,
    argument("--data.store", metavar="STORE", help="folder that `orthrus prepare` made"),
    _ROOT,
    argument("--resume", choices=("auto",), help="continue the run in that folder, or begin it"),
    argument("--trainer.max_steps", metavar="N", help="optimiser steps"),
    argument("--data.token_budget", metavar="NT", help="padded nt of a batch on each device; lower for less memory"),
    _RATE,
    argument("--model.encoder.init_args.d_model", metavar="D", help="width of the encoder"),
    argument("--model.encoder.init_args.n_layers", metavar="N", help="layers of the encoder"),
    _DEVICES,
    argument("--trainer.num_nodes", metavar="N", help="nodes, one process a GPU on each (docs/operations.md)"),
    argument(
        "--trainer.logger", metavar="CLASS", help="orthrus.training.wandb_run.WandbRun logs to Weights & Biases too"
    ),
    _PRINT,
)  # fmt: skip

COMMANDS = (
    Command(
        "fit", _GROUP, "Pretrain an encoder (a LightningCLI).", _fit, _FIT,
        examples=(
            "orthrus fit --config fit/demo",
            "orthrus fit --config fit/demo --model.encoder.init_args.d_model 128 --trainer.default_root_dir runs/wider",
            "orthrus fit --config runs/demo/config.yaml --resume auto",
        ),
        lightning=True,
    ),
    Command(
        "validate", _GROUP, "Evaluate a checkpoint on the validation families (a LightningCLI).", _fit,
        (_RECIPE, argument("--ckpt_path", metavar="FILE", help="the checkpoint"), _DEVICES, _PRINT),
        examples=("orthrus validate --config fit/demo --ckpt_path runs/demo/checkpoints/last.ckpt",),
        lightning=True,
    ),
    Command(
        "finetune", _GROUP, "Fine-tune an encoder or a baseline on the task of a probe, and compare (a LightningCLI).",
        _finetune,
        (
            _RECIPE,
            argument("--data.task", metavar="TASK", help="as for `orthrus probe --task`"),
            argument("--data.store", metavar="STORE", help="store with the labelled transcripts"),
            argument("--data.n_splits", metavar="N", help="use the first N splits of the task"),
            argument("--model.checkpoint", metavar="MODEL", help="the encoder to start from"),
            argument("--model.freeze", metavar="true|false", help="train only the head"),
            _RATE,
            _ROOT,
            argument("--patience", metavar="N", help="stop after N epochs without a better validation loss"),
            _PRINT,
        ),
        examples=(
            "orthrus finetune --config finetune/demo_localization",
            "orthrus finetune --config finetune/demo_localization --model.checkpoint my_model",
        ),
        lightning=True,
    ),
    Command(
        "dashboard", _GROUP, "Group the curves of a W&B project, or write the definition to a file.", _dashboard,
        (
            argument("--project", default="orthrus", help="W&B project (default: %(default)s)"),
            argument("--entity", help="W&B user or team; needed with a login"),
            argument(
                "--output", type=Path, metavar="FILE.json",
                help="write the definition here (default without a login: PROJECT.json)",
            ),
        ),
        ("orthrus dashboard --output dashboard.json",),
    ),
)  # fmt: skip
