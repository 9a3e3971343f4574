"""Reads and writes encoders: our checkpoints, published ones, and folders in Hugging Face's format.

Sizes come from the weights, never from a name. Only tensors and plain containers are unpickled, so a checkpoint cannot
run code.
"""

import json
import pickle
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from orthrus.errors import InputError
from orthrus.genome.codes import CdsFrame
from orthrus.nn.encoder import MambaEncoder
from orthrus.nn.heads import N_BASES, MaskedLanguageHead, PublishedSequenceHead
from orthrus.nn.integrity import (
    DIGEST,
    archive_fault,
    digest,
    refuse_not_finite,
    refuse_odd_tensors,
    refuse_other_sizes,
)
from orthrus.nn.readouts import LAST_MEAN, check_readouts, widths
from orthrus.output import atomic_folder, reserve_folder
from orthrus.spec_file import parse_json

CONFIG_FILE, WEIGHTS_FILE, CARD_FILE = "config.json", "model.safetensors", "README.md"
EncoderT = TypeVar("EncoderT", bound=MambaEncoder)
WEIGHTS_FILES = (WEIGHTS_FILE, "pytorch_model.bin")
_MODELLING = "modeling_orthrus"  # the file that AutoModel runs, in the spelling of transformers
_OWN_HEAD, _PUBLISHED_HEAD = "masked_base_head.", "sequence_head."
_PREFIXES = ("encoder.", "model.", "")  # ours, the published Lightning module's, a bare encoder's


def load_encoder(path: str | Path, device: str | torch.device = "cpu") -> MambaEncoder:
    """Load the encoder of a checkpoint, in eval mode.

    Args:
        path: a Lightning checkpoint of ours, a published one (weights under ``model.``, projection heads are ignored),
            or a folder with ``config.json`` and ``model.safetensors`` or ``pytorch_model.bin``.
        device: device of the encoder.

    Raises:
        InputError: if the checkpoint is missing or damaged, is not a checkpoint, or has names or shapes that do not fit
            an encoder; all of these are listed.

    Examples:
        >>> import orthrus
        >>> encoder = orthrus.load_encoder("runs/demo/checkpoints/last.ckpt")
        >>> encoder.n_tracks, encoder.training
        (6, False)
    """
    return load_as(MambaEncoder, path, device)


def load_as(encoder_class: type[EncoderT], path: str | Path, device: str | torch.device) -> EncoderT:
    """Load an encoder as :func:`load_encoder` does, as a class derived from MambaEncoder."""
    path = Path(path)
    content = _read(path)
    weights = _encoder_weights(content.get("state_dict", content), path)
    refuse_odd_tensors(weights, weights_file(path).stat().st_size, path)
    refuse_not_finite(weights, path)
    config = _stored_config(content, path) or _infer_config(weights, path)
    refuse_other_sizes(config, weights, path)
    with torch.device("meta"):  # allocates no memory for any size
        _refuse_misfit(encoder_class.from_config(config).state_dict(), weights, path)
    encoder = encoder_class.from_config(config)
    encoder.load_state_dict(weights)
    encoder.cds_frame, encoder.held_out = _stored_cds_frame(content, path), _stored_held_out(content, path)
    return encoder.to(device).eval()


def _stored_cds_frame(content: Mapping[str, Any], path: Path) -> CdsFrame:
    """Where codons began in training; ``published`` if nothing is stored, as in others' weights and our first ones."""
    stored = content.get("orthrus")
    frame: CdsFrame = stored.get("cds_frame", "published") if isinstance(stored, Mapping) else "published"
    if frame not in get_args(CdsFrame):
        raise InputError(f"{path} names the cds_frame {frame!r}; expected one of {', '.join(get_args(CdsFrame))}")
    return frame


def _stored_held_out(content: Mapping[str, Any], path: Path) -> dict[str, float]:
    stored = content.get("orthrus")
    shares = stored.get("held_out", {}) if isinstance(stored, Mapping) else {}
    names = ("val_fraction", "test_fraction")
    if shares and not (
        isinstance(shares, Mapping)
        and set(shares) == {*names}
        and all(isinstance(share, int | float) and 0 <= share < 1 for share in shares.values())
    ):
        raise InputError(f"{path} holds out {shares!r}; expected {' and '.join(names)}, each from 0 to less than 1")
    return {name: float(shares[name]) for name in names if name in shares}


def load_mlm_head(path: str | Path, device: str | torch.device = "cpu") -> nn.Module | None:
    """The masked-base head that was trained with an encoder, hidden (..., D) -> logits (..., 4), in eval mode.

    Our Lightning checkpoints and exported folders have it, and published checkpoints (``sequence_head.*``). None if the
    checkpoint has none. Raises InputError if the file is missing or damaged, or the head does not fit.
    """
    path = Path(path)
    content = _read(path)
    state = {name: x for name, x in content.get("state_dict", content).items() if isinstance(x, Tensor)}
    for name, tensor in state.items():
        head: nn.Module
        if name.endswith(f"{_PUBLISHED_HEAD}fc1.weight"):
            prefix, head = name.removesuffix("fc1.weight"), PublishedSequenceHead(tensor.shape[1], tensor.shape[0])
        elif name == f"{_OWN_HEAD}weight" or (
            name.startswith("objective.") and name.endswith(".head.weight") and len(tensor) == N_BASES
        ):
            prefix, head = name.removesuffix("weight"), MaskedLanguageHead(tensor.shape[1])
        else:
            continue
        own = {key.removeprefix(prefix): x for key, x in state.items() if key.startswith(prefix)}
        _refuse_misfit(head.state_dict(), own, path)
        head.load_state_dict(own)
        return head.to(device).eval()
    return None


