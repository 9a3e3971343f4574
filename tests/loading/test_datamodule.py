"""The data module under a real trainer: what a run is given, interrupted, resumed and changed."""

from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningModule, Trainer
from torch import Tensor

from orthrus.errors import InputError
from orthrus.loading import DropTracks, Graft, MaskBases
from orthrus.loading.batch import PairBatch
from orthrus.loading.datamodule import PairDataModule
from orthrus.store import TranscriptStore
from orthrus.store.families import split_of


class Recorder(LightningModule):
    """Trains one number and remembers the batches."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.trained: list[PairBatch] = []

    def training_step(self, batch: PairBatch, batch_idx: int) -> Tensor:
        self.trained.append(batch)
        return self.weight.sum()

    def validation_step(self, batch: PairBatch, batch_idx: int) -> None:
        pass

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def run(
    store: TranscriptStore, checkpoint: Path | None = None, steps: int = 6, trainer: Any = None, **data: Any
) -> tuple[list[PairBatch], Trainer]:
    """The batches that a run of ``steps`` optimizer steps trains on."""
    settings: dict[str, Any] = {"token_budget": 4000, "val_fraction": 0.2, "annotation_fraction": 0.1}
    module = Recorder()
    lightning = Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        **{"limit_val_batches": 0} | (trainer or {}),
    )
    datamodule = PairDataModule(str(store.path), **settings | data)
    lightning.fit(module, datamodule, ckpt_path=checkpoint, weights_only=True if checkpoint else None)
    return module.trained, lightning


def same(one: list[PairBatch], other: list[PairBatch]) -> bool:
    return len(one) == len(other) and all(
        torch.equal(x, y) for a, b in zip(one, other, strict=True) for x, y in zip(a, b, strict=True)
    )


@pytest.mark.parametrize(
    ("trainer", "workers", "stop"),
    [
        ({}, (0, 0), 3),
        ({}, (0, 2), 3),
        ({}, (2, 0), 5),
        ({"accumulate_grad_batches": 3}, (0, 0), 2),
        ({"limit_train_batches": 4}, (0, 0), 3),  # an epoch of the trainer ends at 4
        ({"limit_train_batches": 4}, (0, 0), 4),
        ({"limit_val_batches": 1.0, "val_check_interval": 3}, (0, 0), 3),
    ],
)
def test_a_resumed_run_trains_on_the_batches_of_the_uninterrupted_one(
    stores: dict[str, TranscriptStore], tmp_path: Path, trainer: dict[str, Any], workers: tuple[int, int], stop: int
) -> None:
    store = stores["wide"]
    whole, _ = run(store, trainer=trainer)
    before, stopped = run(store, steps=stop, trainer=trainer, num_workers=workers[0])
    stopped.save_checkpoint(tmp_path / "run.ckpt")
    after, _ = run(store, tmp_path / "run.ckpt", trainer=trainer, num_workers=workers[1])
    assert same(before + after, whole)
    assert len({batch.codes_VL.numpy().tobytes() for batch in whole}) == len(whole)


@pytest.fixture
def interrupted(stores: dict[str, TranscriptStore], tmp_path: Path) -> Path:
    _, trainer = run(stores["wide"], steps=3)
    trainer.save_checkpoint(tmp_path / "run.ckpt")
    return tmp_path / "run.ckpt"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("wide", {"seed": 1}, r"seed was 0, is 1"),
        ("wide", {"token_budget": 5000}, r"token_budget was 4000, is 5000"),
        (
            "wide",
            {"augmentations": [MaskBases(0.2)]},
            r"augmentations was \['MaskBases\(fraction=0.3\)', .*, is \['Mask",
        ),
        ("wide", {"seed": 1, "val_fraction": 0.3}, r"seed was 0, is 1; val_fraction was 0.2, is 0.3"),
        ("like", {}, r"store was [0-9a-f]{16}, is [0-9a-f]{16}"),
    ],
)
def test_a_run_does_not_go_on_silently_with_other_batches(
    stores: dict[str, TranscriptStore], interrupted: Path, name: str, data: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message + r".*pass --data.accept_changes true to go on with the next epoch"):
        run(stores[name], interrupted, **data)
    trained, trainer = run(stores[name], interrupted, accept_changes=True, **data)
    assert len(trained) == 3
    assert trainer.datamodule.state_dict()["place"] == [1, 0, 3]  # type: ignore[attr-defined]


def test_another_number_of_devices_is_a_change(
    stores: dict[str, TranscriptStore], interrupted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightning.Trainer.world_size", 2)
    with pytest.raises(InputError, match="world_size was 1, is 2"):
        run(stores["wide"], interrupted)


def test_a_checkpoint_is_validated_on_any_store(stores: dict[str, TranscriptStore], interrupted: Path) -> None:
    trainer = Trainer(accelerator="cpu", logger=False, enable_progress_bar=False)
    datamodule = PairDataModule(str(stores["like"].path), token_budget=4000, val_fraction=0.5)
    trainer.validate(Recorder(), datamodule, ckpt_path=interrupted, weights_only=True)


def test_sides_are_split_by_family_and_bases_by_species(stores: dict[str, TranscriptStore]) -> None:
    store = stores["grafted"]
    datamodule = PairDataModule(str(store.path), 4000, base_species=["mouse"], val_fraction=0.4, test_fraction=0.3)
    datamodule.setup()
    sides = split_of(store.family_names, 0.4, 0.3)[store.family]
    for side, loader in (("val", datamodule.val_dataloader()), ("test", datamodule.test_dataloader())):
        plans = list(loader.sampler)
        for rows in ([plan.base_N for plan in plans], [plan.partner_N for plan in plans]):
            assert all((sides[i] == side).all() for i in rows)
        assert all(store.species_names[store.species[i]] == "mouse" for plan in plans for i in plan.base_N)


def test_training_alone_takes_single_views(stores: dict[str, TranscriptStore]) -> None:
    batches, _ = run(stores["wide"], views=1)
    assert all(len(batch.lengths_V) == len(batch.pair_kind_N) for batch in batches)
    datamodule = PairDataModule(str(stores["wide"].path), 4000, views=1, val_fraction=0.2)
    datamodule.setup()
    validation = next(iter(datamodule.val_dataloader()))
    assert len(validation.lengths_V) == 2 * len(validation.pair_kind_N)
    with pytest.raises(InputError, match=r"data\.views is 3; expected 1, or 2"):
        PairDataModule(str(stores["wide"].path), views=3)


def test_no_more_is_planned_for_validation_than_is_looked_at(stores: dict[str, TranscriptStore]) -> None:
    _, trainer = run(stores["wide"], steps=2, trainer={"limit_val_batches": 2, "val_check_interval": 1})
    assert len(trainer.datamodule.val_dataloader()) == 2  # type: ignore[attr-defined]


def test_augmentations_are_told_apart_by_their_settings(stores: dict[str, TranscriptStore]) -> None:
    datamodule = PairDataModule(
        str(stores["like"].path), rearrangements=[Graft(whole=0.1)], augmentations=[DropTracks(0.1, 0.2)]
    )
    datamodule.setup()
    assert datamodule.drawn_from()["rearrangements"] == ["Graft(coding=1.0, whole=0.1)"]
    assert datamodule.drawn_from()["augmentations"] == ["DropTracks(cds=0.1, splice=0.2)"]
