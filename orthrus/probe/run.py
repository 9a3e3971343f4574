"""One probe: several feature sets on the same rows and the same splits.

labels + embeddings (+ controls) -> common rows -> groups -> for each seed: split, fit, score -> a folder with
``metrics.json``, ``scores.csv``, ``bars.png`` and ``head/``, and a printed table. 12.6 k x 512 rows, ten seeds, with
all controls: about 30 s on two cores.
"""

from collections.abc import Callable, Mapping, Sequence
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
from orthrus.output import atomic_folder, reserve_folder
from orthrus.probe.controls import KMER_SIZES, NO_CDS, codon_features, has_cds, kmer_features
from orthrus.probe.document import (
    CODON,
    COMPOSITION,
    DOCUMENT_FILE,
    EMBEDDING,
    EMBEDDING_AND_CODON,
    KMER,
    LABEL_SHUFFLE,
    RANDOM_INIT,
    LabelsFile,
    ProbeDocument,
)
from orthrus.probe.efficiency import label_efficiency
from orthrus.probe.head import HEAD_FOLDER, Head, fit_head
from orthrus.probe.labels import Labels, read_labels
from orthrus.probe.leaks import Pretraining, leak_report, seen_in_pretraining
from orthrus.probe.metrics import SeedScores
from orthrus.probe.one_split import EMBEDDING_WEIGHTS, probe_beside, probe_readouts, probe_shuffled, weighted
from orthrus.probe.result import print_table, write_result
from orthrus.probe.rows import ProbeRows, check_row_numbers, choose_rows, report_dropped_rows
from orthrus.probe.splits import Split
from orthrus.probe.summary import summarise
from orthrus.probe.tasks import TaskSpec
from orthrus.store import TranscriptStore, sha256

Control = Embeddings | Callable[[Sequence[str]], Embeddings]
Readouts = Mapping[str, NDArray[np.float32]]

_OURS = (EMBEDDING, EMBEDDING_AND_CODON, RANDOM_INIT, CODON, KMER, COMPOSITION, LABEL_SHUFFLE)


def run_probe(
    embeddings: Embeddings | Sequence[Embeddings],
    spec: TaskSpec,
    output: str | Path,
    store: TranscriptStore | None = None,
    controls: Mapping[str, Control] | None = None,
    missing_controls: Mapping[str, str] | None = None,
    compare: Mapping[str, Embeddings] | None = None,
    pretraining: Pretraining | None = None,
    kmer_sizes: Sequence[int] = KMER_SIZES,
    label_counts: Sequence[int] = (),
    seeds: int | None = None,
    overwrite: bool = False,
) -> ProbeDocument:
    """Probe ``embeddings`` for a task, write the folder ``output``, print a table and return the results.

    Args:
        embeddings: vectors of transcripts. Several are from one encoder trained with several seeds; the score of a
            split is their mean.
        spec: the task.
        output: folder to write, whole or not at all.
        store: its families group the rows, and the ``codon``, ``k-mer`` and ``length + composition`` controls and
            ``embedding + codon control`` are computed from its sequences.
        controls: other controls by name (``random-init``: an untrained encoder of the same shape), or functions that
            make them for given transcript ids, which are called after the input is checked.
        missing_controls: reasons for missing controls, by name.
        compare: vectors of other encoders by name, probed on the same rows and splits.
        pretraining: what the encoder was pretrained on, for the leak report and for transductive and inductive scores.
        kmer_sizes: candidates for the largest k of the k-mer control, chosen on validation rows.
        label_counts: numbers of labels for label-efficiency curves; without any there are no curves.
        seeds: number of splits, by default 10, or the number of given folds.
        overwrite: replace the folder of an earlier probe.

    Returns:
        The content of ``metrics.json``. Its rows are those that every feature set has.

    Raises:
        InputError: for input that cannot be probed, before anything is written.

    Examples:
        >>> import orthrus
        >>> from orthrus.probe.tasks import read_task
        >>> embeddings = orthrus.read_embeddings("runs/demo/embeddings.parquet")
        >>> task = read_task("probe/demo_localization")
        >>> document = run_probe(embeddings, task, "runs/mine", seeds=1)  # doctest: +ELLIPSIS, +NORMALIZE_WHITESPACE
        demo_localization (multilabel)
        ...
        >>> list(document.feature_sets)
        ['embedding', 'label shuffle']
    """
    output = Path(output)
    with reserve_folder(output, DOCUMENT_FILE, overwrite):
        if seeds is not None and seeds < 1:
            raise InputError(f"seeds is {seeds}; expected at least 1, and 2 or more for an interval.")
        members = [embeddings] if isinstance(embeddings, Embeddings) else list(embeddings)
        labels = read_labels(spec.labels, spec.targets, spec.id_column)
        taken = set(_OURS) & set(compare or ())
        if taken:
            raise InputError(
                f"{taken.pop()!r} is the name of one of our feature sets; give the compared embedding another."
            )
        given: dict[str, Sequence[Embeddings]] = {EMBEDDING: members}
        given |= {name: [each] for name, each in (compare or {}).items()}
        for name, embedded in given.items():
            for each in embedded:
                check_row_numbers(labels, name, each)
        made = dict(controls or {})
        if store is not None:
            made[CODON] = partial(codon_features, store)
            made[KMER] = partial(kmer_features, store, sizes=kmer_sizes)
            made[COMPOSITION] = partial(kmer_features, store, sizes=(1,))
        console = messages()
        transcripts = members[0].transcripts if store is None else store.transcripts
        rows = choose_rows(labels, spec, transcripts, _sources(given, made, store), seeds, store)
        report_dropped_rows(labels, rows, console)
        missing = dict(missing_controls or {})
        if store is not None and not has_cds(store, rows.transcript_ids):
            del made[CODON]
            missing[CODON] = NO_CDS
        readouts = {name: [_readouts(name, each, rows.transcript_ids) for each in of] for name, of in given.items()}
        readouts |= {name: [_readouts(name, each, rows.transcript_ids)] for name, each in made.items()}
        seen = None if pretraining is None else seen_in_pretraining(rows.relations, pretraining)
        results = _probe_all(readouts, rows, console)
        document = ProbeDocument(
            **describe_task(spec, labels, rows, store),
            embeddings=members[0].metadata,
            encoder_seeds=[each.metadata.get("file") for each in members] if len(members) > 1 else [],
            **summarise(results, _widths(readouts), rows, spec.metric, seen),
            label_efficiency=label_efficiency(
                {n: of[0] for n, of in readouts.items()}, rows, spec.metric, label_counts
            ),
            leaks=leak_report(rows, seen),
            missing_controls=_missing(readouts, store, missing),
        )
        head = _head(readouts[EMBEDDING][0], results[EMBEDDING][0][0].readout, rows, spec, members[0].metadata)
        with atomic_folder(output) as folder:
            write_result(document, folder)
            head.save(folder / HEAD_FOLDER)
    print_table(document, Console(markup=False, emoji=False))
    return document


