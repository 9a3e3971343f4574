"""Positive pairs: for each transcript, another one of its gene or of an orthologous gene.

The adjacency is in flat, memory-mapped arrays (compressed rows) of the store: drawing a partner costs O(1), an index
needs no memory of its own, and worker processes share its pages.
"""

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from orthrus.store.reader import TranscriptStore


class PairKind(IntEnum):
    """The kind of a positive pair: a transcript with itself, isoforms of a gene, or transcripts of orthologs."""

    SELF = 0
    SPLICE = 1
    ORTHOLOG = 2

    @property
    def label(self) -> str:
        """The name in logs and reports."""
        return self.name.lower()


class Pairs(NamedTuple):
    """P pairs of transcript indices and their :class:`PairKind`, int8."""

    base_P: NDArray[np.int64]
    partner_P: NDArray[np.int64]
    kind_P: NDArray[np.int8]


class PairIndex:
    """Isoforms and orthologs of every transcript of a store; ``family``, int32 (n,), has their families."""

    def __init__(self, store: TranscriptStore) -> None:
        self._store = store
        self.family = store.family
        self._gene = store.array("gene")
        self._members, self._first = store.array("members"), store.array("first")
        self._neighbours, self._edge = store.array("neighbours"), store.array("edge")

    def __reduce__(self) -> tuple[Any, ...]:
        return PairIndex, (self._store,)

    def sample(self, base_P: NDArray[np.int64], ortholog_probability: float, generator: np.random.Generator) -> Pairs:
        """Draw a partner for each base transcript.

        If a base has both, an ortholog is drawn with ``ortholog_probability`` (a gene uniformly, then one of its
        transcripts), and otherwise another isoform of its gene, uniformly. A base with neither is its own partner.
        """
        gene_P = self._gene[base_P]
        isoforms_P = self._first[gene_P + 1] - self._first[gene_P] - 1
        orthologs_P = self._edge[gene_P + 1] - self._edge[gene_P]
        wanted_P = generator.random(len(base_P)) < ortholog_probability
        kind_P = np.where(
            (orthologs_P > 0) & (wanted_P | (isoforms_P == 0)),
            PairKind.ORTHOLOG,
            np.where(isoforms_P > 0, PairKind.SPLICE, PairKind.SELF),
        ).astype(np.int8)
        first_P, second_P = generator.random((2, len(base_P)))
        partner_P = np.array(base_P, dtype=np.int64)

        # any transcript of the gene except the last, which replaces the base itself
        splice = kind_P == PairKind.SPLICE
        start = self._first[gene_P[splice]]
        chosen = self._members[start + (first_P[splice] * isoforms_P[splice]).astype(np.int64)]
        last = self._members[start + isoforms_P[splice]]
        partner_P[splice] = np.where(chosen == base_P[splice], last, chosen)

        ortholog = kind_P == PairKind.ORTHOLOG
        edge = self._edge[gene_P[ortholog]] + (first_P[ortholog] * orthologs_P[ortholog]).astype(np.int64)
        gene = self._neighbours[edge]
        size = self._first[gene + 1] - self._first[gene]
        partner_P[ortholog] = self._members[self._first[gene] + (second_P[ortholog] * size).astype(np.int64)]
        return Pairs(base_P, partner_P, kind_P)

    def count(self) -> dict[str, int]:
        """Unordered pairs of transcripts by kind; ``self`` counts the transcripts without another partner."""
        size, degree = np.diff(self._first), np.diff(self._edge)
        source = np.repeat(np.arange(len(size)), degree)
        return {
            "self": int(((size == 1) & (degree == 0)).sum()),
            "splice": int((size * (size - 1) // 2).sum()),
            "ortholog": int((size[source] * size[self._neighbours]).sum() // 2),
        }
