"""`orthrus finetune`: LightningCLI over the splits of a task, and the scores of all splits in a probe's format.

The run's folder (``trainer.default_root_dir``) holds ``config.yaml``, a folder ``split_N`` for each split, with its
checkpoints, metrics, ``predictions.parquet`` and fine-tuned ``encoder``, and at the end ``result``: the probe's
``metrics.json``, ``scores.csv`` and ``bars.png``. The same command continues an interrupted run.
"""

import logging
import math
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import torch
from lightning import Callback, LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from orthrus.errors import InputError
from orthrus.finetune.data import LabelledDataModule
from orthrus.finetune.lora import merge
from orthrus.finetune.module import FineTuning
from orthrus.finetune.result import predictions_table, write_finetuning
from orthrus.nn.checkpoints import save_encoder
from orthrus.nn.encoder import MambaEncoder
from orthrus.nn.integrity import archive_fault
from orthrus.output import hold, write_table, write_text
from orthrus.recipes import with_recipe_paths
from orthrus.training.callbacks.freed_memory import FreedMemory
from orthrus.training.checkpoint_files import AtomicCheckpointIO
from orthrus.training.metrics_file import MetricsFile
from orthrus.training.options import BOUNDS, MORE_THAN_0, check_bounds, check_trainer, refusals
from orthrus.training.stop import ready_to_leave

_PARSER: dict[str, Any] = {"exit_on_error": False, "allow_abbrev": False, "prog": "orthrus finetune"}
_CONFIG_FILE = "config.yaml"
_BOUNDS = {
    **BOUNDS,
    "trainer.max_epochs": (1, math.inf),
    "trainer.limit_train_batches": (MORE_THAN_0, math.inf),
    "trainer.limit_val_batches": (MORE_THAN_0, math.inf),
    "patience": (0, math.inf),
}

_log = logging.getLogger(__name__)


