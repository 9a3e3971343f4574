"""Encoders in Hugging Face's manner, through the real huggingface_hub, without a network."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

import orthrus
from orthrus.errors import InputError
from orthrus.nn.checkpoints import export_encoder, load_encoder, load_mlm_head, save_encoder
from orthrus.nn.encoder import MambaEncoder
from orthrus.nn.heads import MaskedLanguageHead
from orthrus.nn.mamba2 import Mamba2
from orthrus.nn.pretrained import PretrainedEncoder
from orthrus.nn.projection import Projection
from tests.nn.test_checkpoints import assert_same, make_encoder, published_state


def test_an_exported_folder_is_read_back_bit_for_bit(tmp_path: Path) -> None:
    encoder = make_encoder(6, bidirectional=True)
    save_encoder(encoder, tmp_path / "saved")
    export_encoder(tmp_path / "saved", tmp_path / "exported")
    loaded = orthrus.PretrainedEncoder.from_pretrained(tmp_path / "exported")
    assert type(loaded) is PretrainedEncoder
    assert_same(loaded, encoder)
    tracks, lengths = torch.rand(2, 6, 9), torch.tensor([9, 4])
    with torch.inference_mode():
        assert torch.equal(loaded.represent(tracks, lengths), encoder.eval().represent(tracks, lengths))


def test_what_save_pretrained_writes_load_encoder_reads(tmp_path: Path) -> None:
    encoder = PretrainedEncoder(4, 32, 1, mixer=lambda width, both: Mamba2(width, both, d_head=16))
    encoder.save_pretrained(tmp_path / "small")
    assert sorted(path.name for path in (tmp_path / "small").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "modeling_orthrus.py",
    ]
    assert "| parameters |" in (tmp_path / "small" / "README.md").read_text()
    loaded = load_encoder(tmp_path / "small")
    assert type(loaded) is MambaEncoder
    assert_same(loaded, encoder)
    assert_same(PretrainedEncoder.from_pretrained(tmp_path / "small"), encoder)


def test_the_readout_and_the_projection_are_written_again(tmp_path: Path) -> None:
    encoder = make_encoder(6)
    encoder.projection = Projection("last.max", encoder.d_model, 5)
    save_encoder(encoder, tmp_path / "first", readout="last.max+projection")
    PretrainedEncoder.from_pretrained(tmp_path / "first").save_pretrained(tmp_path / "again")
    assert (tmp_path / "again" / "config.json").read_bytes() == (tmp_path / "first" / "config.json").read_bytes()
    assert_same(load_encoder(tmp_path / "again"), encoder)


def test_the_head_of_masked_bases_is_written_again(tmp_path: Path) -> None:
    head = MaskedLanguageHead(16)
    save_encoder(make_encoder(), tmp_path / "first", mlm_head=head)
    PretrainedEncoder.from_pretrained(tmp_path / "first").save_pretrained(tmp_path / "again")
    again = load_mlm_head(tmp_path / "again")
    assert again is not None
    assert torch.equal(again.weight, head.weight)
    assert (tmp_path / "again" / "config.json").read_bytes() == (tmp_path / "first" / "config.json").read_bytes()


def test_a_published_folder(tmp_path: Path) -> None:
    encoder = make_encoder()
    save_file(published_state(encoder), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"ssm_model_dim": 16, "ssm_n_layers": 2, "n_tracks": 4}))
    assert_same(PretrainedEncoder.from_pretrained(tmp_path), encoder)


def test_a_repository_is_downloaded_weights_and_configuration_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = make_encoder()
    save_encoder(encoder, tmp_path / "snapshot")
    asked: dict[str, Any] = {}

    def download(name: str, **options: Any) -> str:
        asked.update(name=name, **options)
        return str(tmp_path / "snapshot")

    def hub_file(repo_id: str, filename: str, **_: Any) -> str:
        return str(tmp_path / "snapshot" / filename)

    monkeypatch.setattr("orthrus.nn.pretrained.snapshot_download", download)
    monkeypatch.setattr("huggingface_hub.hub_mixin.hf_hub_download", hub_file)
    assert_same(PretrainedEncoder.from_pretrained("lab/orthrus-small", revision="v1"), encoder)
    assert (asked["name"], asked["revision"]) == ("lab/orthrus-small", "v1")
    assert asked["allow_patterns"] == ["config.json", "model.safetensors", "pytorch_model.bin"]


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds neither model.safetensors nor pytorch_model.bin"):
        PretrainedEncoder.from_pretrained(tmp_path)


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "orthrus.nn.pretrained")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"pip install huggingface_hub"):
        _ = orthrus.PretrainedEncoder
