"""Genes of a store and their relations: orthologs, homologs, and the adjacency of positive pairs.

Whole columns are processed at once. Shapes: n transcripts, G genes, E directed edges between orthologous genes.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from orthrus.genome import names
from orthrus.store.families import star_edges
from orthrus.store.layout import HOMOLOG_SCHEMA, ORTHOLOG_SCHEMA

Numbers = NDArray[np.int64]


class Genes:
    """G distinct genes; ``keys`` are ``species<tab>gene_id``, from :func:`gene_keys`."""

    def __init__(self, keys: pa.StringArray) -> None:
        self.keys = keys
        parts = pc.split_pattern(keys, "\t", max_splits=1)
        self.species: pa.StringArray = pc.list_element(parts, 0)
        self.gene_id: pa.StringArray = pc.list_element(parts, 1)

    def __len__(self) -> int:
        return len(self.keys)

    def may_have(self, species: pa.ChunkedArray) -> pa.ChunkedArray:
        """Whether there are genes of each of ``species``."""
        return pc.is_in(species, value_set=pc.unique(self.species))

    def find(self, species: pa.ChunkedArray, gene_id: pa.ChunkedArray) -> Numbers:
        """Numbers of genes by name (:func:`orthrus.genome.names.find`), -1 for unknown genes."""
        found = names.find(gene_id, self.gene_id, (species, self.species))
        return np.asarray(pc.fill_null(found, -1), dtype=np.int64)

    def copies(self) -> Numbers:
        """Edges (E, 2) between ids of one gene: those of other versions, and of its pseudoautosomal copy."""
        keys = gene_keys(self.species, names.one_gene(self.gene_id))
        return star_edges(np.arange(len(self)), pa.chunked_array([keys]))


def gene_keys(species: pa.ChunkedArray, gene_id: pa.ChunkedArray) -> pa.ChunkedArray:
    """The keys of genes, distinct over species."""
    return pc.binary_join_element_wise(species, gene_id, "\t")


class Orthologs(NamedTuple):
    """``matched`` pairs with the ids of the store, their ``edges`` (E, 2) between genes, and ``unmatched`` pairs.

    Unmatched pairs have a gene that is not in the store, and at least one species that is.
    """

    matched: pa.Table
    edges: Numbers
    unmatched: pa.Table


def match_orthologs(pairs: pa.Table, genes: Genes) -> Orthologs:
    """Find the genes of ``pairs``. Each pair is kept once, and the pairs are sorted."""
    pairs = pairs.select(ORTHOLOG_SCHEMA.names).cast(ORTHOLOG_SCHEMA)
    sides = {side: genes.find(pairs[f"species_{side}"], pairs[f"gene_id_{side}"]) for side in "ab"}
    known = (sides["a"] >= 0) & (sides["b"] >= 0)
    numbered = _distinct(pa.table({**sides, "homology_type": pairs["homology_type"]}).filter(pa.array(known)))
    ids = {
        f"{name}_{side}": getattr(genes, name).take(numbered[side]) for side in "ab" for name in ("species", "gene_id")
    }
    edges = np.stack([numbered[side].to_numpy() for side in "ab"], axis=1)
    matched = pa.table({**ids, "homology_type": numbered["homology_type"]}).select(ORTHOLOG_SCHEMA.names)
    ours = pc.or_(genes.may_have(pairs["species_a"]), genes.may_have(pairs["species_b"]))
    return Orthologs(matched, edges, _distinct(pairs.filter(pc.and_(ours, pa.array(~known)))))


class Homologs(NamedTuple):
    """``rows`` of the store's species, ``edges`` (E, 2) that join genes of a group, and rows of ``unknown`` genes."""

    rows: pa.Table
    edges: Numbers
    unknown: pa.Table


def match_homologs(homologs: pa.Table, genes: Genes) -> Homologs:
    """Find the genes of gene groups. Rows of other species are dropped; each other row is kept once, sorted."""
    homologs = homologs.select(HOMOLOG_SCHEMA.names).cast(HOMOLOG_SCHEMA)
    rows = _distinct(homologs.filter(genes.may_have(homologs["species"])))
    gene = genes.find(rows["species"], rows["gene_id"])
    known = gene >= 0
    edges = star_edges(gene[known], rows["group"].filter(pa.array(known)))
    return Homologs(rows, edges, rows.filter(pa.array(~known)))


def _distinct(table: pa.Table) -> pa.Table:
    columns = table.column_names
    distinct = table.group_by(columns, use_threads=False).aggregate([]).select(columns)
    return distinct.sort_by([(name, "ascending") for name in columns]).combine_chunks()


def adjacency(gene: NDArray[np.int32], n_genes: int, orthologs: Numbers) -> dict[str, NDArray[np.integer]]:
    """The arrays to draw positive pairs from: members, first, neighbours, edge (see :mod:`orthrus.store`).

    ``gene`` (n,) has the gene of each transcript, ``orthologs`` (E', 2) pairs of genes, used in both directions.
    """
    members = np.argsort(gene, kind="stable").astype(np.int32)
    first = np.searchsorted(gene[members], np.arange(n_genes + 1))
    a, b = orthologs[orthologs[:, 0] != orthologs[:, 1]].T
    edges = np.unique(np.concatenate([a * n_genes + b, b * n_genes + a]))
    return {
        "members": members,
        "first": first.astype(np.int64),
        "neighbours": (edges % max(n_genes, 1)).astype(np.int32),
        "edge": np.searchsorted(edges, np.arange(n_genes + 1) * n_genes).astype(np.int64),
    }