class FineTuneCLI(LightningCLI):
    """Parses the recipe once; :meth:`train_split` builds its objects for each split."""

    def __init__(self, args: list[str]) -> None:
        super().__init__(
            FineTuning,
            LabelledDataModule,
            run=False,
            save_config_callback=None,
            seed_everything_default=0,
            auto_configure_optimizers=False,
            trainer_defaults={
                "default_root_dir": "runs/finetune",
                "devices": 1,  # a task has few labels, and the splits are independent runs
                "max_epochs": 20,
                "num_sanity_val_steps": 0,
                "gradient_clip_val": 1.0,
                "enable_model_summary": False,
                "log_every_n_steps": 1,
            },
            parser_kwargs=_PARSER,
            args=args,
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the patience of early stopping on validation, in epochs, to every run."""
        parser.add_argument("--patience", type=int, default=5, help="epochs without a better validation loss")

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse; raises InputError for a number that Lightning would fail on, or misread, later."""
        super().parse_arguments(parser, args)
        check_bounds(self.config, _BOUNDS)
        check_trainer(self.config.trainer)
        trainer = self.config.trainer
        if trainer.max_steps != -1 or trainer.fast_dev_run:
            raise InputError(
                "a fine-tuning is measured in epochs, by their validation: take trainer.max_epochs and"
                " trainer.limit_train_batches in place of trainer.max_steps and trainer.fast_dev_run"
            )
        if max(int(n) for n in (str(trainer.devices), str(trainer.num_nodes)) if n.isdigit()) > 1:
            raise InputError(
                f"trainer.devices is {trainer.devices} and trainer.num_nodes {trainer.num_nodes}; expected 1 of each,"
                " since every split is a run of one process"
            )

    def instantiate_classes(self) -> None:
        """Build nothing yet: each split has a model and a trainer of its own."""

    @property
    def root(self) -> Path:
        """The folder of the run."""
        return Path(self.config.trainer.default_root_dir)

    @property
    def text(self) -> str:
        """The configuration as YAML."""
        text: str = self.parser.dump(self.config, skip_none=False)
        return text

    def build(self, split: int) -> Any:
        """The data, the model and the trainer's settings for one split; raises InputError for unusable input."""
        config = deepcopy(self.config)
        config.data.split = split
        with refusals("finetune"):
            return self.parser.instantiate_classes(config)

    def train_split(self, number: int) -> None:
        """Train on one split, unless it is done, and write its predictions and its encoder."""
        folder = self.root / f"split_{number}"
        if (folder / "predictions.parquet").exists():
            return
        seed_everything(int(self.config.seed_everything) + number, workers=True, verbose=False)
        built = self.build(number)
        data: LabelledDataModule = built.data
        model: FineTuning = built.model
        best = ModelCheckpoint(
            folder / "checkpoints", "best", "val/loss", save_last=True, enable_version_counter=False,
            save_on_train_epoch_end=True,
        )  # fmt: skip
        files = AtomicCheckpointIO()
        with refusals("finetune"):
            trainer = Trainer(
                **{
                    **dict(built.trainer),
                    "default_root_dir": folder,
                    "reload_dataloaders_every_n_epochs": 1,  # the batches differ by epoch
                    "callbacks": [
                        *(built.trainer.callbacks or []),
                        EarlyStopping("val/loss", patience=self.config.patience),
                        best,
                        _KeepConfig(self),
                        FreedMemory(),
                    ],
                    "logger": [MetricsFile(folder), *_loggers(built.trainer.logger)],
                    "plugins": [*_plugins(built.trainer.plugins), files],
                }
            )
        last = _whole(folder / "checkpoints" / "last.ckpt")
        trainer.fit(model, datamodule=data, ckpt_path=last)
        if files.failure is not None:
            raise InputError(f"no checkpoint can be written to {folder} ({files.failure}); make room and go on")
        if best.best_model_score is None or not best.best_model_score.isfinite():
            raise _diverged(number, "validation losses")
        if _whole(Path(best.best_model_path)) is None:
            raise InputError(f"{best.best_model_path} was damaged while it was made; remove {folder} and go on")
        state = torch.load(best.best_model_path, map_location="cpu", weights_only=True)["state_dict"]
        model.load_state_dict(state)
        predicted = trainer.predict(model, datamodule=data)
        if not all(bool(scores_BT.isfinite().all()) for _, scores_BT in cast(Any, predicted)):
            raise _diverged(number, "predictions")
        if isinstance(model.network, MambaEncoder) and not (folder / "encoder").exists():
            merge(model.network)
            save_encoder(model.network, folder / "encoder", source=f"fine-tuned on {data.spec.name}")
        table = predictions_table(cast(Any, predicted), data, model.width, float(best.best_model_score))
        write_table(table, folder / "predictions.parquet")


class _KeepConfig(Callback):
    """Writes the configuration once training begins, so that a run that is refused leaves nothing."""

    def __init__(self, cli: FineTuneCLI) -> None:
        self._cli = cli

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write it."""
        write_text(self._cli.text, self._cli.root / _CONFIG_FILE)


def _diverged(split: int, what: str) -> InputError:
    return InputError(
        f"split {split}: {what} are not finite, since training diverged; lower model.learning_rate, and begin anew in"
        " another --trainer.default_root_dir"
    )


def _whole(checkpoint: Path) -> str | None:
    """The path of a checkpoint; None if it is missing, or damaged, with a message."""
    if not checkpoint.exists():
        return None
    fault = archive_fault(checkpoint)
    if fault is not None:
        _log.warning("%s is no whole checkpoint (%s); this split begins anew", checkpoint, fault)
    return None if fault else str(checkpoint)


def _plugins(given: Any) -> list[Any]:
    return [] if given is None else list(given) if isinstance(given, Sequence) else [given]


def _loggers(given: Any) -> list[Any]:
    """Loggers besides ours, such as W&B's."""
    if given is None or isinstance(given, bool):
        return []
    return list(given) if isinstance(given, Sequence) else [given]


def run(args: list[str]) -> Path:
    """Fine-tune as ``args`` say and return the run's folder; raises InputError for unusable input."""
    with refusals("finetune"):
        cli = FineTuneCLI(with_recipe_paths(args))
    message = f"; the same command goes on after the last whole epoch, in {cli.root}"
    with ready_to_leave(message), hold(cli.root, grows=True):
        _refuse_another_configuration(cli)
        data: LabelledDataModule = cli.build(0).data
        data.report_dropped()
        for number in range(len(data.rows.splits)):
            cli.train_split(number)
        write_finetuning(cli.root, data, cli.config.model.checkpoint)
    return cli.root


def _refuse_another_configuration(cli: FineTuneCLI) -> None:
    path = cli.root / _CONFIG_FILE
    if path.exists() and path.read_text(encoding="utf-8") != cli.text:
        raise InputError(
            f"{cli.root} holds a run of another configuration ({path}); choose another --trainer.default_root_dir, or"
            " repeat that run's command to go on with it"
        )
