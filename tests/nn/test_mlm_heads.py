"""Masked-base heads from files: ours, exported ones and the published one; and exported folders in transformers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import orthrus
from orthrus import MambaEncoder
from orthrus.nn.checkpoints import export_encoder, load_encoder, load_mlm_head, save_encoder
from orthrus.nn.heads import MaskedLanguageHead, PublishedSequenceHead
from orthrus.nn.projection import Projection
from tests.nn.test_checkpoints import assert_same, make_encoder, published_state


def published_head() -> PublishedSequenceHead:
    torch.manual_seed(1)
    head = PublishedSequenceHead(16, 24)
    for norm in (head.norm1, head.norm2):
        nn.init.normal_(norm.running_mean)
        nn.init.uniform_(norm.running_var, 0.5, 2)
    return head.eval()


@pytest.mark.parametrize("prefix", ["", "model."])
def test_the_published_head_is_read_beside_its_encoder(tmp_path: Path, prefix: str) -> None:
    encoder, head = make_encoder(), published_head()
    state = published_state(encoder) | {f"{prefix}sequence_head.{name}": x for name, x in head.state_dict().items()}
    save_file({name: x.contiguous() for name, x in state.items()}, tmp_path / "model.safetensors")
    assert_same(load_encoder(tmp_path), encoder)
    found = load_mlm_head(tmp_path)
    hidden = torch.randn(2, 7, 16)
    assert found is not None
    assert torch.equal(found(hidden), head(hidden))


def test_the_published_head_is_two_normalised_hidden_layers() -> None:
    head, hidden = published_head(), torch.randn(3, 5, 16)

    def layer(linear: nn.Linear, norm: nn.BatchNorm1d, x: torch.Tensor) -> torch.Tensor:
        y = x @ linear.weight.T + linear.bias
        return ((y - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias).clamp(min=0)

    expected = layer(head.fc2, head.norm2, layer(head.fc1, head.norm1, hidden)) @ head.fc3.weight.T
    assert torch.allclose(head(hidden), expected, atol=1e-5)


@pytest.mark.parametrize("head", [MaskedLanguageHead(16), published_head()], ids=["ours", "published"])
def test_an_exported_folder_keeps_the_head_of_its_encoder(tmp_path: Path, head: nn.Module) -> None:
    encoder, hidden = make_encoder(6), torch.randn(2, 7, 16)
    save_encoder(encoder, tmp_path / "first", mlm_head=head)
    export_encoder(tmp_path / "first", tmp_path / "second")
    for folder in ("first", "second"):
        assert_same(load_encoder(tmp_path / folder), encoder)
        found = load_mlm_head(tmp_path / folder)
        assert found is not None
        assert torch.equal(found(hidden), head.eval()(hidden))
    save_encoder(encoder, tmp_path / "without")
    assert load_mlm_head(tmp_path / "without") is None


@pytest.mark.parametrize("head", [MaskedLanguageHead(16), published_head()], ids=["ours", "published"])
def test_transformers_load_an_exported_folder(tmp_path: Path, head: nn.Module) -> None:
    transformers = pytest.importorskip("transformers", reason="the extra transformers is not installed")
    encoder = make_encoder(6)
    save_encoder(encoder, tmp_path / "shared", mlm_head=head)
    tracks, lengths = torch.rand(2, 6, 9), torch.tensor([9, 4])
    model = transformers.AutoModel.from_pretrained(tmp_path / "shared", trust_remote_code=True)
    with torch.inference_mode():
        shown = model(tracks, lengths)
        assert torch.equal(shown.last_hidden_state, encoder.eval()(tracks, lengths))
        assert torch.equal(shown.pooler_output, encoder.represent(tracks, lengths))
        masked = transformers.AutoModelForMaskedLM.from_pretrained(tmp_path / "shared", trust_remote_code=True)
        assert torch.equal(masked(tracks, lengths).logits, head.eval()(encoder(tracks, lengths)))
    assert model.embed(["ACGT", "ACGTA"]).shape == (2, 16)
    model.save_pretrained(tmp_path / "again")
    assert_same(load_encoder(tmp_path / "again"), encoder)


def test_transformers_give_the_vectors_of_a_codon_encoder_in_its_frame(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="the extra transformers is not installed")
    encoder = MambaEncoder(6, 16, 1, stem="codon").eval()
    encoder.cds_frame = "published"
    encoder.projection = Projection("last.mean+lengths", 22, 5)
    save_encoder(encoder, tmp_path / "shared", readout="last.max+projection")
    model = transformers.AutoModel.from_pretrained(tmp_path / "shared", trust_remote_code=True)
    assert model.encoder.cds_frame == "published"
    sequences = ["ACGTA", "ATG" + "GCT" * 101 + "TAA"]
    vectors = model.embed(sequences)
    assert vectors.shape == (2, 21)
    assert np.array_equal(vectors, orthrus.embed(sequences, encoder, readout="last.max+projection"))


def test_a_folder_of_pytorch_weights_alone_is_read_without_unpickling(tmp_path: Path) -> None:
    encoder = make_encoder()
    torch.save(published_state(encoder), tmp_path / "pytorch_model.bin")
    assert_same(load_encoder(tmp_path), encoder)
    export_encoder(tmp_path, tmp_path / "converted")
    assert (tmp_path / "converted" / "model.safetensors").is_file()
    assert_same(load_encoder(tmp_path / "converted"), encoder)
