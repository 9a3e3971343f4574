"""Finds and reads the contents of a run folder for the report: configuration, curves, embeddings, probes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from orthrus.embedding.file import Embeddings, read_embeddings
from orthrus.errors import InputError
from orthrus.probe.document import DOCUMENT_FILE, ProbeDocument, read_document
from orthrus.spec_file import parse_json

Curves = Mapping[str, pd.Series]


@dataclass(frozen=True)
class RunFolder:
    """The parts found under ``path``; ``missing`` gives for each absent one what it would show and how to get it.

    ``curves`` maps a metric to its values by step; ``embeddings`` is one of the files, ``other_embeddings`` names the
    rest; ``probes`` are documents by folder name; ``store`` is the store's ``meta.json``.
    """

    path: Path
    config_text: str | None
    config: dict[str, Any]
    curves: Curves
    embeddings: Embeddings | None
    other_embeddings: tuple[str, ...]
    probes: dict[str, ProbeDocument]
    store_path: str | None
    store: dict[str, Any] | None
    missing: tuple[str, ...]


def read_run_folder(path: Path) -> RunFolder:
    """Find and read a run folder. Raises InputError if there is no such folder or nothing in it to report."""
    if not path.is_dir():
        raise InputError(f"no folder {path}; give the folder of a run (the one with config.yaml and checkpoints/).")
    config_text, config = read_config(path / "config.yaml")
    curves = read_curves(path)
    files = sorted(path.glob("embeddings*.parquet"))
    probes = {
        str(file.parent.relative_to(path)): read_document(file)
        for file in sorted(path.rglob(DOCUMENT_FILE))
        if "feature_sets" in _read_json(file)  # `orthrus neighbours --metrics` may write another of the same name
    }
    if config_text is None and not curves and not files and not probes:
        raise InputError(
            f"{path} holds nothing to report: no config.yaml, metrics.csv, embeddings*.parquet or probe (metrics.json)."
            " Give the folder of a run."
        )
    embeddings = max(map(read_embeddings, files), key=_worth_mapping) if files else None
    others = tuple(file.name for file in files if embeddings and str(file) != embeddings.metadata["file"])
    store_path = _store_of(config, embeddings)
    meta = Path(store_path, "meta.json") if store_path else None
    store = _read_json(meta) if meta and meta.is_file() else None
    missing = []
    if config_text is None:
        missing.append(f"Configuration: no config.yaml in {path}; `orthrus fit` writes it.")
    if not curves:
        missing.append(f"Training curves: no metrics.csv under {path}; `orthrus fit` writes it.")
    if embeddings is None:
        missing.append(f"Map of embeddings: no embeddings*.parquet in {path}; make one with `orthrus embed`.")
    if not probes:
        missing.append(f"Probes: no probe's metrics.json under {path}; make one with `orthrus probe`.")
    if store is None:
        where = f"no store at {store_path}" if store_path else "neither configuration nor embeddings name a store"
        missing.append(f"Data provenance: {where}.")
    return RunFolder(path, config_text, config, curves, embeddings, others, probes, store_path, store, tuple(missing))


def read_config(path: Path) -> tuple[str | None, dict[str, Any]]:
    """The text and the content of a run's configuration; None and an empty dict if there is none."""
    if not path.is_file():
        return None, {}
    try:
        text = path.read_text(encoding="utf-8")
        config = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is no valid YAML ({str(error).splitlines()[0]}); restore it or remove it.") from None
    return text, config if isinstance(config, dict) else {}


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = parse_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is no valid JSON ({error}); make it again or remove it.") from None
    return document if isinstance(document, dict) else {}


def _version(path: Path) -> tuple[int, str]:
    """A sort key for CSVLogger's folders version_0, version_1, ...: 10 comes after 9."""
    number = path.parent.name.removeprefix("version_")
    return (int(number) if number.isdecimal() else -1, str(path))


def read_curves(path: Path) -> Curves:
    """Values by step of every metric of the run in a folder.

    The file of a resumed run replaces the earlier file from its first step on.
    """
    files = sorted(path.glob("metrics.csv")) + sorted(path.glob("*/*/metrics.csv"), key=_version)
    whole = pd.DataFrame()
    for file in files:
        try:
            table = pd.read_csv(file)
        except (ValueError, OSError) as error:
            raise InputError(f"{file} cannot be read as a table ({str(error).strip()}).") from None
        if "step" not in table or table.empty:
            continue
        if not whole.empty:
            whole = whole[whole["step"] < table["step"].min()]
        whole = pd.concat([whole, table]) if not whole.empty else table
    if whole.empty:
        return {}
    numbers = whole.apply(pd.to_numeric, errors="coerce").groupby("step").last()
    numbers = numbers.replace([np.inf, -np.inf], np.nan)  # as the norm of a gradient that was left out
    return {str(name): series.dropna() for name, series in numbers.items() if name != "epoch" and series.notna().any()}


def _worth_mapping(embeddings: Embeddings) -> tuple[int, int]:
    families = embeddings.family_id or ()
    return len(set(embeddings.species or ())), len(families) - len(set(families))


def _store_of(config: Mapping[str, Any], embeddings: Embeddings | None) -> str | None:
    store = store_of_config(config)
    return store or (str(embeddings.metadata["input"]) if embeddings and "input" in embeddings.metadata else None)


def config_of_checkpoint(checkpoint: object) -> dict[str, Any]:
    """The configuration of the run that wrote a checkpoint, RUN/checkpoints/last.ckpt; empty if there is none.

    A model's name, or an exported folder, is no checkpoint of a run, whatever lies beside it.
    """
    path = Path(str(checkpoint))
    return read_config(path.parent.parent / "config.yaml")[1] if path.suffix == ".ckpt" else {}


def kept_out(config: Mapping[str, Any]) -> dict[str, float]:
    """``val_fraction`` and ``test_fraction``, the shares of families that a run did not train on."""
    data = config.get("data")
    return {
        name: float((data.get(name) if isinstance(data, dict) else None) or 0)
        for name in ("val_fraction", "test_fraction")
    }


def store_of_config(config: Mapping[str, Any]) -> str | None:
    """The store that a run was trained on, from its configuration."""
    data = config.get("data")
    if not isinstance(data, dict):
        return None
    store = data.get("store") or (data.get("init_args") or {}).get("store")
    return str(store) if store else None
