"""Codes: one byte a base, the form of a transcript on disk, in a batch and on the way to the GPU.

Bits 0-2 hold the base (0 none, 1 A, 2 C, 3 G, 4 T/U), bit 3 the CDS track (the first base of each codon, stop codon
included), bit 4 the splice track (last base of every exon, the last exon too). Coordinates are 0-based, half-open, on
the mature mRNA, 5'->3'.

The CDS track holds the reading frame. Code that needs codons takes them from :func:`codon_starts` and does not count
from the start of the CDS: the CDS may be incomplete there, and the ribosome may slip inside it.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from orthrus.errors import InputError

Codes = NDArray[np.uint8]

CdsFrame = Literal["annotated", "published"]
"""Where codons begin: where the annotation says, or at every third base of the CDS, as in the published recipe."""

BASES = "NACGT"
BASE_BITS = 0b00111
CDS_BIT = 0b01000
SPLICE_BIT = 0b10000
ANNOTATION_TARGET = 0b100000  # in training targets only: the model predicts the CDS and splice bits of this position

_INVALID = 255
_COMPLEMENT = np.array([0, 4, 3, 2, 1], dtype=np.uint8)


def _letter_table() -> Codes:
    table = np.full(256, _INVALID, dtype=np.uint8)
    for letters, base in (
        ("A", 1),
        ("C", 2),
        ("G", 3),
        ("TU", 4),
        ("NRYSWKMBDHV", 0),
    ):  # IUPAC: ambiguous is none
        for letter in letters:
            table[ord(letter)] = table[ord(letter.lower())] = base
    return table


def _track_table() -> Codes:
    table = np.zeros((32, 6), dtype=np.uint8)
    for base in range(1, 5):
        table[np.arange(32) & BASE_BITS == base, base - 1] = 1
    table[np.arange(32) & CDS_BIT != 0, 4] = 1
    table[np.arange(32) & SPLICE_BIT != 0, 5] = 1
    return table


_BASE_OF_LETTER = _letter_table()
_LETTER_OF_CODE = np.frombuffer((BASES + "NNN").encode() * 4, dtype=np.uint8)

TRACK_TABLE = _track_table()
"""uint8 (32, 6): the tracks A, C, G, T, CDS, splice of each code."""


def encode_bases(sequence: bytes | str, name: str, ignored: bytes = b"") -> Codes:
    """Encode a nucleotide sequence as bases, uint8 (L,), bits 0-2 only, at about 1 Gnt/s.

    N and the other IUPAC ambiguity codes become 0; bytes in ``ignored``, such as line ends, are skipped. Raises
    InputError naming ``name`` and the first letter that is not a nucleotide.
    """
    letters = sequence.encode("latin-1", "replace") if isinstance(sequence, str) else sequence
    bases = letters.translate(_BASE_OF_LETTER.tobytes(), ignored)
    at = bases.find(_INVALID)
    if at >= 0:
        letters = letters.translate(None, ignored)
        raise InputError(
            f"{name}: letter {chr(letters[at])!r} at position {at + 1} is not a nucleotide; expected A, C, G, T, U, N"
            " or an IUPAC ambiguity code (is this a protein FASTA?)"
        )
    return np.frombuffer(bases, np.uint8)


def reverse_complement(bases: Codes) -> Codes:
    """The reverse complement of bases without annotation bits, uint8 (L,)."""
    return _COMPLEMENT[bases[::-1]]


def annotate(
    bases: Codes,
    cds: tuple[int, int] | None,
    exon_ends: Sequence[int] | NDArray[np.int32],
    runs: Sequence[tuple[int, int]] | None = None,
) -> Codes:
    """The codes of a transcript: its bases with the CDS and splice bits set, a new uint8 (L,).

    Args:
        bases: uint8 (L,); their annotation bits are replaced.
        cds: the half-open interval of the CDS, stop codon included; None without a CDS.
        exon_ends: the half-open ends of the exons, ascending, the last one L; empty means unknown.
        runs: the intervals of the CDS within which codons follow each other without a break, each from its start
            (:mod:`orthrus.genome.reading_frame`). By default the whole CDS is one run.
    """
    codes = bases & np.uint8(BASE_BITS)
    for start, end in ([cds] if cds else []) if runs is None else runs:
        codes[start:end:3] |= CDS_BIT
    if len(exon_ends):
        codes[np.asarray(exon_ends) - 1] |= SPLICE_BIT
    return codes


def codon_starts(codes: Codes) -> NDArray[np.int64]:
    """Where codons begin, int64 (C,), ascending. The last codon may be cut short if the end of the CDS is unknown."""
    return np.flatnonzero(codes & CDS_BIT)


def codon_interval(codes: Codes) -> tuple[int, int] | None:
    """The interval from the first codon to the end of the last, 0-based half-open; None without codons."""
    starts = codon_starts(codes)
    return (int(starts[0]), min(int(starts[-1]) + 3, len(codes))) if len(starts) else None


def in_published_frame(codes: Codes, cds: tuple[int, int] | None) -> Codes:
    """The codes with codons counted from the first base of the CDS, as in the training of the published models."""
    codes = codes & np.uint8(~CDS_BIT & 0xFF)
    if cds is not None:
        codes[cds[0] : cds[1] : 3] |= CDS_BIT
    return codes


def decode_bases(codes: Codes) -> str:
    """The sequence in the letters A, C, G, T and N."""
    return _LETTER_OF_CODE[codes].tobytes().decode("ascii")


def tracks(codes: Codes, n_tracks: int = 6) -> Codes:
    """The tracks of codes (L,), uint8 (n_tracks, L): 4 gives A, C, G, T; 6 adds CDS and splice.

    Raises InputError for any other number.
    """
    check_n_tracks(n_tracks)
    return np.ascontiguousarray(TRACK_TABLE[codes, :n_tracks].T)


def check_n_tracks(n_tracks: int) -> None:
    """Raise InputError unless ``n_tracks`` is 4 or 6."""
    if n_tracks not in (4, 6):
        raise InputError(f"n_tracks is {n_tracks}; expected 4 (A, C, G, T) or 6 (and CDS, splice)")
