import numpy as np

from orthrus.genome.codes import annotate
from orthrus.probe.leaks import FAMILY, GENE, SEQUENCE, TRANSCRIPT, leak_lines, leak_report
from orthrus.probe.splits import Split, group_rows
from orthrus.store import StoreBuilder, TranscriptStore


def make_store(path, sequences, genes):
    with StoreBuilder(path) as builder:
        for i, (codes, gene) in enumerate(zip(sequences, genes, strict=True)):
            builder.add(
                annotate(codes, None, ()), transcript_id=f"{path.name}{i}", gene_id=gene, gene_name=gene, species="x"
            )
        builder.finish()
    return TranscriptStore.open(path)


def test_what_sides_share_is_counted(tmp_path):
    generator = np.random.default_rng(0)
    sequences = [generator.integers(1, 5, 300).astype(np.uint8) for _ in range(8)]
    sequences[5] = sequences[0][20:280]  # of another gene, contained in a training sequence
    store = make_store(tmp_path / "s", sequences, ["A", "B", "C", "D", "A", "E", "F", "G"])
    split = Split(0, np.array([0, 1]), np.array([2, 3]), np.array([4, 5, 6, 7]))
    ids = store.column("transcript_id")
    families = group_rows(ids, [("gene_name", store.column("gene_name"))])
    seen = make_store(tmp_path / "p", [sequences[6], sequences[1]], ["X", "G"])
    report = leak_report(ids, families, [split, split], store, seen)
    assert report["training"][FAMILY] == {"rows": 1, "share": 0.25}
    assert report["training"][SEQUENCE] == {"rows": 1, "share": 0.25}
    assert report["pretraining"] == {
        TRANSCRIPT: {"rows": 0, "share": 0},
        GENE: {"rows": 1, "share": 0.25},
        SEQUENCE: {"rows": 1, "share": 0.25},
    }
    assert report["not_checked"] == {}
    same = leak_report(ids, families, [split], store, store)["pretraining"]
    assert {what: each["share"] for what, each in same.items()} == {TRANSCRIPT: 1, GENE: 1, SEQUENCE: 1}
    assert "family or gene 1 (25.0%), near-identical sequence 1 (25.0%)" in leak_lines(report)[0]


def test_what_cannot_be_checked_is_said():
    split = Split(0, np.array([0]), np.array([1]), np.array([2]))
    report = leak_report(["a", "b", "c"], None, [split], None, None)
    assert set(report["not_checked"]) == {FAMILY, SEQUENCE, "pretraining"}
    assert len(leak_lines(report)) == 3
