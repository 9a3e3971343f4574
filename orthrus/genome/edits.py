"""Edits of a mature mRNA: the edited transcript with its annotation, and the effect of the edit on the protein.

Coordinates are 0-based, half-open, on the mRNA. The annotation moves with the sequence. A boundary inside the replaced
bases moves to the end of the new bases. Bases inserted at the start of the CDS belong to the 5'UTR, at its end to the
3'UTR, and at a junction to the exon before it, which holds a VCF's anchor base. The CDS is read again, in the frame of
its codons, from the first codon that the edit touches to the first stop codon: a premature stop shortens it, and a
frame shift or a lost stop moves its end into the new frame or the 3'UTR. In-frame stops that the annotation reads
through (selenocysteine) are still read through, and ribosomal slippage behind an edit that keeps the frame is kept.
After a lost start the CDS stays where it was, because the new start of translation is unknown.

Consequences are Sequence Ontology terms, by the genetic code of the mRNA. Of several consequences the most severe one
is given, as ranked by Ensembl's VEP (McLaren et al. 2016), except that a lost start comes first, because the rest of
the protein is then unknown.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orthrus.genome.codes import BASE_BITS, CDS_BIT, Codes, annotate, codon_starts
from orthrus.genome.genetic_code import amino_acids, codon_numbers, is_stop
from orthrus.genome.splice import Mrna


class Edit(NamedTuple):
    """Replaces ``start:end`` by ``bases``, uint8 (n,) without annotation bits; empty ``bases`` delete."""

    start: int
    end: int
    bases: Codes

    @property
    def grows_by(self) -> int:
        return len(self.bases) - (self.end - self.start)


def trimmed(start: int, ref: Codes, alt: Codes) -> Edit:
    """The edit that turns ``ref``, at ``start``, into ``alt``, without the bases that both share.

    It removes a VCF's anchor base, then the common end, then the common beginning.
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
    cds, starts = _edited_cds(mrna, edit, bases)
    codes = annotate(bases, None, exon_ends)
    codes[starts] |= CDS_BIT
    return mrna._replace(codes=codes, cds=cds, exon_ends=exon_ends)


def consequence(mrna: Mrna, edit: Edit, edited: Mrna) -> str:
    """The effect of ``edit`` on ``mrna``, a Sequence Ontology term; ``edited`` is the result of :func:`apply`."""
    if mrna.cds is None:
        return "non_coding_transcript_variant"
    start, end = mrna.cds
    if edit.end <= start:
        return "5_prime_UTR_variant"
    if edit.start >= end:
        return "3_prime_UTR_variant"
    starts_with_atg = _first_amino_acid(mrna) == "M"
    if edited.cds is None:
        return "start_lost" if starts_with_atg else "coding_sequence_variant"
    if starts_with_atg and _first_amino_acid(edited) != "M":
        return "start_lost"
    moved_end = _moved(end, edit, before=False)
    in_frame = (moved_end - edited.cds[0] - (end - start)) % 3 == 0
    if in_frame and edited.cds[1] < moved_end:
        return "stop_gained"
    if not in_frame and edit.end <= end:
        return "frameshift_variant"
    if _ends_in_stop(mrna, end) and not _ends_in_stop(edited, moved_end):
        return "stop_lost"
    if edit.grows_by:
        return "inframe_insertion" if edit.grows_by > 0 else "inframe_deletion"
    return _substitution(mrna, edit, edited)


def _substitution(mrna: Mrna, edit: Edit, edited: Mrna) -> str:
    assert mrna.cds is not None
    starts = codon_starts(mrna.codes)
    touched = starts[(starts < edit.end) & (starts + 3 > edit.start) & (starts + 3 <= mrna.cds[1])]
    letters = amino_acids(mrna.genetic_code)
    before, after = ("".join(letters[codon_numbers(codes, touched)]) for codes in (mrna.codes, edited.codes))
    if not before or "X" in before + after:
        return "coding_sequence_variant"
    if before != after:
        return "missense_variant"
    return "stop_retained_variant" if before.endswith("*") else "synonymous_variant"


