"""From files to mature mRNAs with their names: annotation + genome, or mRNA FASTA + coordinates.

Both are streams: one contig, or one mRNA, is in memory at a time, and the table of the annotation.
"""

import re
from collections.abc import Iterator, Set
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from orthrus.errors import InputError
from orthrus.genome.annotation import read_annotation
from orthrus.genome.codes import CdsFrame, Codes, annotate, encode_bases
from orthrus.genome.coordinates import read_coordinates
from orthrus.genome.filters import Filters
from orthrus.genome.findings import Findings
from orthrus.genome.genetic_code import STANDARD
from orthrus.genome.headers import header_id, read_headers
from orthrus.genome.models import TranscriptModels
from orthrus.genome.mrna_frames import read_frame
from orthrus.genome.names import find
from orthrus.genome.orfs import MIN_CODONS, longest_orf
from orthrus.genome.sequence import check_whole, read_fasta, read_genome
from orthrus.genome.splice import Mrna, splice

_ANNOTATION_NAME = re.compile(r"\.(gtf|gff3?)(\.b?gz)?$", re.IGNORECASE)

_ORF_TAKEN = (
    f"sequences without a stated CDS, for which the longest open reading frame, of {MIN_CODONS} codons or more, is used"
    " (`--cds none` uses none)"
)
_NO_ORF = f"sequences without a stated CDS or an open reading frame of {MIN_CODONS} codons, without CDS track"


MOST_BEYOND = 0.05
"""The share of transcripts beyond the end of their contig above which annotation and genome are of two assemblies."""


class Transcript(NamedTuple):
    """A mature mRNA and what its source states about it.

    Without ``gene_known`` no source names its gene: ``gene_id`` is then the id of a transcript, its own or one that it
    overlaps. ``genetic_code`` is the number of NCBI's table that translates its CDS.
    """

    transcript_id: str
    gene_id: str
    gene_known: bool
    gene_name: str
    species: str
    biotype: str
    mrna: Mrna
    genetic_code: int = STANDARD


def annotated_contigs(
    annotation: Path,
    genome: Path,
    filters: Filters,
    findings: Findings,
    *,
    format: str | None = None,
    genes: Path | None = None,
    cds_frame: CdsFrame = "annotated",
    only: Set[str] | None = None,
) -> Iterator[tuple[TranscriptModels, Codes]]:
    """Yield the transcripts of an annotation that ``filters`` keep, contig by contig, with the bases of the contig.

    Contigs are in the order of the genome, and the transcripts of each in the order of the annotation.

    Args:
        annotation: a file in one of the formats of :func:`read_annotation`.
        genome: FASTA or 2bit.
        filters: which transcripts to keep.
        findings: receives what is dropped, such as transcripts on contigs that the genome lacks or beyond their end.
        format: as in :func:`read_annotation`.
        genes: as in :func:`read_annotation`.
        cds_frame: where codons begin.
        only: ids of the wanted transcripts; None: all.

    Raises:
        InputError: as :func:`read_annotation` and :func:`read_genome` do, if a contig is shorter than the annotation
            says that it is, and if more than :data:`MOST_BEYOND` of the transcripts lie beyond the end of their contig,
            not counting circular contigs.
    """
    models = read_annotation(annotation, findings, format=format, genes=genes)
    if cds_frame == "published":
        models = models.in_published_frame()
    rows = filters.keep(
        findings.dropped,
        transcript_ids=models.transcript_id.to_pylist(),
        biotypes=models.biotype.to_pylist(),
        lengths=models.lengths,
        contigs=models.contig.to_pylist(),
        chromosomes=models.chromosomes,
    )
    if only is not None:
        rows = rows[[name in only for name in models.transcript_id.take(pa.array(rows)).to_pylist()]]
    if not len(rows):
        return
    models = models.take(rows)
    encoded = models.contig.dictionary_encode()
    contig = encoded.indices.to_numpy()
    by_contig = np.argsort(contig, kind="stable")
    first = np.searchsorted(contig[by_contig], np.arange(len(encoded.dictionary) + 1))
    missing = {name: by_contig[first[i] : first[i + 1]] for i, name in enumerate(encoded.dictionary.to_pylist())}
    beyond: list[str] = []
    for name, bases in read_genome(genome, list(missing), models.chromosomes):
        check_whole(genome, name, len(bases), models.contig_ends.get(name, 0), annotation)
        here = models.take(missing.pop(name))
        outside = np.maximum.reduceat(here.exon_ends, here.exon_offsets[:-1]) > len(bases)
        names = here.transcript_id.filter(pa.array(outside)).to_pylist()
        if name in here.circular:
            findings.dropped.add("over the origin of a circular contig", names)
        else:
            beyond += names
            if len(beyond) > MOST_BEYOND * len(models):
                raise _beyond(here, outside, len(bases), len(beyond), len(models), genome)
            findings.dropped.add("beyond the end of their contig", names)
        if not outside.all():
            yield here.take(np.flatnonzero(~outside)), bases
    findings.noted.add("contigs of the annotation that the genome lacks", missing)
    for rows in missing.values():
        lost = models.transcript_id.take(pa.array(rows))
        findings.dropped.add("on contigs that the genome lacks", lost.to_pylist())


