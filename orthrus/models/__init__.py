"""Encoders by name: shipped with the package, published on the Hugging Face hub, or on this disk.

A name is turned into a path for :func:`orthrus.load_encoder`. ``models.yaml`` beside this file is the table of names.
Shipped models need no network. Published models are downloaded once into the cache of huggingface_hub (extra ``hub``),
whose files are named by their checksums and compared with them at every use.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from safetensors import safe_open

from orthrus.errors import InputError, did_you_mean
from orthrus.models.hub import cached, fetch

if TYPE_CHECKING:
    import torch

    from orthrus.nn.encoder import MambaEncoder

_FOLDER = Path(__file__).parent
_HUB_PREFIX = "hf-"


@dataclass(frozen=True)
class KnownModel:
    """A model with a name; ``place`` is ``shipped``, ``cached`` (published and downloaded) or ``published``."""

    name: str
    place: str
    tracks: int
    parameters: int
    trained_on: str
    licence: str
    note: str = ""
    repository: str | None = None
    folder: Path | None = None


def default_model() -> str:
    """The name of the default model; raises InputError if this package ships none."""
    name = _table()["default"]
    if name is None:
        raise InputError("this build of the package ships no model; name one with --model (see `orthrus models`)")
    return str(name)


def known_models() -> list[KnownModel]:
    """The shipped models, the default first, then the published ones.

    Examples:
        >>> [model.name for model in known_models() if model.place == "shipped"]
        ['orthrus-codon']
    """
    table = _table()
    shipped = [
        KnownModel(name, "shipped", *_size(_FOLDER / name), **about, folder=_FOLDER / name)
        for name, about in table["shipped"].items()
    ]
    published = []
    for name, about in table["published"].items():
        folder = cached(about["repository"])
        published.append(KnownModel(name, "cached" if folder else "published", **about, folder=folder))
    return sorted(shipped, key=lambda model: model.name != table["default"]) + published


def find_model(model: str | Path | None = None) -> Path:
    """The checkpoint or folder that ``model`` means.

    Args:
        model: the name of a known model, a folder with ``config.json`` and ``model.safetensors``, a checkpoint file, or
            ``owner/name`` of a repository on the Hugging Face hub (``hf-owner/name`` if a local path has the same
            name); None means the default model.

    Returns:
        An existing path; a published model is downloaded into the cache first.

    Raises:
        InputError: if ``model`` is none of these, cannot be downloaded, or does not match its checksum.

    Examples:
        >>> find_model("orthrus-codon").name
        'orthrus-codon'
    """
    text = default_model() if model is None else str(model)
    table = _table()
    if text in table["shipped"]:
        return _FOLDER / text
    if text in table["published"]:
        return fetch(table["published"][text]["repository"])
    if Path(text).exists():
        return Path(text)
    if not isinstance(model, Path) and text.count("/") == 1 and not text.startswith((".", "/", "~")):
        if Path(text).suffix in (".ckpt", ".safetensors", ".pt", ".bin"):
            raise InputError(f"there is no checkpoint at {text}")
        return fetch(text.removeprefix(_HUB_PREFIX))
    names = [*table["shipped"], *table["published"]]
    raise InputError(
        f"no model {text!r}{did_you_mean(text, names)}: it is neither a file or folder nor a known model"
        f" ({', '.join(names)}); expected one of these, a checkpoint, a folder of `orthrus export`, or owner/name"
        " on the Hugging Face hub"
    )


def model_name(model: Path) -> str:
    """The name of a model in the files made with it: the name of a shipped model, the absolute path of others."""
    return model.name if model.parent == _FOLDER else str(model.absolute())


def find_head(task: str, model: Path) -> Path:
    """The folder of a fitted head: that of the ``task`` shipped with ``model``, or ``task`` itself or ``task/head``.

    Raises InputError, naming the tasks of the model, if it is neither.
    """
    heads = shipped_heads(model)
    if task in heads:
        return model / "heads" / task
    if Path(task).is_dir():
        of_probe = Path(task) / "head"
        return of_probe if of_probe.is_dir() else Path(task)
    named = f"{model_name(model)} has the heads {', '.join(heads)}" if heads else f"{model_name(model)} has no heads"
    raise InputError(
        f"no task {task!r}{did_you_mean(task, heads)}: it is not the folder of a head, and {named}; `orthrus probe`"
        " writes a head into its output folder"
    )


def shipped_heads(model: Path) -> list[str]:
    """The tasks that have a head beside the model's weights."""
    return sorted(path.parent.name for path in model.glob("heads/*/head.json"))


def load_model(model: str | Path | None = None, device: "str | torch.device" = "cpu") -> "MambaEncoder":
    """Load the encoder that ``model`` names (:func:`find_model`), in eval mode on ``device``.

    By default that is the shipped encoder.

    Raises InputError if there is no such model, or if it cannot be read.

    Examples:
        >>> import orthrus
        >>> encoder = orthrus.load_model()
        >>> encoder.d_model, encoder.n_layers, f"{encoder.n_parameters:,}"
        (320, 3, '2,257,222')
    """
    from orthrus.nn.checkpoints import load_encoder

    return load_encoder(find_model(model), device)


@lru_cache(maxsize=1)
def _table() -> dict[str, Any]:
    table: dict[str, Any] = yaml.safe_load((_FOLDER / "models.yaml").read_text(encoding="utf-8"))
    return table


def _size(folder: Path) -> tuple[int, int]:
    """Tracks and parameters of an exported encoder, from its configuration and the header of its weights."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    with safe_open(folder / "model.safetensors", framework="numpy") as weights:
        names = [name for name in list(weights.keys()) if "head" not in name.split(".")[0]]
        parameters = sum(prod(weights.get_slice(name).get_shape()) for name in names)
    return int(config["orthrus"]["encoder"]["n_tracks"]), parameters
