import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from orthrus.embedding.file import of_store
from orthrus.genome.codes import annotate
from orthrus.probe.groups import Relations
from orthrus.probe.labels import Labels
from orthrus.probe.leaks import (
    FAMILY,
    FAMILY_OR_GENE,
    GENE,
    SEQUENCE,
    TRANSCRIPT,
    Pretraining,
    leak_lines,
    leak_report,
    seen_in_pretraining,
)
from orthrus.probe.rows import ProbeRows
from orthrus.probe.splits import Split, group_rows
from orthrus.probe.targets import Target, Task
from orthrus.store import StoreBuilder, TranscriptStore
from orthrus.store.families import split_of
from tests.builders import build_store


def make_store(path, sequences, genes):
    with StoreBuilder(path) as builder:
        for i, (codes, gene) in enumerate(zip(sequences, genes, strict=True)):
            builder.add(
                annotate(codes, None, ()), transcript_id=f"{path.name}{i}", gene_id=gene, gene_name=gene, species="x"
            )
        builder.finish()
    return TranscriptStore.open(path)


def rows_of(ids, transcripts, store, families, splits):
    n = len(ids)
    labels = Labels(None, ("y",), tuple(ids), (("0",) * n,), tuple(range(n)), {}, n, 0, 0)
    target = Target(Task.REGRESSION, ("y",), np.zeros((n, 1)), np.arange(n), {})
    relations = Relations(labels, np.arange(n), transcripts, store)
    return ProbeRows(list(ids), target, splits, relations, families, [], {})


@pytest.fixture
def case(tmp_path):
    generator = np.random.default_rng(0)
    sequences = [generator.integers(1, 5, 300).astype(np.uint8) for _ in range(8)]
    sequences[5] = sequences[0][20:280]  # of another gene, contained in a training sequence
    store = make_store(tmp_path / "s", sequences, ["A", "B", "C", "D", "A", "E", "F", "G"])
    split = Split(0, np.array([0, 1]), np.array([2, 3]), np.array([4, 5, 6, 7]))
    ids = store.column("transcript_id")
    families = group_rows(ids, [("gene_name", store.column("gene_name"))])
    return sequences, store, rows_of(ids, store.transcripts, store, families, [split, split])


def test_what_sides_share_is_counted(case, tmp_path):
    sequences, store, rows = case
    pretrained = Pretraining.on(make_store(tmp_path / "p", [sequences[6], sequences[1]], ["X", "G"]))
    report = leak_report(rows, seen_in_pretraining(rows.relations, pretrained)).model_dump()
    assert report["training"][FAMILY_OR_GENE] == {"rows": 1, "share": 0.25}
    assert report["training"][SEQUENCE] == {"rows": 1, "share": 0.25}
    assert report["pretraining"] == {
        TRANSCRIPT: {"rows": 0, "share": 0},
        GENE: {"rows": 1, "share": 0.25},
        FAMILY: {"rows": 1, "share": 0.25},
        SEQUENCE: {"rows": 1, "share": 0.25},
    }
    assert report["not_checked"] == {}
    same = leak_report(rows, seen_in_pretraining(rows.relations, Pretraining.on(store)))
    assert {what: each.share for what, each in same.pretraining.items()} == dict.fromkeys(
        (TRANSCRIPT, GENE, FAMILY, SEQUENCE), 1
    )
    assert "family or gene 1 (25.0%), near-identical sequence 1 (25.0%)" in leak_lines(same)[0]


def test_families_that_pretraining_held_out_were_not_seen(tmp_path):
    store = build_store(tmp_path / "store", n_genes=60, isoforms=1, length=90)
    pretrained = Pretraining.on(store, val_fraction=0.3, test_fraction=0.2)
    side = split_of(store.family_names, 0.3, 0.2)[store.family]
    assert 0 < len(pretrained.rows) < len(store)
    np.testing.assert_array_equal(pretrained.rows, np.flatnonzero(side == "train"))
    ids = store.column("transcript_id")
    rows = rows_of(ids, store.transcripts, None, None, [])
    for what in (TRANSCRIPT, FAMILY):
        np.testing.assert_array_equal(seen_in_pretraining(rows.relations, pretrained)[what], side == "train")


def test_what_cannot_be_checked_is_said():
    split = Split(0, np.array([0]), np.array([1]), np.array([2]))
    nothing = pa.table({"transcript_id": ["a", "b", "c"]})
    report = leak_report(rows_of(["a", "b", "c"], nothing, None, None, [split]), None)
    assert set(report.not_checked) == {FAMILY_OR_GENE, SEQUENCE, "pretraining"}
    assert report.unknown_genes == 3
    assert len(leak_lines(report)) == 4


@pytest.mark.parametrize("labels_name_it", [False, True])
def test_rows_of_an_unknown_gene_leave_no_split_disjoint(tmp_path, labels_name_it):
    with StoreBuilder(tmp_path / "s") as builder:
        for i in range(3):
            codes = np.full(60, i + 1, dtype=np.uint8)
            builder.add(codes, transcript_id=f"t{i}", gene_id=f"t{i}", gene_known=i > 0, species="x")
        builder.finish()
    store = TranscriptStore.open(tmp_path / "s")
    ids = store.column("transcript_id")
    split = Split(0, np.array([0]), np.array([1]), np.array([2]))
    families = group_rows(ids, [("family_id", store.column("family_id"))])
    rows = rows_of(ids, store.transcripts, store, families, [split])
    if labels_name_it:
        named = dataclasses.replace(rows.relations.labels, columns={"gene_name": ("G", "", "nan")})
        rows = dataclasses.replace(rows, relations=dataclasses.replace(rows.relations, labels=named))
    report = leak_report(rows, None)
    assert report.unknown_genes == (0 if labels_name_it else 1)
    said = any("NOT known to be disjoint" in line and "1 rows" in line for line in leak_lines(report))
    assert said is not labels_name_it
    embedded = of_store(store, np.zeros((3, 2), np.float32)).transcripts  # without the store the embeddings tell
    assert leak_report(rows_of(ids, embedded, None, families, [split]), None).unknown_genes == 1
