import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from orthrus.errors import InputError
from orthrus.probe.labels import read_labels
from orthrus.probe.splits import SplitUnit
from orthrus.probe.targets import Task, encode_target
from orthrus.probe.tasks import read_task

REPOSITORY = Path(__file__).resolve().parents[2]
OWN = sorted((REPOSITORY / "conf/probe").glob("*.yaml"))
MRNABENCH = sorted((REPOSITORY / "conf/probe/mrnabench").glob("*.yaml"))


@pytest.fixture
def write_task(tmp_path):
    (tmp_path / "labels.tsv").write_text("transcript_id\ty\na\t1\nb\t2\n")

    def write(**changes):
        fields = {"labels": "labels.tsv", "target": "y", "task": "regression"} | changes
        path = tmp_path / "task.yaml"
        path.write_text(yaml.safe_dump({key: value for key, value in fields.items() if value is not None}))
        return path

    return write


def test_what_a_task_leaves_out_has_defaults(write_task, tmp_path):
    spec = read_task(write_task())
    assert (spec.name, spec.labels, spec.targets) == ("task", tmp_path / "labels.tsv", ("y",))
    assert (spec.metric, spec.split, spec.id_column) == ("pearson_r", SplitUnit.FAMILY, "transcript_id")


def test_changes_replace_what_the_task_says(write_task):
    spec = read_task(write_task(folds="fold"), split=SplitUnit.FOLDS, targets=None)
    assert (spec.split, spec.targets) == (SplitUnit.FOLDS, ("y",))


BAD = {
    "unknown key": ({"metrics": "r2"}, r"unknown key 'metrics' \(did you mean 'metric'\?\)"),
    "no target": ({"target": None}, "no `target`"),
    "no such file": ({"labels": "absent.tsv"}, "absent.tsv does not exist"),
    "no such task": ({"task": "ranking"}, "task is 'ranking'; expected regression, classification or multilabel"),
    "no such split": ({"split": "genes"}, "split is 'genes'; expected family, homology"),
    "another task's metric": ({"metric": "auroc"}, "metric 'auroc' does not fit regression"),
    "folds without a column": ({"split": "folds"}, "needs the column"),
    "homology without groups": ({"split": "homology"}, "needs a table of gene groups"),
    "a number": ({"target": 3}, "target is 3; expected a text"),
    "unset variable": ({"labels": "${NO_SUCH_FOLDER}/l.tsv"}, "NO_SUCH_FOLDER"),
}


@pytest.mark.parametrize(("changes", "message"), BAD.values(), ids=BAD)
def test_a_task_that_cannot_be_meant_is_an_error_that_names_the_file(write_task, changes, message):
    path = write_task(**changes)
    with pytest.raises(InputError, match=message) as error:
        read_task(path)
    assert str(path) in str(error.value)


@pytest.mark.shared
@pytest.mark.parametrize("path", OWN, ids=lambda path: path.stem)
def test_ready_tasks_give_targets(path, shared, monkeypatch):
    monkeypatch.setenv("ORTHRUS_SHARED", str(shared))
    spec = read_task(path)
    assert spec.source
    assert spec.licence
    labels = read_labels(spec.labels, spec.targets, spec.id_column)
    target = encode_target(labels, np.arange(len(labels.transcript_ids)), spec.task)
    expected = {"half_life": (12571, 1), "go_molecular_function": (16447, 84), "localization": (17870, 7)}
    if path.stem in expected:
        assert (labels.n_rows, target.values.shape[1]) == expected[path.stem]
    if spec.folds:
        assert len(set(labels.column(spec.folds))) == 10


@pytest.mark.parametrize("path", MRNABENCH, ids=lambda path: path.stem)
def test_mrnabench_tasks_read_a_frame_of_its_layout(path, tmp_path, monkeypatch):
    """The benchmark keeps DATASET/data_df.parquet and homology_maps/SPECIES_homology_map.csv in its data folder."""
    given = yaml.safe_load(path.read_text())
    folder = tmp_path / given["labels"].split("/")[1]
    targets = given["target"] if isinstance(given["target"], list) else [given["target"]]
    generator = np.random.default_rng(0)
    n = 40
    make = {
        "regression": lambda: generator.standard_normal(n),
        "classification": lambda: generator.integers(0, 2, n).astype(bool),
        "multilabel": lambda: (
            list(generator.integers(0, 2, (n, 5)).astype(float)) if len(targets) == 1 else generator.integers(0, 2, n)
        ),
    }[given["task"]]
    columns = {"gene": [f"G{i}" for i in range(n)], "chromosome": ["1"] * n, "sequence": ["ACGT"] * n}
    columns |= {"cds": [[0.0] * 4] * n, "splice": [[0.0] * 4] * n}
    folder.mkdir()
    pq.write_table(pa.table(columns | {target: make() for target in targets}), folder / "data_df.parquet")
    (tmp_path / "homology_maps").mkdir()
    for species in ("human", "mouse"):
        (tmp_path / f"homology_maps/{species}_homology_map.csv").write_text("gene_name,gene_group\nG1,1\nG2,1\n")
    monkeypatch.setenv("MRNABENCH", str(tmp_path))
    spec = read_task(path)
    labels = read_labels(spec.labels, spec.targets, spec.id_column)
    assert labels.transcript_ids == tuple(map(str, range(n)))
    assert labels.gene_name[:2] == ("G0", "G1")
    target = encode_target(labels, np.arange(n), spec.task)
    assert target.task is Task(given["task"])
    assert len(target.values) == n
    shutil.rmtree(folder)
