"""Control features counted in a sequence: codons and short words by region, k-mers, length and composition.

Every control is a feature matrix of the same transcripts as the embedding, and is probed in the same way.

The ``codon`` control has features with known effects (codon usage for stability and function, short words of the UTRs,
lengths, exon junctions) in :data:`N_CODON_FEATURES` columns. It is the strongest control: on human mRNAs,
family-disjoint, it scores .64 on half-life and k-mers score .61 (docs/results.md).

The k-mer control is one feature set for each largest k of 3, 4 and 5 (6 on request): frequencies of all k-mers of
1 to k with length, GC content, CDS length and exon count. k is chosen on validation rows, like a readout of an
embedding. Features are standardised, so many rare k-mers weaken the control: the mean R on half-life is 0.60 (k to 3),
0.61 (4), 0.58 (5) and 0.49 (6), so k = 6 everywhere would be easier to beat. 18 k transcripts of 65 Mnt take about 4 s.
"""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from orthrus.embedding.file import Embeddings
from orthrus.genome.codes import BASE_BITS, CDS_BIT, SPLICE_BIT, Codes
from orthrus.genome.codons import codon_counts, regions
from orthrus.genome.genetic_code import CODONS
from orthrus.genome.kmers import kmer_frequencies, n_kmers
from orthrus.store import TranscriptStore

KMER_SIZES = (3, 4, 5)
BESIDE_KMERS = ("log2 length", "GC", "log2 CDS length", "has CDS", "log2 exons", "exons known")

UTR_WORDS = 3
NO_CDS = "no labelled transcript has an annotated CDS"
LENGTHS = ("log2 length", "log2 5'UTR length", "log2 CDS length", "log2 3'UTR length", "log2 exons", "exons known")
N_CODON_FEATURES = len(CODONS) + 2 * n_kmers(UTR_WORDS) + len(LENGTHS)


def codon_features(store: TranscriptStore, transcript_ids: Sequence[str]) -> Embeddings:
    """The codon control of those transcripts that are in the store, (N, 238), in the given order.

    See :func:`codon_row` for its columns.
    """
    known, matrix = _features(store, transcript_ids, codon_row, N_CODON_FEATURES)
    return Embeddings(known, matrix, {"features": f"codons, 1- to {UTR_WORDS}-mers of each UTR, {', '.join(LENGTHS)}"})


def has_cds(store: TranscriptStore, transcript_ids: Sequence[str]) -> bool:
    """Whether any of these transcripts of the store has an annotated CDS, and so codons to count."""
    return bool((store.cds[[store.index_of(name) for name in transcript_ids], 0] >= 0).any())


def codon_row(codes: Codes) -> NDArray[np.float64]:
    """The codon control of one transcript's codes (L,), float64 (238,).

    1. 64 frequencies of in-frame codons (:data:`orthrus.genome.genetic_code.CODONS`), the stop codon included: codons
       that begin at a CDS bit, divided by the number of such codons without an N.
    2. 84 frequencies of the 5'UTR's 1-, 2- and 3-mers and 84 of the 3'UTR's, as
       :func:`orthrus.genome.kmers.kmer_frequencies` counts them: each k sums to one over the windows without an N.
    3. 6 numbers: log2(1 + n) of the nt of the transcript, its 5'UTR, CDS and 3'UTR and of its number of exons, and
       whether that is known (0 or 1).

    A frequency is 0 where there is nothing to count. :func:`orthrus.genome.codons.regions` defines the regions.
    """
    of = regions(codes)
    counts = codon_counts(codes)
    n_exons = np.count_nonzero(codes & SPLICE_BIT)
    lengths = [len(codes), len(of.five_prime), len(of.cds), len(of.three_prime), n_exons]
    words = [kmer_frequencies(utr, UTR_WORDS) for utr in (of.five_prime, of.three_prime)]
    return np.concatenate([counts / max(counts.sum(), 1), *words, np.log2(1 + np.array(lengths)), [n_exons > 0]])


def kmer_features(
    store: TranscriptStore, transcript_ids: Sequence[str], sizes: Sequence[int] = KMER_SIZES
) -> Embeddings:
    """Composition features of those transcripts that are in the store, in the given order.

    One readout for each size k: :data:`BESIDE_KMERS`, then the frequencies of all k-mers among the windows without an
    N, for 1 to k (each sums to one), 6 + 4 + 16 + ... + 4^k columns.
    """
    sizes = sorted(set(sizes))
    width = {k: len(BESIDE_KMERS) + n_kmers(k) for k in sizes}
    known, matrix = _features(store, transcript_ids, lambda codes: _kmer_row(codes, sizes[-1]), width[sizes[-1]])
    first, *others = sizes
    return Embeddings(
        known,
        matrix[:, : width[first]],
        {"features": f"{', '.join(BESIDE_KMERS)}, k-mers"},
        readout=f"k = {first}",
        readouts={f"k = {k}": matrix[:, : width[k]] for k in others},
    )


def _features(
    store: TranscriptStore, transcript_ids: Sequence[str], row_of: Callable[[Codes], NDArray[np.float64]], width: int
) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    """The ids that are in the store, and ``row_of`` applied to the codes of each, float32 (N, ``width``)."""
    index = {name: i for i, name in enumerate(store.column("transcript_id"))}
    known = tuple(name for name in transcript_ids if name in index)
    matrix = np.empty((len(known), width), dtype=np.float32)
    for row, name in zip(matrix, known, strict=True):
        row[:] = row_of(store.codes(index[name]))
    return known, matrix


def _kmer_row(codes: Codes, max_k: int) -> NDArray[np.float64]:
    return np.concatenate([list(_beside_kmers(codes)), kmer_frequencies(codes, max_k)])


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
