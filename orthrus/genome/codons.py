"""Codons in the annotated frame, and the regions around them.

The frame comes from the CDS bits of the codes, one at the first base of each codon, so that incomplete 5' ends and
ribosomal slippage are read as annotated. Positions are 0-based, half-open, on the mature mRNA.
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

    The order is that of :data:`orthrus.genome.genetic_code.CODONS`. Codons that contain an N or are cut by the end of
    the codes are not counted.

    Examples:
        >>> from orthrus.genome.codes import annotate, encode_bases
        >>> from orthrus.genome.genetic_code import CODONS
        >>> codes = annotate(encode_bases("ATGGCTGCTTGA", "mine"), cds=(0, 12), exon_ends=[12])
        >>> {codon: int(n) for codon, n in zip(CODONS, codon_counts(codes), strict=True) if n}
        {'ATG': 1, 'GCT': 2, 'TGA': 1}
    """
    return np.bincount(whole_codons(codes), minlength=UNKNOWN + 1)[:UNKNOWN]
