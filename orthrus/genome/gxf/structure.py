"""The structure of transcripts, from their rows: exons, coding interval and reading frame.

P parts (exon, CDS, stop_codon and UTR rows), T transcripts, E exons. Whole columns are processed at once, except
transcripts with several proteins and frames of several runs, which are processed one by one.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from orthrus.genome.gxf.ownership import Ownership, places
from orthrus.genome.gxf.rows import EXON, STOP_CODON, UTR, GxfRows
from orthrus.genome.models import POSITION_BITS, mrna_position
from orthrus.genome.reading_frame import LONGEST_SLIP, Frames, Pieces, Rows, read_frames


@dataclass(frozen=True)
class Structure:
    """Exons of T transcripts end to end, ascending in each; coding intervals, -1 without one; where codons begin.

    The bool (T,) arrays mark what was found: ``scattered`` (parts on two strands or contigs, or not on those of the
    transcript's row), ``cds_outside`` (a CDS row outside the exons), ``exonless`` (exons made from the other rows),
    ``polycistronic`` (several proteins, of which the longest coding sequence is used) and ``contradictory`` (phases
    that contradict each other).
    """

    strand: NDArray[np.int8]
    exon_starts: Rows
    exon_ends: Rows
    exon_offsets: Rows
    cds_start: Rows
    cds_end: Rows
    frames: Frames
    scattered: NDArray[np.bool_]
    cds_outside: NDArray[np.bool_]
    exonless: NDArray[np.bool_]
    polycistronic: NDArray[np.bool_]
    contradictory: NDArray[np.bool_]


def build_structure(rows: GxfRows, ownership: Ownership) -> Structure:
    """Exons, coding intervals and frames of the transcripts that ``ownership`` makes of ``rows``."""
    part, node = places([rows.parts, rows.nodes])
    owner, n = ownership.owner, len(ownership.node)
    kind = rows.parts["kind"].to_numpy()
    contig, strand = part.contig[ownership.first_part], part.strand[ownership.first_part]
    has_row = ownership.node < len(rows.nodes)
    own_row = ownership.node[has_row]
    contig[has_row], strand[has_row] = node.contig[own_row], node.strand[own_row]
    astray = (part.contig != contig[owner]) | (part.strand != strand[owner])

    interval = np.stack([owner, part.start, part.end])
    exonless = np.bincount(owner[kind == EXON], minlength=n) == 0
    exons = np.concatenate([interval[:, kind == EXON], _joined(interval[:, exonless[owner]])], axis=1)
    exons = exons[:, np.lexsort(exons[::-1])]
    exons = exons[:, _is_new(exons)]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(exons[0], minlength=n))])

    coding = np.flatnonzero((kind != EXON) & (kind != UTR))
    interval, kind = interval[:, coding], kind[coding]
    cds_outside = np.bincount(_outside(interval, exons), minlength=n) > 0
    names = rows.parts["cds_id"].combine_chunks().dictionary_encode().indices
    protein = np.asarray(pc.fill_null(names, -1), dtype=np.int64)[coding]
    phase = rows.parts["phase"].to_numpy()[coding].astype(np.int64)
    low, high = (
        mrna_position(exons[1], exons[2], offsets, strand, interval[0], position)
        for position in (interval[1], interval[2] - 1)
    )
    start, end = np.minimum(low, high), np.maximum(low, high) + 1
    order = np.lexsort([protein, kind, end, start, interval[0]])
    order = order[_is_new(np.stack([interval[0], start, end, kind, protein])[:, order])]
    order = order[~_is_stop_inside(interval, kind)[order]]
    (owner, left, right), start, end = interval[:, order], start[order], end[order]
    chosen, polycistronic = _one_protein(owner, start, end, protein[order], n)
    owner, left, right, start, end, phase = (
        column[chosen] for column in (owner, left, right, start, end, phase[order])
    )
    cds_start, cds_end = np.full(n, 1 << POSITION_BITS), np.full(n, -1)
    np.minimum.at(cds_start, owner, left)
    np.maximum.at(cds_end, owner, right)
    cds_start[cds_end < 0] = -1
    gap = np.maximum(left[1:] - right[:-1], left[:-1] - right[1:])
    touches = np.concatenate([[False], gap <= LONGEST_SLIP])[: len(owner)]
    frames, contradictory = read_frames(Pieces(owner, start, end, phase, touches), n)
    return Structure(
        strand=strand.astype(np.int8),
        exon_starts=exons[1],
        exon_ends=exons[2],
        exon_offsets=offsets,
        cds_start=cds_start,
        cds_end=cds_end,
        frames=frames,
        scattered=np.bincount(ownership.owner[astray], minlength=n) > 0,
        cds_outside=cds_outside,
        exonless=exonless,
        polycistronic=polycistronic,
        contradictory=contradictory,
    )


def _joined(interval: Rows) -> Rows:
    """Rows (3, P) of transcripts as exons: rows that touch, overlap, or are separated by a frame shift are joined."""
    owner, start, end = interval[:, np.lexsort(interval[::-1])]
    reach = np.maximum.accumulate((owner << POSITION_BITS) + end) - (owner << POSITION_BITS)
    joined = (owner[1:] == owner[:-1]) & (start[1:] <= reach[:-1] + LONGEST_SLIP)
    first = np.flatnonzero(np.concatenate([[True], ~joined])[: len(owner)])
    last_end = np.maximum.reduceat(end, first) if len(first) else end
    return np.stack([owner[first], start[first], last_end])


def _is_new(columns: Rows) -> NDArray[np.bool_]:
    """Whether each of the sorted rows (., P) differs from the one before it."""
    new: NDArray[np.bool_] = np.ones(columns.shape[1], dtype=bool)
    new[1:] = (columns[:, 1:] != columns[:, :-1]).any(axis=0)
    return new


def _outside(cds: Rows, exons: Rows) -> Rows:
    """The transcript of each CDS row (3, ...) that begins or ends outside the exons (3, E), sorted."""
    exon_at = (exons[0] << POSITION_BITS) + exons[1]
    inside = np.ones(cds.shape[1], dtype=bool)
    for position in (cds[1], cds[2] - 1):
        exon = np.searchsorted(exon_at, (cds[0] << POSITION_BITS) + position, side="right") - 1
        inside &= (exons[0, exon] == cds[0]) & (exons[1, exon] <= position) & (position < exons[2, exon])
    outside: Rows = cds[0, ~inside]
    return outside


def _is_stop_inside(interval: Rows, kind: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Which of the coding rows (3, P) are stop codons inside a CDS row, bool (P,)."""
    stop = kind == STOP_CODON
    cds = interval[:, ~stop]
    cds = cds[:, np.lexsort(cds[::-1])]
    inside = np.zeros(len(kind), dtype=bool)
    if stop.any() and cds.size:
        row = np.searchsorted((cds[0] << POSITION_BITS) + cds[1], (interval[0] << POSITION_BITS) + interval[1], "right")
        row = np.maximum(row - 1, 0)
        inside = stop & (cds[0, row] == interval[0]) & (cds[1, row] <= interval[1]) & (interval[2] <= cds[2, row])
    return inside


def _one_protein(
    owner: Rows, start: Rows, end: Rows, protein: Rows, n: int
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which coding rows make the CDS of their transcript, bool (P,), and which transcripts have several proteins, (n,).

    The rows are sorted by transcript and 5'->3' on the mRNA. All are used, except that of several proteins only the
    longest is used.
    """
    chosen, polycistronic = np.ones(len(owner), dtype=bool), np.zeros(n, dtype=bool)
    named = protein >= 0
    low, high = np.full(n, protein.max(initial=0) + 1), np.full(n, -1)
    np.minimum.at(low, owner[named], protein[named])
    np.maximum.at(high, owner[named], protein[named])
    for t in np.flatnonzero(low < high).tolist():
        mine = slice(np.searchsorted(owner, t), np.searchsorted(owner, t, side="right"))
        longest = _longest_protein(start[mine], end[mine], protein[mine])
        if longest is not None:
            polycistronic[t] = True
            chosen[mine] = longest
    return chosen, polycistronic


def _longest_protein(start: Rows, end: Rows, protein: Rows) -> NDArray[np.bool_] | None:
    """The rows of the longest of several coding sequences, bool (P,); None if the rows together are one.

    They are one if each has an id of its own and begins on the mRNA where the one before it ends, up to a slip.
    """
    if len(np.unique(protein)) == len(protein) and (np.abs(start[1:] - end[:-1]) <= LONGEST_SLIP).all():
        return None
    names = np.unique(protein[protein >= 0])
    longest = names[np.argmax([(end - start)[protein == name].sum() for name in names])]
    mine: NDArray[np.bool_] = protein == longest
    low, high = start[mine].min(), end[mine].max()
    for row in np.flatnonzero(protein < 0).tolist():  # a stop codon that names no protein
        if start[row] == high:
            mine[row], high = True, end[row]
        elif end[row] == low:
            mine[row], low = True, start[row]
    return mine
