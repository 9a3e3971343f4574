"""Implausible results: counted while transcripts are added to a store, and reported once, at the end.

No single row of the input shows their causes: a hard-masked genome, a genome of another assembly, a reading frame or
genetic code other than the annotation's, or a tool that writes the whole transcript as CDS if it knows none. No
transcript is dropped for them. The cost is about 1 ns a base.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from orthrus.compiled import compiled
from orthrus.genome.codes import BASE_BITS, CDS_BIT, CdsFrame, Codes
from orthrus.genome.findings import Findings, Tally
from orthrus.genome.genetic_code import is_stop
from orthrus.store import Chunk

NO_BASE = "transcripts without a known base, all N (is the genome hard-masked, or not this annotation's?)"
FEW_BASES = "transcripts of which more than half of the bases are N"
STOPS = (
    "coding transcripts with a stop codon inside their CDS (is the genome another assembly's? is the genetic code not"
    " the standard one, as in mitochondria? `genetic_code` in the spec would say it)"
)
NO_UTR = "coding transcripts whose CDS fills them from end to end, without a UTR (does the annotation know the CDS?)"

_MOST_STOPS = 0.01
_MOST_FULL = 0.5
_TGA = 16 * 3 + 4 * 2


def doubting(
    chunks: Iterable[Chunk], findings: Findings, coding_only: bool = False, cds_frame: CdsFrame = "annotated"
) -> Iterator[Chunk]:
    """Yield the same ``chunks`` and, after the last, note implausible results in ``findings``.

    Transcripts with more N than bases are always noted. Stop codons inside the CDS are noted if more than 1 % of the
    coding transcripts have some, except in the published frame, in which incomplete transcripts have some; a single TGA
    does not count, because it may encode selenocysteine. A CDS as long as the transcript is noted if more than half
    have one, except for ``coding_only`` sources.
    """
    found, coding = Tally(), 0
    for chunk in chunks:
        names, start, end, length = (chunk.rows[name] for name in ("transcript_id", "cds_start", "cds_end", "length"))
        start, end, length = (np.asarray(column, dtype=np.int64) for column in (start, end, length))
        codes, table = np.frombuffer(chunk.codes, np.uint8), np.asarray(chunk.rows["genetic_code"])
        tables, of_row = np.unique(table, return_inverse=True)
        known, stops = _counts(
            codes, np.concatenate([[0], np.cumsum(length)]), np.stack([is_stop(t) for t in tables.tolist()]), of_row
        )
        coding += int(np.count_nonzero(start >= 0))
        for reason, rows in (
            (NO_BASE, known == 0),
            (FEW_BASES, (known > 0) & (2 * known < length)),
            (STOPS, stops),
            (NO_UTR, (start == 0) & (end == length)),
        ):
            found.add(reason, names.filter(pa.array(rows)).to_pylist())
        yield chunk
    shares = {STOPS: 1 if cds_frame == "published" else _MOST_STOPS, NO_UTR: 1 if coding_only else _MOST_FULL}
    for reason, count in found.counts.items():
        if reason not in shares or count > shares[reason] * coding:
            findings.noted.add_counted(reason, count, found.examples[reason])


@compiled()
def _counts(
    codes: Codes, offsets: NDArray[np.int64], is_stop: NDArray[np.bool_], table: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The number of known bases of each of n transcripts, (n,), and whether its CDS has stop codons inside, (n,).

    ``offsets`` (n + 1,) bound the transcripts in ``codes``; ``table`` (n,) has the row of ``is_stop`` (T, 65) for their
    genetic code. A codon is inside if another one follows it.
    """
    n = len(offsets) - 1
    known, inside = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.bool_)
    for t in range(n):
        previous, stops, others = -1, 0, 0
        for at in range(offsets[t], offsets[t + 1]):
            if codes[at] & BASE_BITS:
                known[t] += 1
            if codes[at] & CDS_BIT:
                if previous >= 0:
                    codon, unknown = 0, False
                    for i in range(previous, min(previous + 3, offsets[t + 1])):
                        base = int(codes[i] & BASE_BITS)
                        codon, unknown = 4 * codon + base - 1, unknown or base == 0
                    if not unknown and is_stop[table[t], codon]:
                        stops += 1
                        others += codon != _TGA
                previous = at
        inside[t] = stops > 1 or others > 0
    return known, inside
