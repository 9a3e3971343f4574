"""Codons in the annotated frame, and the regions around them.

The frame is that of the codes' CDS bits, one at the first base of each codon, so that incomplete 5' ends and ribosomal
slippage are read as they are annotated. Positions are 0-based, half-open, on the mature mRNA.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orthrus.genome.codes import Codes, codon_starts
from orthrus.genome.genetic_code import UNKNOWN, whole_codons


class Regions(NamedTuple):
    """The codes of a transcript's 5'UTR, CDS and 3'UTR, views, uint8; all empty where no codon is annotated."""

    five_prime: Codes
    cds: Codes
    three_prime: Codes


def regions(codes: Codes) -> Regions:
    """Cut codes (L,) where the CDS begins and behind the last base of its last codon.

    The CDS begins with its first whole codon, or, where only one or two bases lie before that, with these: they are
    what an incomplete 5' end leaves of a codon. The codon stem (:mod:`orthrus.nn.stem`) has the same regions.
    """
    starts = codon_starts(codes)
    if not len(starts):
        return Regions(codes[:0], codes[:0], codes[:0])
    first, end = int(starts[0]), int(starts[-1]) + 3
    first = first if first > 2 else 0
    return Regions(codes[:first], codes[first:end], codes[end:])


def codon_counts(codes: Codes) -> NDArray[np.int64]:
    """How often each codon begins at a CDS bit of codes (L,), int64 (64,).

    Codons with an N, or cut by the end of the codes, do not count.
    """
    return np.bincount(whole_codons(codes), minlength=UNKNOWN + 1)[:UNKNOWN]