def _beyond(
    models: TranscriptModels, outside: NDArray[np.bool_], length: int, n: int, n_all: int, genome: Path
) -> InputError:
    """The error if ``n`` of ``n_all`` transcripts lie outside the genome; ``models`` of a contig give an example."""
    t = int(outside.argmax())
    return InputError(
        f"{genome}: {n:,} of {n_all:,} transcripts lie beyond the end of their contig, such as"
        f" {models.transcript_id[t]}, whose last exon ends at base"
        f" {models.exon_ends[models.exon_offsets[t] : models.exon_offsets[t + 1]].max():,} of {models.contig[t]}, which"
        f" has {length:,} bases; use the whole assembly that the annotation was made for."
    )


def spliced_transcripts(models: TranscriptModels, bases: Codes, species: str) -> Iterator[Transcript]:
    """Yield the transcripts of one contig, which has these ``bases``."""
    columns = (models.transcript_id, models.gene_id, models.gene_known, models.gene_name, models.biotype)
    names = zip(*(column.tolist() for column in columns), strict=True)
    for (transcript_id, gene_id, known, gene_name, biotype), mrna in zip(names, splice(models, bases), strict=True):
        yield Transcript(transcript_id, gene_id, known, gene_name, species, biotype, mrna)


def is_annotation(coordinates: Path) -> bool:
    """Whether the coordinates of mRNAs are a GTF or GFF3, by name, not a table."""
    return bool(_ANNOTATION_NAME.search(coordinates.name))


def listed_transcripts(
    fasta: Path,
    coordinates: Path | None,
    species: str,
    filters: Filters,
    findings: Findings,
    cds_frame: CdsFrame = "annotated",
) -> Iterator[Transcript]:
    """Yield the mRNAs of a FASTA with their CDS and exons, in the order of the FASTA.

    Args:
        fasta: the mRNAs.
        coordinates: a coordinate table, or the annotation that the mRNAs were spliced with (GTF or GFF3), whose ids are
            found by :func:`orthrus.genome.names.find` and kept. Without either the headers are read
            (:func:`orthrus.genome.headers.read_headers`).
        species: their species, where a table has none.
        filters: which transcripts to keep.
        findings: counts ids that only one of the two files has, and mRNAs with unknown exons.
        cds_frame: where codons begin; tables and headers state no other frame than the published one.

    Raises:
        InputError: if no id is in both files, or if a sequence does not have the length of the table.
    """
    if coordinates and is_annotation(coordinates):
        yield from _spliced_before(fasta, coordinates, species, filters, findings, cds_frame)
        return
    table = read_coordinates(coordinates, species, fasta) if coordinates else read_headers(fasta, species)
    kept = filters.keep(
        findings.dropped,
        transcript_ids=table.transcript_id,
        biotypes=table.biotype,
        lengths=table.length,
        species=table.species,
    )
    wanted = set(kept.tolist())
    unmet = {name: row for row, name in enumerate(table.transcript_id)}
    unlisted, exonless, uncoded = [], [], []
    for name, sequence in read_fasta(fasta):
        name = name if coordinates else header_id(name)
        row = unmet.pop(name, None)
        if row is None:
            unlisted.append(name)
            continue
        if len(sequence) != table.length[row]:
            raise InputError(
                f"{name} has {len(sequence):,} nt in {fasta} but {table.length[row]:,} in {coordinates}; use a table"
                " made for these sequences."
            )
        if row not in wanted:
            continue
        start, end, exon_ends = int(table.cds_start[row]), int(table.cds_end[row]), table.exon_ends[row]
        if not len(exon_ends):
            exonless.append(name)
        cds = (start, end) if start >= 0 else None
        if cds is None and table.biotype[row] == "protein_coding":
            uncoded.append(name)
        mrna = Mrna(annotate(encode_bases(sequence, f"{fasta}, {name}"), cds, exon_ends), cds, exon_ends)
        yield Transcript(
            name, table.gene_id[row], bool(table.gene_known[row]), table.gene_name[row], table.species[row],
            table.biotype[row], mrna,
        )  # fmt: skip
    if len(unmet) == len(table.transcript_id):
        raise InputError(
            f"no id of {fasta} ({', '.join(unlisted[:3])}, ...) is a transcript_id of {coordinates}"
            f" ({', '.join(table.transcript_id[:3])}, ...); use a table made for these sequences."
        )
    findings.noted.add("sequences that the coordinate table does not list, ignored", unlisted)
    findings.noted.add("rows of the coordinate table without a sequence, ignored", unmet)
    findings.noted.add("transcripts of unknown exon structure, without splice track", exonless)
    findings.noted.add("protein-coding transcripts whose CDS is not stated, without CDS track", uncoded)


