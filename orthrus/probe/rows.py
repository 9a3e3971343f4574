"""The rows of a probe: which labelled transcripts every feature set has, what to predict for them, and their groups."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rich.console import Console

from orthrus.errors import InputError
from orthrus.probe.embeddings import Embeddings
from orthrus.probe.splits import Groups, group_rows
from orthrus.probe.tasks import Labels, Target, Task, encode_target
from orthrus.store import TranscriptStore


@dataclass(frozen=True)
class Rows:
    """M transcripts with their target and groups; ``counts`` say how many were left out, and where."""

    transcript_ids: list[str]
    target: Target
    groups: Groups
    grouped_by: list[str]
    counts: dict[str, int]


def choose_rows(
    labels: Labels,
    task: Task,
    embeddings: Embeddings,
    store: TranscriptStore | None,
    sources: Mapping[str, Sequence[str]],
) -> Rows:
    """The labelled transcripts that all ``sources`` (name -> transcript ids) have, with their target and groups.

    Groups come from the families and genes of the store, or else of the embeddings, and the labels' genes. Raises
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
    target = encode_target(labels, np.flatnonzero(common), task)
    ids = [labels.transcript_ids[row] for row in target.rows]
    keys = _group_keys(labels, target, ids, embeddings, store)
    groups = group_rows(ids, keys)
    counts = {
        "labels": labels.n_rows,
        "dropped_missing_value": labels.n_missing,
        **{f"in_{name}": int(found.sum()) for name, found in present.items()},
        "matched": int(common.sum()),
        "unmatched": int((~common).sum()),
        "rows": len(ids),
        "groups": len(groups),
    }
    return Rows(ids, target, groups, list(dict.fromkeys(kind for kind, _ in keys)), counts)


def _group_keys(
    labels: Labels, target: Target, ids: list[str], embeddings: Embeddings, store: TranscriptStore | None
) -> list[tuple[str, list[str | None]]]:
    keys: list[tuple[str, list[str | None]]] = []
    for kind, values in (("family_id", embeddings.family_id), ("gene_name", embeddings.gene_name)):
        if store is not None:
            of_id = dict(zip(store.column("transcript_id"), store.column(kind), strict=True))
        elif values is not None:
            of_id = dict(zip(embeddings.transcript_ids, values, strict=True))
        else:
            continue
        keys.append((kind, [of_id[name] for name in ids]))
    if labels.gene_name is not None:
        keys.append(("gene_name", [labels.gene_name[row] for row in target.rows]))
    return keys


def tell_what_is_left_out(labels: Labels, rows: Rows, console: Console) -> None:
    """Print a line on each thing that was dropped, and why."""
    counts = rows.counts
    lines = [f"{what} dropped: {why}" for what, why in rows.target.dropped.items()]
    if len(lines) > 5:
        lines[4:] = [f"{len(lines) - 4} more dropped, all named in metrics.json"]
    if counts["unmatched"]:
        n_labelled = counts["matched"] + counts["unmatched"]
        lines.insert(
            0, f"{counts['matched']:,} of {n_labelled:,} labelled transcripts have all features, others left out"
        )
    if labels.n_missing:
        lines.insert(0, f"{labels.n_missing:,} of {labels.n_rows:,} rows have no value, left out")
    for line in lines:
        text = f"warning: {labels.path}, {labels.target}: {line}."
        console.print(text, markup=False, highlight=False, soft_wrap=True)
