"""`orthrus fit` and `orthrus validate`: LightningCLI with a run folder.

A run folder is ``trainer.default_root_dir``: ``config.yaml``, ``metrics/version_K/metrics.csv`` (K counts resumptions),
``checkpoints/``. ``--resume auto`` continues the run in it. Everything else is as in LightningCLI.
"""

from argparse import ArgumentError
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from jsonargparse import Namespace
from lightning import LightningModule, Trainer
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from lightning_utilities.core.rank_zero import rank_zero_only

from orthrus.errors import InputError
from orthrus.loading.datamodule import PairDataModule
from orthrus.loading.lightning_internals import is_trial
from orthrus.nn.checkpoints import checkpoint_entry, load_encoder
from orthrus.nn.products import warn_of_slow_bf16
from orthrus.output import hold, remove_leftovers
from orthrus.recipes import with_recipe_paths
from orthrus.training.callbacks.checkpoints import Checkpoints
from orthrus.training.callbacks.collapse import CollapseMonitor
from orthrus.training.callbacks.freed_memory import FreedMemory
from orthrus.training.callbacks.gradients import Gradients
from orthrus.training.callbacks.presence import Presence
from orthrus.training.callbacks.random_states import RandomStates
from orthrus.training.callbacks.throughput import Throughput
from orthrus.training.checkpoint_files import newest_valid
from orthrus.training.module import Pretraining
from orthrus.training.options import BOUNDS, check_bounds, check_interval, check_trainer, refusals
from orthrus.training.provenance import compare_ranks, describe_store
from orthrus.training.recipe import KEY as RECIPE_KEY
from orthrus.training.recipe import keep_recipe, refuse_or_report_changes
from orthrus.training.stop import ready_to_leave

_PARSER: dict[str, Any] = {"exit_on_error": False, "allow_abbrev": False}
_COMMANDS = ("fit", "validate", "test", "predict")
_METRICS_FILE = "orthrus.training.metrics_file.MetricsFile"
_WANDB = "orthrus.training.wandb_run.WandbRun"
_WANDB_MEDIA = "orthrus.training.callbacks.wandb_media.WandbMedia"
_CHECKPOINT_IO = "orthrus.training.checkpoint_files.AtomicCheckpointIO"
_SLURM = "lightning.pytorch.plugins.environments.SLURMEnvironment"
_PROGRESS_BAR = "orthrus.training.callbacks.progress.StepProgressBar"


class RunConfig(SaveConfigCallback):
    """Writes ``config.yaml`` into the run folder, if all ranks of the run have the same recipe."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Compare the ranks' recipes. Write nothing yet, so that a run that is still refused leaves no files."""
        compare_ranks(
            trainer,
            self._values | {"store": describe_store(self.config.data.store), "ckpt_path": self.config.ckpt_path},
        )

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write and log the recipe, now that all checks have passed."""
        if trainer.is_global_zero and not is_trial(trainer):
            keep_recipe(self._text, Path(trainer.default_root_dir, self.config_filename), trainer.global_step)
            for logger in trainer.loggers[1:]:  # the first, metrics.csv, has config.yaml beside it
                logger.log_hyperparams(self._values | {"store": describe_store(self.config.data.store)})

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Store the recipe in the checkpoint."""
        checkpoint[RECIPE_KEY] = self._values

    @cached_property
    def _text(self) -> str:
        return recipe_text(self.parser, self.config)

    @cached_property
    def _values(self) -> dict[str, Any]:
        """The recipe as plain values."""
        values: dict[str, Any] = yaml.safe_load(self._text)
        return values


