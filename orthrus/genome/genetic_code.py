"""Genetic codes: codons as numbers, and their amino acids.

The tables are NCBI's (ncbi.nlm.nih.gov/Taxonomy/Utils/wprintgc.cgi), from Biopython: 1 is the standard code, 2 the code
of vertebrate mitochondria. C codons; the number of a codon is 16 a + 4 b + c with A, C, G, T as 0 to 3.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from Bio.Data.CodonTable import unambiguous_dna_by_id
from numpy.typing import NDArray

from orthrus.genome.codes import BASE_BITS, BASES, Codes, codon_starts
from orthrus.genome.sequence import plain_contig

STANDARD = 1
TABLES = tuple(sorted(unambiguous_dna_by_id))
"""The numbers of all tables."""

CODONS = tuple(a + b + c for a in BASES[1:] for b in BASES[1:] for c in BASES[1:])
UNKNOWN = len(CODONS)
"""The number of a codon with an unknown base."""


@cache
def amino_acids(table: int = STANDARD) -> NDArray[np.str_]:
    """One-letter amino acids by codon number (65,): * for stop codons, X for unknown ones."""
    code = unambiguous_dna_by_id[table]
    letters = {**code.forward_table, **dict.fromkeys(code.stop_codons, "*")}
    return np.array([*(letters[codon] for codon in CODONS), "X"])


@cache
def is_stop(table: int = STANDARD) -> NDArray[np.bool_]:
    """Whether each codon, by number (65,), is a stop codon."""
    stops: NDArray[np.bool_] = amino_acids(table) == "*"
    return stops


def codon_numbers(codes: Codes, starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers (C,) of the codons that begin at ``starts`` (C,); each codon must end within the sequence."""
    base_C3 = (codes[starts[:, None] + np.arange(3)] & BASE_BITS).astype(np.int64) - 1
    return np.where((base_C3 >= 0).all(axis=1), base_C3 @ [16, 4, 1], UNKNOWN)


def whole_codons(codes: Codes) -> NDArray[np.int64]:
    """The numbers (C,) of the codons that the CDS track of ``codes`` marks and that end within them, 5'->3'.

    ``codes`` end with the CDS: the coding sequence alone, or the transcript up to its stop codon.
    """
    starts = codon_starts(codes)
    return codon_numbers(codes, starts[starts + 3 <= len(codes)])


def translate(codes: Codes, table: int = STANDARD) -> str:
    """The protein of a coding sequence, in one-letter amino acids, with * for stop codons.

    Args:
        codes: uint8 (L,), whose CDS bits mark the codons; they end with the CDS (:func:`whole_codons`).
        table: NCBI's number of the genetic code.

    Examples:
        >>> from orthrus.genome.codes import annotate, encode_bases
        >>> codes = annotate(encode_bases("ATGGCTTGA", "mine"), cds=(0, 9), exon_ends=[9])
        >>> translate(codes), translate(codes, table=2)
        ('MA*', 'MAW')
    """
    return "".join(amino_acids(table)[whole_codons(codes)])


@dataclass(frozen=True)
class GeneticCodes:
    """Which table translates the CDS of each contig: ``of_contig``, by any of its names, or else ``default``.

    Without a default it is the one that the annotation states, else the standard one.
    """

    default: int | None = None
    of_contig: Mapping[str, int] = field(default_factory=dict)

    def of(self, contig: str, chromosomes: Mapping[str, str], stated: Mapping[str, int]) -> int:
        """The table of a contig, of which ``chromosomes`` may say which chromosome it is: M, MT and chrM are one.

        ``stated`` are the tables that the annotation states, by contig.
        """
        known = {plain_contig(name): table for name, table in self.of_contig.items()}
        names = (contig, plain_contig(contig), plain_contig(chromosomes.get(contig) or contig))
        default = stated.get(contig, STANDARD) if self.default is None else self.default
        return next((known[name] for name in names if name in known), default)


AS_STATED = GeneticCodes()
