"""Edits of a mature mRNA: the edited transcript with its annotation, and what the edit does to the protein.

Coordinates are 0-based, half-open, on the mRNA. The annotation follows the sequence. A boundary inside what is replaced
goes to the end of what replaces it. Bases inserted at a boundary belong to the 5'UTR at the start of the CDS, to the
3'UTR at its end, and to the exon before a junction, where a VCF's anchor base is. The CDS is read anew from the first
codon that the edit touches to the first stop codon: a premature stop shortens it, a frame shift or a lost stop moves
its end into the new frame or the 3'UTR. In-frame stops that the annotation reads through (selenocysteine) stay read
through. After a lost start the CDS stays where it was: where translation would begin instead is not guessed.

Consequences are Sequence Ontology terms by the standard genetic code: the most severe one as Ensembl's VEP ranks them
(McLaren et al. 2016), but a lost start first, since without it nothing is known of the rest.
"""

from typing import NamedTuple

import numpy as np
from Bio.Data.CodonTable import unambiguous_dna_by_id
from numpy.typing import NDArray

from orthrus.genome.codes import BASE_BITS, BASES, Codes, annotate
from orthrus.genome.splice import Mrna

_UNKNOWN = 64  # the number of a codon with an N


class Edit(NamedTuple):
    """Replaces ``start:end`` by ``bases``, uint8 (n,) without annotation; empty: a deletion."""

    start: int
    end: int
    bases: Codes

    @property
    def grows_by(self) -> int:
        return len(self.bases) - (self.end - self.start)


def trimmed(start: int, ref: Codes, alt: Codes) -> Edit:
    """The edit that turns ``ref``, at ``start``, into ``alt``, without what both share.

    That is a VCF's anchor base, then the bases that both end with, then those that both begin with.
    """
    anchor = int(len(ref) != len(alt) and len(ref) > 0 and len(alt) > 0 and ref[0] == alt[0])
    end, alt = len(ref), alt[anchor:]
    while end > anchor and len(alt) and ref[end - 1] == alt[-1]:
        end, alt = end - 1, alt[:-1]
    first = anchor
    while first < end and len(alt) and ref[first] == alt[0]:
        first, alt = first + 1, alt[1:]
    return Edit(start + first, start + end, alt)


def apply(mrna: Mrna, edit: Edit) -> Mrna:
    """The edited mRNA, annotated; its CDS is None if the edit deletes it."""
    bases = mrna.codes & np.uint8(BASE_BITS)
    bases = np.concatenate([bases[: edit.start], edit.bases, bases[edit.end :]])
    exon_ends = np.unique([_moved(int(end), edit, before=True) for end in mrna.exon_ends]).astype(np.int32)
    exon_ends = exon_ends[exon_ends > 0]
    cds = None if mrna.cds is None else _edited_cds(mrna, edit, bases)
    return Mrna(annotate(bases, cds, exon_ends), cds, exon_ends)


def consequence(mrna: Mrna, edit: Edit, edited: Mrna) -> str:
    """What ``edit`` does to ``mrna``, given ``edited`` as :func:`apply` makes it: a Sequence Ontology term."""
    if mrna.cds is None:
        return "non_coding_transcript_variant"
    start, end = mrna.cds
    if edit.end <= start:
        return "5_prime_UTR_variant"
    if edit.start >= end:
        return "3_prime_UTR_variant"
    starts_with_atg = _protein(mrna.codes[start : start + 3]) == "M"
    if edited.cds is None:
        return "start_lost" if starts_with_atg else "coding_sequence_variant"
    new_start, new_end = edited.cds
    if starts_with_atg and _protein(edited.codes[new_start : new_start + 3]) != "M":
        return "start_lost"
    moved_end = _moved(end, edit, before=False)
    in_frame = (moved_end - new_start - (end - start)) % 3 == 0
    ended = _ends_in_stop(mrna.codes, start, end)
    if in_frame and new_end < moved_end:
        return "stop_gained"
    if not in_frame and edit.end <= end:
        return "frameshift_variant"
    if ended and not _ends_in_stop(edited.codes, new_start, moved_end):
        return "stop_lost"
    if edit.grows_by:
        return "inframe_insertion" if edit.grows_by > 0 else "inframe_deletion"
    return _substitution(
        mrna.codes[start:end], edited.codes[start:new_end], range(edit.start - start, edit.end - start)
    )


