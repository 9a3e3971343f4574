"""Genes whose transcripts are nearly the same sequence, found without any name, so that they end in one family.

A name may be wrong, missing, or another in each file; the sequence tells what a split must not part. Two genes are
joined if a transcript of one and a transcript of the other share :data:`SHARE` of the k-mers of whichever has fewer
(containment: a coding sequence in its mRNA, a short isoform in a long one). k-mers are 21-mers on the transcript's
strand, compared by a FracMinHash sample of one in :data:`EVERY` (Irber et al., bioRxiv 2022.01.11.475838) that is the
same whatever else is in the store. A 21-mer with an N, or with a repeated unit of up to 10 nt, does not count, so low
complexity joins nothing; nor do fewer than :data:`FEWEST` shared samples, some 50 nt.

Genes that share a sampled k-mer are found by sorting; of a k-mer that more than :data:`MANY` genes have, each gene is
paired with the next alone, which still chains the copies of a repeated gene. Only pairs that share enough are compared
transcript by transcript. Beyond 32 M at a time the sampled k-mers are sorted in passes, each over a part of all hashes.

n transcripts, G genes, N sampled k-mers, P pairs of genes, E of them joined.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from orthrus.compiled import compiled
from orthrus.genome.codes import BASE_BITS, Codes
from orthrus.genome.kmers import K, splitmix64

SHARE = 0.5
EVERY = 8
FEWEST = 4
MANY = 8

_LONGEST_UNIT = 10
_LIMIT = (2**64 - 1) // EVERY
_KMERS_OF_A_PASS = 1 << 25
_NT_AT_ONCE = 1 << 21
_CAUTION = 0.6  # of the shared samples that are expected; pairs with fewer are not looked at

Numbers = NDArray[np.int64]
Kmers = NDArray[np.uint64]


class Members(NamedTuple):
    """Transcripts by gene: those of gene g begin at ``start[first[g] : first[g + 1]]`` of ``codes``.

    ``codes`` is uint8 (nt,); ``start`` and ``length`` are int64 (n,), ``first`` is int64 (G + 1,).
    """

    codes: Codes
    start: Numbers
    length: Numbers
    first: Numbers


def similar_genes(genes: Members) -> Numbers:
    """Pairs of genes that share most of the k-mers of a transcript, int64 (E, 2)."""
    pairs = _candidates(genes)
    wanted, pair = np.unique(pairs, return_inverse=True)
    close = _any_close(pair.reshape(-1, 2), *_sketches(genes, wanted))
    found: Numbers = pairs[close]
    return found


def _candidates(genes: Members) -> Numbers:
    """Pairs of genes (P, 2) that share as many sampled k-mers as the shortest transcript of both lets expect."""
    n_passes = max(1, -(-int(genes.length.sum()) // (EVERY * _KMERS_OF_A_PASS)))
    pairs, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    for part in range(n_passes):
        kmers, gene_bits = _kmers_of_genes(genes, part * _LIMIT // n_passes, (part + 1) * _LIMIT // n_passes)
        more, n = np.unique(_pairs_of(kmers, gene_bits), return_counts=True)
        pairs, place = np.unique(np.concatenate([pairs, more]), return_inverse=True)
        counts = np.bincount(place, np.concatenate([counts, n]), len(pairs)).astype(np.int64)
    a, b = pairs >> 32, pairs & (2**32 - 1)
    shortest = np.minimum.reduceat(genes.length, genes.first[:-1])
    expected = SHARE * (np.minimum(shortest[a], shortest[b]) - K + 1) / EVERY
    enough = counts >= np.maximum(FEWEST, _CAUTION * expected)
    return np.stack([a[enough], b[enough]], axis=1)


def _kmers_of_genes(genes: Members, low: int, high: int) -> tuple[Kmers, int]:
    """Sampled k-mers of two genes or more with a hash from ``low`` to ``high``, each once a gene, (N,), ascending.

    The gene's number is in the lowest bits, of which the number is returned too; the hash is above it.
    """
    bits = max(1, (len(genes.first) - 1).bit_length())
    gene = np.repeat(np.arange(len(genes.first) - 1, dtype=np.uint64), np.diff(genes.first))
    ends = np.cumsum(genes.length)
    cuts = np.unique([*np.searchsorted(ends, np.arange(0, ends[-1], _NT_AT_ONCE)), len(ends)])

    def part(first: int, last: int) -> Kmers:
        rows = slice(first, last)
        hashes, owner = _sampled(genes.codes, genes.start[rows], genes.length[rows], np.uint64(low), np.uint64(high))
        kmers: Kmers = (hashes * np.uint64(EVERY) >> np.uint64(bits) << np.uint64(bits)) | gene[rows][owner]
        kmers.sort()
        distinct: Kmers = kmers[np.concatenate([kmers[:1] == kmers[:1], kmers[1:] != kmers[:-1]])]
        return distinct

    with ThreadPoolExecutor() as pool:  # the work is done without the interpreter's lock
        parts = list(pool.map(part, cuts[:-1].tolist(), cuts[1:].tolist()))
    kmers = np.concatenate(parts)
    kmers.sort()
    shared = np.zeros(len(kmers) + 1, dtype=np.bool_)
    shared[1:-1] = (kmers[1:] ^ kmers[:-1]) >> np.uint64(bits) == 0
    return kmers[shared[1:] | shared[:-1]], bits


def _pairs_of(kmers: Kmers, gene_bits: int) -> Numbers:
    """The genes of every two that have one k-mer, or of many each and the next: a above bit 32, b below it, a < b."""
    kmer, gene = kmers >> np.uint64(gene_bits), (kmers & np.uint64((1 << gene_bits) - 1)).astype(np.int64)
    begins = np.flatnonzero(np.concatenate([kmer[:1] == kmer[:1], kmer[1:] != kmer[:-1]]))
    size = np.diff(np.append(begins, len(kmer)))
    shared = np.repeat(size, size)
    pairs = []
    for step in range(1, MANY):
        few = shared[:-step] <= (MANY if step > 1 else len(kmer))
        left = np.flatnonzero((kmer[step:] == kmer[:-step]) & few)
        pairs.append((gene[left] << 32) + gene[left + step])
    return np.concatenate(pairs)


def _sketches(genes: Members, wanted: Numbers) -> tuple[Kmers, Numbers, Numbers]:
    """The samples of the transcripts of the ``wanted`` genes, each ascending, end to end.

    Returns the hashes, where each transcript's begin, and which transcripts are each gene's.
    """
    counts = np.diff(genes.first)[wanted]
    first = np.concatenate([[0], np.cumsum(counts)])
    rows = np.repeat(genes.first[wanted] - first[:-1], counts) + np.arange(first[-1])
    hashes, owner = _sampled(genes.codes, genes.start[rows], genes.length[rows], np.uint64(0), np.uint64(_LIMIT))
    order = np.lexsort([hashes, owner])
    hashes, owner = hashes[order], owner[order]
    new = np.ones(len(hashes), dtype=np.bool_)
    new[1:] = (hashes[1:] != hashes[:-1]) | (owner[1:] != owner[:-1])
    return hashes[new], np.searchsorted(owner[new], np.arange(len(rows) + 1)), first


@compiled(nogil=True)
def _sampled(codes: Codes, start: Numbers, length: Numbers, low: np.uint64, high: np.uint64) -> tuple[Kmers, Numbers]:
    """The sampled hashes from ``low`` to ``high`` of transcripts, (N,), and which transcript each is of, (N,)."""
    total = length.sum()
    hashes, owner = np.empty(total, dtype=np.uint64), np.empty(total, dtype=np.int64)
    n = 0
    mask = np.uint64((1 << (2 * K)) - 1)
    for t in range(len(start)):
        valid, kmer = 0, np.uint64(0)
        for code in codes[start[t] : start[t] + length[t]]:
            base = code & BASE_BITS
            valid = valid + 1 if base > 0 else 0
            kmer = ((kmer << np.uint64(2)) | np.uint64(max(base, 1) - 1)) & mask
            if valid < K:
                continue
            hashed = splitmix64(kmer)
            if low <= hashed < high and not _is_repeat(kmer, mask):
                hashes[n], owner[n] = hashed, t
                n += 1
    return hashes[:n].copy(), owner[:n].copy()


@compiled(nogil=True)
def _is_repeat(kmer: np.uint64, mask: np.uint64) -> bool:
    """Whether a k-mer is a repeated unit of up to 10 nt."""
    for unit in range(1, _LONGEST_UNIT + 1):
        shift = np.uint64(2 * unit)
        if kmer >> shift == kmer & (mask >> shift):
            return True
    return False


@compiled(nogil=True)
def _any_close(pairs: Numbers, hashes: Kmers, begin: Numbers, first: Numbers) -> NDArray[np.bool_]:
    """Whether two transcripts of each pair of genes (P, 2) share most of the smaller sample, (P,)."""
    close = np.zeros(len(pairs), dtype=np.bool_)
    for p in range(len(pairs)):
        a, b = pairs[p]
        for s in range(first[a], first[a + 1]):
            for t in range(first[b], first[b + 1]):
                one, other = hashes[begin[s] : begin[s + 1]], hashes[begin[t] : begin[t + 1]]
                if _n_shared(one, other) >= max(FEWEST, SHARE * min(len(one), len(other))):
                    close[p] = True
    return close


@compiled(nogil=True)
def _n_shared(one: Kmers, other: Kmers) -> int:
    """How many numbers two ascending arrays have in common."""
    i, j, n = 0, 0, 0
    while i < len(one) and j < len(other):
        if one[i] == other[j]:
            i, j, n = i + 1, j + 1, n + 1
        elif one[i] < other[j]:
            i += 1
        else:
            j += 1
    return n