def _head(readouts: Readouts, readout: str, rows: ProbeRows, spec: TaskSpec, metadata: dict[str, Any]) -> Head:
    """The head of the first split, on the readout that it chose."""
    return fit_head(
        readouts[readout], rows.target, rows.splits[0], readout=readout, metadata=metadata, name=spec.name,
        unit=spec.split.value, source=spec.source, licence=spec.licence,
    )  # fmt: skip


def describe_task(spec: TaskSpec, labels: Labels, rows: ProbeRows, store: TranscriptStore | None) -> dict[str, Any]:
    """The fields of a ProbeDocument on the task: ``spec``, the file of the ``labels``, ``rows`` and ``store``."""
    return {
        "task": rows.target.task.value,
        "target": spec.name,
        "split": spec.split.value,
        "source": spec.source,
        "licence": spec.licence,
        "labels": LabelsFile(file=str(labels.path), sha256=sha256(labels.path)),
        "store": None if store is None else str(store.path),
        "counts": rows.counts,
        "grouped_by": rows.grouped_by,
        "target_names": list(rows.target.names),
        "dropped": rows.target.dropped,
    }


def _sources(
    given: Mapping[str, Sequence[Embeddings]], made: Mapping[str, Control], store: TranscriptStore | None
) -> dict[str, Sequence[str]]:
    """The transcript ids of each embedding and of the store."""
    sources: dict[str, Sequence[str]] = {}
    for name, members in given.items():
        for i, each in enumerate(members):
            sources[name if i == 0 else f"{name} {i + 1}"] = each.transcript_ids
    sources |= {name: each.transcript_ids for name, each in made.items() if isinstance(each, Embeddings)}
    if store is not None:
        sources["store"] = store.column("transcript_id")
    return sources


def _widths(readouts: Mapping[str, Sequence[Readouts]]) -> dict[str, dict[str, int]]:
    """The number of features of each readout of each set's first member."""
    widths = {name: {readout: m.shape[1] for readout, m in of[0].items()} for name, of in readouts.items()}
    if CODON in widths:
        (n_codon,) = widths[CODON].values()
        widths[EMBEDDING_AND_CODON] = {
            weighted(readout, weight): n + n_codon
            for readout, n in widths[EMBEDDING].items()
            for weight in EMBEDDING_WEIGHTS
        }
    return widths


def _readouts(name: str, features: Control, transcript_ids: Sequence[str]) -> Readouts:
    made = features if isinstance(features, Embeddings) else features(transcript_ids)
    rows = made.rows_of(transcript_ids)
    if (rows < 0).any():
        raise InputError(f"{name}: it lacks {(rows < 0).sum():,} of the {len(rows):,} requested transcripts.")
    return {readout: matrix[rows] for readout, matrix in made.all_readouts.items()}


def _probe_all(
    readouts: Mapping[str, Sequence[Readouts]], rows: ProbeRows, console: Console
) -> dict[str, list[list[SeedScores]]]:
    """Scores by feature set, member and seed; the last set is the embedding on shuffled labels."""
    first = next(iter(readouts[EMBEDDING][0].values()))
    probes: dict[str, list[Callable[[Split], SeedScores]]] = {
        name: [partial(probe_readouts, member, rows.target) for member in members] for name, members in readouts.items()
    }
    if CODON in readouts:
        (codon_MC,) = readouts[CODON][0].values()
        both: list[Callable[[Split], SeedScores]] = [
            partial(probe_beside, member, codon_MC, rows.target) for member in readouts[EMBEDDING]
        ]
        probes = {EMBEDDING: probes[EMBEDDING], EMBEDDING_AND_CODON: both, **probes}
    probes[LABEL_SHUFFLE] = [partial(probe_shuffled, first, rows.target)]
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("probing", total=len(rows.splits) * sum(map(len, probes.values())))
        results: dict[str, list[list[SeedScores]]] = {name: [[] for _ in members] for name, members in probes.items()}
        for name, members in probes.items():
            progress.update(bar, description=f"probing {name}")
            for member, found in zip(members, results[name], strict=True):
                for split in rows.splits:
                    found.append(member(split))
                    progress.advance(bar)
    return results


def _missing(
    readouts: Mapping[str, Sequence[Readouts]], store: TranscriptStore | None, reasons: Mapping[str, str]
) -> dict[str, str]:
    default = "not given" if store is not None else "needs --store, for the transcripts' sequences"
    return {
        name: reasons.get(name, default) for name in (CODON, KMER, COMPOSITION, RANDOM_INIT) if name not in readouts
    }
