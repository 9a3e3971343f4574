"""The part of the report on probes: charts and tables of each, aggregate scores over all tasks, and plain tables.

The input is the document of each probe (:class:`orthrus.probe.document.ProbeDocument`).
"""

import csv
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from orthrus.charts import PALETTE
from orthrus.output import atomic_file, write_text
from orthrus.probe.document import CODON, EMBEDDING, EMBEDDING_AND_CODON, LABEL_SHUFFLE, Difference, Ends, ProbeDocument
from orthrus.probe.leaks import leak_lines
from orthrus.probe.metrics import EXPLANATIONS, TITLES
from orthrus.probe.plot import bar_chart
from orthrus.probe.result import format_difference, format_interval, format_range
from orthrus.report.figures import Figure, Line, line_figure

Documents = Mapping[str, ProbeDocument]
"""The document of each probe, by the name of its folder."""


def probe_section(name: str, document: ProbeDocument) -> dict[str, Any]:
    """The context of the page's template for a probe."""
    metrics, sets, ours = document.metrics, document.feature_sets, document.subject
    by_set = {set_name: each.per_label for set_name, each in sets.items() if each.per_label}
    return {
        "name": name,
        "document": document,
        "figures": [*_bar_figures(document), *_efficiency_figures(document)],
        "titles": [TITLES[metric] for metric in metrics],
        "rows": [
            (set_name, f"{each.n_features:,}", [format_interval(each.scores[metric]) for metric in metrics],
             format_range(each.scores[document.headline].interval95_families))
            for set_name, each in sets.items()
        ],
        "differences": [
            (title, [format_difference(by_metric[metric]) for metric in metrics],
             format_range(by_metric[document.headline].interval95_families, sign=True))
            for title, by_metric in _titled_differences(document).items()
        ],
        "parts": [
            (part, f"{np.mean(scores.rows_per_seed):,.0f}", set_name,
             [format_interval(by_metric[metric]) for metric in metrics],
             [format_interval(found[metric], sign=True) if found else "" for metric in metrics])
            for part, scores in document.by_pretraining.items()
            for set_name, by_metric in scores.feature_sets.items()
            for found in [scores.differences.get(set_name)]
        ],
        "by_label_sets": list(by_set),
        "by_label": [
            (label, [_by_label_cell(each[label]) for each in by_set.values()]) for label in sets[ours].per_label
        ],
        "sides": [f"{np.mean(rows):,.0f}" for rows in document.rows_by_seed.values()],
        "chosen": {set_name: dict(each.readouts_chosen) for set_name, each in sets.items() if each.readout_per_seed},
        "by_encoder": sets[ours].by_encoder.get(document.headline),
        "leaks": leak_lines(document.leaks),
    }  # fmt: skip


def _titled_differences(document: ProbeDocument) -> dict[str, dict[str, Difference]]:
    found = {f"{document.subject} − {other}": difference for other, difference in document.differences.items()}
    return found | ({f"{EMBEDDING_AND_CODON} − {CODON}": document.added} if document.added else {})


def _by_label_cell(scores: Mapping[str, float | None]) -> str:
    return " / ".join("–" if score is None else f"{score:.3f}" for score in scores.values())


def _bar_figures(document: ProbeDocument) -> Iterator[Figure]:
    for metric in document.metrics:
        means = {name: each.scores[metric].mean for name, each in document.feature_sets.items()}
        described = ", ".join(f"{name} {mean:.3f}" for name, mean in means.items())
        yield Figure(
            TITLES[metric],
            EXPLANATIONS[metric],
            f"{TITLES[metric]} on {document.target}: {described}, chance {document.chance[metric]:.3f}",
            bar_chart(document, metric).properties(width="container"),
        )


def _efficiency_figures(document: ProbeDocument) -> Iterator[Figure]:
    curve = document.label_efficiency
    if curve is not None:
        sizes = np.array(curve.labels, dtype=np.float64)
        lines = [
            Line(name, sizes, np.array(each.mean), PALETTE[i % len(PALETTE)])
            for i, (name, each) in enumerate(curve.feature_sets.items())
        ]
        caption = "What the probe scores with fewer labels to train and validate on; the test rows are the same."
        title = TITLES[curve.metric]
        yield line_figure(f"{title} by number of labels", caption, lines, title, "labels", log_x=True)


