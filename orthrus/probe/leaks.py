"""Leaks between the sides of a split, and from pretraining: shared genes, families and near-identical sequences.

Every result has a report, which should be zero between training and test sides. In the field, pretraining usually sees
test transcripts, without their labels; the report states it, and :mod:`orthrus.probe.by_pretraining` scores the rows
that were seen separately from the others.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orthrus.genome.kmers import NEAR_IDENTICAL, Sketch, contained, similar_pairs, sketch, sketch_limit
from orthrus.probe.document import Leaks, Shared
from orthrus.probe.groups import Relations, of_unknown_gene
from orthrus.probe.rows import ProbeRows
from orthrus.probe.splits import Split
from orthrus.store import TranscriptStore
from orthrus.store.families import split_of

FAMILY_OR_GENE, SEQUENCE = "family or gene", "near-identical sequence"
TRANSCRIPT, GENE, FAMILY = "transcript", "gene", "family"
_NO_SEQUENCES = "needs --store, for the transcripts' sequences"

Seen = Mapping[str, NDArray[np.bool_]]
"""For each thing shared with pretraining, whether each of M rows shares it, bool (M,)."""


class Pretraining(NamedTuple):
    """The transcripts that an encoder was pretrained on: ``rows``, int64, of a ``store``."""

    store: TranscriptStore
    rows: NDArray[np.int64]

    @classmethod
    def on(cls, store: TranscriptStore, val_fraction: float = 0.0, test_fraction: float = 0.0) -> "Pretraining":
        """The training families of a run on ``store`` that held out these fractions of families."""
        side = split_of(store.family_names, val_fraction, test_fraction)
        return cls(store, np.flatnonzero((side == "train")[store.family]))

    def values(self, name: str) -> list[str | None]:
        """A column of the store's table for these rows."""
        column: list[str | None] = self.store.transcripts[name].take(self.rows).to_pylist()
        return column


def leak_report(rows: ProbeRows, seen: Seen | None) -> Leaks:
    """Test rows, mean over splits, that share something with training or validation rows, or with pretraining.

    ``seen`` is the result of :func:`seen_in_pretraining`, None if the pretraining store is not known. ``not_checked``
    lists the checks that were not possible.
    """
    splits, training, not_checked = rows.splits, {}, {}
    if rows.families is not None:
        family = rows.families.of_row
        training[FAMILY_OR_GENE] = _count(
            [np.isin(family[s.test], family[np.r_[s.train, s.validation]]) for s in splits]
        )
    else:
        not_checked[FAMILY_OR_GENE] = "neither store, embeddings nor labels know families or genes"
    if (sketched := _sketches(rows.relations)) is not None:
        pairs = similar_pairs(sketched[0], NEAR_IDENTICAL)
        training[SEQUENCE] = _count([_with_partner(split, pairs, len(rows.transcript_ids)) for split in splits])
    else:
        not_checked[SEQUENCE] = _NO_SEQUENCES
    if seen is None:
        not_checked["pretraining"] = "no store of the pretraining is known: give --pretraining"
    return Leaks(
        test_rows=float(np.mean([len(split.test) for split in splits])),
        unknown_genes=int(of_unknown_gene(rows.relations).sum()),
        training=training,
        pretraining={what: _count([found[split.test] for split in splits]) for what, found in (seen or {}).items()},
        not_checked=not_checked,
    )


def seen_in_pretraining(relations: Relations, pretraining: Pretraining) -> Seen:
    """Which rows share a transcript id, gene, family or near-identical sequence with the pretraining transcripts.

    Genes and families are compared by name. A family's name is ``species:gene`` of its member of the earliest species,
    so families of a store that was prepared differently may be missed. A sequence counts as seen if it and one of
    pretraining share 80 % of the 21-mers of the shorter. Columns that the transcript table lacks are not compared.
    """
    seen = {TRANSCRIPT: np.isin(relations.transcript_ids, np.array(pretraining.values("transcript_id"), dtype=str))}
    for what, column in ((GENE, "gene_name"), (FAMILY, "family_id")):
        values = relations.of_table(column)
        if values is not None:
            known = {value for value in pretraining.values(column) if value}
            seen[what] = np.array([value in known for value in values])
    if (sketched := _sketches(relations)) is not None:
        sketches, limit = sketched
        others = (sketch(pretraining.store.codes(int(i)), limit) for i in pretraining.rows)
        seen[SEQUENCE] = contained(sketches, others, NEAR_IDENTICAL)
    return seen


def _sketches(relations: Relations) -> tuple[list[Sketch], np.uint64] | None:
    """Sketches of all rows and the limit of their hashes; None without sequences."""
    store = relations.store
    if store is None:
        return None
    indices = [store.index_of(name) for name in relations.transcript_ids]
    limit = sketch_limit(store.lengths[indices])
    return [sketch(store.codes(i), limit) for i in indices], limit


def _with_partner(split: Split, pairs: NDArray[np.int64], n_rows: int) -> NDArray[np.bool_]:
    """Whether each test row has a partner in training or validation."""
    elsewhere = np.ones(n_rows, dtype=np.bool_)
    elsewhere[split.test] = False
    both = np.concatenate([pairs, pairs[:, ::-1]])
    leaking = np.zeros(n_rows, dtype=np.bool_)
    leaking[both[elsewhere[both[:, 1]], 0]] = True
    return leaking[split.test]


def _count(shared: Sequence[NDArray[np.bool_]]) -> Shared:
    return Shared(
        rows=float(np.mean([found.sum() for found in shared])), share=float(np.mean([found.mean() for found in shared]))
    )


def leak_lines(report: Leaks) -> list[str]:
    """The report as sentences."""
    lines = []
    if report.unknown_genes:
        lines.append(
            f"NOT known to be disjoint by gene or family: nothing names the gene of {report.unknown_genes:,} rows, so"
            " isoforms of one gene may be on two sides."
        )
    for side, shared in (("training or validation", report.training), ("pretraining", report.pretraining)):
        found = [f"{what} {each.rows:,.0f} ({each.share:.1%})" for what, each in shared.items()]
        if found:
            lines.append(f"Of {report.test_rows:,.0f} test rows, shared with {side}: {', '.join(found)}.")
    lines += [f"Not checked, {what}: {why}." for what, why in report.not_checked.items()]
    return lines
