"""The composition control: what k-mers, lengths and exon counts alone can predict.

k-mer frequencies for k = 1..4 (340 features) with length, GC content, CDS length and exon count. 18 k transcripts of
65 Mnt take about 2 s and 25 MB. Longer k-mers make a weaker control: with features standardised, the
mean R on half-life falls from 0.61 (k to 4) to 0.58 (k to 5) and 0.49 (k to 6).
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from orthrus.genome.codes import BASE_BITS, CDS_BIT, SPLICE_BIT, Codes
from orthrus.probe.embeddings import Embeddings
from orthrus.store import TranscriptStore

MAX_K = 4
N_KMERS = sum(4**k for k in range(1, MAX_K + 1))
FEATURES_BESIDE_KMERS = ("log2 length", "GC", "log2 CDS length", "has CDS", "log2 exons", "exons known")


def kmer_features(store: TranscriptStore, transcript_ids: Sequence[str]) -> Embeddings:
    """Composition features of the transcripts that are in the store, in the order given, others left out.

    ``matrix`` is (N, 340 + 6): frequencies of all k-mers among the windows without an N, for k = 1..4 (each k sums
    to one), then :data:`FEATURES_BESIDE_KMERS`.
    """
    row_of = {name: i for i, name in enumerate(store.column("transcript_id"))}
    known = [name for name in transcript_ids if name in row_of]
    matrix = np.empty((len(known), N_KMERS + len(FEATURES_BESIDE_KMERS)), dtype=np.float32)
    for features, name in zip(matrix, known, strict=True):
        codes = store.codes(row_of[name])
        features[:N_KMERS] = kmer_frequencies(codes)
        features[N_KMERS:] = list(_beside_kmers(codes))
    return Embeddings(tuple(known), matrix, {"features": f"k-mers of 1..{MAX_K}, {', '.join(FEATURES_BESIDE_KMERS)}"})


def kmer_frequencies(codes: Codes) -> NDArray[np.float64]:
    """Frequencies of all k-mers, k = 1..4, A < C < G < T, (340,); zeros for a k without a window free of N."""
    base = (codes & BASE_BITS).astype(np.int64) - 1
    number = np.zeros(len(base) + 1, dtype=np.int64)
    valid = np.ones(len(base) + 1, dtype=np.bool_)
    parts = []
    for k in range(1, MAX_K + 1):
        number = 4 * number[:-1] + base[k - 1 :]  # of the k-mer that begins at each position
        valid = valid[:-1] & (base[k - 1 :] >= 0)
        counts = np.bincount(number[valid], minlength=4**k)
        parts.append(counts / max(counts.sum(), 1))
    return np.concatenate(parts)


def _beside_kmers(codes: Codes) -> Iterable[float]:
    counts = np.bincount(codes & BASE_BITS, minlength=5)
    n_codons = np.count_nonzero(codes & CDS_BIT)
    n_exons = np.count_nonzero(codes & SPLICE_BIT)
    yield np.log2(1 + len(codes))
    yield (counts[2] + counts[3]) / max(counts[1:5].sum(), 1)
    yield np.log2(1 + 3 * n_codons)
    yield float(n_codons > 0)
    yield np.log2(1 + n_exons)
    yield float(n_exons > 0)
