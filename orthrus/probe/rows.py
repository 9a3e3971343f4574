"""The rows of a probe: the labelled transcripts that every feature set has, their target, and their groups."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from rich.console import Console

from orthrus.embedding.file import Embeddings
from orthrus.errors import InputError
from orthrus.genome.mrna_frames import row_ids
from orthrus.probe.groups import Relations, family_keys, unit_keys
from orthrus.probe.labels import Labels
from orthrus.probe.splits import Groups, Split, SplitUnit, group_rows, split_folds, split_groups
from orthrus.probe.targets import Target, encode_target
from orthrus.probe.tasks import TaskSpec
from orthrus.store import TranscriptStore

logger = logging.getLogger(__name__)

DEFAULT_SEEDS = 10


@dataclass(frozen=True)
class ProbeRows:
    """M transcripts with their target and ``splits``; ``counts`` are the numbers of dropped ones, by cause.

    ``relations`` are their known relations; ``families`` groups them by family and gene, None if neither is known;
    ``grouped_by`` names the keys of a split's unit.
    """

    transcript_ids: list[str]
    target: Target
    splits: list[Split]
    relations: Relations
    families: Groups | None
    grouped_by: list[str]
    counts: dict[str, int]


def choose_rows(
    labels: Labels,
    spec: TaskSpec,
    transcripts: pa.Table,
    sources: Mapping[str, Sequence[str]],
    seeds: int | None = None,
    store: TranscriptStore | None = None,
) -> ProbeRows:
    """The labelled transcripts that all ``sources`` (name -> transcript ids) have, with their target and splits.

    ``transcripts`` gives their relations: a store's table, or :attr:`orthrus.embedding.file.Embeddings.transcripts`
    (columns as in :class:`orthrus.probe.groups.Relations`). ``store`` holds their sequences, which a split by k-mer
    cluster needs. ``seeds`` is the number of splits: 10 unless given, or as many as there are given folds. Raises
    InputError if a source has none of the labelled transcripts, or the target or the groups cannot be used.
    """
    present = {}
    for name, ids in sources.items():
        known = set(ids)
        present[name] = np.array([each in known for each in labels.transcript_ids])
    for name, found in present.items():
        if not found.any():
            raise InputError(
                f"none of the {len(found):,} labelled transcripts of {labels.path} is in the {name}: it has"
                f" {len(sources[name]):,}, for example {', '.join(sources[name][:2]) or 'none'}; the labels have, for"
                f" example, {', '.join(labels.transcript_ids[:2])}. Use the same transcript ids in both."
            )
    common = np.logical_and.reduce(list(present.values()))
    target = encode_target(labels, np.flatnonzero(common), spec.task)
    related = Relations(labels, target.rows, transcripts, store)
    ids = related.transcript_ids
    by_family = family_keys(related)
    families = group_rows(ids, by_family) if any(any(values) for _, values in by_family) else None
    if spec.split is SplitUnit.FOLDS:
        splits, grouped_by, n_groups = _given_folds(labels, target, spec.folds or "", seeds)
    else:
        keys = unit_keys(spec.split, related, spec.groups)
        groups = group_rows(ids, keys)
        splits = [split_groups(groups, seed) for seed in range(DEFAULT_SEEDS if seeds is None else seeds)]
        grouped_by, n_groups = list(dict.fromkeys(kind for kind, _ in keys)), len(groups)
    counts = {
        "labels": labels.n_rows,
        "dropped_missing_value": labels.n_missing,
        "dropped_repeated_row": labels.n_repeated,
        **{f"in_{name}": int(found.sum()) for name, found in present.items()},
        "matched": int(common.sum()),
        "unmatched": int((~common).sum()),
        "rows": len(ids),
        "groups": n_groups,
    }
    return ProbeRows(ids, target, splits, related, families, grouped_by, counts)


def check_row_numbers(labels: Labels, name: str, embeddings: Embeddings) -> None:
    """Compare what row numbers pair: raise InputError for another number of rows, warn of another file."""
    n, made_from = len(embeddings), embeddings.metadata.get("input")
    if not labels.numbered or embeddings.transcript_ids != tuple(row_ids(n)):
        return
    if n != labels.n_rows:
        raise InputError(
            f"the ids of {labels.path} and of {name} are row numbers, but they have {labels.n_rows:,} and {n:,} rows;"
            " give both a column of transcript ids, or embed these labels' file."
        )
    if made_from is not None and Path(made_from).resolve() != labels.path.resolve():
        logger.warning(
            "warning: %s was made from %s and is paired with %s by row number: scores mean nothing unless both have the"
            " same rows in the same order; give both a column of transcript ids, or embed the labels' file",
            name,
            made_from,
            labels.path,
        )


def _given_folds(labels: Labels, target: Target, column: str, seeds: int | None) -> tuple[list[Split], list[str], int]:
    fold_of_row = [labels.column(column)[row] for row in target.rows]
    without = [row for row, fold in zip(target.rows, fold_of_row, strict=True) if not fold]
    if without:
        raise InputError(
            f"{labels.place(without[0])}: no {column} ({len(without):,} such rows); each row needs a fold."
        )
    n_folds = len(set(fold_of_row))
    if seeds is not None and seeds > n_folds:
        raise InputError(
            f"seeds is {seeds}, but {column} of {labels.path} has {n_folds} folds; expected at most as many."
        )
    return [split_folds(fold_of_row, seed) for seed in range(seeds or n_folds)], [column], n_folds


def report_dropped_rows(labels: Labels, rows: ProbeRows, console: Console) -> None:
    """Print a line on everything that was dropped, with the reason."""
    counts = rows.counts
    lines = [f"{what} dropped: {why}" for what, why in rows.target.dropped.items()]
    if len(lines) > 5:
        lines[4:] = [f"{len(lines) - 4} more dropped, all named in metrics.json"]
    if counts["unmatched"]:
        n_labelled = counts["matched"] + counts["unmatched"]
        lines.insert(
            0, f"{counts['matched']:,} of {n_labelled:,} labelled transcripts have all features, others left out"
        )
    if labels.n_repeated:
        lines.insert(0, f"{labels.n_repeated:,} of {labels.n_rows:,} rows repeat another, left out")
    if labels.n_missing:
        lines.insert(0, f"{labels.n_missing:,} of {labels.n_rows:,} rows have no value, left out")
    for line in lines:
        text = f"warning: {labels.path}, {labels.name}: {line}."
        console.print(text, markup=False, highlight=False, soft_wrap=True)
