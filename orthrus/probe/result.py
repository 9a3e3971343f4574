"""What a probe leaves behind: ``metrics.json``, ``scores.csv`` and ``bars.png`` in a folder, and a printed table.

The folder is written beside its place and renamed, so it is there whole or not at all.
"""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from orthrus.output import atomic_folder
from orthrus.probe.leaks import leak_lines
from orthrus.probe.metrics import TITLES
from orthrus.probe.plot import draw_bars
from orthrus.probe.summary import subject

RESULT_FILE = "metrics.json"


def write_result(document: Mapping[str, Any], output: Path) -> None:
    """Write the folder ``output`` whole, in place of an earlier one, and print its table."""
    with atomic_folder(output) as folder:
        text = json.dumps(document, indent=2, allow_nan=False, default=str)
        (folder / RESULT_FILE).write_text(text + "\n", encoding="utf-8")
        _write_scores(document, folder / "scores.csv")
        draw_bars(document, folder / "bars.png")


def _write_scores(document: Mapping[str, Any], path: Path) -> None:
    lines = ["feature_set,seed,metric,score"]
    for name, feature_set in document["feature_sets"].items():
        for metric, scores in feature_set["scores"].items():
            lines += [
                f"{name},{seed},{metric},{score:.6f}"
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
    table.add_column("p", justify="right")
    for name, feature_set in document["feature_sets"].items():
        cells = [format_interval(feature_set["scores"][metric]) for metric in names]
        table.add_row(name, f"{feature_set['n_features']:,}", *cells)
    for name in document["missing_controls"]:
        table.add_row(name, "", *["missing"] * len(names), style="yellow")
    cells = [f"{document['chance'][metric]:.3f}" for metric in names]
    table.add_row("chance", "", *cells, style="dim", end_section=True)
    for name, difference in document["differences"].items():
        cells = [format_interval(difference[metric], sign=True) for metric in names]
        table.add_row(f"vs {name}", "", *cells, format_p_value(difference[names[0]]))
    console.print(table)


def _caption(document: Mapping[str, Any]) -> str:
    counts = document["counts"]
    sides = " / ".join(f"{np.mean(rows):,.0f}" for rows in document["rows_by_seed"].values())
    lines = [
        f"{counts['rows']:,} transcripts in {counts['groups']:,} groups by {' and '.join(document['grouped_by'])};"
        f" about {sides} to train, validate and test; mean ± 95 % interval over {len(document['seeds'])} seeds."
    ]
    if document["differences"]:
        lines.append(
            f"vs: {subject(document)} minus the other, with p for {TITLES[document['metrics'][0]]}; both allow for the"
            " overlap of training sets."
        )
    for name, feature_set in document["feature_sets"].items():
        if "readout_per_seed" in feature_set:
            chosen = Counter(feature_set["readout_per_seed"]).most_common()
            lines.append(f"{name}, chosen on validation rows: {', '.join(f'{each} ({n})' for each, n in chosen)}.")
        if "by_encoder" in feature_set:
            spread = feature_set["by_encoder"][document["metrics"][0]]
            lines.append(f"{name}: {len(spread['per_encoder'])} training seeds, {format_interval(spread)} over these.")
    lines += [f"Control {name} is missing: {reason}." for name, reason in document["missing_controls"].items()]
    return "\n".join(lines + leak_lines(document["leaks"]))


def format_interval(value: Mapping[str, Any], sign: bool = False) -> str:
    """``0.612 ± 0.011``, or the mean alone without an interval; ``sign`` shows plus signs."""
    mean = format(value["mean"], "+.3f" if sign else ".3f").replace("-", "−")
    if value["interval95"] is None:
        return mean
    low, high = value["interval95"]
    return f"{mean} ± {(high - low) / 2:.3f}"


def format_range(ends: list[float] | None, sign: bool = False) -> str:
    """``0.598 to 0.621``, or a dash without an interval."""
    form = "+.3f" if sign else ".3f"
    return " to ".join(format(end, form).replace("-", "−") for end in ends) if ends else "–"


def format_difference(value: Mapping[str, Any]) -> str:
    """A signed interval with its p-value: ``−0.013 ± 0.009, p 0.01``."""
    p_value = format_p_value(value)
    return format_interval(value, sign=True) + (f", p {p_value}" if p_value else "")


def format_p_value(value: Mapping[str, Any]) -> str:
    """``0.013``, ``<0.001``, or nothing without one."""
    p_value = value.get("p_value")
    return "" if p_value is None else "<0.001" if p_value < 0.001 else f"{p_value:.3f}"
