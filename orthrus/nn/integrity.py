"""Checks of weights: checksums of files, finite values, and sizes that match the configuration.

PyTorch's files are zip archives with a checksum (CRC-32) of every tensor, which ``torch.load`` does not compare; our
safetensors files have a SHA-256 in their metadata. Each check reads the file once, about a second a gigabyte.
"""

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from orthrus.errors import InputError

DIGEST = "sha256"  # key of a safetensors file's metadata


def archive_fault(path: Path) -> str | None:
    """The fault of a zip archive, in words; None if all its checksums match."""
    try:
        with zipfile.ZipFile(path) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                return "its members are compressed, which those of PyTorch never are"
            damaged = archive.testzip()
    except (OSError, zipfile.BadZipFile, EOFError, NotImplementedError, ValueError) as error:
        return str(error) or type(error).__name__
    return None if damaged is None else f"{damaged} does not match its checksum"


def digest(state: Mapping[str, Tensor]) -> str:
    """Hex SHA-256 of tensors by name: their names, types, shapes and values."""
    total = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def refuse_odd_tensors(weights: Mapping[str, Tensor], n_bytes: int, path: Path) -> None:
    """Raise InputError if tensors are sparse or without values, or declare more than a file of ``n_bytes`` holds."""
    odd = [name for name, x in weights.items() if x.layout != torch.strided or x.device.type != "cpu" or x.is_quantized]
    if odd:
        raise InputError(
            f"{path} holds {len(odd)} tensors, such as {odd[0]}, that are sparse, quantised or without values; expected"
            " plain ones"
        )
    declared = sum(x.numel() * x.element_size() for x in weights.values())
    if declared > n_bytes:
        raise InputError(f"{path} declares weights of {declared:,} bytes and has {n_bytes:,}: it is damaged")


def refuse_not_finite(weights: Mapping[str, Tensor], path: Path) -> None:
    """Raise InputError, with their names, if tensors hold NaN or infinity."""
    bad = [name for name, x in weights.items() if x.is_floating_point() and not bool(x.isfinite().all())]
    if bad:
        raise InputError(
            f"{path} holds weights that are not finite ({len(bad)} tensors, such as {bad[0]}): training diverged; take"
            " an earlier checkpoint"
        )


def refuse_other_sizes(config: Mapping[str, Any], weights: Mapping[str, Tensor], path: Path) -> None:
    """Raise InputError if a configuration asks for another width or depth than the weights have.

    It comes before anything of the configured size is allocated, because the file may be from an untrusted source.
    """
    embedding = weights["embedding.weight"]
    layers = {name.split(".")[1] for name in weights if name.startswith("layers.")}
    width = {2: 0, 3: 2}.get(embedding.ndim)  # of a base stem (D, C) and of a codon stem (3, W, D)
    found = {"d_model": 0 if width is None else embedding.shape[width], "n_layers": len(layers)}
    differing = [f"{name} {config.get(name)!r}, the weights {n}" for name, n in found.items() if config.get(name) != n]
    if differing:
        raise InputError(f"{path} does not fit its own weights: the configuration says {'; '.join(differing)}")
