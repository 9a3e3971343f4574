"""HGVS names of edits in transcripts (den Dunnen et al. 2016; hgvs-nomenclature.org).

``c.`` positions count from the first base of the CDS; ``-1`` is the base before it and ``*1`` the base after its stop
codon. ``n.`` positions count from the first base of the transcript. Deletions, insertions and duplications are shifted
as far 3' as the sequence allows. Names that need a genome (intronic positions) or a protein are not made; inversions
are written as ``delins``.
"""

from orthrus.genome.codes import decode_bases
from orthrus.genome.edits import Edit
from orthrus.genome.splice import Mrna


def hgvs(mrna: Mrna, edit: Edit) -> str:
    """The HGVS name of an edit, without the name of the transcript: ``c.76A>G``, ``c.-5_-3del``, ``n.12dup``.

    Args:
        mrna: the transcript before the edit.
        edit: 0-based, half-open, on the mRNA.

    Examples:
        >>> import numpy as np
        >>> from orthrus.genome.codes import annotate, encode_bases
        >>> from orthrus.genome.edits import Edit
        >>> codes = annotate(encode_bases("CCCATGGCTTAAG", "mine"), cds=(3, 12), exon_ends=[13])
        >>> mrna = Mrna(codes, (3, 12), np.array([13], np.int32))
        >>> hgvs(mrna, Edit(6, 7, encode_bases("A", "alt"))), hgvs(mrna, Edit(0, 1, encode_bases("", "alt")))
        ('c.4G>A', 'c.-1del')
    """
    sequence, alt = decode_bases(mrna.codes), decode_bases(edit.bases)
    start, end = edit.start, edit.end
    if not alt:
        while end < len(sequence) and sequence[start] == sequence[end]:
            start, end = start + 1, end + 1
        return f"{_interval(mrna, start, end)}del"
    if start == end:
        while start < len(sequence) and alt[0] == sequence[start]:
            alt, start = alt[1:] + alt[0], start + 1
        if sequence[max(start - len(alt), 0) : start] == alt:
            return f"{_interval(mrna, start - len(alt), start)}dup"
        if 0 < start < len(sequence):
            return f"{_interval(mrna, start - 1, start + 1)}ins{alt}"
        end = start  # before the first base or after the last: that base becomes part of the change
        start, end, alt = (0, 1, alt + sequence[0]) if start == 0 else (start - 1, end, sequence[-1] + alt)
    if end - start == len(alt) == 1:
        return f"{_interval(mrna, start, end)}{sequence[start]}>{alt}"
    return f"{_interval(mrna, start, end)}delins{alt}"


def _interval(mrna: Mrna, start: int, end: int) -> str:
    kind = "n." if mrna.cds is None else "c."
    first, last = _number(mrna, start), _number(mrna, end - 1)
    return kind + (first if start == end - 1 else f"{first}_{last}")


def _number(mrna: Mrna, position: int) -> str:
    if mrna.cds is None:
        return str(position + 1)
    start, end = mrna.cds
    if position < start:
        return str(position - start)
    return str(position - start + 1) if position < end else f"*{position - end + 1}"