def stored_readout(path: str | Path) -> str:
    """The readout in the configuration of an encoder's folder (:mod:`orthrus.nn.readouts`), else ``last.mean``.

    Raises InputError as ``load_encoder``, and if the readout is not text.
    """
    stored = _read(Path(path)).get("orthrus")
    readout = stored.get("readout", LAST_MEAN) if isinstance(stored, dict) else LAST_MEAN
    if not isinstance(readout, str):
        raise InputError(f"{path} names the readout {readout!r}; expected text such as {LAST_MEAN}")
    return readout


def checkpoint_step(path: str | Path) -> int | None:
    """The training step of a Lightning checkpoint, None for other files. Raises InputError as ``load_encoder``."""
    step = checkpoint_entry(path, "global_step")
    return int(step) if isinstance(step, int) else None


def checkpoint_entry(path: str | Path, name: str) -> Any:
    """The entry ``name`` of a checkpoint, None if it has none. Raises InputError as ``load_encoder``."""
    return _read(Path(path)).get(name)


def export_encoder(checkpoint: str | Path, folder: str | Path) -> None:
    """Write the encoder of any checkpoint that ``load_encoder`` reads, and its heads if any, to a folder.

    The heads are the masked-base one and, of a folder, those in ``heads/`` that `orthrus predict` reads. Hugging Face
    can host the folder, and ``transformers.AutoModel`` loads it (:mod:`orthrus.nn.modeling_orthrus`).
    """
    checkpoint, folder = Path(checkpoint), Path(folder)
    with reserve_folder(folder, CONFIG_FILE), atomic_folder(folder) as partial:
        encoder, head = load_encoder(checkpoint), load_mlm_head(checkpoint)
        write_files(encoder, partial, folder.name, checkpoint.name, stored_readout(checkpoint), head)
        if (heads := checkpoint / "heads").is_dir():
            shutil.copytree(heads, partial / "heads")


def save_encoder(
    encoder: MambaEncoder,
    folder: str | Path,
    source: str | None = None,
    readout: str = LAST_MEAN,
    mlm_head: nn.Module | None = None,
) -> None:
    """Write ``config.json``, ``model.safetensors``, a model card and a modelling file, either all of them or none.

    ``source`` is the origin of the weights in the card, ``readout`` the default readout of ``orthrus embed``. Raises
    InputError if ``folder`` exists already, or the encoder has no such readout.
    """
    folder = Path(folder)
    with reserve_folder(folder, CONFIG_FILE), atomic_folder(folder) as partial:
        write_files(encoder, partial, folder.name, source, readout, mlm_head)


def write_files(
    encoder: MambaEncoder,
    folder: Path,
    name: str,
    source: str | None,
    readout: str = LAST_MEAN,
    mlm_head: nn.Module | None = None,
) -> None:
    """Write the files of :func:`save_encoder` for an encoder called ``name`` into an existing folder."""
    check_readouts(encoder, [readout])
    modules = {"": encoder, **({} if mlm_head is None else {_head_name(mlm_head): mlm_head})}
    config: dict[str, Any] = {
        "model_type": "orthrus-mrna",
        "architectures": ["OrthrusModel"],
        "auto_map": {"AutoConfig": f"{_MODELLING}.OrthrusConfig", "AutoModel": f"{_MODELLING}.OrthrusModel"},
        "hidden_size": encoder.d_model,
        "orthrus": {"encoder": encoder.config, "cds_frame": encoder.cds_frame, "readout": readout},
    }
    if encoder.held_out:
        config["orthrus"] |= {"held_out": encoder.held_out}
    if mlm_head is not None:
        config["auto_map"] |= {"AutoModelForMaskedLM": f"{_MODELLING}.OrthrusForMaskedLM"}
        if isinstance(mlm_head, PublishedSequenceHead):
            config["orthrus"] |= {"sequence_head": mlm_head.fc1.out_features}
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n")
    shutil.copyfile(Path(__file__).with_name(f"{_MODELLING}.py"), folder / f"{_MODELLING}.py")
    state = {
        prefix + name: tensor.detach().cpu().contiguous()
        for prefix, module in modules.items()
        for name, tensor in module.state_dict().items()
    }
    refuse_not_finite(state, folder / WEIGHTS_FILE)
    save_file(state, folder / WEIGHTS_FILE, metadata={"format": "pt", DIGEST: digest(state)})
    (folder / WEIGHTS_FILE).chmod((folder / CONFIG_FILE).stat().st_mode)  # safetensors makes the file private
    (folder / CARD_FILE).write_text(_model_card(encoder, name, source, readout))


