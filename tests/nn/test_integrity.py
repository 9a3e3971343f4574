"""Weights that are not what was written are refused wherever they are read, and nothing is allocated on their word."""

import json
import random
import resource
import zipfile
from pathlib import Path

import pytest
import torch

from orthrus import InputError, MambaEncoder, load_encoder
from orthrus.nn.checkpoints import export_encoder, save_encoder
from orthrus.nn.integrity import digest


def checkpoint(path: Path, encoder: MambaEncoder) -> Path:
    state = {f"encoder.{name}": x for name, x in encoder.state_dict().items()}
    torch.save({"state_dict": state, "orthrus": {"encoder": encoder.config}}, path)
    return path


@pytest.mark.parametrize("kind", ["ckpt", "safetensors"])
def test_a_flipped_bit_of_the_weights_is_refused(tmp_path: Path, kind: str) -> None:
    encoder = MambaEncoder(6, 16, 1)
    path = given = tmp_path / "c.ckpt"
    if kind == "ckpt":
        checkpoint(path, encoder)
    else:
        save_encoder(encoder, tmp_path / "folder")
        path, given = tmp_path / "folder/model.safetensors", tmp_path / "folder"
    whole = path.read_bytes()
    values = encoder.layers[0].mixer.in_proj.weight.detach().numpy().tobytes()
    start = whole.index(values)
    for at in random.Random(0).sample(range(start, start + len(values)), 20):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << (at % 8)
        path.write_bytes(damaged)
        for read in (load_encoder, lambda p: export_encoder(p, tmp_path / "out")):
            with pytest.raises(InputError, match="checksum"):
                read(given)
    assert not (tmp_path / "out").exists()
    path.write_bytes(whole)
    load_encoder(given)


def test_no_flipped_bit_anywhere_changes_what_is_read(tmp_path: Path) -> None:
    encoder = MambaEncoder(6, 8, 1)
    save_encoder(encoder, tmp_path / "folder")
    true = digest(encoder.state_dict())
    generator = random.Random(1)
    for path in (checkpoint(tmp_path / "c.ckpt", encoder), tmp_path / "folder/model.safetensors"):
        whole = path.read_bytes()
        for _ in range(150):
            damaged = bytearray(whole)
            damaged[generator.randrange(len(whole))] ^= 1 << generator.randrange(8)
            path.write_bytes(damaged)
            try:
                loaded = load_encoder(path if path.suffix == ".ckpt" else path.parent)
            except InputError:
                continue
            assert digest(loaded.state_dict()) == true
        path.write_bytes(whole)


def test_weights_without_a_digest_are_read(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    encoder = MambaEncoder(6, 8, 1)
    (tmp_path / "folder").mkdir()
    save_file(encoder.state_dict(), tmp_path / "folder/model.safetensors")
    assert load_encoder(tmp_path / "folder").d_model == 8


def test_weights_that_are_not_finite_are_neither_read_nor_written(tmp_path: Path) -> None:
    encoder = MambaEncoder(6, 8, 1)
    with torch.no_grad():
        encoder.layers[0].mixer.D[3] = float("nan")
    with pytest.raises(InputError, match=r"not finite \(1 tensors, such as layers\.0\.mixer\.D\)"):
        load_encoder(checkpoint(tmp_path / "c.ckpt", encoder))
    with pytest.raises(InputError, match="not finite"):
        save_encoder(encoder, tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("d_model", 10**9),
        ("n_layers", 10**6),
        ("n_tracks", 10**9),
        ("d_state", 10**8),
        ("expand", 10**6),
        ("d_conv", 10**9),
    ],
)
def test_sizes_on_the_word_of_a_file_allocate_nothing(tmp_path: Path, name: str, value: int) -> None:
    encoder = MambaEncoder(6, 8, 1)
    save_encoder(encoder, tmp_path / "folder")
    config = encoder.config
    (config if name in config else config["mixer"]["init_args"])[name] = value
    (tmp_path / "folder/config.json").write_text(json.dumps({"orthrus": {"encoder": config}}))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match=r"does not fit|an encoder has at most"):
        load_encoder(tmp_path / "folder")
    with pytest.raises(InputError, match="an encoder has at most"):  # as from the metadata of embeddings
        MambaEncoder.from_config(config)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_exported_weights_follow_the_umask(tmp_path: Path) -> None:
    save_encoder(MambaEncoder(6, 8, 1), tmp_path / "folder")
    modes = {path.stat().st_mode for path in (tmp_path / "folder").iterdir()}
    assert len(modes) == 1


def test_pytorchs_advice_to_unpickle_is_not_passed_on(tmp_path: Path) -> None:
    torch.save({"state_dict": Path("/")}, tmp_path / "c.ckpt")
    with pytest.raises(InputError) as refused:
        load_encoder(tmp_path / "c.ckpt")
    assert "never unpickled" in str(refused.value)
    assert "weights_only" not in str(refused.value)
    assert "trust" not in str(refused.value)


@pytest.mark.parametrize(
    ("tensor", "told"),
    [
        (torch.zeros(1, 1).expand(10**6, 10**6), "declares weights of 4,000,000,000,000 bytes"),
        (torch.zeros(8, 6).to_sparse(), "embedding.weight, that are sparse"),
        (torch.zeros(8, 6, device="meta"), "embedding.weight, that are sparse, quantised or without values"),
    ],
    ids=["one value for a million million", "sparse", "without values"],
)
def test_tensors_that_are_not_plain_are_refused(tensor: torch.Tensor, told: str, tmp_path: Path) -> None:
    torch.save({"state_dict": {"embedding.weight": tensor}}, tmp_path / "c.ckpt")
    with pytest.raises(InputError, match=told):
        load_encoder(tmp_path / "c.ckpt")


def test_a_checkpoint_that_would_have_to_be_decompressed_is_refused(tmp_path: Path) -> None:
    torch.save({"state_dict": MambaEncoder(6, 8, 1).state_dict()}, tmp_path / "c.ckpt")
    with (
        zipfile.ZipFile(tmp_path / "c.ckpt") as plain,
        zipfile.ZipFile(tmp_path / "bomb.ckpt", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    load_encoder(tmp_path / "c.ckpt")
    with pytest.raises(InputError, match="its members are compressed"):
        load_encoder(tmp_path / "bomb.ckpt")


def test_a_configuration_of_a_hundred_thousand_brackets_is_an_error_of_one_line(tmp_path: Path) -> None:
    save_encoder(MambaEncoder(6, 8, 1), tmp_path / "folder")
    (tmp_path / "folder/config.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="nested too deeply"):
        load_encoder(tmp_path / "folder")
