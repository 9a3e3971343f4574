"""Positive pairs: for each transcript, another of its gene or of an orthologous gene.

All adjacency is flat arrays (compressed rows), so that drawing a partner costs O(1) and a store of millions of
transcripts holds no Python object a transcript.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from orthrus.store import TranscriptStore

SELF, SPLICE, ORTHOLOG = 0, 1, 2
KIND_NAMES = ("self", "splice", "ortholog")


class Pairs(NamedTuple):
    """P pairs of transcript indices and their kind, int8: 0 self, 1 splice, 2 ortholog."""

    base_P: NDArray[np.int64]
    partner_P: NDArray[np.int64]
    kind_P: NDArray[np.int8]


class PairIndex:
    """Isoforms and orthologs of every transcript of a store.

    ``family`` is an int64 (n,) number a family, ``n_isoforms`` and ``n_ortholog_genes`` int64 (n,) count the other
    transcripts of a transcript's gene and the genes orthologous to it.
    """

    def __init__(self, store: TranscriptStore) -> None:
        table = store.transcripts
        self.family = _numbers(table["family_id"])
        gene_keys = _gene_keys(table["species"], table["gene_id"])
        self._gene = _numbers(gene_keys)
        n_genes = int(self._gene.max()) + 1

        # transcripts grouped by gene: those of gene g are _members[_first[g] : _first[g + 1]]
        self._members = np.argsort(self._gene, kind="stable")
        self._first = np.searchsorted(self._gene[self._members], np.arange(n_genes + 1))
        self._position = np.empty_like(self._members)  # of a transcript within its gene
        self._position[self._members] = np.arange(len(self._members)) - self._first[self._gene[self._members]]

        # orthologous genes of gene g are _neighbours[_edge[g] : _edge[g + 1]]; pairs hold in both directions, once
        gene_names = pc.unique(gene_keys)
        pairs = store.orthologs
        side_a, side_b = (
            pc.index_in(_gene_keys(pairs[f"species_{s}"], pairs[f"gene_id_{s}"]), gene_names).to_numpy() for s in "ab"
        )
        edges = np.unique(
            np.stack([np.concatenate([side_a, side_b]), np.concatenate([side_b, side_a])], axis=1), axis=0
        )
        edges = edges[edges[:, 0] != edges[:, 1]]
        self._neighbours = edges[:, 1].astype(np.int64)
        self._edge = np.searchsorted(edges[:, 0], np.arange(n_genes + 1))

        self.n_isoforms = np.diff(self._first)[self._gene] - 1
        self.n_ortholog_genes = np.diff(self._edge)[self._gene]

    def sample(self, base_P: NDArray[np.int64], ortholog_probability: float, generator: np.random.Generator) -> Pairs:
        """Draw a partner for each base transcript.

        Where a base has both, an ortholog is drawn with ``ortholog_probability`` (a gene uniformly, then one of its
        transcripts) and else another isoform of its gene, uniformly; where it has neither, it is its own partner.
        """
        isoforms_P, orthologs_P = self.n_isoforms[base_P], self.n_ortholog_genes[base_P]
        wanted_P = generator.random(len(base_P)) < ortholog_probability
        kind_P = np.where(
            (orthologs_P > 0) & (wanted_P | (isoforms_P == 0)), ORTHOLOG, np.where(isoforms_P > 0, SPLICE, SELF)
        ).astype(np.int8)
        first_P, second_P = generator.random((2, len(base_P)))

        gene_P = self._gene[base_P]
        choice_P = (first_P * isoforms_P).astype(np.int64)
        choice_P += choice_P >= self._position[base_P]  # skip the base itself
        splice = kind_P == SPLICE
        ortholog = kind_P == ORTHOLOG
        partner_P = base_P.copy()
        partner_P[splice] = self._members[self._first[gene_P[splice]] + choice_P[splice]]

        edge = self._edge[gene_P[ortholog]] + (first_P[ortholog] * orthologs_P[ortholog]).astype(np.int64)
        gene = self._neighbours[edge]
        size = self._first[gene + 1] - self._first[gene]
        partner_P[ortholog] = self._members[self._first[gene] + (second_P[ortholog] * size).astype(np.int64)]
        return Pairs(base_P, partner_P, kind_P)

    def count(self) -> dict[str, int]:
        """Unordered pairs of transcripts by kind; ``self`` counts the transcripts that have no other partner."""
        size = np.diff(self._first)
        source = np.repeat(np.arange(len(size)), np.diff(self._edge))
        return {
            "self": int(((self.n_isoforms == 0) & (self.n_ortholog_genes == 0)).sum()),
            "splice": int((size * (size - 1) // 2).sum()),
            "ortholog": int((size[source] * size[self._neighbours]).sum() // 2),
        }


def _numbers(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """Distinct values numbered by first appearance, int64 (n,)."""
    encoded = column.combine_chunks().dictionary_encode()
    numbers: NDArray[np.int64] = encoded.indices.to_numpy().astype(np.int64)
    return numbers


def _gene_keys(species: pa.ChunkedArray, gene_id: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(species, gene_id, "\t")
