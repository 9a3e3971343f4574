"""GTF and GFF3 annotation, of Ensembl, GENCODE, NCBI RefSeq and their kin, as transcript models.

What differs between them ends here: 1-based closed positions, ``chr`` or accession contigs, the stop codon in the CDS
or beside it, ids with prefixes, exons in any order, transcripts with or without rows of their own.

Transcript ids are the ``transcript_id`` attribute (version and ``_PAR_Y`` included), else the GFF3 ID. Gene ids are
``gene_id``, else NCBI's GeneID, else the gene's ID. Both without a prefix such as ``transcript:`` or ``rna-``.
"""

from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from orthrus.errors import InputError
from orthrus.genome.attributes import GFF3, Dialect
from orthrus.genome.findings import Findings
from orthrus.genome.gxf import GxfRows, read_rows
from orthrus.genome.models import Reading, Rows, TranscriptModels
from orthrus.genome.names import without_prefix
from orthrus.genome.structure import Ownership, Structure, assign_parts, build_structure

_DEPTH = 4  # miRNA -> primary transcript -> gene is the longest chain in use; more would be a cycle


def read_gxf(path: Path, findings: Findings, dialect: Dialect | None = None) -> Reading:
    """Transcript models of a GTF or GFF3 file, plain, gzip or bgzip, in the order of the file.

    Rows that name no transcript are noted in ``findings``. Raises InputError, naming the line, for a file that cannot
    be read. ``dialect`` is told by content where it is not given.
    """
    rows = _named_parts(read_rows(path, dialect), path, findings)
    ownership = assign_parts(rows)
    structure = build_structure(rows, ownership)
    return Reading(
        models=_models(rows, ownership, structure),
        refused={
            "transcripts with rows on two strands or contigs": structure.scattered,
            "transcripts with a CDS outside their exons": structure.cds_outside,
        },
        doubtful={
            "transcripts without exon rows, whose CDS rows are taken as their exons": structure.exonless,
            "transcripts with several coding sequences, of which the longest is taken": structure.polycistronic,
        },
    )


def _named_parts(rows: GxfRows, path: Path, findings: Findings) -> GxfRows:
    """The rows without parts that name no transcript."""
    if not len(rows.parts):
        raise InputError(f"{path} has no exon or CDS rows; expected an annotation of transcripts with their exons.")
    named = pc.is_valid(rows.parts["key"])
    nameless = rows.parts.filter(pc.invert(named))
    places = zip(nameless["contig"].to_pylist(), nameless["start"].to_pylist(), strict=True)
    findings.noted.add(
        "exon or CDS rows that name no transcript, ignored", [f"{contig}:{start + 1}" for contig, start in places]
    )
    if not pc.any(named).as_py():
        raise InputError(f"{path}: no exon or CDS row has the {rows.dialect.name} attribute {rows.dialect.parent}.")
    return GxfRows(rows.parts.filter(named), rows.nodes, rows.witnesses, rows.chromosomes, rows.dialect)


def _models(rows: GxfRows, ownership: Ownership, structure: Structure) -> TranscriptModels:
    """The transcripts with what their rows say of them, and of their genes."""
    nodes = pa.concat_tables([rows.nodes, rows.witnesses]).unify_dictionaries().combine_chunks()
    own = nodes.take(pa.array(ownership.node))
    gene = nodes.take(pa.array(_roots(nodes)[ownership.node]))
    place = rows.parts.select(["contig", "strand"]).take(pa.array(ownership.first_part))
    texts = {
        "transcript_id": without_prefix(pc.coalesce(own["transcript_id"], own["key"])),
        "gene_id": without_prefix(pc.coalesce(own["gene_id"], gene["gene_id"], gene["key"])),
        "gene_name": pc.coalesce(own["gene_name"], gene["gene_name"], gene["name"], ""),
    }
    if rows.dialect is GFF3:
        texts = {name: _unescaped(column) for name, column in texts.items()}
    return TranscriptModels(
        **{name: column.combine_chunks() for name, column in texts.items()},
        biotype=_biotypes(own, gene, structure.cds_start >= 0).combine_chunks(),
        contig=place["contig"].cast(pa.string()).combine_chunks(),
        chromosomes=rows.chromosomes,
        strand=place["strand"].to_numpy().astype(np.int8),
        cds_start=structure.cds_start,
        cds_end=structure.cds_end,
        exon_starts=structure.exon_starts,
        exon_ends=structure.exon_ends,
        exon_offsets=structure.exon_offsets,
    )


def _roots(nodes: pa.Table) -> Rows:
    """The row that each row descends from, itself where it has no parent."""
    parent = np.asarray(pc.fill_null(pc.index_in(nodes["parent"], value_set=nodes["key"]), -1), dtype=np.int64)
    root = np.arange(len(nodes))
    for _ in range(_DEPTH):
        root = np.where(parent[root] >= 0, parent[root], root)
    return root


def _biotypes(own: pa.Table, gene: pa.Table, coding: NDArray[np.bool_]) -> pa.ChunkedArray:
    """What kind each transcript is, in Ensembl's words where the annotation has them.

    In turn: the transcript's biotype; column 2 in Ensembl's GTFs up to release 76, told by a `protein_coding` there;
    the type of a GFF3 row, where it says more than `transcript`; the gene's; whether there is a CDS.
    """
    stated = own["biotype"]
    source, kind = own["source"].cast(pa.string()), own["type"].cast(pa.string())
    if stated.null_count == len(stated) and pc.any(pc.equal(source, "protein_coding")).as_py():
        stated = source
    plain = pc.match_substring_regex(kind, r"^(transcript|exon|CDS|stop_codon|gene|.*_gene|pseudogene)$")
    of_gene = pc.coalesce(own["gene_biotype"], gene["gene_biotype"], gene["biotype"])
    noncoding = pc.if_else(pc.equal(of_gene, "protein_coding"), None, of_gene)
    guessed = pc.if_else(pa.array(coding), pc.coalesce(of_gene, "protein_coding"), pc.coalesce(noncoding, "non_coding"))
    biotype = pc.coalesce(stated, pc.if_else(plain, guessed, kind))
    return pc.if_else(pc.equal(biotype, "mRNA"), "protein_coding", biotype)  # as NCBI calls it


def _unescaped(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """GFF3 writes reserved characters as %3B and the like."""
    if not pc.any(pc.match_substring(column, "%")).as_py():
        return column
    return pa.chunked_array([pa.array([unquote(text) for text in column.to_pylist()], pa.string())])
