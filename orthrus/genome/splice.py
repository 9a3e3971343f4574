"""From transcript models and the bases of a contig to codes: joins exons, reverses the minus strand, sets the tracks.

It takes about 30 us a transcript and holds one contig at a time.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orthrus.genome.codes import Codes, annotate, reverse_complement
from orthrus.genome.genetic_code import STANDARD
from orthrus.genome.models import TranscriptModels


class Mrna(NamedTuple):
    """A mature mRNA: codes uint8 (L,), its CDS (0-based half-open, None without one) and the ends of its exons.

    Only the codes hold where codons begin (:func:`orthrus.genome.codes.codon_starts`).
    """

    codes: Codes
    cds: tuple[int, int] | None
    exon_ends: NDArray[np.int32]
    genetic_code: int = STANDARD  # NCBI's number of the table that translates the CDS


def splice(models: TranscriptModels, bases: Codes) -> Iterator[Mrna]:
    """Yield the mature mRNAs of ``models``, which are all on one contig.

    ``bases`` are those of the contig, uint8 (contig length,), without annotation bits. No exon may lie beyond its end.
    """
    starts, ends = models.exon_starts.tolist(), models.exon_ends.tolist()
    offsets = models.exon_offsets.tolist()
    cds_starts, cds_ends = (column.tolist() for column in models.mrna_cds())
    for t, forward in enumerate((models.strand > 0).tolist()):
        exons = range(offsets[t], offsets[t + 1])
        mrna = np.concatenate([bases[starts[e] : ends[e]] for e in exons])
        lengths = models.exon_ends[exons.start : exons.stop] - models.exon_starts[exons.start : exons.stop]
        if not forward:
            mrna, lengths = reverse_complement(mrna), lengths[::-1]
        exon_ends = np.cumsum(lengths, dtype=np.int32)
        cds = (cds_starts[t], cds_ends[t]) if cds_starts[t] >= 0 else None
        yield Mrna(annotate(mrna, cds, exon_ends, models.frames.of(t)), cds, exon_ends)