def _head_name(head: nn.Module) -> str:
    return _PUBLISHED_HEAD if isinstance(head, PublishedSequenceHead) else _OWN_HEAD


def _model_card(encoder: MambaEncoder, name: str, source: str | None, readout: str) -> str:
    direction = "bidirectional" if encoder.bidirectional else "causal"
    mixer = type(encoder.layers[0].mixer).__name__
    return f"""---
library_name: orthrus
tags: [biology, genomics, rna, mrna, mamba]
---
# {name}

An Orthrus encoder of mature mRNA: transcripts in, one vector of {widths(encoder, [readout])[0]:,} numbers each out.

| | |
|---|---|
| mixer | {mixer}, {direction} |
| layers x width | {encoder.n_layers} x {encoder.d_model} |
| tokens | {"one a base" if encoder.embedding.name == "base" else "three bases, in the frame of the CDS"} |
| tracks | {encoder.n_tracks} ({"A, C, G, T, CDS, splice" if encoder.n_tracks == 6 else "A, C, G, T"}) |
| parameters | {encoder.n_parameters:,} |
| readout | `{readout}` |
| weights from | {source or "not stated"} |

```python
import orthrus

vectors = orthrus.embed("my.fa", "{name}")  # this folder, or owner/{name}, a repository on Hugging Face
encoder = orthrus.load_encoder("{name}")
hidden_BTD = encoder(tracks_BCL, lengths_B)
```

Method: Fradkin, Shi et al., Orthrus, bioRxiv 2024.10.10.617658.
"""


def weights_file(path: Path) -> Path:
    """The file with a checkpoint's weights: ``path`` or a file in it; raises InputError if there is none."""
    if not path.exists():
        raise InputError(f"no checkpoint at {path}: expected a .ckpt file or a folder with {WEIGHTS_FILE}")
    if not path.is_dir():
        return path
    found = next((path / name for name in WEIGHTS_FILES if (path / name).exists()), None)
    if found is None:
        raise InputError(f"{path} holds neither {' nor '.join(WEIGHTS_FILES)}: it is no encoder's folder")
    return found


def _read(path: Path) -> dict[str, Any]:
    """The content of a checkpoint; a folder's config.json is merged in if it is ours."""
    weights_path = weights_file(path)
    if weights_path == path:
        return _read_file(path)
    content = {"state_dict": _read_file(weights_path)}
    config_path = path / CONFIG_FILE
    if config_path.exists():
        try:
            config = parse_json(config_path.read_text())
        except ValueError as error:
            raise InputError(f"{config_path} is not JSON ({error}): download or export the folder again") from error
        if isinstance(config, dict) and "orthrus" in config:
            content["orthrus"] = config["orthrus"]
    return content


def _read_file(path: Path) -> dict[str, Any]:
    try:
        if path.suffix == ".safetensors":
            return _read_safetensors(path)
        if zipfile.is_zipfile(path) and (fault := archive_fault(path)) is not None:
            raise ValueError(fault)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each reader has its own errors for a damaged file
        raise InputError(
            f"{path} cannot be read as a checkpoint ({_reason(error)}): it is damaged, no checkpoint, or holds more"
            " than weights and plain values, which are never unpickled"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds a {type(content).__name__}, not a checkpoint")
    return content


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    with safe_open(path, "pt") as file:
        state = {name: file.get_tensor(name) for name in sorted(file.keys())}
        stored = (file.metadata() or {}).get(DIGEST)
    if stored is not None and stored != digest(state):
        raise ValueError("its tensors do not match their checksum")
    return state


def _reason(error: Exception) -> str:
    """The first line of an error, without PyTorch's advice to unpickle possible code."""
    if isinstance(error, pickle.UnpicklingError):
        return "it holds objects of code"
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _encoder_weights(state: Any, path: Path) -> dict[str, Tensor]:
    """The encoder's tensors, without the file's prefix of their names and without training heads."""
    prefixes = [prefix for prefix in _PREFIXES if isinstance(state, Mapping) and f"{prefix}embedding.weight" in state]
    if not prefixes:
        raise InputError(f"{path} holds no encoder: no tensor is named embedding.weight, model.… or encoder.…")
    tensors = {name: x for name, x in state.items() if isinstance(x, Tensor) and name.startswith(prefixes[0])}
    own = {name.removeprefix(prefixes[0]): x for name, x in tensors.items()}
    return {name: x for name, x in own.items() if "head" not in name.split(".")[0]}


def _stored_config(content: Mapping[str, Any], path: Path) -> dict[str, Any] | None:
    """The configuration stored in our own checkpoints, None for others."""
    if "orthrus" not in content:
        return None
    stored = content["orthrus"]
    if not isinstance(stored, dict) or not isinstance(stored.get("encoder"), dict):
        raise InputError(f"{path} has an entry 'orthrus' without the encoder's configuration: it is damaged")
    config: dict[str, Any] = stored["encoder"]
    return config


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
