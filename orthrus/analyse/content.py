"""Composition of transcripts by species and region: lengths, GC, codons; and similarity of related transcripts."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orthrus.genome.codes import BASE_BITS, Codes
from orthrus.genome.genetic_code import STANDARD, UNKNOWN, amino_acids
from orthrus.store import TranscriptStore
from orthrus.store.pairs import PairIndex, PairKind

REGIONS = ("5'UTR", "CDS", "3'UTR")
SIMILARITY_K = 12


def one_of_each_gene(
    store: TranscriptStore, species: int, generator: np.random.Generator
) -> tuple[NDArray[np.int64], int]:
    """One random transcript with a CDS for each gene of a species, in random order, so that each gene counts once.

    Only genes with the most frequent genetic code of the species are included; this code is also returned.
    """
    rows = np.flatnonzero((store.species == species) & (store.cds[:, 0] >= 0))
    codes = store.transcripts["genetic_code"].to_numpy()[rows]
    code = int(np.bincount(codes, minlength=STANDARD + 1).argmax())
    rows = generator.permutation(rows[codes == code])
    _, first = np.unique(store.array("gene")[rows], return_index=True)
    return generator.permutation(rows[first]), code


def composition(parts: Sequence[Codes]) -> dict[str, Any]:
    """Composition of one region of several transcripts: how many have it, median length, mean and quartiles of GC."""
    known = [part for part in parts if np.count_nonzero(part & BASE_BITS)]
    if not known:
        return {"transcripts": 0, "median_nt": None, "gc": None, "gc_q1": None, "gc_q3": None}
    gc = [_gc(part) for part in known]
    quartiles = np.quantile(gc, [0.25, 0.75])
    return {
        "transcripts": len(known),
        "median_nt": float(np.median([len(part) for part in known])),
        "gc": float(np.mean(gc)),
        "gc_q1": float(quartiles[0]),
        "gc_q3": float(quartiles[1]),
    }


def _gc(codes: Codes) -> float:
    counts = np.bincount(codes & BASE_BITS, minlength=5)
    return float((counts[2] + counts[3]) / counts[1:5].sum())


def relative_usage(counts: NDArray[np.int64], genetic_code: int = STANDARD) -> NDArray[np.float64]:
    """RSCU (Sharp and Li 1986): each codon's count divided by the mean count of its amino acid's codons, float64 (64,);
    NaN if the amino acid does not occur."""
    usage = np.full(64, np.nan)
    letters = amino_acids(genetic_code)[:UNKNOWN]
    for letter in np.unique(letters):
        same = letters == letter
        if counts[same].sum():
            usage[same] = counts[same] / counts[same].mean()
    return usage


def similarities(store: TranscriptStore, n_pairs: int, generator: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Yield a row a pair of transcripts: ``kind`` (isoforms, orthologs, unrelated), ids, ``jaccard``, ``containment``.

    The last two compare sets of 12-mers: the shared ones divided by all, and by the smaller set. There are up to
    ``n_pairs`` pairs of each kind.
    """
    index = PairIndex(store)
    drawn = generator.permutation(len(store))
    splice = index.sample(drawn, 0.0, generator)
    ortholog = index.sample(drawn, 1.0, generator)
    apart = generator.permutation(len(store))
    for kind, partners, wanted in (
        ("isoforms", splice.partner_P, splice.kind_P == PairKind.SPLICE),
        ("orthologs", ortholog.partner_P, ortholog.kind_P == PairKind.ORTHOLOG),
        ("unrelated", apart, store.family[drawn] != store.family[apart]),
    ):
        for i in np.flatnonzero(wanted)[:n_pairs]:
            a, b = int(drawn[i]), int(partners[i])
            one, other = _kmer_set(store.codes(a)), _kmer_set(store.codes(b))
            if not len(one) or not len(other):
                continue
            shared = len(np.intersect1d(one, other, assume_unique=True))
            yield {
                "kind": kind,
                "transcript_a": store.transcript_ids[a].as_py(),
                "transcript_b": store.transcript_ids[b].as_py(),
                "jaccard": shared / (len(one) + len(other) - shared),
                "containment": shared / min(len(one), len(other)),
            }


def _kmer_set(codes: Codes) -> NDArray[np.int64]:
    base = (codes & BASE_BITS).astype(np.int64) - 1
    if len(base) < SIMILARITY_K:
        return np.empty(0, dtype=np.int64)
    windows = np.lib.stride_tricks.sliding_window_view(base, SIMILARITY_K)
    return np.unique(windows[(windows >= 0).all(axis=1)] @ 4 ** np.arange(SIMILARITY_K))
