from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from orthrus.embedding.file import Embeddings
from orthrus.store import TranscriptStore
from tests.builders import build_store


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
