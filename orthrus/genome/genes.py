"""Which transcripts are of one gene, where an annotation does not say it: from a table, or by where they lie."""

from dataclasses import replace
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
from orthrus.genome.tables import read_header, read_tsv

_NAMES = {  # ours, those of TOGA's orthology table, those of Ensembl BioMart
    "transcript_id": ("transcript_id", "q_transcript", "Transcript stable ID version", "Transcript stable ID"),
    "gene_id": ("gene_id", "q_gene", "Gene stable ID version", "Gene stable ID"),
    "gene_name": ("gene_name", "Gene name"),
    "biotype": ("biotype", "Transcript type"),
}


def read_genes(path: Path) -> pa.Table:
    """A table of transcripts' genes: columns transcript_id, gene_id, gene_name, biotype; null where there is none.

    The columns may be called so, or as in TOGA's orthology table (q_transcript, q_gene) or Ensembl BioMart. Of a
    transcript that occurs again the first row counts. Raises InputError if it is no such table.
    """
    header = read_header(path)
    found = {name: next((n for n in names if n in header), None) for name, names in _NAMES.items()}
    for name in ("transcript_id", "gene_id"):
        if found[name] is None:
            raise InputError(
                f"{path} has no column {name!r}; expected a tab-separated table of transcripts' genes with a header"
                f" line and the columns transcript_id and gene_id, as TOGA's orthology table or as from BioMart."
            )
    table = read_tsv(path, required=[name for name in found.values() if name])
    columns = {
        name: pc.if_else(pc.is_in(table[column], pa.array(["", "None"])), None, table[column])
        if column
        else pa.nulls(len(table), pa.string())
        for name, column in found.items()
    }
    table = pa.table(columns)
    table = table.filter(pc.and_(pc.is_valid(table["transcript_id"]), pc.is_valid(table["gene_id"])))
    codes = table["transcript_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    return table.take(pa.array(np.unique(codes, return_index=True)[1]))


def with_genes(models: TranscriptModels, genes: pa.Table | None, findings: Findings) -> TranscriptModels:
    """``models`` with the genes that the table names for them, and where none is named, a gene a locus.

    A locus is what transcripts share that overlap in an exon, on one strand, or that have one provisional gene id; its
    gene bears the id of its first transcript, and ``gene_known`` stays false. Both are noted. GENCODE's copies of
    genes on chromosome Y, ``..._PAR_Y``, are of the gene that they are copies of.
    """
    gene_id, gene_name, biotype, known = models.gene_id, models.gene_name, models.biotype, models.gene_known
    if genes is not None:
        row = pc.index_in(models.transcript_id, value_set=genes["transcript_id"].combine_chunks())
        findings.noted.add(
            "transcripts that the table of genes does not list",
            models.transcript_id.filter(pc.is_null(row)).to_pylist(),
        )
        listed = genes.take(row)
        gene_id = pc.coalesce(listed["gene_id"], gene_id).combine_chunks()
        gene_name = pc.coalesce(listed["gene_name"], gene_name).combine_chunks()
        biotype = pc.coalesce(listed["biotype"], biotype).combine_chunks()
        known = known | np.asarray(pc.is_valid(row))
    gene_id = _original(gene_id)
    models = replace(models, gene_id=gene_id, gene_name=gene_name, biotype=biotype, gene_known=known)
    unknown = np.flatnonzero(~known)
    if not len(unknown):
        return models
    some = models.take(unknown)
    first = some.transcript_id.take(pa.array(_first_of_locus(some)))
    findings.noted.add(
        "transcripts whose gene is not named; those that overlap in an exon are taken as of one gene, and a split by"
        " genes may part others",
        some.transcript_id.to_pylist(),
    )
    return replace(models, gene_id=pc.replace_with_mask(gene_id, pa.array(~known), first))


def _original(gene_id: pa.StringArray) -> pa.StringArray:
    """Gene ids without what GENCODE marks copies on chromosome Y by: ENSG..._PAR_Y, formerly ENSGR..."""
    return pc.replace_substring_regex(pc.replace_substring_regex(gene_id, "_PAR_Y$", ""), r"^ENSGR(\d{10})", r"ENSG0\1")


def _first_of_locus(models: TranscriptModels) -> NDArray[np.int64]:
    """For each transcript the first one of its locus, int64 (T,)."""
    place = np.stack([models.contig.dictionary_encode().indices.to_numpy(), models.strand])
    _, group = np.unique(place, axis=1, return_inverse=True)
    owner = np.repeat(np.arange(len(models)), np.diff(models.exon_offsets))
    offset = group.reshape(-1)[owner] << POSITION_BITS
    starts, ends = offset + models.exon_starts, offset + models.exon_ends
    order = np.argsort(starts, kind="stable")
    reach = np.maximum.accumulate(ends[order])
    island = np.cumsum(np.concatenate([[True], starts[order][1:] >= reach[:-1]])) - 1  # of exons that overlap
    n = len(models)
    provisional = pc.coalesce(models.gene_id, _original_transcript(models.transcript_id)).dictionary_encode().indices
    left = np.concatenate([owner[order], np.arange(n)])
    right = n + np.concatenate([island, island[-1] + 1 + provisional.to_numpy()])
    links = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(right.max() + 1,) * 2)
    _, locus = connected_components(links, directed=False)
    _, first, inverse = np.unique(locus[:n], return_index=True, return_inverse=True)
    found: NDArray[np.int64] = first[inverse.reshape(-1)]
    return found


def _original_transcript(ids: pa.StringArray) -> pa.StringArray:
    return pc.replace_substring_regex(ids, "_PAR_Y$", "")
