"""The genes of transcripts where the annotation does not name them: from a table, or by overlapping exons."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from orthrus.errors import InputError
from orthrus.genome.findings import Findings
from orthrus.genome.models import POSITION_BITS, TranscriptModels
from orthrus.genome.names import find, without_copy, without_prefix
from orthrus.genome.reading_frame import Rows, ragged_rows
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

    ``transcripts`` are the columns that may hold a transcript's id, of projections if the table ``is_toga``'s. ``rows``
    has gene_id, gene_name and biotype, null where the table gives none.
    """

    transcripts: tuple[pa.ChunkedArray, ...]
    rows: pa.Table
    is_toga: bool

    def find(self, transcript_ids: pa.StringArray) -> pa.Table:
        """The table's rows of T transcripts, null where it does not list them.

        Ids match with or without a version; those of projections, whose last number is a chain, as they are.
        """
        look_up = _find_projections if self.is_toga else find
        found = [look_up(transcript_ids, column.combine_chunks()) for column in self.transcripts]
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
    columns = tuple(text(name).filter(named) for name in transcripts)
    return GeneTable(columns, rows.filter(named), is_toga="q_transcript" in transcripts)


def _find_projections(names: pa.StringArray, among: pa.StringArray) -> pa.Array:
    """The index of each of ``names`` ``among`` others, null for others, whatever their prefixes."""
    return pc.index_in(without_prefix(names), value_set=without_prefix(among), skip_nulls=True)


def with_genes(models: TranscriptModels, genes: GeneTable | None, findings: Findings) -> TranscriptModels:
    """``models`` with the genes that the table names; other transcripts have genes by their place.

    A transcript whose gene nothing names is of the gene with which it shares the most bases of exons on its strand,
    and then so are those that overlap it. Others are of one gene if they overlap in an exon on the same strand, or
    share a provisional gene id; it has the id of the first of them. ``gene_known`` stays false. ``findings`` counts the
    transcripts that the table does not list, and those whose gene nothing names.
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
    findings.noted.add(
        "transcripts whose gene is not named; those that overlap in an exon are treated as one gene, and a split by"
        " genes may separate others",
        models.transcript_id.take(pa.array(unknown)).to_pylist(),
    )
    return replace(models, gene_id=_genes_by_place(models))


def _genes_by_place(models: TranscriptModels) -> pa.StringArray:
    """The gene ids (T,), of transcripts without a known gene by the exons that they share with others."""
    shared = _exonic(models)
    names = models.gene_id.filter(pa.array(models.gene_known)).dictionary_encode()
    gene = np.full(len(models), -1)
    gene[models.gene_known] = names.indices.to_numpy()
    while len(adopted := _most_overlapping(shared, gene)):
        gene[adopted[:, 0]] = adopted[:, 1]
    rest = np.flatnonzero(gene < 0)
    row, column = shared[rest].tocoo().coords
    links = coo_array((np.ones(len(row), np.int8), (row, len(rest) + column)), shape=(len(rest) + shared.shape[1],) * 2)
    _, locus = connected_components(links, directed=False)
    _, first, inverse = np.unique(locus[: len(rest)], return_index=True, return_inverse=True)
    named = names.dictionary.take(pa.array(gene, mask=gene < 0))
    return pc.replace_with_mask(named, pa.array(gene < 0), models.transcript_id.take(pa.array(rest[first[inverse]])))


def _most_overlapping(shared: csr_array, gene: Rows) -> NDArray[np.int64]:
    """Transcripts (., 2) without a ``gene`` (T,), -1, each with the gene of which it shares the most bases."""
    without, named = np.flatnonzero(gene < 0), np.flatnonzero(gene >= 0)
    genes = csr_array((np.ones(len(named), np.int64), (gene[named], named)), shape=(gene.max() + 1, len(gene))) @ shared
    genes.data[:] = 1
    overlap = (shared[without] @ genes.T).tocoo()
    row, column = overlap.coords
    order = np.lexsort([column, -overlap.data, row])
    best = order[np.unique(row[order], return_index=True)[1]]
    return np.stack([without[row[best]], column[best]], axis=1)


def _exonic(models: TranscriptModels) -> csr_array:
    """The bases of each transcript's exons in S stretches of one strand, at whose ends exons begin or end, (T, S).

    Transcripts without a known gene share another base if they have the same provisional gene, or are copies.
    """
    place = np.stack([models.contig.dictionary_encode().indices.to_numpy(), models.strand])
    _, group = np.unique(place, axis=1, return_inverse=True)
    owner = np.repeat(np.arange(len(models)), np.diff(models.exon_offsets))
    offset = group.reshape(-1)[owner] << POSITION_BITS
    bounds, at = np.unique([offset + models.exon_starts, offset + models.exon_ends], return_inverse=True)
    start, end = at.reshape(2, -1)
    stretch, _ = ragged_rows(np.stack([start, end]).T.reshape(-1), 2 * np.arange(len(start)))
    unknown = np.flatnonzero(~models.gene_known)
    provisional = pc.coalesce(models.gene_id, without_copy(models.transcript_id)).dictionary_encode().indices.to_numpy()
    row = np.concatenate([np.repeat(owner, end - start), unknown])
    column = np.concatenate([stretch, len(bounds) + provisional[unknown]])
    bases = np.concatenate([np.diff(bounds)[stretch], np.ones(len(unknown), np.int64)])
    return csr_array((bases, (row, column)), shape=(len(models), column.max() + 1))
