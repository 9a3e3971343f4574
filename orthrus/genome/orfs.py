"""The longest open reading frame of a sequence whose CDS is not stated.

An open reading frame here is complete: from an ATG to the first stop in its frame, on the given strand, by the standard
genetic code. Coordinates are 0-based, half-open, on the mRNA, with the stop codon included.
"""

import numpy as np
from numpy.typing import NDArray

from orthrus.genome.codes import Codes
from orthrus.genome.genetic_code import CODONS, codon_numbers, is_stop

MIN_CODONS = 100
"""The shortest open reading frame that is used as CDS, in codons without the stop codon: TransDecoder's default."""


def longest_orf(codes: Codes, min_codons: int = MIN_CODONS) -> tuple[int, int] | None:
    """The longest complete open reading frame; the first one if several are equally long.

    Args:
        codes: bases of the mRNA, uint8 (L,); annotation bits are ignored.
        min_codons: the least number of codons, without the stop codon.

    Returns:
        Its start and end, 0-based half-open, with the stop codon; None if there is no such frame.

    Examples:
        >>> from orthrus.genome.codes import encode_bases
        >>> longest_orf(encode_bases("CCATGGCTGCTTAACC", "mine"), min_codons=3)
        (2, 14)
        >>> print(longest_orf(encode_bases("CCATGGCTGCTTAACC", "mine")))
        None
    """
    codon = codon_numbers(codes, np.arange(max(len(codes) - 2, 0)))
    starts, stops = np.flatnonzero(codon == CODONS.index("ATG")), np.flatnonzero(is_stop()[codon])
    frames = [orf for frame in range(3) if (orf := _longest(starts, stops, frame)) is not None]
    found = min(frames, key=lambda orf: (orf[0] - orf[1], orf[0]), default=None)
    return found if found is not None and found[1] - found[0] >= 3 * (min_codons + 1) else None


def _longest(starts: NDArray[np.int64], stops: NDArray[np.int64], frame: int) -> tuple[int, int] | None:
    """The longest open reading frame of one frame: from the first start after a stop to the next stop."""
    starts, stops = starts[starts % 3 == frame], stops[stops % 3 == frame]
    if not len(starts) or not len(stops):
        return None
    first = np.searchsorted(starts, np.concatenate([[-1], stops[:-1]]), side="right")
    length = np.where(first < len(starts), stops - starts[np.minimum(first, len(starts) - 1)], -1)
    best = int(length.argmax())
    return (int(starts[first[best]]), int(stops[best]) + 3) if length[best] > 0 else None
