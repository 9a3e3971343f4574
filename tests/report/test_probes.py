import csv
import json

import numpy as np
import pytest

from orthrus.probe.document import EMBEDDING_AND_CODON, LABEL_SHUFFLE, RANDOM_INIT, read_document
from orthrus.probe.run import run_probe
from orthrus.probe.targets import Task
from orthrus.probe.tasks import TaskSpec
from orthrus.report.page import headlines, write_report
from orthrus.report.probes import aggregate_z, checkpoint_figures, latest, log_tables, table_rows, write_tables


@pytest.fixture(scope="module")
def documents(tmp_path_factory, embeddings, store):
    """Two tasks, a regression with every kind of comparison and a multilabel one."""
    folder = tmp_path_factory.mktemp("probes")
    generator = np.random.default_rng(0)
    noise = embeddings.__class__(embeddings.transcript_ids, generator.standard_normal((375, 4)).astype(np.float32))
    bits = ["".join(map(str, row)) for row in (embeddings.matrix[:, :3] > 0).astype(int)]
    for name, task, values in (
        ("y", Task.REGRESSION, embeddings.matrix[:, 0]),
        ("z", Task.MULTILABEL, bits),
    ):
        labels = folder / f"{name}.tsv"
        rows = zip(embeddings.transcript_ids, values, strict=True)
        labels.write_text(f"transcript_id\t{name}\n" + "".join(f"{i}\t{value}\n" for i, value in rows))
        run_probe(
            embeddings, TaskSpec(labels, (name,), task), folder / "run" / name, store=store, seeds=3, kmer_sizes=(2,),
            controls={RANDOM_INIT: noise}, label_counts=[30, 100],
        )  # fmt: skip
    return {name: read_document(folder / "run" / name / "metrics.json") for name in "yz"} | {"": folder}


@pytest.fixture(scope="module")
def folder(documents):
    return documents[""] / "run"


@pytest.fixture(scope="module")
def probes(documents):
    return {name: documents[name] for name in "yz"}


def test_the_page_shows_curves_differences_and_the_standing_over_tasks(folder):
    page = write_report(folder).read_text()
    for text in (
        "Pearson R by number of labels", "Over all tasks", "label shuffle", ", p 0.0", "95 % over families",
        "shared with training or validation: family or gene 0", "3 labels one by one",
    ):  # fmt: skip
        assert text in page, text
    assert (folder / "probes.csv").is_file()


def test_probes_of_one_target_by_another_split_or_of_other_labels_stand_apart_and_name_their_splits(probes, tmp_path):
    family = probes["y"]
    leaky = family.model_copy(update={"split": "random"})
    others = family.model_copy(update={"labels": family.labels.model_copy(update={"sha256": "0"})})
    assert latest({"a": family, "b": leaky, "c": others}) == [family, leaky, others]
    steps = {
        f"{p}{s}": d.model_copy(update={"embeddings": {"step": s}})
        for p, d in (("f", family), ("r", leaky))
        for s in (1, 2)
    }
    assert len(list(checkpoint_figures(steps))) == 2
    for name, document in (("f", family), ("r", leaky)):
        (tmp_path / name).mkdir()
        document.write(tmp_path / name / "metrics.json")
    assert [line.rsplit("; ", 1)[-1] for line in headlines(tmp_path)] == [
        "3 family-disjoint splits)",
        "3 random splits)",
    ]
    page = write_report(tmp_path).read_text()
    assert "in each of\n  3 random splits" in page


def test_tables_repeat_the_metrics(probes, tmp_path):
    write_tables(probes, tmp_path)
    with (tmp_path / "probes.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    document = json.loads((tmp_path / "probes.json").read_text())
    assert len(rows) == len(document["probes"]) == 7 * 3 + 7 * 2
    (row,) = (r for r in rows if (r["probe"], r["feature_set"], r["metric"]) == ("y", RANDOM_INIT, "pearson_r"))
    difference = probes["y"].differences[RANDOM_INIT]["pearson_r"]
    assert float(row["mean"]) == probes["y"].feature_sets[RANDOM_INIT].scores["pearson_r"].mean
    assert (float(row["embedding_minus_this"]), float(row["p_value"])) == (difference.mean, difference.p_value)
    assert document["aggregate_z"] == aggregate_z(probes)


def test_z_scores_are_means_over_tasks_of_standardised_headlines(probes):
    found = aggregate_z(probes)
    assert next(iter(found)) == "embedding"
    assert LABEL_SHUFFLE not in found
    assert sum(found.values()) == pytest.approx(0, abs=1e-9)
    expected = []
    for document in probes.values():
        scores = [document.feature_sets[n].scores[document.headline].mean for n in sorted(found)]
        expected.append((np.array(scores) - np.mean(scores)) / np.std(scores))
    assert [found[name] for name in sorted(found)] == pytest.approx(np.mean(expected, axis=0).tolist())
    assert aggregate_z({"y": probes["y"]}) == {}


def test_checkpoints_of_several_steps_are_a_curve_and_the_last_one_counts(probes):
    assert list(checkpoint_figures(probes)) == []
    with_steps = {}
    for step in (10, 200):
        with_steps[f"y{step}"] = probes["y"].model_copy(update={"embeddings": {"step": step}})
    (figure,) = checkpoint_figures(with_steps)
    assert figure.title == "y"
    assert "2 checkpoints" in figure.caption
    assert "random-init" in figure.description


def test_intervals_and_p_values_of_every_row_are_those_of_its_set(probes):
    for row in table_rows(probes):
        assert row["seeds_low"] <= row["mean"] <= row["seeds_high"]
        assert row["families_low"] <= row["families_high"]
        assert (row["p_value"] is None) == (row["feature_set"] in ("embedding", EMBEDDING_AND_CODON, LABEL_SHUFFLE))


def test_tables_are_logged_to_wandb_offline_without_a_login(probes, tmp_path, monkeypatch):
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no_login"))
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_SILENT", "true")
    log_tables(probes, "orthrus-test", "probes")
    assert list(tmp_path.rglob("*.wandb"))
    tables = [json.loads(path.read_text()) for path in tmp_path.rglob("*.table.json")]
    assert {len(table["data"]) for table in tables} == {7 * 3 + 7 * 2, 6}
