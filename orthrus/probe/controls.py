"""What sequence alone can predict: k-mer counts, and, less still, length and composition.

The k-mer control is one feature set for each largest k of 3, 4 and 5 (6 on request): frequencies of all k-mers of
1 to k with length, GC content, CDS length and exon count. Which k is chosen on validation rows, as a readout of an
embedding is. Features are standardised, so k-mers that are too many and too rare make it weaker: the mean R on
half-life is 0.60 (k to 3), 0.61 (4), 0.58 (5) and 0.49 (6), and to always take 6 would only make it easier to beat.
18 k transcripts of 65 Mnt take about 4 s.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from orthrus.embedding.file import Embeddings
from orthrus.genome.codes import BASE_BITS, CDS_BIT, SPLICE_BIT, Codes
from orthrus.genome.kmers import kmer_frequencies, n_kmers
from orthrus.store import TranscriptStore

KMER_SIZES = (3, 4, 5)
BESIDE_KMERS = ("log2 length", "GC", "log2 CDS length", "has CDS", "log2 exons", "exons known")


def kmer_features(
    store: TranscriptStore, transcript_ids: Sequence[str], sizes: Sequence[int] = KMER_SIZES
) -> Embeddings:
    """Composition features of the transcripts that are in the store, in the order given, others left out.

    One readout for each size k: :data:`BESIDE_KMERS`, then the frequencies of all k-mers among the windows without an
    N, for 1 to k (each sums to one), 6 + 4 + 16 + ... + 4^k columns.
    """
    sizes = sorted(set(sizes))
    known, matrix = _features(store, transcript_ids, sizes[-1])
    width = {k: len(BESIDE_KMERS) + n_kmers(k) for k in sizes}
    first, *others = sizes
    return Embeddings(
        known,
        matrix[:, : width[first]],
        {"features": f"{', '.join(BESIDE_KMERS)}, k-mers"},
        readout=f"k = {first}",
        readouts={f"k = {k}": matrix[:, : width[k]] for k in others},
    )


def composition_features(store: TranscriptStore, transcript_ids: Sequence[str]) -> Embeddings:
    """Length, GC, CDS length, exon count and base frequencies alone, (N, 6 + 4); as :func:`kmer_features` else."""
    known, matrix = _features(store, transcript_ids, 1)
    return Embeddings(known, matrix, {"features": f"{', '.join(BESIDE_KMERS)}, bases"})


def _features(
    store: TranscriptStore, transcript_ids: Sequence[str], max_k: int
) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    row_of = {name: i for i, name in enumerate(store.column("transcript_id"))}
    known = tuple(name for name in transcript_ids if name in row_of)
    n_beside = len(BESIDE_KMERS)
    matrix = np.empty((len(known), n_beside + n_kmers(max_k)), dtype=np.float32)
    for features, name in zip(matrix, known, strict=True):
        codes = store.codes(row_of[name])
        features[:n_beside] = list(_beside_kmers(codes))
        features[n_beside:] = kmer_frequencies(codes, max_k)
    return known, matrix


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
