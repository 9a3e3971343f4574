import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from orthrus.errors import InputError
from orthrus.nn.checkpoints import export_encoder, load_encoder, load_mlm_head, save_encoder, stored_readout
from orthrus.nn.encoder import MambaEncoder
from orthrus.nn.heads import MaskedLanguageHead, Projector
from orthrus.objectives import NextTokenTerm


class Exploit:
    """Pickles to a call: unpickling it would create a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.target,)


def make_encoder(n_tracks: int = 4, bidirectional: bool = False) -> MambaEncoder:
    torch.manual_seed(3)
    return MambaEncoder(n_tracks, 16, 2, bidirectional)


def assert_same(loaded: MambaEncoder, encoder: MambaEncoder) -> None:
    assert loaded.config == encoder.config
    assert not loaded.training
    state = loaded.state_dict()
    assert all(torch.equal(state[name], x) for name, x in encoder.state_dict().items())


def published_state(encoder: MambaEncoder) -> dict[str, torch.Tensor]:
    head = Projector(encoder.d_model, 8, 4).state_dict()
    return {
        **{f"model.{name}": x for name, x in encoder.state_dict().items()},
        **{f"contrastive_projection_head.{name}": x for name, x in head.items()},
    }


@pytest.mark.parametrize("bidirectional", [False, True])
def test_folder_round_trip(tmp_path: Path, bidirectional: bool) -> None:
    encoder = make_encoder(6, bidirectional)
    save_encoder(encoder, tmp_path / "deep" / "folder")
    assert_same(load_encoder(tmp_path / "deep" / "folder"), encoder)
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["folder"]


def test_a_codon_encoder_and_its_own_readout_make_the_round_trip(tmp_path: Path) -> None:
    encoder = MambaEncoder(6, 16, 2, stem="codon")
    save_encoder(encoder, tmp_path / "first", readout="last.mean+lengths")
    export_encoder(tmp_path / "first", tmp_path / "second")
    assert_same(load_encoder(tmp_path / "second"), encoder)
    assert stored_readout(tmp_path / "second") == "last.mean+lengths"
    save_encoder(make_encoder(), tmp_path / "plain")
    assert stored_readout(tmp_path / "plain") == "last.mean"


def test_a_next_token_head_is_no_masked_base_head(tmp_path: Path) -> None:
    encoder = make_encoder()
    state = {f"encoder.{name}": x for name, x in encoder.state_dict().items()}
    state |= {f"objective.terms.next.{name}": x for name, x in NextTokenTerm(16).state_dict().items()}
    torch.save({"state_dict": state, "orthrus": {"encoder": encoder.config}}, tmp_path / "last.ckpt")
    assert load_mlm_head(tmp_path / "last.ckpt") is None


def test_our_lightning_checkpoint(tmp_path: Path) -> None:
    encoder = make_encoder(6, bidirectional=True)
    state = {f"encoder.{name}": x for name, x in encoder.state_dict().items()}
    state |= {f"projector.{name}": x for name, x in Projector(16).state_dict().items()}
    content = {"state_dict": state, "hyper_parameters": {"lr": 1e-3}, "orthrus": {"encoder": encoder.config}}
    torch.save(content, tmp_path / "last.ckpt")
    assert_same(load_encoder(tmp_path / "last.ckpt"), encoder)


@pytest.mark.parametrize("n_tracks", [4, 6])
def test_published_lightning_checkpoint(tmp_path: Path, n_tracks: int) -> None:
    encoder = make_encoder(n_tracks)
    torch.save({"state_dict": published_state(encoder), "epoch": 3}, tmp_path / "epoch=3.ckpt")
    assert_same(load_encoder(tmp_path / "epoch=3.ckpt"), encoder)


@pytest.mark.parametrize("prefixed", [False, True])
@pytest.mark.parametrize("weights_file", ["model.safetensors", "pytorch_model.bin"])
def test_published_folder(tmp_path: Path, weights_file: str, prefixed: bool) -> None:
    encoder = make_encoder()
    state = published_state(encoder) if prefixed else encoder.state_dict()
    if weights_file == "model.safetensors":
        save_file(state, tmp_path / weights_file)
    else:
        torch.save(state, tmp_path / weights_file)
    (tmp_path / "config.json").write_text(json.dumps({"ssm_model_dim": 16, "ssm_n_layers": 2, "n_tracks": 4}))
    assert_same(load_encoder(tmp_path), encoder)


def test_missing_and_surplus_names_are_listed(tmp_path: Path) -> None:
    state = published_state(make_encoder())
    del state["model.layers.1.mixer.D"]
    state["model.layers.1.mixer.dt_proj.scale"] = torch.zeros(1)
    state["model.norm_f.bias"] = torch.zeros(3)
    torch.save({"state_dict": state}, tmp_path / "bad.ckpt")
    with pytest.raises(InputError) as refusal:
        load_encoder(tmp_path / "bad.ckpt")
    message = str(refusal.value)
    assert "missing: layers.1.mixer.D" in message
    assert "surplus: layers.1.mixer.dt_proj.scale" in message
    assert "norm_f.bias (3,) instead of (16,)" in message


def test_code_is_never_unpickled(tmp_path: Path) -> None:
    content = {"state_dict": published_state(make_encoder()), "hyper_parameters": Exploit(tmp_path / "owned")}
    torch.save(content, tmp_path / "evil.ckpt")
    with pytest.raises(InputError, match="never unpickled"):
        load_encoder(tmp_path / "evil.ckpt")
    assert not (tmp_path / "owned").exists()


def test_missing_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no checkpoint at .*nowhere"):
        load_encoder(tmp_path / "nowhere.ckpt")


def test_folder_without_weights(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"neither model.safetensors nor pytorch_model.bin"):
        load_encoder(tmp_path)


@pytest.mark.parametrize("name", ["a.ckpt", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all", b"PK\x03\x04 truncated"])
def test_damaged_file(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as a checkpoint"):
        load_encoder(tmp_path / name)


def test_truncated_checkpoint(tmp_path: Path) -> None:
    torch.save({"state_dict": published_state(make_encoder())}, tmp_path / "whole.ckpt")
    whole = (tmp_path / "whole.ckpt").read_bytes()
    (tmp_path / "half.ckpt").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be read as a checkpoint"):
        load_encoder(tmp_path / "half.ckpt")


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": {"fc.weight": torch.zeros(2)}}, {"state_dict": 3}, {}])
def test_checkpoint_of_something_else(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(InputError, match=r"not a checkpoint|holds no encoder"):
        load_encoder(tmp_path / "other.ckpt")


def test_embedding_of_another_model(tmp_path: Path) -> None:
    torch.save({"embedding.weight": torch.zeros(4, 3), "decoder.weight": torch.zeros(1)}, tmp_path / "rnn.pt")
    with pytest.raises(InputError, match="holds no Mamba encoder"):
        load_encoder(tmp_path / "rnn.pt")


def test_config_that_is_not_json(tmp_path: Path) -> None:
    save_encoder(make_encoder(), tmp_path / "folder")
    (tmp_path / "folder" / "config.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        load_encoder(tmp_path / "folder")


def test_config_and_weights_that_disagree(tmp_path: Path) -> None:
    save_encoder(make_encoder(4), tmp_path / "folder")
    (tmp_path / "folder" / "config.json").write_text(json.dumps({"orthrus": {"encoder": make_encoder(6).config}}))
    with pytest.raises(InputError, match=r"embedding.weight \(16, 4\) instead of \(16, 6\)"):
        load_encoder(tmp_path / "folder")


def test_odd_shares_of_families_are_refused(tmp_path: Path) -> None:
    save_encoder(make_encoder(), tmp_path / "encoder")
    path = tmp_path / "encoder" / "config.json"
    config = json.loads(path.read_text())
    for shares in ({"val_fraction": 2, "test_fraction": 0}, {"val_fraction": 0.1}, [0.1, 0.0]):
        path.write_text(json.dumps(config | {"orthrus": config["orthrus"] | {"held_out": shares}}))
        with pytest.raises(InputError, match="expected val_fraction and test_fraction, each from 0"):
            load_encoder(tmp_path / "encoder")


def test_nothing_is_written_over_or_left_half_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_encoder(make_encoder(), tmp_path / "folder")
    with pytest.raises(InputError, match="folder exists; choose another --output or remove it first"):
        save_encoder(make_encoder(), tmp_path / "folder")

    def fail(*_: object, **__: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("orthrus.nn.checkpoints.save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        save_encoder(make_encoder(), tmp_path / "other")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_export_of_a_published_checkpoint(tmp_path: Path) -> None:
    encoder = make_encoder()
    torch.save({"state_dict": published_state(encoder)}, tmp_path / "epoch=3.ckpt")
    export_encoder(tmp_path / "epoch=3.ckpt", tmp_path / "orthrus-small")
    assert sorted(path.name for path in (tmp_path / "orthrus-small").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "modeling_orthrus.py",
    ]
    card = (tmp_path / "orthrus-small" / "README.md").read_text()
    assert "| weights from | epoch=3.ckpt |" in card
    assert f"| parameters | {encoder.n_parameters:,} |" in card
    assert_same(load_encoder(tmp_path / "orthrus-small"), encoder)


def test_our_entry_without_a_configuration(tmp_path: Path) -> None:
    content = {"state_dict": published_state(make_encoder()), "orthrus": {"encoder": 3}}
    torch.save(content, tmp_path / "odd.ckpt")
    with pytest.raises(InputError, match="without the encoder's configuration"):
        load_encoder(tmp_path / "odd.ckpt")


@pytest.mark.parametrize("prefix", ["objective.terms.mlm.head.", "objective.head."])
def test_the_masked_base_head_of_our_checkpoint(tmp_path: Path, prefix: str) -> None:
    head = MaskedLanguageHead(16)
    state = published_state(make_encoder()) | {f"{prefix}{name}": x for name, x in head.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "ours.ckpt")
    loaded = load_mlm_head(tmp_path / "ours.ckpt")
    assert loaded is not None
    hidden = torch.randn(3, 16)
    torch.testing.assert_close(loaded(hidden), head(hidden), rtol=0, atol=0)


def test_no_masked_base_head(tmp_path: Path) -> None:
    torch.save({"state_dict": published_state(make_encoder())}, tmp_path / "published.ckpt")
    assert load_mlm_head(tmp_path / "published.ckpt") is None