def _substitution(coding: Codes, edited: Codes, positions: range) -> str:
    codons = slice(max(positions.start, 0) // 3 * 3, (positions.stop + 2) // 3 * 3)
    before, after = _protein(coding[codons]), _protein(edited[codons])
    if "X" in before + after:
        return "coding_sequence_variant"
    if before != after:
        return "missense_variant"
    return "stop_retained_variant" if before.endswith("*") else "synonymous_variant"


def _moved(boundary: int, edit: Edit, *, before: bool) -> int:
    """Where a boundary between two bases lies after the edit; ``before``: bases inserted there come before it."""
    if edit.start == edit.end == boundary:
        return boundary + edit.grows_by if before else boundary
    if boundary <= edit.start:
        return boundary
    if boundary >= edit.end:
        return boundary + edit.grows_by
    return min(boundary, edit.start + len(edit.bases))


def _edited_cds(mrna: Mrna, edit: Edit, bases: Codes) -> tuple[int, int] | None:
    assert mrna.cds is not None
    start, end = _moved(mrna.cds[0], edit, before=True), _moved(mrna.cds[1], edit, before=False)
    if end - start < 3:
        return None
    if edit.end <= mrna.cds[0] or edit.start >= mrna.cds[1]:
        return start, end
    in_frame = (end - start - (mrna.cds[1] - mrna.cds[0])) % 3 == 0
    first = start + max(edit.start - mrna.cds[0], 0) // 3 * 3
    stays_open = in_frame and not _ends_in_stop(mrna.codes, *mrna.cds)
    limit = end if stays_open else len(bases)
    stops = first + 3 * np.flatnonzero(_IS_STOP[_codons(bases[first:limit])])
    read_through = [_moved(stop, edit, before=True) for stop in _internal_stops(mrna)]
    stops = stops[~np.isin(stops, read_through)] if in_frame else stops
    if len(stops):
        return start, int(stops[0]) + 3
    return start, end if stays_open else start + (len(bases) - start) // 3 * 3


def _internal_stops(mrna: Mrna) -> list[int]:
    """Where the codons begin that are stops in the sequence but not the CDS's end."""
    assert mrna.cds is not None
    start, end = mrna.cds
    stops: list[int] = (start + 3 * np.flatnonzero(_IS_STOP[_codons(mrna.codes[start:end])])).tolist()
    return [stop for stop in stops if stop + 3 != end]


def _ends_in_stop(codes: Codes, start: int, end: int) -> bool:
    return (end - start) % 3 == 0 and bool(_IS_STOP[_codons(codes[end - 3 : end])].any())


def _codons(codes: Codes) -> NDArray[np.int64]:
    """Numbers of the whole codons, 0..63, or 64 for one with an N."""
    whole = len(codes) // 3 * 3
    base_C3 = (codes[:whole] & BASE_BITS).astype(np.int64).reshape(-1, 3) - 1
    return np.where((base_C3 >= 0).all(axis=1), base_C3 @ [16, 4, 1], _UNKNOWN)


def _protein(codes: Codes) -> str:
    """Amino acids of the whole codons, * for a stop and X for a codon with an N."""
    return "".join(_AMINO_ACIDS[_codons(codes)])


def _amino_acids() -> NDArray[np.str_]:
    standard = unambiguous_dna_by_id[1]
    letters = {**standard.forward_table, **dict.fromkeys(standard.stop_codons, "*")}
    return np.array([letters[a + b + c] for a in BASES[1:] for b in BASES[1:] for c in BASES[1:]] + ["X"])


_AMINO_ACIDS = _amino_acids()
_IS_STOP = _AMINO_ACIDS == "*"
