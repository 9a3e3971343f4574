import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orthrus.cli import main
from orthrus.embedding.file import Embeddings
from orthrus.nn.checkpoints import save_encoder
from orthrus.probe.document import FeatureSet, ProbeDocument, Score
from orthrus.store import TranscriptStore
from tests.builders import build_store
from tests.nn.test_checkpoints import make_encoder


@pytest.fixture
def write_labels(tmp_path: Path) -> Callable[..., Path]:
    """Writes columns, given as keyword arguments, to a labels table."""

    def write(**columns: list[object]) -> Path:
        path = tmp_path / "labels.tsv"
        rows = zip(*columns.values(), strict=True)
        path.write_text("\n".join("\t".join(map(str, row)) for row in [tuple(columns), *rows]) + "\n")
        return path

    return write


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> TranscriptStore:
    """150 human genes with two isoforms each, every other one with a mouse ortholog."""
    return build_store(tmp_path_factory.mktemp("probe") / "store", n_genes=150, isoforms=2, length=90)


@pytest.fixture(scope="session")
def embeddings(store: TranscriptStore) -> Embeddings:
    """Vectors (375, 16) of every transcript: one direction a family shares, the rest noise."""
    generator = np.random.default_rng(0)
    families = store.column("family_id")
    shared = {name: generator.standard_normal(16) for name in dict.fromkeys(families)}
    matrix = np.array([shared[name] for name in families]) + 0.3 * generator.standard_normal((len(store), 16))
    ids, metadata = tuple(store.column("transcript_id")), {"encoder": {"d_model": 16}}
    return Embeddings(ids, matrix.astype(np.float32), metadata, family_id=tuple(families))


def probe_document(scores: dict[str, float], **changes: object) -> ProbeDocument:
    """A document of a regression in two splits, with these R by feature set, R2 their square; fields as given."""

    def score(mean: float) -> Score:
        ends = (mean - 0.02, mean + 0.02)
        return Score(per_seed=[mean - 0.01, mean + 0.01], mean=mean, interval95=ends, interval95_families=ends)

    sets = {
        name: FeatureSet(
            n_features=8, scores={"pearson_r": score(r), "r2": score(r**2)}, penalties_per_seed=[[0.1], [0.1]]
        )
        for name, r in scores.items()
    }
    fields = {
        "task": "regression", "target": "half_life", "split": "family", "source": "", "licence": "",
        "labels": {"file": "labels.tsv", "sha256": "0"}, "store": None, "counts": {"rows": 1234, "groups": 1000},
        "grouped_by": ["family_id"], "target_names": ["half_life"], "dropped": {}, "embeddings": {},
        "encoder_seeds": [], "metrics": ["pearson_r", "r2"], "chance": {"pearson_r": 0.0, "r2": 0.0}, "seeds": [0, 1],
        "rows_by_seed": {"train": [800, 800], "validation": [200, 200], "test": [234, 234]},
        "bootstrap": {"unit": "family", "samples": 1000}, "feature_sets": sets, "differences": {}, "added": {},
        "by_pretraining": {}, "label_efficiency": None, "missing_controls": {},
        "leaks": {"test_rows": 234, "training": {}, "pretraining": {}, "not_checked": {}},
    }  # fmt: skip
    return ProbeDocument.model_validate({**fields, **changes})


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, an encoder with a head beside its weights, and that head's folder."""
    folder = tmp_path_factory.mktemp("lab")
    save_encoder(make_encoder(6), folder / "encoder")
    store = build_store(folder / "store", n_genes=40)
    lengths = store.lengths.astype(float)
    values = lengths / 100 + np.random.default_rng(0).normal(size=len(lengths)) / 10
    labels = pd.DataFrame({"transcript_id": store.column("transcript_id"), "value": values})
    labels.to_csv(folder / "labels.tsv", sep="\t", index=False)
    task = ["--task=regression", f"--labels={folder / 'labels.tsv'}", "--target=value", "--seeds=2"]
    given = [f"--model={folder / 'encoder'}", f"--store={folder / 'store'}", f"--output={folder / 'probe'}"]
    assert main(["probe", *task, *given]) == 0
    shutil.copytree(folder / "probe" / "head", folder / "encoder" / "heads" / "length")
    return folder
