"""Transcript models: the common form of every annotation format, before any sequence is read.

Shapes: T transcripts, E exons of all of them end to end. Coordinates are 0-based, half-open, on the contig's forward
strand; a transcript's exons ascend there, whatever its strand. In memory a human annotation (250 k transcripts,
1.7 M exons) takes about 80 MB.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from orthrus.errors import InputError
from orthrus.genome.reading_frame import Frames, Rows, one_run, ragged_rows

if TYPE_CHECKING:
    from pyranges import PyRanges


@dataclass(frozen=True)
class TranscriptModels:
    """T transcripts with their exons, in columns, as in UCSC's genePred.

    The coding interval is [``cds_start``, ``cds_end``) on the contig, stop codon included, -1 without one; ``frames``
    give, on the mature mRNA, where its codons begin. The exons of transcript t start at ``exon_starts[exon_offsets[t] :
    exon_offsets[t + 1]]`` and end at the same slice of ``exon_ends``. The annotation states the rest: ``chromosomes``,
    the chromosome of each contig, "" for a scaffold; ``circular``, the circular contigs; ``contig_ends``, the least
    length of each contig (nt); ``genetic_codes``, NCBI's number of the table that translates its CDSs.

    Where ``gene_known`` is false, the annotation does not name the gene: ``gene_id`` is then null or provisional, until
    :func:`orthrus.genome.genes.with_genes` replaces it.
    """

    transcript_id: pa.StringArray  # (T,)
    gene_id: pa.StringArray
    gene_known: NDArray[np.bool_]  # (T,)
    gene_name: pa.StringArray  # "" where the annotation gives none
    biotype: pa.StringArray
    contig: pa.StringArray
    chromosomes: Mapping[str, str]
    strand: NDArray[np.int8]  # (T,) +1 or -1
    cds_start: NDArray[np.int64]  # (T,)
    cds_end: NDArray[np.int64]
    exon_starts: NDArray[np.int64]  # (E,)
    exon_ends: NDArray[np.int64]
    exon_offsets: NDArray[np.int64]  # (T + 1,)
    frames: Frames
    circular: frozenset[str] = frozenset()
    contig_ends: Mapping[str, int] = field(default_factory=dict)
    genetic_codes: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.strand)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Length of each mature mRNA, nt, int64 (T,)."""
        return per_transcript_sum(self.exon_ends - self.exon_starts, self.exon_offsets)

    def take(self, rows: Rows) -> "TranscriptModels":
        """The transcripts at ``rows``, in that order."""
        exons, offsets = ragged_rows(self.exon_offsets, rows)
        picked = pa.array(rows)
        return replace(
            self,
            transcript_id=self.transcript_id.take(picked),
            gene_id=self.gene_id.take(picked),
            gene_known=self.gene_known[rows],
            gene_name=self.gene_name.take(picked),
            biotype=self.biotype.take(picked),
            contig=self.contig.take(picked),
            strand=self.strand[rows],
            cds_start=self.cds_start[rows],
            cds_end=self.cds_end[rows],
            exon_starts=self.exon_starts[exons],
            exon_ends=self.exon_ends[exons],
            exon_offsets=offsets,
            frames=self.frames.take(rows),
        )

    def renamed(self, transcript_ids: Sequence[str]) -> "TranscriptModels":
        """The same transcripts with other ids."""
        return replace(self, transcript_id=pa.array(transcript_ids, pa.string()))

    def in_published_frame(self) -> "TranscriptModels":
        """The same transcripts with codons counted from the first base of the CDS."""
        return replace(self, frames=one_run(*self.mrna_cds()))

    def to_pyranges(self) -> "PyRanges":
        """The exons as PyRanges (Stovner & Sætrom 2020), for overlaps with other intervals of the genome.

        One row an exon: Chromosome, Start, End (0-based, half-open), Strand, transcript_id, gene_id, gene_name. Raises
        InputError if pyranges, the extra of that name, is not installed.
        """
        try:
            import pyranges
        except ImportError as error:
            raise InputError("to_pyranges needs pyranges: `pip install pyranges`") from error
        of_exon = pa.array(np.repeat(np.arange(len(self)), np.diff(self.exon_offsets)))
        exons = pa.table(
            {
                "Chromosome": self.contig.take(of_exon),
                "Start": self.exon_starts,
                "End": self.exon_ends,
                "Strand": pa.array(np.where(self.strand > 0, "+", "-")).take(of_exon),
                **{name: getattr(self, name).take(of_exon) for name in ("transcript_id", "gene_id", "gene_name")},
            }
        )
        return pyranges.PyRanges(exons.to_pandas())

    def mrna_cds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The coding intervals on the mature mRNAs, 5'->3', 0-based half-open, two int64 (T,), -1 without one."""
        everyone = np.arange(len(self))
        low, high = (
            mrna_position(self.exon_starts, self.exon_ends, self.exon_offsets, self.strand, everyone, position)
            for position in (self.cds_start, self.cds_end - 1)
        )
        coding = self.cds_start >= 0
        return np.where(coding, np.minimum(low, high), -1), np.where(coding, np.maximum(low, high) + 1, -1)


POSITION_BITS = 35
"""Bits of a position: a transcript's number, shifted by them, plus a position on its contig is a sortable integer.

That holds 2^28 transcripts; readers refuse positions of more than 10^10 nt.
"""


NAMED_AFTER_ITSELF = "transcripts whose gene_id is their transcript_id, so that it names no gene"


@dataclass(frozen=True)
class Reading:
    """The transcript models of a file, and which of them are unusable or doubtful.

    ``refused`` and ``doubtful`` hold a bool (T,) for each reason: transcripts to drop, and transcripts to report.
    """

    models: TranscriptModels
    refused: Mapping[str, NDArray[np.bool_]]
    doubtful: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)


def inside_exons(models: TranscriptModels, position: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the base of the contig at ``position`` (T,) lies in an exon of each transcript, bool (T,)."""
    at = np.repeat(position, np.diff(models.exon_offsets))
    hits = (models.exon_starts <= at) & (at < models.exon_ends)
    return per_transcript_sum(hits.astype(np.int64), models.exon_offsets) > 0


def per_transcript_sum(values: NDArray[np.int64], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sums (T,) of the slices of ``values`` (E,) that ``offsets`` (T + 1,) delimit."""
    running = np.concatenate([[0], np.cumsum(values)])
    sums: NDArray[np.int64] = running[offsets[1:]] - running[offsets[:-1]]
    return sums


def mrna_position(
    exon_starts: Rows,
    exon_ends: Rows,
    exon_offsets: Rows,
    strand: NDArray[np.signedinteger[Any]],
    transcript: Rows,
    position: Rows,
) -> Rows:
    """Positions on the mRNA, int64 (P,), of bases at ``position`` (P,) on the contig, in exons of ``transcript`` (P,).

    Exons, offsets and strand are as in :class:`TranscriptModels`; the exons of a transcript do not overlap.
    """
    owner = np.repeat(np.arange(len(strand)), np.diff(exon_offsets))
    exon = (
        np.searchsorted((owner << POSITION_BITS) + exon_starts, (transcript << POSITION_BITS) + position, "right") - 1
    )
    before = np.concatenate([[0], np.cumsum(exon_ends - exon_starts)])
    on_strand = before[exon] - before[exon_offsets[transcript]] + position - exon_starts[exon]
    lengths = before[exon_offsets[1:]] - before[exon_offsets[:-1]]
    at: Rows = np.where(strand[transcript] > 0, on_strand, lengths[transcript] - 1 - on_strand)
    return at
