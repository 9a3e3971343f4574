from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from orthrus import InputError, TranscriptStore
from orthrus.finetune.data import LabelledDataModule, random_batches
from orthrus.genome.codes import CDS_BIT, in_published_frame
from orthrus.probe.labels import read_labels
from orthrus.probe.rows import choose_rows
from orthrus.probe.tasks import read_task
from orthrus.store import StoreBuilder

Task = Callable[[str, str], Path]


def test_batches_hold_every_row_of_a_side_once(store: TranscriptStore, task: Task) -> None:
    data = LabelledDataModule(str(task("value", "regression")), str(store.path), token_budget=500, n_splits=2, split=1)
    for side, loader in (
        (data.split.train, data.train_dataloader()),
        (data.split.validation, data.val_dataloader()),
        (data.split.test, data.test_dataloader()),
    ):
        batches = list(loader)
        rows = np.concatenate([batch.rows_B.numpy() for batch in batches])
        assert sorted(rows.tolist()) == side.tolist()
        assert len(batches) > 1
        for codes_BL, lengths_B, targets_BT, rows_B in batches:
            assert codes_BL.numel() <= 500
            for codes, length, target, row in zip(codes_BL, lengths_B, targets_BT, rows_B, strict=True):
                i = store.index_of(data.rows.transcript_ids[int(row)])
                np.testing.assert_array_equal(codes[: int(length)].numpy(), store.codes(i))
                assert target.item() == pytest.approx(data.target.values[int(row), 0], rel=1e-6)


def test_codons_are_in_the_frame_that_the_network_reads(store: TranscriptStore, task: Task, tmp_path: Path) -> None:
    """A CDS that begins within a codon: the annotated frame begins at its first whole codon, the published one at 0."""
    with StoreBuilder(tmp_path / "cut") as builder:
        for i, (start, end) in enumerate(store.cds.tolist()):
            codes = store.codes(i) & ~np.uint8(CDS_BIT)
            codes[start + 1 : end : 3] |= CDS_BIT
            names = {name: store.column(name)[i] for name in ("transcript_id", "gene_id", "gene_name", "species")}
            builder.add(codes, **names, biotype="protein_coding", cds=(start, end), source="test")
        builder.finish()
    cut = TranscriptStore.open(tmp_path / "cut")
    data = LabelledDataModule(str(task("value", "regression")), str(cut.path), n_splits=1)
    data.cds_frame = "published"
    for batch in data.train_dataloader():
        for codes, length, row in zip(batch.codes_BL, batch.lengths_B, batch.rows_B, strict=True):
            i = cut.index_of(data.rows.transcript_ids[int(row)])
            start, end = (int(bound) for bound in cut.cds[i])
            expected = in_published_frame(cut.codes(i), (start, end))
            assert (expected != cut.codes(i)).any()
            np.testing.assert_array_equal(codes[: int(length)].numpy(), expected)


def test_training_batches_follow_from_the_split_and_epoch(store: TranscriptStore) -> None:
    rows = np.arange(3, len(store))

    def plan(*seed: int) -> list[list[int]]:
        return [batch.tolist() for batch in random_batches(rows, store.lengths, 500, seed)]

    assert plan(0, 0) == plan(0, 0)
    assert plan(0, 0) != plan(0, 1)
    assert plan(0, 0) != plan(1, 0)
    assert sorted(row for batch in plan(0, 0) for row in batch) == rows.tolist()


def test_splits_and_targets_are_the_probes(store: TranscriptStore, task: Task) -> None:
    path = task("value", "regression")
    data = LabelledDataModule(str(path), str(store.path), n_splits=3, split=2)
    spec = read_task(path)
    ids = tuple(store.column("transcript_id"))
    labels = read_labels(spec.labels, spec.targets, spec.id_column)
    probe = choose_rows(labels, spec, store.transcripts, {"embedding": ids, "store": ids}, 3)
    assert probe.transcript_ids == data.rows.transcript_ids
    np.testing.assert_array_equal(probe.target.values, data.target.values)
    for side in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(probe.splits[2], side), getattr(data.split, side))


def test_bad_input(store: TranscriptStore, task: Task, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="token_budget is 0"):
        LabelledDataModule(str(task("value", "regression")), str(store.path), token_budget=0)
    with pytest.raises(InputError, match="not a transcript store"):
        LabelledDataModule(str(task("value", "regression")), str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match="not a number"):
        LabelledDataModule(str(task("class", "regression")), str(store.path))
