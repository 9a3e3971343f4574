"""`orthrus fit` and `orthrus validate`: LightningCLI with a run folder.

A run folder is ``trainer.default_root_dir``: ``config.yaml``, ``metrics/version_K/metrics.csv`` (K counts resumptions),
``checkpoints/``. Everything else is as LightningCLI's users know it.
"""

import os
from argparse import ArgumentError
from pathlib import Path

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback

from orthrus.errors import InputError
from orthrus.loading import PairDataModule
from orthrus.training.module import Pretraining
from orthrus.training.progress import StepProgressBar
from orthrus.training.throughput import Throughput

_COMMANDS = ("fit", "validate", "test", "predict")
_CSV_LOGGER = "lightning.pytorch.loggers.CSVLogger"
_WANDB_LOGGER = "lightning.pytorch.loggers.WandbLogger"


class RunConfig(SaveConfigCallback):
    """Writes ``config.yaml`` into the run folder; refuses a folder that already holds another run."""

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Before anything of the run is written."""
        if stage != "fit" or not trainer.is_global_zero:
            return
        path = Path(trainer.default_root_dir) / self.config_filename
        resuming = self.config.get("ckpt_path") is not None
        if path.exists() and not resuming:
            raise InputError(
                f"{path.parent} already holds a run; choose another --trainer.default_root_dir, or go on with it by"
                f" --ckpt_path {path.parent / 'checkpoints' / 'last.ckpt'}"
            )
        path.parent.mkdir(parents=True, exist_ok=True)
        self.parser.save(self.config, str(path), skip_none=False, overwrite=True)


class OrthrusCLI(LightningCLI):
    """LightningCLI whose runs keep their configuration, metrics and checkpoints in one folder."""

    def __init__(self, args: list[str]) -> None:
        super().__init__(
            Pretraining,
            PairDataModule,
            save_config_callback=RunConfig,
            trainer_defaults={
                "default_root_dir": "runs/pretrain",
                "use_distributed_sampler": False,  # our plans are made for each rank
                "check_val_every_n_epoch": None,  # epochs have no end: validation goes by steps
                "gradient_clip_val": 1.0,
                "log_every_n_steps": 10,
                "enable_model_summary": False,
            },
            seed_everything_default=0,
            auto_configure_optimizers=False,
            parser_kwargs={
                "prog": "orthrus",
                "exit_on_error": False,
                **{c: {"exit_on_error": False} for c in _COMMANDS},
            },
            args=args,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Checkpoints and throughput belong to every run."""
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.set_defaults(
            {
                "checkpoint.filename": "best",
                "checkpoint.monitor": "val/loss",
                "checkpoint.save_last": True,
                "checkpoint.enable_version_counter": False,
            }
        )
        parser.link_arguments(
            "trainer.default_root_dir", "checkpoint.dirpath", compute_fn=lambda root: str(Path(root) / "checkpoints")
        )
        parser.add_lightning_class_args(Throughput, "throughput")
        parser.add_lightning_class_args(StepProgressBar, "progress")

    def before_instantiate_classes(self) -> None:
        """Log to CSV always; keep W&B offline without a login; bf16 where a GPU has it."""
        trainer = self.config[self.subcommand].trainer
        loggers = trainer.logger if isinstance(trainer.logger, list) else [trainer.logger] if trainer.logger else []
        loggers = [logger for logger in loggers if not isinstance(logger, bool)]
        if any(logger.class_path == _WANDB_LOGGER for logger in loggers):
            _wandb_offline_without_login()
        csv = {"class_path": _CSV_LOGGER, "init_args": {"save_dir": trainer.default_root_dir, "name": "metrics"}}
        trainer.logger = [csv, *loggers] if self.subcommand == "fit" else False
        if trainer.precision is None:
            has_bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
            trainer.precision = "bf16-mixed" if has_bf16 else "32-true"

    def before_fit(self) -> None:
        """Validate the untrained encoder, so that every curve starts where training does."""
        if self.config.fit.ckpt_path is None:
            self.trainer.validate(self.model, self.datamodule, verbose=False)


def _wandb_offline_without_login() -> None:
    import wandb

    if "WANDB_MODE" not in os.environ and not wandb.api.api_key:
        os.environ["WANDB_MODE"] = "offline"


def run(args: list[str]) -> None:
    """Parse ``args`` (``fit ...`` or ``validate ...``) and run; raises InputError for unusable input."""
    try:
        OrthrusCLI(args)
    except ArgumentError as error:
        raise InputError(f"{error}; see `orthrus {args[0]} --help`") from None
