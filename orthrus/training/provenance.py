"""The inputs of a run: a store, and the same recipe on every rank."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch.distributed as dist
from lightning import Trainer

from orthrus.errors import InputError
from orthrus.store import TranscriptStore


def describe_store(path: str) -> dict[str, Any]:
    """One checksum over the checksums of all files of the store, and its counts."""
    store = TranscriptStore.open(path)
    files = {name: file["sha256"] for name, file in store.meta["files"].items()}
    digest = hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    return {"sha256": digest, "transcripts": len(store), "counts": store.meta.get("counts", {})}


def compare_ranks(trainer: Trainer, mine: Any) -> None:
    """Raise InputError, naming the differences, on every rank unless all have the same nested dictionary ``mine``."""
    if trainer.world_size == 1:
        return
    everyones: list[Any] = [None] * trainer.world_size
    dist.all_gather_object(everyones, mine)
    for rank, theirs in enumerate(everyones):
        differing = [f"{key} {a!r} and {b!r}" for key, a, b in differences(everyones[0], theirs)]
        if differing:
            raise InputError(
                f"rank {rank} has another recipe than rank 0: {'; '.join(differing)}. Start every rank with the same"
                " command and files"
            )


def differences(one: Any, other: Any, key: str = "") -> list[tuple[str, Any, Any]]:
    """The differences of two nested dictionaries: (dotted key, value in one, value in the other)."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        found = []
        for name in [*one, *(name for name in other if name not in one)]:
            found += differences(one.get(name), other.get(name), f"{key}.{name}" if key else str(name))
        return found
    return [] if one == other else [(key, one, other)]
