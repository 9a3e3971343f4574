"""The adapter without mRNABench and with a stand-in for it, whose interface is that of its version 1.3.2."""

import importlib
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import orthrus.embedding.mrnabench
from orthrus import InputError, MambaEncoder, TranscriptStore
from orthrus.nn.checkpoints import save_encoder
from tests.builders import build_store


class EmbeddingModel(ABC):
    @staticmethod
    @abstractmethod
    def get_model_short_name(model_version: str) -> str: ...

    def __init__(self, model_version: str, device: torch.device) -> None:
        self.model_version = model_version
        self.short_name = self.__class__.get_model_short_name(model_version)
        self.device = device
        self.is_sixtrack = False

    @abstractmethod
    def embed_sequence(self, sequence: str, agg_fn: Callable[..., Any] = torch.mean) -> torch.Tensor: ...

    @abstractmethod
    def embed_sequence_sixtrack(
        self, sequence: str, cds: Any, splice: Any, agg_fn: Callable[..., Any] = torch.mean
    ) -> torch.Tensor: ...


@pytest.fixture(params=["without", "with"])
def adapter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module as imported without mRNABench, and beside the stand-in."""
    if request.param == "with":
        module: Any = ModuleType("mrna_bench.models.embedding_model")
        module.EmbeddingModel = EmbeddingModel
        for name in ("mrna_bench", "mrna_bench.models"):
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
        monkeypatch.setitem(sys.modules, "mrna_bench.models.embedding_model", module)
    else:
        monkeypatch.setitem(sys.modules, "mrna_bench", None)
    imported = importlib.reload(orthrus.embedding.mrnabench)
    assert issubclass(imported.OrthrusEncoder, EmbeddingModel) == (request.param == "with")
    yield imported
    monkeypatch.undo()
    importlib.reload(orthrus.embedding.mrnabench)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TranscriptStore:
    return build_store(tmp_path_factory.mktemp("bench") / "store", n_genes=2)


def folder(n_tracks: int, tmp_path: Path) -> tuple[MambaEncoder, str]:
    torch.manual_seed(0)
    encoder = MambaEncoder(n_tracks, 16, 1).eval()
    save_encoder(encoder, tmp_path / "my_encoder")
    return encoder, str(tmp_path / "my_encoder")


def test_six_tracks_give_what_the_encoder_represents(
    adapter: ModuleType, store: TranscriptStore, tmp_path: Path
) -> None:
    encoder, path = folder(6, tmp_path)
    model = adapter.OrthrusEncoder(path, torch.device("cpu"))
    assert model.is_sixtrack
    assert (model.model_version, model.device) == (path, torch.device("cpu"))
    tracks = store.tracks(0)
    tracks_1CL = torch.from_numpy(tracks).float()[None]
    lengths_1 = torch.tensor([tracks.shape[1]])
    with torch.no_grad():
        expected = encoder.represent(tracks_1CL, lengths_1)
        hidden = encoder(tracks_1CL, lengths_1)
    cds, splice = tracks[4].astype(np.int32), tracks[5].astype(np.int32)
    vector = model.embed_sequence_sixtrack(store.sequence(0), cds, splice)
    assert vector.shape == (1, 16)
    torch.testing.assert_close(vector, expected)
    largest = model.embed_sequence_sixtrack(store.sequence(0), cds, splice, agg_fn=torch.amax)
    torch.testing.assert_close(largest, hidden.amax(dim=1))
    with pytest.raises(InputError, match="takes six tracks"):
        model.embed_sequence("ACGT")
    with pytest.raises(InputError, match=r"the cds track has shape \(3,\); expected \(4,\)"):
        model.embed_sequence_sixtrack("ACGT", np.zeros(3), np.zeros(4))


def test_four_tracks(adapter: ModuleType, store: TranscriptStore, tmp_path: Path) -> None:
    encoder, path = folder(4, tmp_path)
    model = adapter.OrthrusEncoder(path, torch.device("cpu"))
    assert not model.is_sixtrack
    with torch.no_grad():
        tracks = torch.from_numpy(store.tracks(1, 4)).float()[None]
        expected = encoder.represent(tracks, torch.tensor([tracks.shape[2]]))
    torch.testing.assert_close(model.embed_sequence(store.sequence(1)), expected)
    with pytest.raises(InputError, match="takes four tracks"):
        model.embed_sequence_sixtrack("ACGT", np.zeros(4), np.zeros(4))


@pytest.mark.parametrize(
    ("version", "name"),
    [
        ("runs/demo/checkpoints/last.ckpt", "orthrus-runs-demo-checkpoints-last"),
        ("owner/orthrus_large_6_track", "orthrus-owner-orthrus-large-6-track"),
        ("orthrus_base", "orthrus-base"),
    ],
)
def test_short_names_have_no_underscores(version: str, name: str) -> None:
    assert orthrus.embedding.mrnabench.OrthrusEncoder.get_model_short_name(version) == name
