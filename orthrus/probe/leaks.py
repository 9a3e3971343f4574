"""What the sides of a split share: families, near-identical sequences, and what the encoder was pretrained on.

A report goes with every result. Between training and test sides it should say zero; that test transcripts were seen in
pretraining, without their labels, is how the field probes, and is said.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orthrus.genome.kmers import NEAR_IDENTICAL, contained, similar_pairs, sketch, sketch_limit
from orthrus.probe.splits import Groups, Split
from orthrus.store import TranscriptStore

FAMILY, SEQUENCE, TRANSCRIPT, GENE = "family or gene", "near-identical sequence", "transcript", "gene"
_NO_SEQUENCES = "needs --store, for the transcripts' sequences"


def leak_report(
    transcript_ids: Sequence[str],
    families: Groups | None,
    splits: Sequence[Split],
    store: TranscriptStore | None,
    pretraining: TranscriptStore | None,
) -> dict[str, Any]:
    """Test rows, mean over splits, that share something with training or validation rows, or with pretraining.

    ``families`` are groups by family and gene (None: not known). ``not_checked`` says what could not be looked at.
    ``pretraining`` is the store that the encoder was pretrained on.
    """
    report: dict[str, Any] = {
        "test_rows": float(np.mean([len(split.test) for split in splits])),
        "training": {},
        "pretraining": {},
        "not_checked": {},
    }
    if families is not None:
        shared = [np.isin(families.of_row[s.test], families.of_row[np.r_[s.train, s.validation]]) for s in splits]
        report["training"][FAMILY] = _count(shared)
    else:
        report["not_checked"][FAMILY] = "neither store, embeddings nor labels know families or genes"
    if store is None:
        report["not_checked"][SEQUENCE] = _NO_SEQUENCES
        sketches, limit = [], np.uint64(0)
    else:
        indices = [store.index_of(name) for name in transcript_ids]
        limit = sketch_limit(store.lengths[indices])
        sketches = [sketch(store.codes(i), limit) for i in indices]
        pairs = similar_pairs(sketches, NEAR_IDENTICAL)
        report["training"][SEQUENCE] = _count([_with_partner(split, pairs, len(indices)) for split in splits])
    if pretraining is None:
        report["not_checked"]["pretraining"] = "no store of the pretraining is known: give --pretraining"
        return report
    seen = {TRANSCRIPT: np.isin(transcript_ids, pretraining.column("transcript_id"))}
    if store is not None:
        genes = np.array(store.transcripts["gene_name"].take(indices).to_pylist(), dtype=object)
        seen[GENE] = np.isin(genes.astype(str), [name for name in pretraining.column("gene_name") if name])
        others = (sketch(pretraining.codes(i), limit) for i in range(len(pretraining)))
        seen[SEQUENCE] = contained(sketches, others, NEAR_IDENTICAL)
    report["pretraining"] = {what: _count([rows[split.test] for split in splits]) for what, rows in seen.items()}
    return report


def _with_partner(split: Split, pairs: NDArray[np.int64], n_rows: int) -> NDArray[np.bool_]:
    """Which test rows have a partner in training or validation."""
    elsewhere = np.ones(n_rows, dtype=np.bool_)
    elsewhere[split.test] = False
    both = np.concatenate([pairs, pairs[:, ::-1]])
    leaking = np.zeros(n_rows, dtype=np.bool_)
    leaking[both[elsewhere[both[:, 1]], 0]] = True
    return leaking[split.test]


def _count(shared: Sequence[NDArray[np.bool_]]) -> dict[str, float]:
    return {
        "rows": float(np.mean([rows.sum() for rows in shared])),
        "share": float(np.mean([rows.mean() for rows in shared])),
    }


def leak_lines(report: dict[str, Any]) -> list[str]:
    """The report in sentences."""
    lines = []
    for where in ("training", "pretraining"):
        found = [f"{what} {each['rows']:,.0f} ({each['share']:.1%})" for what, each in report[where].items()]
        if found:
            side = "training or validation" if where == "training" else where
            lines.append(f"Of {report['test_rows']:,.0f} test rows, shared with {side}: {', '.join(found)}.")
    lines += [f"Not checked, {what}: {why}." for what, why in report["not_checked"].items()]
    return lines
