"""From transcript models and a contig's bases to codes: joins exons, turns the minus strand round, sets the tracks.

Costs about 30 us a transcript; holds one contig at a time.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orthrus.genome.codes import Codes, annotate, reverse_complement
from orthrus.genome.genetic_code import STANDARD
from orthrus.genome.models import TranscriptModels


class Mrna(NamedTuple):
    """A mature mRNA: codes uint8 (L,), its CDS (0-based half-open, None without one) and its exons' ends.

    Where codons begin in the CDS is in the codes (:func:`orthrus.genome.codes.codon_starts`) and nowhere else.
    """

    codes: Codes
    cds: tuple[int, int] | None
    exon_ends: NDArray[np.int32]
    genetic_code: int = STANDARD  # NCBI's number of the table that translates its CDS


def splice(models: TranscriptModels, bases: Codes) -> Iterator[Mrna]:
    """The mature mRNAs of ``models``, all of one contig, whose un-annotated bases are uint8 (contig length,).

    No exon may lie beyond the contig's end.
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
