"""The output of a probe: ``metrics.json``, ``scores.csv`` and ``bars.png`` in a folder, and a printed table."""

from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from orthrus.probe.document import CODON, DOCUMENT_FILE, EMBEDDING, Difference, Ends, Mean, ProbeDocument
from orthrus.probe.leaks import leak_lines
from orthrus.probe.metrics import TITLES
from orthrus.probe.plot import draw_bars

SCORES_FILE, BARS_FILE = "scores.csv", "bars.png"


def write_result(document: ProbeDocument, folder: Path) -> None:
    """Write ``metrics.json``, ``scores.csv`` and ``bars.png`` into an existing folder."""
    document.write(folder / DOCUMENT_FILE)
    _write_scores(document, folder / SCORES_FILE)
    draw_bars(document, folder / BARS_FILE)


def _write_scores(document: ProbeDocument, path: Path) -> None:
    lines = ["feature_set,seed,metric,score"]
    for name, feature_set in document.feature_sets.items():
        for metric, scores in feature_set.scores.items():
            pairs = zip(document.seeds, scores.per_seed, strict=True)
            lines += [f"{name},{seed},{metric},{score:.6f}" for seed, score in pairs]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def print_table(document: ProbeDocument, console: Console) -> None:
    """Print means and intervals of every feature set, differences from the controls, and missing controls."""
    table = Table(title=f"{document.target} ({document.task})", caption=_caption(document))
    table.add_column("features", no_wrap=True)
    table.add_column("D", justify="right")
    for metric in document.metrics:
        table.add_column(TITLES[metric], justify="right")
    table.add_column("p", justify="right")
    for name, feature_set in document.feature_sets.items():
        cells = [format_interval(feature_set.scores[metric]) for metric in document.metrics]
        table.add_row(name, f"{feature_set.n_features:,}", *cells)
    for name in document.missing_controls:
        table.add_row(name, "", *["missing"] * len(document.metrics), style="yellow")
    cells = [f"{document.chance[metric]:.3f}" for metric in document.metrics]
    table.add_row("chance", "", *cells, style="dim", end_section=True)
    for title, difference in comparisons(document).items():
        cells = [format_interval(difference[metric], sign=True) for metric in document.metrics]
        table.add_row(title, "", *cells, format_p_value(difference[document.headline]))
    table.add_section()
    for part, scores in document.by_pretraining.items():
        cells = [format_interval(scores.feature_sets[document.subject][metric]) for metric in document.metrics]
        table.add_row(f"{document.subject}, {part}", "", *cells)
    console.print(table)


def comparisons(document: ProbeDocument) -> dict[str, dict[str, Difference]]:
    """Every difference by its title: ``vs k-mer`` and so on, and the gain of the embedding over the codon control."""
    found = {f"vs {name}": difference for name, difference in document.differences.items()}
    return found | ({f"{EMBEDDING} added to {CODON}": document.added} if document.added else {})


def _caption(document: ProbeDocument) -> str:
    sides = " / ".join(f"{np.mean(rows):,.0f}" for rows in document.rows_by_seed.values())
    lines = [
        f"{document.counts['rows']:,} transcripts in {document.counts['groups']:,} groups by"
        f" {' and '.join(document.grouped_by)}; about {sides} to train, validate and test; mean ± 95 % interval over"
        f" {document.splits}."
    ]
    if document.differences:
        lines.append(
            f"vs: {document.subject} minus the other, with p for {TITLES[document.headline]}; both allow for the"
            " overlap of training sets."
        )
    if document.by_pretraining:
        counts = [f"{np.mean(part.rows_per_seed):,.0f} {name}" for name, part in document.by_pretraining.items()]
        lines.append(
            f"Of the test rows, {' and '.join(counts)}: of families that pretraining saw, and of those that it did not."
        )
    for name, feature_set in document.feature_sets.items():
        if feature_set.readout_per_seed:
            chosen = ", ".join(f"{readout} ({n})" for readout, n in feature_set.readouts_chosen)
            lines.append(f"{name}, chosen on validation rows: {chosen}.")
        if feature_set.by_encoder:
            spread = feature_set.by_encoder[document.headline]
            lines.append(f"{name}: {len(spread.per_encoder)} training seeds, {format_interval(spread)} over these.")
    lines += [f"Control {name} is missing: {reason}." for name, reason in document.missing_controls.items()]
    return "\n".join(lines + leak_lines(document.leaks))


def format_interval(value: Mean, sign: bool = False) -> str:
    """``0.612 ± 0.011``, or only the mean if there is no interval; ``sign`` shows plus signs."""
    mean = format(value.mean, "+.3f" if sign else ".3f").replace("-", "−")
    if value.interval95 is None:
        return mean
    low, high = value.interval95
    return f"{mean} ± {(high - low) / 2:.3f}"


def format_range(ends: Ends | None, sign: bool = False) -> str:
    """``0.598 to 0.621``, or a dash without an interval."""
    form = "+.3f" if sign else ".3f"
    return " to ".join(format(end, form).replace("-", "−") for end in ends) if ends else "–"


def format_difference(value: Difference) -> str:
    """A signed interval with its p-value: ``−0.013 ± 0.009, p 0.01``."""
    p_value = format_p_value(value)
    return format_interval(value, sign=True) + (f", p {p_value}" if p_value else "")


def format_p_value(value: Difference) -> str:
    """``0.013``, ``<0.001``, or an empty string without a p-value."""
    return "" if value.p_value is None else "<0.001" if value.p_value < 0.001 else f"{value.p_value:.3f}"
