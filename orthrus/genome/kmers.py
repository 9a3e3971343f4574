"""k-mers of sequences: frequencies of short ones, and near-identical sequences by sketches of long ones.

Sketches are FracMinHash (Irber et al., bioRxiv 2022.01.11.475838). A sequence's sketch is the set of its 21-mers'
hashes below a limit, the same for all, so that the share of the smaller of two sketches found in the other estimates
how much of the shorter sequence the longer one contains. With identity p along the whole of it that is about p^21: 0.8
is 99 %, 0.3 is 94 %. 18 k mRNAs of 65 Mnt take about 3 s.
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
MIN_HASHES = 40  # of the sequences longer than the shortest twentieth
MAX_SHARERS = 500  # a k-mer of more sequences is a repeat or an adapter, and says nothing of one pair

Sketch = NDArray[np.uint64]


def n_kmers(k: int) -> int:
    """How many k-mers of 1 to k there are."""
    return sum(4**size for size in range(1, k + 1))


def kmer_frequencies(codes: Codes, max_k: int) -> NDArray[np.float64]:
    """Frequencies of all k-mers, k = 1..max_k, A < C < G < T; zeros for a k without a window free of N."""
    base = (codes & BASE_BITS).astype(np.int64) - 1
    number = np.zeros(len(base) + 1, dtype=np.int64)
    valid = np.ones(len(base) + 1, dtype=np.bool_)
    parts = []
    for k in range(1, max_k + 1):
        number = 4 * number[:-1] + base[k - 1 :]  # of the k-mer that begins at each position
        valid = valid[:-1] & (base[k - 1 :] >= 0)
        counts = np.bincount(number[valid], minlength=4**k)
        parts.append(counts / max(counts.sum(), 1))
    return np.concatenate(parts)


@compiled()
def splitmix64(number: np.uint64) -> np.uint64:
    """A hash of a 64-bit number (Steele et al. 2014, doi:10.1145/2660193.2660195), one to one."""
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
    """Distinct hashes up to ``limit`` of a sequence's 21-mers, or of the whole of a shorter sequence."""
    return np.unique(_kmer_hashes(codes & np.uint8(BASE_BITS), min(K, len(codes)), limit))


def similar_pairs(sketches: Sequence[Sketch], containment: float) -> NDArray[np.int64]:
    """Pairs (E, 2), i < j, of which the smaller sketch is contained so far in the other.

    k-mers of more than 500 sequences do not count.
    """
    owner = np.repeat(np.arange(len(sketches)), [len(each) for each in sketches])
    _, kmer, sharers = np.unique(np.concatenate(sketches), return_inverse=True, return_counts=True)
    telling = sharers[kmer] <= MAX_SHARERS
    size = np.bincount(owner[telling], minlength=len(sketches))
    telling &= sharers[kmer] > 1
    ones = np.ones(np.count_nonzero(telling), dtype=np.int32)
    matrix = csr_array((ones, (owner[telling], kmer[telling])), shape=(len(sketches), len(sharers)))
    shared = (matrix @ matrix.T).tocoo()
    i, j = shared.coords
    close = (i < j) & (shared.data >= containment * np.minimum(size[i], size[j]))
    return np.stack([i[close], j[close]], axis=1).astype(np.int64)


def contained(sketches: Sequence[Sketch], others: Iterable[Sketch], containment: float) -> NDArray[np.bool_]:
    """Which sketches, (N,), one of the ``others`` contains so far; these are a stream, as long as it may be."""
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
