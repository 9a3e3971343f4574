"""Strategies of codes and of small stores' worth of transcripts."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from orthrus.genome.codes import annotate, encode_bases
from orthrus.loading.views import Parts, whole


def padded_codes() -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    """Right-padded codes, uint8 (V, L), any code at any position, and their lengths, int64 (V,)."""
    code = st.sampled_from([base | tracks for base in range(5) for tracks in (0, 8, 16, 24)])
    return st.lists(st.lists(code, min_size=1, max_size=20), min_size=1, max_size=5).map(_padded)


def _padded(rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    lengths_V = np.array([len(row) for row in rows])
    codes_VL = np.zeros((len(rows), lengths_V.max()), dtype=np.uint8)
    for codes, row in zip(codes_VL, rows, strict=True):
        codes[: len(row)] = row
    return codes_VL, lengths_V


class Transcripts(NamedTuple):
    """n annotated transcripts as a store has them: codes end to end, offsets int64 (n + 1,), cds int32 (n, 2)."""

    codes: np.ndarray
    offsets: np.ndarray
    cds: np.ndarray

    def of(self, i: int) -> np.ndarray:
        return self.codes[self.offsets[i] : self.offsets[i + 1]]

    def parts(self, transcripts: list[int]) -> Parts:
        return whole(self.offsets, self.cds, np.array(transcripts, dtype=np.int64))


def _annotated(drawn: list[tuple[str, list[str], str, bool]]) -> Transcripts:
    codes, cds = [], []
    for left, codons, right, coding in drawn:
        sequence = left + "".join(codons) + right
        interval = (len(left), len(left) + 3 * len(codons)) if coding and codons else None
        codes.append(annotate(encode_bases(sequence, "drawn"), interval, [len(sequence)]))
        cds.append(interval or (-1, -1))
    lengths = [len(row) for row in codes]
    return Transcripts(
        np.concatenate(codes), np.cumsum([0, *lengths], dtype=np.int64), np.array(cds, dtype=np.int32).reshape(-1, 2)
    )


def transcripts(coding: bool = False) -> st.SearchStrategy[Transcripts]:
    """Two to six transcripts with and without UTRs, stop codon and, unless ``coding``, a CDS."""
    utr = st.text("ACGT", max_size=6)
    codons = st.lists(st.sampled_from(["ATG", "GCC", "TAA", "TGA", "TAG", "TCA", "NNN"]), min_size=coding, max_size=4)
    one = st.tuples(utr, codons, utr, st.just(True) if coding else st.booleans())
    return st.lists(one.filter(lambda t: any(t[:3])), min_size=2, max_size=6).map(_annotated)
