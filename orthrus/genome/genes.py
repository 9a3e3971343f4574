"""The genes of transcripts where the annotation does not name them: from a table, or by overlapping exons."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from orthrus.errors import InputError
from orthrus.genome.findings import Findings
from orthrus.genome.models import POSITION_BITS, TranscriptModels
from orthrus.genome.names import find, without_copy
from orthrus.genome.tables import read_header, read_tsv

# Names of each column: ours, those of TOGA's orthology table, and those of Ensembl BioMart (web and API).
_TRANSCRIPTS = (
    *("transcript_id", "q_transcript", "Transcript stable ID version", "Transcript stable ID"),
    *("ensembl_transcript_id_version", "ensembl_transcript_id"),
)
_NAMES = {
    "gene_id": (
        *("gene_id", "q_gene", "Gene stable ID version", "Gene stable ID"),
        *("ensembl_gene_id_version", "ensembl_gene_id"),
    ),
    "gene_name": ("gene_name", "Gene name", "external_gene_name"),
    "biotype": ("biotype", "Transcript type", "transcript_biotype"),
}


@dataclass(frozen=True)
class GeneTable:
    """R rows of a table of transcripts' genes.

    ``transcripts`` are the columns that may hold a transcript's id; ``rows`` has gene_id, gene_name and biotype, null
    where the table gives none.
    """

    transcripts: tuple[pa.ChunkedArray, ...]
    rows: pa.Table

    def find(self, transcript_ids: pa.StringArray) -> pa.Table:
        """The table's rows of T transcripts, null where it does not list them; ids match with or without a version."""
        found = [find(transcript_ids, column) for column in self.transcripts]
        return self.rows.take(min(found, key=lambda row: row.null_count))


def read_genes(path: Path) -> GeneTable:
    """Read a tab-separated table of transcripts' genes, with a header.

    The columns are named transcript_id, gene_id, gene_name and biotype, or as in TOGA's orthology table (q_transcript,
    q_gene) or Ensembl BioMart. If a transcript occurs twice, its first row counts. Raises InputError if the file is not
    such a table.
    """
    header = read_header(path)
    transcripts = [name for name in _TRANSCRIPTS if name in header]
    found = {name: next((n for n in names if n in header), None) for name, names in _NAMES.items()}
    for name, column in (("transcript_id", transcripts), ("gene_id", found["gene_id"])):
        if not column:
            raise InputError(
                f"{path} has no column {name!r}; expected a tab-separated table of transcripts' genes with a header"
                f" line and the columns transcript_id and gene_id, such as TOGA's orthology table or one of BioMart."
            )
    table = read_tsv(path, required=[*transcripts, *(name for name in found.values() if name)])

    def text(column: str) -> pa.ChunkedArray:
        return pc.if_else(pc.is_in(table[column], pa.array(["", "None"])), None, table[column])

    rows = pa.table({name: text(c) if c else pa.nulls(len(table), pa.string()) for name, c in found.items()})
    named = pc.is_valid(rows["gene_id"])
    return GeneTable(tuple(text(name).filter(named) for name in transcripts), rows.filter(named))


def with_genes(models: TranscriptModels, genes: GeneTable | None, findings: Findings) -> TranscriptModels:
    """``models`` with the genes that the table names, and one gene for each locus where it names none.

    A locus is a set of transcripts that overlap in an exon on the same strand, or share a provisional gene id. Its gene
    has the id of its first transcript, and ``gene_known`` stays false. ``findings`` counts the transcripts of both
    cases.
    """
    gene_id, gene_name, biotype, known = models.gene_id, models.gene_name, models.biotype, models.gene_known
    if genes is not None:
        listed = genes.find(models.transcript_id)
        findings.noted.add(
            "transcripts that the table of genes does not list",
            models.transcript_id.filter(pc.is_null(listed["gene_id"]).combine_chunks()).to_pylist(),
        )
        gene_id = pc.coalesce(listed["gene_id"], gene_id).combine_chunks()
        gene_name = pc.coalesce(listed["gene_name"], gene_name).combine_chunks()
        biotype = pc.coalesce(listed["biotype"], biotype).combine_chunks()
        known = known | np.asarray(pc.is_valid(listed["gene_id"]))
    models = replace(models, gene_id=gene_id, gene_name=gene_name, biotype=biotype, gene_known=known)
    unknown = np.flatnonzero(~known)
    if not len(unknown):
        return models
    some = models.take(unknown)
    first = some.transcript_id.take(pa.array(_first_of_locus(some)))
    findings.noted.add(
        "transcripts whose gene is not named; those that overlap in an exon are treated as one gene, and a split by"
        " genes may separate others",
        some.transcript_id.to_pylist(),
    )
    return replace(models, gene_id=pc.replace_with_mask(gene_id, pa.array(~known), first))


def _first_of_locus(models: TranscriptModels) -> NDArray[np.int64]:
    """The first transcript of each transcript's locus, int64 (T,)."""
    place = np.stack([models.contig.dictionary_encode().indices.to_numpy(), models.strand])
    _, group = np.unique(place, axis=1, return_inverse=True)
    owner = np.repeat(np.arange(len(models)), np.diff(models.exon_offsets))
    offset = group.reshape(-1)[owner] << POSITION_BITS
    starts, ends = offset + models.exon_starts, offset + models.exon_ends
    order = np.argsort(starts, kind="stable")
    reach = np.maximum.accumulate(ends[order])
    island = np.cumsum(np.concatenate([[True], starts[order][1:] >= reach[:-1]])) - 1  # of exons that overlap
    n = len(models)
    provisional = pc.coalesce(models.gene_id, without_copy(models.transcript_id)).dictionary_encode().indices
    left = np.concatenate([owner[order], np.arange(n)])
    right = n + np.concatenate([island, island[-1] + 1 + provisional.to_numpy()])
    links = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(right.max() + 1,) * 2)
    _, locus = connected_components(links, directed=False)
    _, first, inverse = np.unique(locus[:n], return_index=True, return_inverse=True)
    found: NDArray[np.int64] = first[inverse.reshape(-1)]
    return found
