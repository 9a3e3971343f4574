"""What a probe leaves behind: ``metrics.json``, ``scores.tsv`` and ``bars.png`` in a folder, and a printed table.

The folder is written beside its place and renamed, so it is there whole or not at all.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from orthrus.errors import InputError
from orthrus.probe.leaks import leak_lines
from orthrus.probe.metrics import (
    LABEL_METRICS,
    REGRESSION_METRICS,
    TITLES,
    Interval,
    SeedScores,
    chance,
    corrected_interval,
    interval,
)
from orthrus.probe.plot import draw_bars
from orthrus.probe.splits import Split
from orthrus.probe.targets import Target, Task

EMBEDDING = "embedding"


def summarise(
    results: Mapping[str, Sequence[SeedScores]], n_features: Mapping[str, int], target: Target, splits: Sequence[Split]
) -> dict[str, Any]:
    """The part of ``metrics.json`` on scores: each feature set's, by seed with mean and interval, and differences.

    ``differences`` is embedding minus control, paired by seed; its interval is the corrected one.
    """
    names = REGRESSION_METRICS if target.task is Task.REGRESSION else LABEL_METRICS
    prevalence = float(np.mean([target.values[split.test].mean() for split in splits]))
    test_to_train = float(np.mean([len(split.test) / len(split.train) for split in splits]))
    by_set = {
        name: {metric: [seed.scores[metric] for seed in seeds] for metric in names} for name, seeds in results.items()
    }
    return {
        "metrics": list(names),
        "chance": chance(names, prevalence),
        "seeds": [split.seed for split in splits],
        "rows_by_seed": {
            side: [len(getattr(split, side)) for split in splits] for side in ("train", "validation", "test")
        },
        "feature_sets": {
            name: {
                "n_features": n_features[name],
                "scores": {
                    metric: {"per_seed": scores, **_as_json(interval(scores))}
                    for metric, scores in by_set[name].items()
                },
                "penalties_per_seed": [list(seed.penalties) for seed in seeds],
                **_by_label(seeds, target),
            }
            for name, seeds in results.items()
        },
        "differences": {
            name: {metric: _difference(by_set[EMBEDDING][metric], scores[metric], test_to_train) for metric in names}
            for name, scores in by_set.items()
            if name != EMBEDDING
        },
    }


def _difference(ours: Sequence[float], theirs: Sequence[float], test_to_train: float) -> dict[str, Any]:
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    return {"per_seed": differences, **_as_json(corrected_interval(differences, test_to_train))}


def _by_label(seeds: Sequence[SeedScores], target: Target) -> dict[str, Any]:
    if not seeds[0].of_label:
        return {}
    stacked = {metric: np.array([seed.of_label[metric] for seed in seeds]) for metric in LABEL_METRICS}
    scored = np.isfinite(stacked["auroc"])
    return {
        "labels_not_scored_per_seed": (~scored).sum(axis=1).tolist(),
        "per_label": {
            name: {metric: _mean_or_none(stacked[metric][:, i]) for metric in LABEL_METRICS}
            for i, name in enumerate(target.names)
        },
    }


def _mean_or_none(scores: np.ndarray[Any, np.dtype[np.float64]]) -> float | None:
    finite = scores[np.isfinite(scores)]
    return float(finite.mean()) if len(finite) else None


def _as_json(value: Interval) -> dict[str, Any]:
    return {"mean": value.mean, "interval95": None if np.isnan(value.low) else [value.low, value.high]}


def refuse_existing(output: Path, overwrite: bool) -> None:
    """Raises InputError if a probe cannot be written to ``output``: only an earlier probe's folder is ever replaced."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not (output / "metrics.json").is_file():
        raise InputError(f"{output} exists and is no probe's folder; choose another output, it will not be replaced.")
    if not overwrite:
        raise InputError(f"{output} exists; choose another output or pass --overwrite to replace it.")


def write_result(document: Mapping[str, Any], output: Path) -> None:
    """Write the folder ``output`` whole, in place of an earlier one, and print its table."""
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}.", suffix=".partial", dir=output.parent) as partial:
        folder = Path(partial) / "new"
        folder.mkdir()
        text = json.dumps(document, indent=2, allow_nan=False, default=str)
        (folder / "metrics.json").write_text(text + "\n", encoding="utf-8")
        _write_scores(document, folder / "scores.tsv")
        draw_bars(document, folder / "bars.png")
        if output.exists():
            output.rename(Path(partial) / "old")
        folder.rename(output)


def _write_scores(document: Mapping[str, Any], path: Path) -> None:
    lines = ["feature_set\tseed\tmetric\tscore"]
    for name, feature_set in document["feature_sets"].items():
        for metric, scores in feature_set["scores"].items():
            lines += [
                f"{name}\t{seed}\t{metric}\t{score:.6f}"
                for seed, score in zip(document["seeds"], scores["per_seed"], strict=True)
            ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def print_table(document: Mapping[str, Any], console: Console) -> None:
    """Print means and intervals of every feature set, differences from the controls, and controls that are missing."""
    names = document["metrics"]
    table = Table(title=f"{document['target']} ({document['task']})", caption=_caption(document))
    table.add_column("features", no_wrap=True)
    table.add_column("D", justify="right")
    for metric in names:
        table.add_column(TITLES[metric], justify="right")
    for name, feature_set in document["feature_sets"].items():
        cells = [format_interval(feature_set["scores"][metric]) for metric in names]
        table.add_row(name, f"{feature_set['n_features']:,}", *cells)
    for name in document["missing_controls"]:
        table.add_row(name, "", *["missing"] * len(names), style="yellow")
    cells = [f"{document['chance'][metric]:.3f}" for metric in names]
    table.add_row("chance", "", *cells, style="dim", end_section=True)
    for name, difference in document["differences"].items():
        table.add_row(f"vs {name}", "", *(format_interval(difference[metric], sign=True) for metric in names))
    console.print(table)


def _caption(document: Mapping[str, Any]) -> str:
    counts = document["counts"]
    sides = " / ".join(f"{np.mean(rows):,.0f}" for rows in document["rows_by_seed"].values())
    lines = [
        f"{counts['rows']:,} transcripts in {counts['groups']:,} groups by {' and '.join(document['grouped_by'])};"
        f" about {sides} to train, validate and test; mean ± 95 % interval over {len(document['seeds'])} seeds."
    ]
    if document["differences"]:
        lines.append("vs: embedding minus control, interval widened for the overlap of training sets.")
    lines += [f"Control {name} is missing: {reason}." for name, reason in document["missing_controls"].items()]
    return "\n".join(lines + leak_lines(document["leaks"]))


def format_interval(value: Mapping[str, Any], sign: bool = False) -> str:
    """``0.612 ± 0.011``, or the mean alone without an interval; ``sign`` shows plus signs."""
    mean = format(value["mean"], "+.3f" if sign else ".3f").replace("-", "−")
    if value["interval95"] is None:
        return mean
    low, high = value["interval95"]
    return f"{mean} ± {(high - low) / 2:.3f}"