def _spliced_before(
    fasta: Path, annotation: Path, species: str, filters: Filters, findings: Findings, cds_frame: CdsFrame
) -> Iterator[Transcript]:
    """Yield the mRNAs of a FASTA with their structure from the annotation they were spliced with, without a genome."""
    models = read_annotation(annotation, findings)
    if cds_frame == "published":
        models = models.in_published_frame()
    ids, biotypes = models.transcript_id.to_pylist(), models.biotype.to_pylist()
    kept = filters.keep(
        findings.dropped, transcript_ids=ids, biotypes=biotypes, lengths=models.lengths,
        contigs=models.contig.to_pylist(), chromosomes=models.chromosomes,
    )  # fmt: skip
    wanted, row_of = set(kept.tolist()), _rows_of([header for header, _ in read_fasta(fasta)], models.transcript_id)
    (starts, ends), lengths, known = models.mrna_cds(), models.lengths, models.gene_known
    unlisted, other = [], []
    for header, sequence in read_fasta(fasta):
        if header not in row_of:
            unlisted.append(header)
            continue
        row = row_of[header]
        if len(sequence) != lengths[row]:
            other.append(header)
        elif row in wanted:
            exons = slice(models.exon_offsets[row], models.exon_offsets[row + 1])
            of_exons = (models.exon_ends[exons] - models.exon_starts[exons])[:: int(models.strand[row])]
            exon_ends = np.cumsum(of_exons, dtype=np.int32)
            cds = (int(starts[row]), int(ends[row])) if starts[row] >= 0 else None
            codes = annotate(encode_bases(sequence, f"{fasta}, {header}"), cds, exon_ends, models.frames.of(row))
            genetic_code = models.genetic_codes.get(models.contig[row].as_py(), STANDARD)
            yield Transcript(
                ids[row], models.gene_id[row].as_py(), bool(known[row]), models.gene_name[row].as_py(), species,
                biotypes[row], Mrna(codes, cds, exon_ends), genetic_code,
            )  # fmt: skip
    if not row_of:
        raise InputError(
            f"no id of {fasta} ({', '.join(unlisted[:3])}, ...) is a transcript of {annotation} ({', '.join(ids[:3])},"
            " ...); use the annotation that these sequences were made with."
        )
    findings.dropped.add("of another length than the annotation's exons", other)
    findings.noted.add("sequences that the annotation does not list, ignored", unlisted)
    met = set(row_of.values())
    lost = [name for row, name in enumerate(ids) if row not in met]
    findings.noted.add("transcripts of the annotation without a sequence, ignored", lost)


def _rows_of(headers: list[str], transcript_ids: pa.StringArray) -> dict[str, int]:
    """The row of the transcript that each header of a FASTA names, if any, each once; equal names come first."""
    names = (pa.array(each, pa.string()) for each in (headers, [header_id(header) for header in headers]))
    rows = pc.coalesce(*(find(name, transcript_ids) for name in names))
    found = {row: header for header, row in zip(headers[::-1], rows.to_pylist()[::-1], strict=True)}
    equal = pc.index_in(transcript_ids, value_set=pa.array(headers, pa.string())).to_pylist()
    found |= {row: headers[at] for row, at in enumerate(equal) if at is not None}
    return {header: row for row, header in found.items() if row is not None}


def bare_transcripts(fasta: Path, findings: Findings, find_orfs: bool) -> Iterator[Transcript]:
    """Yield the sequences of a FASTA without annotation: each is its own gene, and its exons are unknown.

    With ``find_orfs`` the CDS of each is its :func:`longest_orf`. ``findings`` counts these, and empty sequences.
    """
    for name, sequence in read_fasta(fasta):
        if not sequence:
            findings.dropped.add("records without a sequence", [name])
            continue
        bases = encode_bases(sequence, f"{fasta}, {name}")
        cds = longest_orf(bases) if find_orfs else None
        if find_orfs:
            findings.noted.add(_ORF_TAKEN if cds else _NO_ORF, [name])
        mrna = Mrna(annotate(bases, cds, ()), cds, np.empty(0, np.int32))
        yield Transcript(name, name, False, "", "", "", mrna)


def framed_transcripts(path: Path) -> Iterator[Transcript]:
    """Yield the rows of a data frame (:mod:`orthrus.genome.mrna_frames`); a row without a gene is its own gene."""
    for name, gene, species, mrna in read_frame(path):
        biotype = "non_coding" if mrna.cds is None else "protein_coding"
        yield Transcript(name, gene or name, bool(gene), gene, species, biotype, mrna)
