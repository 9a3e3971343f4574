"""Encoders to and from files: our checkpoints, published ones, and folders in the Hugging Face manner.

A checkpoint in, an encoder ready to embed out. Sizes come from the weights, never from a name, and nothing is
unpickled but tensors and plain containers, so a checkpoint cannot run code.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from orthrus.errors import InputError
from orthrus.nn.encoder import MambaEncoder

CONFIG_FILE, WEIGHTS_FILE, LEGACY_WEIGHTS_FILE = "config.json", "model.safetensors", "pytorch_model.bin"
_PREFIXES = ("encoder.", "model.", "")  # ours, the published Lightning module's, a bare encoder's


def load_encoder(path: str | Path, device: str | torch.device = "cpu") -> MambaEncoder:
    """The encoder in a checkpoint, in eval mode on ``device``.

    ``path`` is a Lightning checkpoint of ours, a published one (weights under ``model.``; projection heads are left
    aside), or a folder with ``config.json`` and ``model.safetensors`` or ``pytorch_model.bin``. Raises InputError if it
    is missing, damaged, no checkpoint, or if its names or shapes do not fit an encoder (all of them are listed).
    """
    path = Path(path)
    content = _read(path)
    weights = _encoder_weights(content.get("state_dict", content), path)
    config = content["orthrus"]["encoder"] if "orthrus" in content else _infer_config(weights, path)
    encoder = MambaEncoder.from_config(config)
    _refuse_misfit(encoder.state_dict(), weights, path)
    encoder.load_state_dict(weights)
    return encoder.to(device).eval()


def save_encoder(encoder: MambaEncoder, folder: str | Path) -> None:
    """Writes ``config.json`` and ``model.safetensors``, whole or not at all.

    Raises InputError if ``folder`` exists already.
    """
    folder = Path(folder)
    if folder.exists():
        raise InputError(f"{folder} exists already: name another folder, or remove it first")
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        (partial / CONFIG_FILE).write_text(json.dumps({"orthrus": {"encoder": encoder.config}}, indent=2) + "\n")
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in encoder.state_dict().items()}
        save_file(state, partial / WEIGHTS_FILE, metadata={"format": "pt"})
        partial.chmod(0o755)  # mkdtemp makes it private
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _read(path: Path) -> dict[str, Any]:
    """The content of a checkpoint; a folder's config.json is merged in where it is ours."""
    if not path.exists():
        raise InputError(f"no checkpoint at {path}: expected a .ckpt file or a folder with {WEIGHTS_FILE}")
    if not path.is_dir():
        return _read_file(path)
    weights_path = next((path / name for name in (WEIGHTS_FILE, LEGACY_WEIGHTS_FILE) if (path / name).exists()), None)
    if weights_path is None:
        raise InputError(f"{path} holds neither {WEIGHTS_FILE} nor {LEGACY_WEIGHTS_FILE}: it is no encoder's folder")
    content = {"state_dict": _read_file(weights_path)}
    config_path = path / CONFIG_FILE
    if config_path.exists():
        try:
            config = json.loads(config_path.read_text())
        except ValueError as error:
            raise InputError(f"{config_path} is not JSON ({error}): download or export the folder again") from error
        if isinstance(config, dict) and "orthrus" in config:
            content["orthrus"] = config["orthrus"]
    return content


def _read_file(path: Path) -> dict[str, Any]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each reader has its own errors for a damaged file
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{path} cannot be read as a checkpoint ({reason}): it is damaged, no checkpoint, or holds more than "
            "weights and plain values, which are never unpickled"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}, not a checkpoint")
    return content


def _encoder_weights(state: Any, path: Path) -> dict[str, Tensor]:
    """The encoder's tensors under their own names, whatever prefix the file gives them, without training heads."""
    prefixes = [prefix for prefix in _PREFIXES if isinstance(state, Mapping) and f"{prefix}embedding.weight" in state]
    if not prefixes:
        raise InputError(f"{path} holds no encoder: no tensor is named embedding.weight, model.… or encoder.…")
    own = {name.removeprefix(prefixes[0]): tensor for name, tensor in state.items() if name.startswith(prefixes[0])}
    return {name: tensor for name, tensor in own.items() if "head" not in name.split(".")[0]}


def _infer_config(weights: Mapping[str, Tensor], path: Path) -> dict[str, Any]:
    """The configuration of a Mamba-1 encoder with these weights."""
    try:
        d_model, n_tracks = weights["embedding.weight"].shape
        d_inner, d_state = weights["layers.0.mixer.A_log"].shape
        d_conv = weights["layers.0.mixer.conv1d.weight"].shape[2]
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(f"{path} holds no Mamba encoder: it lacks, or has in another shape, {error}") from error
    return {
        "n_tracks": n_tracks,
        "d_model": d_model,
        "n_layers": len({name.split(".")[1] for name in weights if name.startswith("layers.")}),
        "bidirectional": any(".mixer.reverse." in name for name in weights),
        "mixer": {
            "class_path": "orthrus.nn.mamba.Mamba",
            "init_args": {"d_state": d_state, "d_conv": d_conv, "expand": d_inner // d_model},
        },
    }


def _refuse_misfit(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor], path: Path) -> None:
    missing, surplus = sorted(expected.keys() - weights.keys()), sorted(weights.keys() - expected.keys())
    misshapen = [
        f"{name} {tuple(weights[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    faults = {"missing": missing, "surplus": surplus, "of another shape": misshapen}
    if any(faults.values()):
        listed = "; ".join(f"{kind}: {', '.join(names)}" for kind, names in faults.items() if names)
        raise InputError(f"{path} does not fit an encoder of its own sizes ({listed})")
