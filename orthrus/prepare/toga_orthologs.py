"""Orthologs from TOGA, which projects the genes of a reference species on a query genome.

TOGA's orthology table (``orthology_classification.tsv``; columns t_gene, t_transcript, q_gene, q_transcript,
orthology_class) gives pairs of genes and their class. Without it, the names of projections give the transcript and gene
symbol of the reference, and so the gene, and the class follows from the numbers of paired genes.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from orthrus.genome.findings import Findings
from orthrus.genome.models import TranscriptModels
from orthrus.genome.names import find
from orthrus.genome.tables import read_tsv
from orthrus.genome.toga import parse_projections
from orthrus.store import ORTHOLOG_SCHEMA


class ReferenceGenes(NamedTuple):
    """Names of the genes of a reference species; columns of equal length."""

    transcript_id: pa.Array
    gene_id: pa.Array
    gene_name: pa.Array

    def find(self, *names: pa.ChunkedArray) -> pa.ChunkedArray:
        """Gene ids by the first of ``names`` (each (n,), may be null) that a gene has, null if no gene has one.

        A name may be the id of a gene or a transcript, found as in :func:`orthrus.genome.names.find`, or a gene's name.
        """
        found = pa.chunked_array([pa.nulls(len(names[0]), pa.string())])
        for name in names:
            rows = [find(name, self.gene_id), find(name, self.transcript_id)]
            rows.append(pc.index_in(name, value_set=self.gene_name, skip_nulls=True))
            for row in rows:
                found = pc.coalesce(found, self.gene_id.take(pc.cast(row, pa.int64())))
        return found


def pairs_of_table(orthology: Path, species: str, reference: str, genes: ReferenceGenes) -> pa.Table:
    """Orthologous genes of ``reference`` and ``species`` in TOGA's orthology table (:data:`ORTHOLOG_SCHEMA`)."""
    table = read_tsv(orthology, ("t_gene", "t_transcript", "q_gene", "orthology_class"))
    table = table.filter(pc.invert(pc.is_in(table["q_gene"], pa.array(["", "None"]))))
    parsed = parse_reference(table["t_transcript"])
    gene = pc.coalesce(genes.find(table["t_gene"], *parsed), table["t_gene"])
    kind = pc.binary_join_element_wise("ortholog", table["orthology_class"], "_")
    return _table(reference, gene, species, table["q_gene"], kind)


def parse_reference(names: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """The transcript and the gene's symbol in TOGA's name of a reference transcript, ``ENST00000367064.CD55``."""
    parsed = parse_projections(pc.binary_join_element_wise(names, "1", "."))
    return parsed["transcript"], parsed["symbol"]


def pairs_of_names(
    models: TranscriptModels, species: str, reference: str, genes: ReferenceGenes, findings: Findings
) -> pa.Table:
    """Orthologous genes by the names of the projections, without paralogs and retrogenes (:data:`ORTHOLOG_SCHEMA`).

    Projections that are not in the reference are noted.
    """
    parsed = parse_projections(pc.replace_substring_regex(models.transcript_id, r"_dup\d+$", ""))
    orthologous = pc.and_(pc.is_valid(parsed["transcript"]), pc.is_null(parsed["kind"]))
    gene = genes.find(parsed["transcript"], parsed["symbol"])
    known = pc.and_(orthologous, pc.is_valid(gene))
    findings.noted.add(
        f"TOGA projections of transcripts that {reference} does not have, without an ortholog",
        models.transcript_id.filter(pc.and_not(orthologous, known).combine_chunks()).to_pylist(),
    )
    pairs = pa.table({"a": gene, "b": models.gene_id}).filter(known)
    pairs = pairs.group_by(["a", "b"], use_threads=False).aggregate([])
    partners = {side: _n_of_each(pairs[side]) for side in "ab"}  # number of partners of the gene on that side
    kinds = np.array(["one2one", "one2many", "many2one", "many2many"], dtype=object)
    kind = kinds[(partners["a"] > 1).astype(int) + 2 * (partners["b"] > 1)]
    kind = pc.binary_join_element_wise("ortholog", pa.array(kind, pa.string()), "_")
    return _table(reference, pairs["a"], species, pairs["b"], kind)


def _n_of_each(column: pa.ChunkedArray) -> NDArray[np.int64]:
    """The number of occurrences of each row's value."""
    codes = column.combine_chunks().dictionary_encode().indices.to_numpy()
    return np.bincount(codes)[codes] if len(codes) else np.zeros(0, np.int64)


def _table(reference: str, gene_a: pa.ChunkedArray, species: str, gene_b: pa.ChunkedArray, kind: pa.Array) -> pa.Table:
    n = len(gene_a)
    return pa.table(
        [pa.array([reference] * n, pa.string()), gene_a, pa.array([species] * n, pa.string()), gene_b, kind],
        schema=ORTHOLOG_SCHEMA,
    )
