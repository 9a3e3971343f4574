"""A contract with Lightning: what we touch of its inside is where we think, and does what we think."""

from typing import Any

import lightning
import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.loggers import Logger
from torch.utils.data import DataLoader

from orthrus.loading import lightning_internals as internals


class Line(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        self.log("loss", batch.mean() * self.weight.sum())
        return (batch * self.weight).sum()

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self.log("val", batch.mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Rows(Logger):
    name, version = "rows", 0

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, Any]] = []

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        self.rows.append({"step": step, **metrics})

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        pass


class Watch(lightning.Callback):
    def __init__(self) -> None:
        self.seen: list[tuple[int, bool, bool, bool, int]] = []
        self.logged: list[list[dict[str, Any]]] = []

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, *args: Any) -> None:
        self.seen.append(
            (
                trainer.global_step,
                internals.within_a_step(trainer),
                internals.is_logging_step(trainer),
                internals.validation_follows(trainer),
                internals.trained_batches(trainer),
            )
        )
        logger: Any = trainer.logger
        before = len(logger.rows)
        internals.log_step(trainer)
        self.logged.append(logger.rows[before:])


@pytest.fixture(scope="module")
def watched() -> tuple[Trainer, Watch]:
    watch = Watch()
    data = DataLoader(torch.arange(6.0)[:, None])
    trainer = Trainer(
        max_steps=3, accumulate_grad_batches=2, val_check_interval=4, log_every_n_steps=2, num_sanity_val_steps=0,
        callbacks=[watch], logger=Rows(), enable_progress_bar=False, enable_checkpointing=False, accelerator="cpu",
    )  # fmt: skip
    trainer.fit(Line(), data, data)
    return trainer, watch


def test_where_a_step_ends_is_logged_and_validated(watched: tuple[Trainer, Watch]) -> None:
    seen = watched[1].seen
    assert [step for step, *_ in seen] == [0, 1, 1, 2, 2, 3]
    assert [within for _, within, *_ in seen] == [True, False] * 3
    assert [step for step, within, logs, _, _ in watched[1].seen if logs and not within] == [2]
    assert [validates for *_, validates, _ in watched[1].seen] == [False, False, False, True, False, False]
    assert [batches for *_, batches in watched[1].seen] == [1, 2, 3, 4, 5, 6]


def test_a_trial_is_known(watched: tuple[Trainer, Watch]) -> None:
    assert not internals.is_trial(watched[0])
    assert internals.is_trial(Trainer(fast_dev_run=True, accelerator="cpu", barebones=False))


def test_a_step_can_be_logged_before_lightning_does(watched: tuple[Trainer, Watch]) -> None:
    trainer, watch = watched
    assert [len(rows) for rows in watch.logged] == [0, 0, 0, 1, 0, 0]
    (ours,) = watch.logged[3]
    logger: Any = trainer.logger
    assert [row for row in logger.rows if row["step"] == ours["step"] and "loss" in row] == [ours, ours]


def test_a_checkpoint_can_be_marked_as_of_a_validation_begun(watched: tuple[Trainer, Watch]) -> None:
    trainer, _ = watched
    checkpoint = {"loops": trainer._checkpoint_connector._get_loops_state_dict()}
    before = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["completed"]
    internals.mark_validation_begun(checkpoint)
    loop = checkpoint["loops"]["fit_loop"]
    assert loop["epoch_loop.batch_progress"]["total"]["completed"] == before + 1
    assert loop["epoch_loop.val_loop.batch_progress"]["total"].keys() == {"ready", "started", "processed", "completed"}
