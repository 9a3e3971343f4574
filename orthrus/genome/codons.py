"""Codons in the annotated frame, the regions around them, and the standard genetic code.

The frame is that of the codes' CDS bits, one at the first base of each codon, so that incomplete 5' ends and ribosomal
slippage are read as they are annotated. Positions are 0-based, half-open, on the mature mRNA.
"""

from typing import NamedTuple

import numpy as np
from Bio.Data.CodonTable import unambiguous_dna_by_id
from numpy.typing import NDArray

from orthrus.genome.codes import BASE_BITS, BASES, CDS_BIT, Codes

CODONS = tuple(a + b + c for a in BASES[1:] for b in BASES[1:] for c in BASES[1:])
"""The 64 codons, A < C < G < T, the first base counting most."""

_LETTERS = {**unambiguous_dna_by_id[1].forward_table, **dict.fromkeys(unambiguous_dna_by_id[1].stop_codons, "*")}
AMINO_ACIDS = tuple(_LETTERS[codon] for codon in CODONS)
"""The amino acid of each of :data:`CODONS`, ``*`` for stop."""


class Regions(NamedTuple):
    """The codes of a transcript's 5'UTR, CDS and 3'UTR, views, uint8; all empty where no codon is annotated."""

    five_prime: Codes
    cds: Codes
    three_prime: Codes


def regions(codes: Codes) -> Regions:
    """Cut codes (L,) at the first base of the first codon and behind the last base of the last one.

    Bases before the first whole codon of an incomplete CDS count as 5'UTR.
    """
    starts = np.flatnonzero(codes & CDS_BIT)
    if not len(starts):
        return Regions(codes[:0], codes[:0], codes[:0])
    first, end = int(starts[0]), int(starts[-1]) + 3
    return Regions(codes[:first], codes[first:end], codes[end:])


def codon_counts(codes: Codes) -> NDArray[np.int64]:
    """How often each of :data:`CODONS` begins at a CDS bit of codes (L,), int64 (64,).

    Codons with an N, or cut by the end of the codes, do not count.
    """
    starts = np.flatnonzero(codes & CDS_BIT)
    starts = starts[starts + 3 <= len(codes)]
    base_C3 = (codes[starts[:, None] + np.arange(3)] & BASE_BITS).astype(np.int64) - 1
    known_C3 = base_C3[(base_C3 >= 0).all(axis=1)]
    return np.bincount(known_C3 @ [16, 4, 1], minlength=64)
