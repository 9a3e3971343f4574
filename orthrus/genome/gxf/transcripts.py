"""From rows to transcript models: names, genes and biotypes.

This module and those it calls remove the differences between annotations: 1-based closed positions, the stop codon
inside or outside the CDS, ids with prefixes, exons in any order, transcripts with or without rows of their own.

Transcript ids are the ``transcript_id`` attribute (version and ``_PAR_Y`` included), else the GFF3 ID. Gene ids are, in
GTF, the ``gene_id`` of any row of the transcript; in GFF3, the first of these that the file has: ``gene_id`` or
``geneID`` of the transcript or its gene, NCBI's GeneID, the ID of the gene (with or without a row), ``gene_id`` of the
first part, ``locus_tag``, ``gene``. Prefixes that only name the type of feature (:mod:`orthrus.genome.names`) are
removed.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from orthrus.errors import InputError
from orthrus.genome.findings import Findings
from orthrus.genome.gxf.attributes import GFF3, Dialect, unescaped
from orthrus.genome.gxf.ownership import GENE_TYPE, Ownership, assign_parts, distinct_nodes, on_transcripts
from orthrus.genome.gxf.rows import EXON, UTR, GxfRows, read_rows
from orthrus.genome.gxf.structure import Structure, build_structure
from orthrus.genome.models import NAMED_AFTER_ITSELF, Reading, TranscriptModels
from orthrus.genome.names import without_prefix
from orthrus.genome.reading_frame import Rows

_DEPTH = 4  # miRNA -> primary transcript -> gene is the longest chain in use; more would be a cycle


def read_gxf(path: Path, findings: Findings, dialect: Dialect | None = None) -> Reading:
    """Read the transcript models of a GTF or GFF3 file, plain, gzip or bgzip, in the order of the file.

    Rows that name no transcript are noted in ``findings``. Without a ``dialect`` the content shows which it is. Raises
    InputError, naming the line, for a file that cannot be read.
    """
    rows = _named_parts(read_rows(path, dialect), path, findings)
    ownership = assign_parts(rows)
    structure = build_structure(rows, ownership)
    models, in_parts, named_after_itself = _models(rows, ownership, structure)
    return Reading(
        models=models,
        refused={
            "transcripts with rows on two strands or contigs": structure.scattered,
            "trans-spliced transcripts, whose sequence is not that of one place": in_parts,
            "transcripts with a CDS outside their exons": structure.cds_outside,
        },
        doubtful={
            "transcripts without exon rows, whose CDS and UTR rows are taken as their exons": structure.exonless,
            "transcripts with several coding sequences, of which the longest is taken": structure.polycistronic,
            "transcripts whose CDS rows' phases (column 8) contradict each other; codons are counted on from the first":
                structure.contradictory,
            NAMED_AFTER_ITSELF: named_after_itself,
        },
    )  # fmt: skip


def _named_parts(rows: GxfRows, path: Path, findings: Findings) -> GxfRows:
    """The rows without parts that name no transcript, UTRs of transcripts with exons, and repeated nodes."""
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
    parts = rows.parts.filter(named) if len(nameless) else rows.parts
    utr = pc.equal(parts["kind"], UTR)
    if pc.any(utr).as_py():
        with_exons = parts.filter(pc.equal(parts["kind"], EXON))["key"].combine_chunks()
        parts = parts.filter(pc.invert(pc.and_(utr, pc.is_in(parts["key"], value_set=with_exons))))
    return on_transcripts(distinct_nodes(replace(rows, parts=parts)))


def _models(
    rows: GxfRows, ownership: Ownership, structure: Structure
) -> tuple[TranscriptModels, NDArray[np.bool_], NDArray[np.bool_]]:
    """The transcript models, which transcripts are in parts, and which have a gene named after themselves."""
    nodes = pa.concat_tables([rows.nodes, rows.witnesses]).unify_dictionaries().combine_chunks()
    roots, missing_parent = _roots(nodes)
    own, gene = nodes.take(pa.array(ownership.node)), nodes.take(pa.array(roots[ownership.node]))
    witness = rows.witnesses.take(pa.array(ownership.witness, mask=ownership.witness < 0))

    is_gene = pc.match_substring_regex(gene["type"].cast(pa.string()), GENE_TYPE)
    has_gene_row = pc.or_(is_gene, pa.array(roots[ownership.node] != ownership.node))
    ancestor = pc.coalesce(missing_parent.take(pa.array(ownership.node)), pc.if_else(has_gene_row, gene["key"], None))
    gene_id = pc.coalesce(
        _part_genes(rows, ownership), own["gene_id"], gene["gene_id"], ancestor,
        witness["gene_id"], own["locus"], witness["locus"],
    )  # fmt: skip
    transcript_id = pc.coalesce(ownership.protein, own["transcript_id"], own["key"])
    texts = {
        "transcript_id": without_prefix(transcript_id),
        "gene_id": without_prefix(gene_id),
        "gene_name": pc.coalesce(own["gene_name"], gene["gene_name"], gene["name"], ""),
    }
    if rows.dialect is GFF3:
        texts = {name: unescaped(column) for name, column in texts.items()}
    after_itself = pc.and_kleene(
        pc.equal(texts["gene_id"], texts["transcript_id"]),
        pc.invert(pc.or_(has_gene_row, pc.is_in(gene_id, value_set=rows.gene_rows.combine_chunks()))),
    )
    after_itself = np.asarray(pc.fill_null(after_itself, False))
    place = rows.parts.select(["contig"]).take(pa.array(ownership.first_part))
    models = TranscriptModels(
        **{name: _array(column) for name, column in texts.items()},
        gene_known=np.asarray(pc.is_valid(gene_id)) & ~after_itself,
        biotype=_array(_biotypes(own, gene, structure.cds_start >= 0)),
        contig=_array(place["contig"].cast(pa.string())),
        chromosomes=rows.contigs.chromosomes,
        circular=frozenset(rows.contigs.circular),
        contig_ends=rows.contigs.ends,
        genetic_codes=rows.contigs.genetic_codes,
        strand=structure.strand,
        cds_start=structure.cds_start,
        cds_end=structure.cds_end,
        exon_starts=structure.exon_starts,
        exon_ends=structure.exon_ends,
        exon_offsets=structure.exon_offsets,
        frames=structure.frames,
    )
    return models, np.asarray(own["in_parts"]), after_itself


def _array(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _roots(nodes: pa.Table) -> tuple[Rows, pa.Array]:
    """The row that each row descends from, which is its gene if it has one, and a named parent that has no row."""
    parent = np.asarray(pc.fill_null(pc.index_in(nodes["parent"], value_set=nodes["key"]), -1), dtype=np.int64)
    types = nodes["type"].cast(pa.string())
    is_gene = np.asarray(pc.match_substring_regex(types, GENE_TYPE))
    of_gene = np.asarray(pc.equal(types, "pseudogene")) & is_gene[parent]  # FlyBase's transcripts
    parent[is_gene & ~of_gene] = -1  # the parent of a gene, an operon or a contig, is not a gene
    root = np.arange(len(nodes))
    for _ in range(_DEPTH):
        root = np.where(parent[root] >= 0, parent[root], root)
    missing = pa.array((parent[root] < 0) & ~is_gene[root])
    return root, _array(pc.if_else(missing, nodes["parent"].take(pa.array(root)), None))


def _part_genes(rows: GxfRows, ownership: Ownership) -> pa.Array:
    """The first gene that a part of each transcript names; null without one, and in GFF3."""
    named = np.flatnonzero(np.asarray(pc.is_valid(rows.parts["gene_id"])))
    first = np.full(len(ownership.node), -1)
    first[ownership.owner[named[::-1]]] = named[::-1]
    return _array(rows.parts["gene_id"].combine_chunks().take(pa.array(first, mask=first < 0)).cast(pa.string()))


def _biotypes(own: pa.Table, gene: pa.Table, coding: NDArray[np.bool_]) -> pa.ChunkedArray:
    """The biotype of each transcript, in Ensembl's words where the annotation has them.

    It is the first of: the transcript's biotype; column 2, if it has `protein_coding` somewhere, as in Ensembl's GTFs
    up to release 76; the type of a GFF3 row, if it is more specific than `transcript`; the gene's biotype; coding or
    not, by the CDS.
    """
    stated = own["biotype"]
    source, kind = own["source"].cast(pa.string()), own["type"].cast(pa.string())
    if stated.null_count == len(stated) and pc.any(pc.equal(source, "protein_coding")).as_py():
        stated = source
    plain = pc.match_substring_regex(kind, r"^(transcript|exon|CDS|stop_codon|.*UTR|.*utr\d?|gene|.*_gene|pseudogene)$")
    of_gene = pc.coalesce(own["gene_biotype"], gene["gene_biotype"], gene["biotype"])
    noncoding = pc.if_else(pc.equal(of_gene, "protein_coding"), None, of_gene)
    guessed = pc.if_else(pa.array(coding), pc.coalesce(of_gene, "protein_coding"), pc.coalesce(noncoding, "non_coding"))
    biotype = pc.coalesce(stated, pc.if_else(plain, guessed, kind))
    return pc.if_else(pc.equal(biotype, "mRNA"), "protein_coding", biotype)  # as NCBI calls it
