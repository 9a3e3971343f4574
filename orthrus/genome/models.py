"""Transcript models: what every annotation format is read into, before any sequence is touched.

Shapes: T transcripts, E exons of all of them end to end. Coordinates are 0-based, half-open, on the contig's forward
strand; a transcript's exons ascend there, whatever its strand. In memory a human annotation (250 k transcripts,
1.7 M exons) takes about 80 MB.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class TranscriptModels:
    """T transcripts with their exons, in columns, as in UCSC's genePred.

    The coding interval is [``cds_start``, ``cds_end``) on the contig, stop codon included, -1 without one. Exons of
    transcript t are ``exon_starts[exon_offsets[t] : exon_offsets[t + 1]]`` and the like. ``chromosomes`` is
    what the annotation says its contigs are: the name of a chromosome, or "" for a scaffold.
    """

    transcript_id: pa.StringArray  # (T,)
    gene_id: pa.StringArray
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

    def __len__(self) -> int:
        return len(self.strand)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Length of each mature mRNA, nt, int64 (T,)."""
        return per_transcript_sum(self.exon_ends - self.exon_starts, self.exon_offsets)

    def take(self, rows: Rows) -> "TranscriptModels":
        """The transcripts at ``rows``, in that order."""
        counts = np.diff(self.exon_offsets)[rows]
        offsets = np.concatenate([[0], np.cumsum(counts)])
        exons = np.repeat(self.exon_offsets[rows] - offsets[:-1], counts) + np.arange(offsets[-1])
        picked = pa.array(rows)
        return TranscriptModels(
            transcript_id=self.transcript_id.take(picked),
            gene_id=self.gene_id.take(picked),
            gene_name=self.gene_name.take(picked),
            biotype=self.biotype.take(picked),
            contig=self.contig.take(picked),
            chromosomes=self.chromosomes,
            strand=self.strand[rows],
            cds_start=self.cds_start[rows],
            cds_end=self.cds_end[rows],
            exon_starts=self.exon_starts[exons],
            exon_ends=self.exon_ends[exons],
            exon_offsets=offsets,
        )

    def renamed(self, transcript_ids: Sequence[str]) -> "TranscriptModels":
        """The same transcripts by other ids."""
        return replace(self, transcript_id=pa.array(transcript_ids, pa.string()))

    def with_genes(
        self, gene_id: pa.StringArray, gene_name: pa.StringArray, biotype: pa.StringArray
    ) -> "TranscriptModels":
        """The same transcripts of other genes."""
        return replace(self, gene_id=gene_id, gene_name=gene_name, biotype=biotype)

    def mrna_cds(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The coding intervals on the mature mRNAs, 5'->3', 0-based half-open, two int64 (T,), -1 without one."""
        left, right = (self._spliced_position(position) for position in (self.cds_start, self.cds_end))
        forward = self.strand > 0
        coding = self.cds_start >= 0
        start = np.where(forward, left, self.lengths - right)
        end = np.where(forward, right, self.lengths - left)
        return np.where(coding, start, -1), np.where(coding, end, -1)

    def _spliced_position(self, position: NDArray[np.int64]) -> NDArray[np.int64]:
        """How many exon bases of each transcript lie left of its ``position``, int64 (T,)."""
        of_exon = np.repeat(position, np.diff(self.exon_offsets))
        return per_transcript_sum(
            np.clip(of_exon - self.exon_starts, 0, self.exon_ends - self.exon_starts), self.exon_offsets
        )


@dataclass(frozen=True)
class Reading:
    """What a reader made of a file: models, a null gene id where the format names no gene, and what it found of them.

    ``refused`` and ``doubtful`` hold bool (T,) by reason: transcripts not to be used, and those to be told of.
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
    """Sums of the runs of ``values`` (E,) that ``offsets`` (T + 1,) delimits, (T,)."""
    running = np.concatenate([[0], np.cumsum(values)])
    sums: NDArray[np.int64] = running[offsets[1:]] - running[offsets[:-1]]
    return sums