def _moved(boundary: int, edit: Edit, *, before: bool) -> int:
    """Where a boundary between two bases lies after the edit; ``before``: bases inserted at it come before it."""
    if edit.start == edit.end == boundary:
        return boundary + edit.grows_by if before else boundary
    if boundary <= edit.start:
        return boundary
    if boundary >= edit.end:
        return boundary + edit.grows_by
    return min(boundary, edit.start + len(edit.bases))


def _edited_cds(mrna: Mrna, edit: Edit, bases: Codes) -> tuple[tuple[int, int] | None, NDArray[np.int64]]:
    """The CDS of the edited ``bases``, and where its codons begin."""
    none = np.empty(0, dtype=np.int64)
    if mrna.cds is None:
        return None, none
    start, end = _moved(mrna.cds[0], edit, before=True), _moved(mrna.cds[1], edit, before=False)
    if end - start < 3:
        return None, none
    codons = codon_starts(mrna.codes)
    if edit.end <= mrna.cds[0]:
        return (start, end), codons + edit.grows_by
    if edit.start >= mrna.cds[1] or not len(codons):
        return (start, end), codons
    in_frame = (end - start - (mrna.cds[1] - mrna.cds[0])) % 3 == 0
    first = start if edit.start < mrna.cds[0] else _first_touched(codons, edit)
    after = codons[codons >= edit.end] + edit.grows_by
    if edit.grows_by == 0:
        kept = codons
    elif in_frame:
        between = np.arange(first, after[0] if len(after) else end, 3)
        kept = np.concatenate([codons[codons < first], between, after])
    else:
        kept = np.concatenate([codons[codons < first], np.arange(first, len(bases), 3)])
    kept = kept[kept >= start]
    stays_open = in_frame and not _ends_in_stop(mrna, mrna.cds[1])
    if not stays_open:
        kept = np.concatenate([kept, np.arange(kept[-1] + 3 if len(kept) else first, len(bases), 3)])
    whole = kept[kept + 3 <= (end if stays_open else len(bases))]
    stops = whole[is_stop(mrna.genetic_code)[codon_numbers(bases, whole)] & (whole >= first)]
    if in_frame:
        stops = stops[~np.isin(stops, [_moved(stop, edit, before=True) for stop in _internal_stops(mrna)])]
    if len(stops):
        end = int(stops[0]) + 3
    elif not stays_open:
        end = int(whole[-1]) + 3 if len(whole) else end
    return (start, end), kept[kept < end]


def _first_touched(codons: NDArray[np.int64], edit: Edit) -> int:
    """Where the first codon that the edit touches begins; if that is before the CDS's first codon, one in its frame."""
    touched = codons[codons + 3 > edit.start]
    first = int(touched[0]) if len(touched) else int(codons[-1]) + 3
    is_incomplete = first > edit.start and first == codons[0]
    return first - 3 if is_incomplete else first


def _internal_stops(mrna: Mrna) -> list[int]:
    """Where stop codons inside the CDS begin, without the one at its end."""
    assert mrna.cds is not None
    starts = codon_starts(mrna.codes)
    starts = starts[starts + 3 < mrna.cds[1]]
    stops: list[int] = starts[is_stop(mrna.genetic_code)[codon_numbers(mrna.codes, starts)]].tolist()
    return stops


def _ends_in_stop(mrna: Mrna, end: int) -> bool:
    """Whether a stop codon in frame ends at ``end``."""
    if end < 3 or not mrna.codes[end - 3] & CDS_BIT:
        return False
    return bool(is_stop(mrna.genetic_code)[codon_numbers(mrna.codes, np.array([end - 3]))][0])


def _first_amino_acid(mrna: Mrna) -> str:
    """The amino acid of the codon at the start of the CDS; empty if the CDS is incomplete there."""
    assert mrna.cds is not None
    start = mrna.cds[0]
    if start + 3 > len(mrna.codes) or not mrna.codes[start] & CDS_BIT:
        return ""
    return str(amino_acids(mrna.genetic_code)[codon_numbers(mrna.codes, np.array([start]))][0])
