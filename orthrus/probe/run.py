"""One probe: feature sets side by side on the same rows and the same family-disjoint splits.

labels + embeddings (+ controls) -> common rows -> groups -> for each seed: split, fit, score -> a folder with
``metrics.json``, ``scores.tsv`` and ``bars.png``, and a printed table. 12.6 k x 512 rows, ten seeds, three feature
sets: about 20 s on two cores.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from orthrus.errors import InputError
from orthrus.probe import linear, metrics
from orthrus.probe.controls import kmer_features
from orthrus.probe.embeddings import Embeddings
from orthrus.probe.labels import read_labels
from orthrus.probe.leaks import leak_report
from orthrus.probe.metrics import SeedScores
from orthrus.probe.result import EMBEDDING, print_table, refuse_existing, summarise, write_result
from orthrus.probe.rows import choose_rows, tell_what_is_left_out
from orthrus.probe.splits import Split
from orthrus.probe.targets import Target, Task
from orthrus.probe.tasks import TaskSpec
from orthrus.store import TranscriptStore, sha256

Control = Embeddings | Callable[[Sequence[str]], Embeddings]

KMER = "k-mer"
RANDOM_INIT = "random-init"


@dataclass(frozen=True)
class ProbeResult:
    """A finished probe: its ``folder`` and what its ``metrics.json`` holds."""

    folder: Path
    metrics: dict[str, Any]


def run_probe(
    embeddings: Embeddings,
    spec: TaskSpec,
    output: Path,
    store: TranscriptStore | None = None,
    controls: Mapping[str, Control] | None = None,
    missing_controls: Mapping[str, str] | None = None,
    pretraining: TranscriptStore | None = None,
    seeds: int | None = None,
    overwrite: bool = False,
) -> ProbeResult:
    """Probe ``embeddings`` for a task and write the folder ``output``.

    With a ``store``, its families group the rows and the ``k-mer`` control is computed from its sequences. Other
    ``controls`` are embeddings, or functions that make them for the transcripts they are given: these are called once
    the input is known to be usable (``random-init``: an untrained encoder of the same shape). ``missing_controls`` says
    why a control could not be had. Rows are those that every feature set has. Raises InputError for input that cannot
    be probed, before anything is written.
    """
    output = Path(output)
    refuse_existing(output, overwrite)
    if seeds is not None and seeds < 1:
        raise InputError(f"seeds is {seeds}; expected at least 1, and 2 or more for an interval.")
    labels = read_labels(spec.labels, spec.targets, spec.id_column)
    feature_sets: dict[str, Control] = {EMBEDDING: embeddings, **(controls or {})}
    if store is not None:
        feature_sets[KMER] = partial(kmer_features, store)
    console = Console(stderr=True)
    sources: dict[str, Sequence[str]] = {
        name: each.transcript_ids for name, each in feature_sets.items() if isinstance(each, Embeddings)
    }
    if store is not None:
        sources["store"] = store.column("transcript_id")
    rows = choose_rows(labels, spec, embeddings, store, sources, seeds)
    splits = rows.splits
    tell_what_is_left_out(labels, rows, console)
    matrices = {name: _matrix(name, each, rows.transcript_ids) for name, each in feature_sets.items()}
    results = _probe_all(matrices, rows.target, splits, console)
    n_features = {name: matrix.shape[1] for name, matrix in matrices.items()}
    document = {
        "format_version": 1,
        "task": rows.target.task.value,
        "target": spec.name,
        "split": spec.split.value,
        "source": spec.source,
        "licence": spec.licence,
        "labels": {"file": str(labels.path), "sha256": sha256(labels.path)},
        "embeddings": embeddings.metadata,
        "store": None if store is None else str(store.path),
        "counts": rows.counts,
        "grouped_by": rows.grouped_by,
        "target_names": list(rows.target.names),
        "dropped": rows.target.dropped,
        **summarise(results, n_features, rows.target, splits),
        "leaks": leak_report(rows.transcript_ids, rows.families, splits, store, pretraining),
        "missing_controls": _missing(feature_sets, store, missing_controls or {}),
    }
    write_result(document, output)
    print_table(document, Console())
    return ProbeResult(output, document)


def _matrix(name: str, features: Control, transcript_ids: Sequence[str]) -> NDArray[np.float32]:
    made = features if isinstance(features, Embeddings) else features(transcript_ids)
    rows = made.rows_of(transcript_ids)
    if (rows < 0).any():
        raise InputError(
            f"{name}: made without {(rows < 0).sum():,} of the {len(rows):,} transcripts it was asked for."
        )
    return made.matrix[rows]


def probe_features(features_MD: NDArray[np.float32], target: Target, split: Split) -> SeedScores:
    """Fit on the training rows, choose the penalty on the validation rows, score on the test rows of one split."""
    with linear.threads_for(features_MD.size):
        return _probe_features(features_MD, target, split)


def _probe_features(features_MD: NDArray[np.float32], target: Target, split: Split) -> SeedScores:
    axes = linear.principal_axes(features_MD, split)
    truth = target.values[split.test]
    if target.task is Task.REGRESSION:
        fit = linear.fit_ridge(axes, target.values, split)
        return SeedScores(metrics.regression_scores(truth[:, 0], fit.scores_NT[:, 0]), {}, fit.penalties)
    several_classes = target.task is Task.CLASSIFICATION and target.values.shape[1] > 1
    fit = (linear.fit_softmax if several_classes else linear.fit_logistic)(axes, target.values, split)
    of_label = metrics.label_scores(truth, fit.scores_NT)
    scored = np.isfinite(of_label["auroc"])
    if not scored.any():
        raise InputError(
            f"seed {split.seed}: no label has both values among the {len(split.test):,} test rows; give more labelled"
            " transcripts."
        )
    return SeedScores(
        {metric: float(values[scored].mean()) for metric, values in of_label.items()}, of_label, fit.penalties
    )


def _probe_all(
    matrices: Mapping[str, NDArray[np.float32]], target: Target, splits: Sequence[Split], console: Console
) -> dict[str, list[SeedScores]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("probing", total=len(splits) * len(matrices))
        results: dict[str, list[SeedScores]] = {}
        for name, features in matrices.items():
            progress.update(bar, description=f"probing {name}")
            results[name] = []
            for split in splits:
                results[name].append(probe_features(features, target, split))
                progress.advance(bar)
    return results


def _missing(
    feature_sets: Mapping[str, Control], store: TranscriptStore | None, reasons: Mapping[str, str]
) -> dict[str, str]:
    default = "not given" if store is not None else "needs --store, for the transcripts' sequences"
    return {name: reasons.get(name, default) for name in (KMER, RANDOM_INIT) if name not in feature_sets}