class OrthrusCLI(LightningCLI):
    """LightningCLI whose runs keep their configuration, metrics and checkpoints in one folder."""

    def __init__(self, args: list[str], held: ExitStack) -> None:
        self._held = held
        super().__init__(
            Pretraining,
            PairDataModule,
            save_config_callback=RunConfig,
            trainer_defaults={
                "default_root_dir": "runs/pretrain",
                "use_distributed_sampler": False,  # our plans are made for each rank
                "check_val_every_n_epoch": None,  # epochs have no end: validation is by step
                "gradient_clip_val": 1.0,
                "log_every_n_steps": 10,
                "enable_model_summary": False,
                "num_sanity_val_steps": 0,  # the whole validation set is run before the first step
            },
            seed_everything_default=0,
            auto_configure_optimizers=False,
            parser_kwargs={"prog": "orthrus", **_PARSER, **dict.fromkeys(_COMMANDS, _PARSER)},
            args=args,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of every run."""
        parser.add_argument(
            "--resume",
            type=Literal["auto"] | None,
            default=None,
            help="auto: go on from the newest whole checkpoint of the run folder; where there is none, begin (at"
            " --ckpt_path, if given)",
        )
        parser.add_lightning_class_args(Checkpoints, "checkpoint")
        parser.link_arguments(
            "trainer.default_root_dir", "checkpoint.dirpath", compute_fn=lambda root: str(Path(root) / "checkpoints")
        )
        parser.add_lightning_class_args(RandomStates, "random_states")
        parser.add_lightning_class_args(Throughput, "throughput")
        parser.add_lightning_class_args(FreedMemory, "freed_memory")
        parser.add_lightning_class_args(Gradients, "gradients")
        parser.link_arguments("trainer.default_root_dir", "gradients.run_folder")
        parser.add_lightning_class_args(Presence, "presence")
        parser.link_arguments("trainer.default_root_dir", "presence.run_folder")
        parser.add_lightning_class_args(CollapseMonitor, "collapse")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse; raises InputError for a number that Lightning would fail on, or misread, later."""
        super().parse_arguments(parser, args)
        options = self.config[self.config.subcommand]
        check_bounds(options, BOUNDS)
        check_trainer(options.trainer)
        check_interval(options.trainer)

    def instantiate_classes(self) -> None:
        """Build the objects of the recipe; raises InputError if Lightning refuses one."""
        with refusals(self.subcommand or "fit"):
            super().instantiate_classes()

    def before_instantiate_classes(self) -> None:
        """Find the checkpoint to resume; log to CSV; use bf16 on a GPU that has it."""
        options = self.config[self.subcommand]
        trainer = options.trainer
        if self.subcommand == "fit" and getattr(rank_zero_only, "rank", 0) == 0:
            self._held.enter_context(hold(Path(trainer.default_root_dir), grows=True))
            remove_leftovers(Path(options.checkpoint.dirpath))
        if options.resume == "auto":
            options.ckpt_path = _newest(options.checkpoint.dirpath) or options.ckpt_path
        elif self.subcommand == "fit" and getattr(rank_zero_only, "rank", 0) == 0:
            _refuse_another_run(Path(trainer.default_root_dir), options.ckpt_path)
        trainer.plugins = _plugins(trainer.plugins)
        loggers = [logger for logger in _without(_METRICS_FILE, trainer.logger) if not isinstance(logger, bool)]
        for logger in loggers:
            if logger.class_path == _WANDB:
                logger.init_args.run_folder = logger.init_args.run_folder or trainer.default_root_dir
        trainer.logger = [_component(_METRICS_FILE, save_dir=trainer.default_root_dir), *loggers]
        if self.subcommand != "fit":
            trainer.logger = False
        trainer.callbacks = _without(_WANDB_MEDIA, _without(_PROGRESS_BAR, trainer.callbacks))
        if self.subcommand == "fit" and any(logger.class_path == _WANDB for logger in loggers):
            trainer.callbacks.append(_component(_WANDB_MEDIA, store=options.data.store))
        if trainer.enable_progress_bar is not False:
            trainer.callbacks.append(_component(_PROGRESS_BAR))
        if trainer.precision is None:
            has_bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
            trainer.precision = "bf16-mixed" if has_bf16 else "32-true"

    def before_fit(self) -> None:
        """Validate the untrained encoder, so that every curve begins at the start of training."""
        self.model.trainer = self.trainer
        if str(self.trainer.precision).startswith("bf16"):
            warn_of_slow_bf16(self.trainer.strategy.root_device)
        checkpoint = self.config.fit.ckpt_path
        if checkpoint is not None:
            _refuse_another_shape(Path(checkpoint), self.model.encoder.config)
            before = checkpoint_entry(checkpoint, RECIPE_KEY)
            if before is not None:
                now = yaml.safe_load(recipe_text(self._parser(self.subcommand), self.config.fit))
                refuse_or_report_changes(before, now, Path(checkpoint))
        elif self.model.total_steps:
            self.trainer.validate(self.model, self.datamodule, verbose=False)

    def after_fit(self) -> None:
        """Print where the results are."""
        if self.trainer.is_global_zero:
            last = Path(self.trainer.default_root_dir, "checkpoints", "last.ckpt")
            where = "nothing is kept of a fast_dev_run" if is_trial(self.trainer) else last
            print(f"trained {self.trainer.global_step:,} steps: {where}")


def recipe_text(parser: Any, config: Namespace) -> str:
    """A recipe as YAML, without the options of resumption, which are not part of it."""
    recipe = config.clone()
    recipe.resume = recipe.ckpt_path = None
    text: str = parser.dump(recipe, skip_none=False)
    return text


def _newest(folder: str) -> str | None:
    newest = newest_valid(Path(folder))
    return None if newest is None else str(newest)


def _refuse_another_run(folder: Path, checkpoint: str | None) -> None:
    if checkpoint is None and (folder / "config.yaml").exists():
        raise InputError(
            f"{folder} already holds a run; choose another --trainer.default_root_dir, or go on with it by"
            " --resume auto"
        )


def _refuse_another_shape(checkpoint: Path, config: dict[str, Any]) -> None:
    found = load_encoder(checkpoint).config
    differing = [name for name in config if found.get(name) != config[name]]
    if differing:
        theirs, ours = (", ".join(f"{name} {shape.get(name)}" for name in differing) for shape in (found, config))
        raise InputError(
            f"{checkpoint} holds an encoder of {theirs}; this recipe has {ours}: go on with the recipe that the run"
            " began with (config.yaml in its folder)"
        )


def _without(class_path: str, given: Any) -> list[Any]:
    """Loggers or callbacks as a list, without those that this module adds, which a run's config.yaml also has."""
    components = given if isinstance(given, list) else [] if given is None else [given]
    name = class_path.rsplit(".", 1)[-1]
    return [each for each in components if getattr(each, "class_path", "").rsplit(".", 1)[-1] != name]


def _plugins(given: Any) -> list[Any]:
    """The recipe's plugins and ours. Under Slurm the batch script requeues the run (slurm/pretrain.sbatch)."""
    plugins = [*_without(_SLURM, _without(_CHECKPOINT_IO, given)), _component(_CHECKPOINT_IO)]
    return [*plugins, _component(_SLURM, auto_requeue=False)] if SLURMEnvironment.detect() else plugins


def _component(class_path: str, **init_args: Any) -> Any:
    namespace: Any = Namespace  # its signature is not annotated
    return namespace(class_path=class_path, init_args=namespace(**init_args))


def run(args: list[str]) -> Trainer:
    """Parse ``args`` (``fit ...`` or ``validate ...``) and run; returns the trainer.

    Raises InputError for unusable input.
    """
    try:
        with ready_to_leave(), ExitStack() as held:
            trainer: Trainer = OrthrusCLI(with_recipe_paths(args), held).trainer
        return trainer
    except ArgumentError as error:
        raise InputError(f"{' '.join(str(error).split())}; see `orthrus {args[0]} --help`") from None
