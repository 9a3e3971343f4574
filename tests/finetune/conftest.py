from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from orthrus import MambaEncoder, TranscriptStore
from orthrus.nn.checkpoints import save_encoder
from tests.builders import build_store


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> TranscriptStore:
    return build_store(tmp_path_factory.mktemp("finetune") / "store", n_genes=40, isoforms=1, length=90)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("finetune_encoder") / "encoder"
    save_encoder(MambaEncoder(6, 16, 2), folder)
    return folder


@pytest.fixture(scope="session")
def labels(store: TranscriptStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GC content with a little noise, whether it is high, and two bits of it."""
    generator = np.random.default_rng(0)
    gc = np.array([np.mean([base in "GC" for base in store.sequence(i)]) for i in range(len(store))])
    value = 20 * (gc + 0.01 * generator.standard_normal(len(gc))) - 7
    high = np.where(value > np.median(value), "high", "low")
    table = {
        "transcript_id": store.column("transcript_id"),
        "value": value,
        "class": high,
        "bits": [f"{int(h == 'high')}{int(v < np.quantile(value, 0.4))}" for h, v in zip(high, value, strict=True)],
        "three": np.array(["a", "b", "c"])[np.digitize(value + generator.normal(size=len(value)), [2.7, 3.6])],
    }
    path = tmp_path_factory.mktemp("labels") / "labels.tsv"
    pd.DataFrame(table).to_csv(path, sep="\t", index=False)
    return path


@pytest.fixture
def task(labels: Path, tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes a task of a column and type."""

    def write(target: str, kind: str) -> Path:
        path = tmp_path / f"{target}.yaml"
        path.write_text(f"labels: {labels}\ntarget: {target}\ntask: {kind}\n")
        return path

    return write