def checkpoint_figures(documents: Documents) -> Iterator[Figure]:
    """Yield the learning curve of each task with probes of checkpoints at several steps."""
    by_task: dict[tuple[str, str, str], dict[int, ProbeDocument]] = {}
    for document in documents.values():
        if document.step is not None:
            by_task.setdefault(_task(document), {})[document.step] = document
    for (target, _, _), by_step in by_task.items():
        if len(by_step) < 2:
            continue
        steps = sorted(by_step)
        last = by_step[steps[-1]]
        names = [n for n in last.feature_sets if all(n in by_step[step].feature_sets for step in steps)]
        colours = iter([PALETTE[0], *PALETTE[1:] * 2])
        lines = [
            Line(name, np.array(steps, dtype=np.float64), np.array([
                by_step[step].feature_sets[name].scores[last.headline].mean for step in steps
            ]), next(colours), dashed=name not in (EMBEDDING, EMBEDDING_AND_CODON))
            for name in names if name != LABEL_SHUFFLE
        ]  # fmt: skip
        caption = (
            f"What {len(steps)} checkpoints of a run score over {last.splits}, beside controls (dashed), which training"
            " does not change."
        )
        yield line_figure(target, caption, lines, TITLES[last.headline])


def latest(documents: Documents) -> list[ProbeDocument]:
    """The probe of each task (target, split and labels); if there are several, the probe of the last checkpoint."""
    by_step = sorted(documents.values(), key=lambda each: each.step or 0)
    return list({_task(document): document for document in by_step}.values())


def _task(document: ProbeDocument) -> tuple[str, str, str]:
    return document.target, document.split, document.labels.sha256


def aggregate_z(documents: Documents) -> dict[str, float]:
    """Mean z-score of each feature set over tasks, best first; empty with fewer than two tasks or sets.

    The headline scores of the feature sets are standardised within a task and then averaged over tasks, as in mRNABench
    (bioRxiv 2025.07.05.662870). The sets are those of every task, without the shuffled labels; if a task has several
    probes, the one of the last checkpoint counts.
    """
    of_task = latest(documents)
    common = [set(document.feature_sets) - {LABEL_SHUFFLE} for document in of_task]
    names = sorted(set.intersection(*common)) if common else []
    if len(of_task) < 2 or len(names) < 2:
        return {}
    z_scores = []
    for document in of_task:
        scores = np.array([document.feature_sets[name].scores[document.headline].mean for name in names])
        z_scores.append((scores - scores.mean()) / max(float(scores.std()), 1e-12))
    means = dict(zip(names, np.mean(z_scores, axis=0).tolist(), strict=True))
    return dict(sorted(means.items(), key=lambda each: -each[1]))


def table_rows(documents: Documents) -> Iterator[dict[str, Any]]:
    """One row a probe, feature set and metric: the score with its intervals, and embedding minus set with p-value."""
    for probe, document in documents.items():
        for name, feature_set in document.feature_sets.items():
            for metric in document.metrics:
                scores = feature_set.scores[metric]
                found = document.differences.get(name, {}).get(metric)
                yield {
                    "probe": probe,
                    "target": document.target,
                    "task": document.task,
                    "split": document.split,
                    "step": document.step,
                    "feature_set": name,
                    "n_features": feature_set.n_features,
                    "metric": metric,
                    "mean": scores.mean,
                    **_ends("seeds", scores.interval95),
                    **_ends("families", scores.interval95_families),
                    "chance": document.chance[metric],
                    "embedding_minus_this": None if found is None else found.mean,
                    **_ends("difference", None if found is None else found.interval95),
                    "p_value": None if found is None else found.p_value,
                }


def _ends(name: str, interval: Ends | None) -> dict[str, float | None]:
    low, high = interval or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


def write_tables(documents: Documents, folder: Path) -> None:
    """Write ``probes.csv`` and ``probes.json`` (with the aggregate z-scores) to a folder."""
    rows = list(table_rows(documents))
    with atomic_file(folder / "probes.csv") as scratch, scratch.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    text = json.dumps({"probes": rows, "aggregate_z": aggregate_z(documents)}, indent=2)
    write_text(text + "\n", folder / "probes.json")


def log_tables(documents: Documents, project: str, name: str) -> None:
    """Log the rows, and the aggregate z-scores if there are any, as tables of a separate W&B run.

    The run is offline, for a later `wandb sync`, and needs no login.
    """
    import wandb

    mode: Any = os.environ.get("WANDB_MODE") or ("online" if wandb.login(prompt=False) else "offline")
    rows = list(table_rows(documents))
    with wandb.init(project=project, name=name, job_type="probe", mode=mode) as run:
        columns: list[str | int] = list(rows[0])
        run.log({"probes": wandb.Table(columns=columns, data=[[row[str(each)] for each in columns] for row in rows])})
        z_scores = aggregate_z(documents)
        if z_scores:
            run.log(
                {"aggregate_z": wandb.Table(columns=["feature_set", "mean_z"], data=list(map(list, z_scores.items())))}
            )
