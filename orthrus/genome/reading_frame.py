"""The reading frame: where codons begin on the mature mRNA, from the annotated phase of each piece of the CDS.

GTF and GFF3 give the phase of each CDS row (column 8): the number of bases of the row, from its 5' end, before the
first codon that begins in it. UCSC's ``exonFrames`` give the place of a row's first base in its codon, which is the
complement of the phase. In most transcripts the codons follow each other without a break from the first whole codon to
the end of the CDS: a single run. An incomplete 5' end shifts its start by one or two bases. Several runs are needed
where the ribosome slips (two rows overlap, or skip a base of the mRNA) and where a row that touches the one before is
in another frame (the genome lacks a base, or has one too many): each such row begins where its phase says.

An intron between two rows cannot change the frame. If the phases of such rows imply a change, they contradict each
other, for example because a tool wrote 0 in every row; codons are then counted from the first row, as in translation,
and the transcript is reported.

P pieces of the CDS of T transcripts, in 5'->3' order, R runs.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Rows = NDArray[np.int64]

UNKNOWN_PHASE = -1
LONGEST_SLIP = 2
"""No intron has 1 or 2 nt: pieces of the CDS this close to each other on the genome are separated by a frame shift."""


class Pieces(NamedTuple):
    """Pieces of the CDS (P,), sorted by ``owner`` and 5'->3': intervals on the mRNA, half-open, and their phases.

    ``touches``: whether a piece lies within :data:`LONGEST_SLIP` nt of the one before it on the genome.
    """

    owner: Rows
    start: Rows
    end: Rows
    phase: Rows
    touches: NDArray[np.bool_]


class Frames(NamedTuple):
    """Runs of codons of T transcripts end to end; those of t start at ``start[offsets[t] : offsets[t + 1]]``.

    In each run [start, end) on the mRNA a codon begins at every third base, counted from the start.
    """

    start: Rows  # (R,)
    end: Rows
    offsets: Rows  # (T + 1,)

    def take(self, rows: Rows) -> "Frames":
        """The runs of the transcripts at ``rows``, in that order."""
        runs, offsets = ragged_rows(self.offsets, rows)
        return Frames(self.start[runs], self.end[runs], offsets)

    def of(self, t: int) -> list[tuple[int, int]]:
        """The runs of transcript ``t``."""
        runs = slice(self.offsets[t], self.offsets[t + 1])
        return list(zip(self.start[runs].tolist(), self.end[runs].tolist(), strict=True))


def ragged_rows(offsets: Rows, rows: Rows) -> tuple[Rows, Rows]:
    """The items of the lists at ``rows``, of lists that lie end to end and are delimited by ``offsets``.

    Returns the indices of the items, and the offsets that delimit the lists among them.
    """
    counts = np.diff(offsets)[rows]
    taken = np.concatenate([[0], np.cumsum(counts)])
    return np.repeat(offsets[rows] - taken[:-1], counts) + np.arange(taken[-1]), taken


def one_run(start: Rows, end: Rows) -> Frames:
    """Frames of T transcripts with one run [start, end) each, and none where ``start`` is negative."""
    coding = start >= 0
    return Frames(start[coding], end[coding], np.concatenate([[0], np.cumsum(coding)]))


def phases(column: pa.Array | pa.ChunkedArray) -> Rows:
    """Column 8 of GTF and GFF3 as numbers: 0, 1, 2, or -1 where it gives no phase."""
    known = pc.index_in(column.cast(pa.string()), value_set=pa.array(["0", "1", "2"]))
    return np.asarray(pc.fill_null(known, UNKNOWN_PHASE), dtype=np.int64)


def phases_of_frames(frames: Rows) -> Rows:
    """UCSC's exonFrames (0, 1, 2; -1 for an exon without coding bases) as phases."""
    return np.where(frames >= 0, -frames % 3, UNKNOWN_PHASE)


def read_frames(pieces: Pieces, n: int) -> tuple[Frames, NDArray[np.bool_]]:
    """The runs of codons of ``n`` transcripts, and whose phases contradict each other, bool (n,)."""
    owner, start, end, phase, touches = pieces
    if not len(owner):
        return one_run(np.full(n, -1), np.full(n, -1)), np.zeros(n, dtype=bool)
    first = np.flatnonzero(np.concatenate([[True], owner[1:] != owner[:-1]]))
    last = np.concatenate([first[1:], [len(owner)]]) - 1
    of_owner = np.repeat(np.arange(len(first)), last + 1 - first)
    lead = np.maximum(phase[first], 0)
    before = np.cumsum(end - start) - (end - start)
    counted = (lead[of_owner] - (before - before[first][of_owner])) % 3
    parted = np.concatenate([[False], start[1:] != end[:-1]])
    parted[first] = False
    odd = parted | ((phase >= 0) & (phase != counted))
    odd_ones = np.unique(of_owner[odd])

    simple = np.ones(len(first), dtype=bool)
    simple[odd_ones] = False
    runs = np.zeros(n, dtype=np.int64)
    runs[owner[first]] = 1
    contradictory = np.zeros(n, dtype=bool)
    by_hand: dict[int, list[tuple[int, int]]] = {}
    for i in odd_ones.tolist():
        mine = slice(first[i], last[i] + 1)
        t = int(owner[first[i]])
        rows = (start[mine].tolist(), end[mine].tolist(), phase[mine].tolist(), touches[mine].tolist())
        by_hand[t], contradictory[t] = codon_runs(zip(*rows, strict=True))
        runs[t] = len(by_hand[t])
    offsets = np.concatenate([[0], np.cumsum(runs)])
    run_start, run_end = np.empty(offsets[-1], dtype=np.int64), np.empty(offsets[-1], dtype=np.int64)
    at = offsets[owner[first[simple]]]
    run_end[at] = end[last[simple]]
    run_start[at] = np.minimum(start[first[simple]] + lead[simple], run_end[at])
    for t, found in by_hand.items():
        for r, (a, b) in enumerate(found, start=int(offsets[t])):
            run_start[r], run_end[r] = a, b
    return Frames(run_start, run_end, offsets), contradictory


def codon_runs(pieces: Iterable[tuple[int, int, int, bool]]) -> tuple[list[tuple[int, int]], bool]:
    """The runs of one transcript's pieces (start, end, phase, touches), 5'->3', and whether its phases contradict."""
    runs: list[tuple[int, int]] = []
    contradictory = False
    previous_end, due = -1, 0  # due: bases that the last codon still lacks
    for start, end, phase, touches in pieces:
        follows = start == previous_end
        lead = due if phase == UNKNOWN_PHASE else phase
        if follows and lead != due and not touches:
            contradictory, lead = True, due
        in_frame = runs and runs[-1][1] == previous_end and (start + lead - runs[-1][0]) % 3 == 0
        if follows and lead == due and in_frame:
            runs[-1] = (runs[-1][0], end)
            due = (runs[-1][0] - end) % 3
        else:
            if start + lead < end:
                runs.append((start + lead, end))
            due = (start + lead - end) % 3 if start + lead < end else start + lead - end
        previous_end = end
    return runs, contradictory
