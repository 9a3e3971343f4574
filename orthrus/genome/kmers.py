"""k-mers of sequences: frequencies of short k-mers, and near-identical sequences by sketches of long k-mers.

Sketches are FracMinHash (Irber et al., bioRxiv 2022.01.11.475838). The sketch of a sequence is the set of the hashes of
its 21-mers below a limit that is the same for all sequences. The share of the smaller sketch that the larger one
contains estimates how much of the shorter sequence the longer one contains (the containment). If the shorter sequence
lies in the longer one with identity p, the containment is about p^21: 0.8 for 99 %, 0.3 for 94 %. 18 k mRNAs of 65 Mnt
take about 3 s.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from orthrus.compiled import compiled
from orthrus.genome.codes import BASE_BITS, Codes

K = 21
NEAR_IDENTICAL = 0.8
CLUSTERED = 0.3
MIN_HASHES = 40  # in a sketch, for all but the shortest 5 % of the sequences
MAX_SHARERS = 500  # a k-mer in more sequences is a repeat or an adapter and is ignored

Sketch = NDArray[np.uint64]


def n_kmers(k: int) -> int:
    """The number of all k-mers of lengths 1 to ``k``."""
    return sum(4**size for size in range(1, k + 1))


def kmer_frequencies(codes: Codes, max_k: int) -> NDArray[np.float64]:
    """Frequencies of all k-mers, k = 1..max_k, in the order A < C < G < T.

    Args:
        codes: uint8 (L,); annotation bits are ignored.
        max_k: the largest k.

    Returns:
        float64 (4 + 16 + ... + 4^max_k,); the values of each k sum to 1, and are 0 where every window has an N.

    Examples:
        >>> from orthrus.genome.codes import encode_bases
        >>> kmer_frequencies(encode_bases("ACCA", "mine"), max_k=1).tolist()
        [0.5, 0.5, 0.0, 0.0]
        >>> kmer_frequencies(encode_bases("ACCA", "mine"), max_k=3).shape
        (84,)
    """
    base = (codes & BASE_BITS).astype(np.int64) - 1
    number = np.zeros(len(base) + 1, dtype=np.int64)
    valid = np.ones(len(base) + 1, dtype=np.bool_)
    parts = []
    for k in range(1, max_k + 1):
        number = 4 * number[:-1] + base[k - 1 :]  # the number of the k-mer that begins at each position
        valid = valid[:-1] & (base[k - 1 :] >= 0)
        counts = np.bincount(number[valid], minlength=4**k)
        parts.append(counts / max(counts.sum(), 1))
    return np.concatenate(parts)


@compiled()
def splitmix64(number: np.uint64) -> np.uint64:
    """A hash of a 64-bit number (Steele et al. 2014, doi:10.1145/2660193.2660195), without collisions."""
    mixed = number + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


@compiled()
def _kmer_hashes(bases: Codes, k: int, limit: np.uint64) -> Sketch:
    hashes = np.empty(len(bases), dtype=np.uint64)
    n, valid = 0, 0
    mask = np.uint64((1 << (2 * k)) - 1)
    kmer = np.uint64(0)
    for base in bases:
        valid = valid + 1 if base > 0 else 0
        kmer = ((kmer << np.uint64(2)) | np.uint64(max(base, 1) - 1)) & mask
        if valid < k:
            continue
        hashed = splitmix64(kmer)
        if hashed <= limit:
            hashes[n] = hashed
            n += 1
    return hashes[:n]


def sketch_limit(lengths: NDArray[np.int64]) -> np.uint64:
    """The largest hash that sketches of sequences of these lengths (nt) keep."""
    scale = max(1, int(np.quantile(lengths, 0.05)) // MIN_HASHES)
    return np.uint64((2**64 - 1) // scale)


def sketch(codes: Codes, limit: np.uint64) -> Sketch:
    """The distinct hashes up to ``limit`` of a sequence's 21-mers; a shorter sequence is one k-mer."""
    return np.unique(_kmer_hashes(codes & np.uint8(BASE_BITS), min(K, len(codes)), limit))


def similar_pairs(sketches: Sequence[Sketch], containment: float) -> NDArray[np.int64]:
    """Pairs (E, 2), i < j, with at least this ``containment`` of the smaller sketch in the larger one.

    k-mers in more than 500 sequences are not counted.
    """
    owner = np.repeat(np.arange(len(sketches)), [len(each) for each in sketches])
    _, kmer, sharers = np.unique(np.concatenate(sketches), return_inverse=True, return_counts=True)
    informative = sharers[kmer] <= MAX_SHARERS
    size = np.bincount(owner[informative], minlength=len(sketches))
    informative &= sharers[kmer] > 1
    ones = np.ones(np.count_nonzero(informative), dtype=np.int32)
    matrix = csr_array((ones, (owner[informative], kmer[informative])), shape=(len(sketches), len(sharers)))
    shared = (matrix @ matrix.T).tocoo()
    i, j = shared.coords
    close = (i < j) & (shared.data >= containment * np.minimum(size[i], size[j]))
    return np.stack([i[close], j[close]], axis=1).astype(np.int64)


def contained(sketches: Sequence[Sketch], others: Iterable[Sketch], containment: float) -> NDArray[np.bool_]:
    """Which of N sketches have at least this ``containment`` in one of the ``others``, bool (N,).

    ``others`` is a stream and may be of any length.
    """
    size = np.array([len(each) for each in sketches])
    hashes = np.concatenate(sketches)
    order = np.argsort(hashes)
    owner, hashes = np.repeat(np.arange(len(sketches)), size)[order], hashes[order]
    found = np.zeros(len(sketches), dtype=np.bool_)
    for other in others:
        first, last = (np.searchsorted(hashes, other, side) for side in ("left", "right"))
        met = [owner[a:b] for a, b in zip(first, last, strict=True) if b > a]
        if met:
            rows, shared = np.unique(np.concatenate(met), return_counts=True)
            found[rows[shared >= containment * size[rows]]] = True
    return found
