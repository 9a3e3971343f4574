"""One probe: feature sets side by side on the same rows and the same splits.

labels + embeddings (+ controls) -> common rows -> groups -> for each seed: split, fit, score -> a folder with
``metrics.json``, ``scores.csv`` and ``bars.png``, and a printed table. 12.6 k x 512 rows, ten seeds, with all controls:
about 30 s on two cores.
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

from orthrus.embedding.file import Embeddings
from orthrus.errors import InputError
from orthrus.messages import messages
from orthrus.output import reserve_folder
from orthrus.probe.controls import KMER_SIZES, composition_features, kmer_features
from orthrus.probe.efficiency import label_efficiency
from orthrus.probe.labels import Labels, read_labels
from orthrus.probe.leaks import leak_report
from orthrus.probe.metrics import SeedScores
from orthrus.probe.one_split import probe_features, probe_readouts, probe_shuffled
from orthrus.probe.result import RESULT_FILE, print_table, write_result
from orthrus.probe.rows import Rows, choose_rows, report_dropped_rows
from orthrus.probe.summary import COMPOSITION, EMBEDDING, KMER, LABEL_SHUFFLE, RANDOM_INIT, summarise
from orthrus.probe.tasks import TaskSpec
from orthrus.store import TranscriptStore, sha256

__all__ = ["COMPOSITION", "KMER", "RANDOM_INIT", "ProbeResult", "probe_features", "run_probe"]

Control = Embeddings | Callable[[Sequence[str]], Embeddings]
Readouts = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class ProbeResult:
    """A finished probe: its ``folder`` and what its ``metrics.json`` holds."""

    folder: Path
    metrics: dict[str, Any]


def run_probe(
    embeddings: Embeddings | Sequence[Embeddings],
    spec: TaskSpec,
    output: Path,
    store: TranscriptStore | None = None,
    controls: Mapping[str, Control] | None = None,
    missing_controls: Mapping[str, str] | None = None,
    compare: Mapping[str, Embeddings] | None = None,
    pretraining: TranscriptStore | None = None,
    kmer_sizes: Sequence[int] = KMER_SIZES,
    label_counts: Sequence[int] = (),
    seeds: int | None = None,
    overwrite: bool = False,
) -> ProbeResult:
    """Probe ``embeddings`` for a task and write the folder ``output``.

    Several embeddings are of one encoder trained with several seeds: a split's score is their mean. Other encoders to
    ``compare`` are probed on the same rows and splits. With a ``store``, its families group the rows and the ``k-mer``
    and ``length + composition`` controls are computed from its sequences. Other ``controls`` are embeddings, or
    functions that make them for the transcripts they are given: these are called once the input is known to be usable
    (``random-init``: an untrained encoder of the same shape). ``missing_controls`` says why a control could not be had.
    Rows are those that every feature set has. ``label_counts`` ask for label-efficiency curves. Raises InputError for
    input that cannot be probed, before anything is written.
    """
    output = Path(output)
    with reserve_folder(output, RESULT_FILE, overwrite):
        if seeds is not None and seeds < 1:
            raise InputError(f"seeds is {seeds}; expected at least 1, and 2 or more for an interval.")
        members = [embeddings] if isinstance(embeddings, Embeddings) else list(embeddings)
        labels = read_labels(spec.labels, spec.targets, spec.id_column)
        taken = {EMBEDDING, LABEL_SHUFFLE, RANDOM_INIT, KMER, COMPOSITION} & set(compare or ())
        if taken:
            raise InputError(f"{taken.pop()!r} is the name of a feature set here; give the compared embedding another.")
        feature_sets: dict[str, Sequence[Control]] = {EMBEDDING: members}
        feature_sets |= {name: [each] for name, each in {**(compare or {}), **(controls or {})}.items()}
        if store is not None:
            feature_sets[KMER] = [partial(kmer_features, store, sizes=kmer_sizes)]
            feature_sets[COMPOSITION] = [partial(composition_features, store)]
        console = messages()
        rows = choose_rows(labels, spec, members[0], store, _sources(feature_sets, store), seeds)
        report_dropped_rows(labels, rows, console)
        readouts = {
            name: [_readouts(name, each, rows.transcript_ids) for each in sources]
            for name, sources in feature_sets.items()
        }
        results = _probe_all(readouts, rows, console)
        document = {
            **describe_task(spec, labels, rows, store),
            "embeddings": members[0].metadata,
            "encoder_seeds": [each.metadata.get("file") for each in members] if len(members) > 1 else [],
            **summarise(results, {name: each[0] for name, each in readouts.items()}, rows, spec.metric),
            "label_efficiency": _label_efficiency(readouts, results, rows, spec.metric, label_counts),
            "leaks": leak_report(rows.transcript_ids, rows.families, rows.splits, store, pretraining),
            "missing_controls": _missing(feature_sets, store, missing_controls or {}),
        }
        write_result(document, output)
    print_table(document, Console())
    return ProbeResult(output, document)


def describe_task(spec: TaskSpec, labels: Labels, rows: Rows, store: TranscriptStore | None) -> dict[str, Any]:
    """The part of ``metrics.json`` on the task: where labels come from, which rows and targets there are."""
    return {
        "format_version": 2,
        "task": rows.target.task.value,
        "target": spec.name,
        "split": spec.split.value,
        "source": spec.source,
        "licence": spec.licence,
        "labels": {"file": str(labels.path), "sha256": sha256(labels.path)},
        "store": None if store is None else str(store.path),
        "counts": rows.counts,
        "grouped_by": rows.grouped_by,
        "target_names": list(rows.target.names),
        "dropped": rows.target.dropped,
    }


def _sources(feature_sets: Mapping[str, Sequence[Control]], store: TranscriptStore | None) -> dict[str, Sequence[str]]:
    """The transcripts that each embedding, and the store, has."""
    sources: dict[str, Sequence[str]] = {}
    for name, members in feature_sets.items():
        for i, each in enumerate(members):
            if isinstance(each, Embeddings):
                sources[name if i == 0 else f"{name} {i + 1}"] = each.transcript_ids
    if store is not None:
        sources["store"] = store.column("transcript_id")
    return sources


def _readouts(name: str, features: Control, transcript_ids: Sequence[str]) -> Readouts:
    made = features if isinstance(features, Embeddings) else features(transcript_ids)
    rows = made.rows_of(transcript_ids)
    if (rows < 0).any():
        raise InputError(
            f"{name}: made without {(rows < 0).sum():,} of the {len(rows):,} transcripts it was asked for."
        )
    return {readout: matrix[rows] for readout, matrix in made.all_readouts.items()}


def _probe_all(
    readouts: Mapping[str, Sequence[Readouts]], rows: Rows, console: Console
) -> dict[str, list[list[SeedScores]]]:
    """Scores by feature set, member and seed; the last set is the embedding on shuffled labels."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        n_probes = sum(map(len, readouts.values())) + 1
        bar = progress.add_task("probing", total=len(rows.splits) * n_probes)
        results: dict[str, list[list[SeedScores]]] = {}
        for name, members in readouts.items():
            progress.update(bar, description=f"probing {name}")
            results[name] = []
            for member in members:
                results[name].append([])
                for split in rows.splits:
                    results[name][-1].append(probe_readouts(member, rows.target, split))
                    progress.advance(bar)
        progress.update(bar, description=f"probing {LABEL_SHUFFLE}")
        first = next(iter(readouts[EMBEDDING][0].values()))
        results[LABEL_SHUFFLE] = [[]]
        for split in rows.splits:
            results[LABEL_SHUFFLE][0].append(probe_shuffled(first, rows.target, split))
            progress.advance(bar)
    return results


def _label_efficiency(
    readouts: Mapping[str, Sequence[Readouts]],
    results: Mapping[str, Sequence[Sequence[SeedScores]]],
    rows: Rows,
    metric: str,
    label_counts: Sequence[int],
) -> dict[str, Any]:
    """Curves of each feature set's first member, by the readout that most of its seeds chose."""
    if not label_counts:
        return {}
    features = {}
    for name, members in readouts.items():
        chosen = [seed.readout for seed in results[name][0]]
        features[name] = members[0][max(set(chosen), key=chosen.count)]
    return label_efficiency(features, rows.target, rows.splits, rows.families, metric, label_counts)


def _missing(
    feature_sets: Mapping[str, Sequence[Control]], store: TranscriptStore | None, reasons: Mapping[str, str]
) -> dict[str, str]:
    default = "not given" if store is not None else "needs --store, for the transcripts' sequences"
    return {name: reasons.get(name, default) for name in (KMER, COMPOSITION, RANDOM_INIT) if name not in feature_sets}
