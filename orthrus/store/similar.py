"""Genes whose transcripts are nearly the same sequence, found without any name, so that they end in one family.

A name may be wrong, missing, or another in each file; the sequence tells what a split must not part. Two genes are
joined if a transcript of one and a transcript of the other share :data:`SHARE` of the k-mers of whichever has fewer
(containment: a coding sequence in its mRNA, a short isoform in a long one). k-mers are 21-mers on the transcript's
strand, compared by a FracMinHash sample of one in :data:`EVERY` (Irber et al., bioRxiv 2022.01.11.475838) that is the
same whatever else is in the store. A 21-mer with an N, or with a repeated unit of up to 10 nt, does not count, so low
complexity joins nothing; nor do fewer than :data:`FEWEST` shared samples, some 50 nt.

Genes that share a sampled k-mer are found by sorting; of a k-mer that more than :data:`MANY` genes have, each gene is
paired with the next alone, which still chains the copies of a repeated gene. Only pairs that share enough are compared
transcript by transcript. Codes are read in pieces, and sampled k-mers sorted in ranges of hashes; beyond 64 M of them,
0.5 GiB, in passes over all codes. 475 Mnt take about 5 s of one core.

n transcripts, G genes, N sampled k-mers, P pairs of genes, E of them joined.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
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
_KMERS_OF_A_PASS = 1 << 26
_KMERS_OF_A_RANGE = 1 << 21
_NT_AT_ONCE = 1 << 21
_CAUTION = 0.6  # of the shared samples that are expected; pairs with fewer are not looked at

Numbers = NDArray[np.int64]
Kmers = NDArray[np.uint64]


class Sequences(NamedTuple):
    """n transcripts of G genes: ``codes``, a file of uint8 (nt,), in which they lie end to end.

    ``offsets`` is int64 (n + 1,), ``gene`` is int (n,), of each transcript's gene from 0 to G - 1.
    """

    codes: Path
    offsets: Numbers
    gene: NDArray[np.integer]
    n_genes: int


def similar_genes(sequences: Sequences) -> Numbers:
    """Pairs of genes that share most of the k-mers of a transcript, int64 (E, 2)."""
    pairs = _candidates(sequences)
    members = np.argsort(sequences.gene, kind="stable")
    first = np.searchsorted(sequences.gene[members], np.arange(sequences.n_genes + 1))
    nt = np.bincount(sequences.gene, np.diff(sequences.offsets), sequences.n_genes).astype(np.int64)
    cuts = _cuts(nt[pairs].sum(axis=1))

    def close(begin: int, end: int) -> NDArray[np.bool_]:
        wanted, pair = np.unique(pairs[begin:end], return_inverse=True)
        counts = np.diff(first)[wanted]
        bounds = np.concatenate([[0], np.cumsum(counts)])
        rows = members[np.repeat(first[wanted] - bounds[:-1], counts) + np.arange(bounds[-1])]
        return _any_close(pair.reshape(-1, 2), *_sketches(sequences, rows), bounds)

    with ThreadPoolExecutor() as pool:  # the work is done without the interpreter's lock
        chosen = list(pool.map(close, cuts[:-1].tolist(), cuts[1:].tolist()))
    found: Numbers = pairs[np.concatenate([np.empty(0, np.bool_), *chosen])]
    return found


def _cuts(nt: Numbers) -> Numbers:
    """Where items of ``nt`` bases each are cut into pieces of some :data:`_NT_AT_ONCE`, from 0 to their number."""
    ends = np.cumsum(nt)
    return np.unique([0, *np.searchsorted(ends, np.arange(0, nt.sum(), _NT_AT_ONCE)), len(ends)])


def _candidates(sequences: Sequences) -> Numbers:
    """Pairs of genes (P, 2) that share as many sampled k-mers as the shortest transcript of both lets expect."""
    lengths = np.diff(sequences.offsets)
    n_passes = max(1, -(-int(lengths.sum()) // (EVERY * _KMERS_OF_A_PASS)))
    pairs, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    for part in range(n_passes):
        more, n = _shared_kmers(sequences, part * _LIMIT // n_passes, (part + 1) * _LIMIT // n_passes)
        pairs, place = np.unique(np.concatenate([pairs, more]), return_inverse=True)
        counts = np.bincount(place, np.concatenate([counts, n]), len(pairs)).astype(np.int64)
    a, b = pairs >> 32, pairs & (2**32 - 1)
    shortest = np.full(sequences.n_genes, np.iinfo(np.int64).max)
    np.minimum.at(shortest, sequences.gene, lengths)
    expected = SHARE * (np.minimum(shortest[a], shortest[b]) - K + 1) / EVERY
    enough = counts >= np.maximum(FEWEST, _CAUTION * expected)
    return np.stack([a[enough], b[enough]], axis=1)


def _shared_kmers(sequences: Sequences, low: int, high: int) -> tuple[Numbers, Numbers]:
    """Pairs of genes, each once or more, and how many sampled k-mers with a hash from ``low`` to ``high`` they share.

    A pair's first gene is above bit 32, the second, of a higher number, below it.
    """
    gene_bits = max(1, (sequences.n_genes - 1).bit_length())
    mask = np.uint64((1 << gene_bits) - 1)
    offsets, gene = sequences.offsets, sequences.gene.astype(np.uint64)

    def sampled(first: int, last: int) -> Kmers:
        """Each k-mer once a gene, ascending: the hash above, the gene in the lowest bits."""
        begin, end = offsets[first], offsets[last]
        codes = np.fromfile(sequences.codes, np.uint8, end - begin, offset=begin)
        starts = offsets[first : last + 1] - begin
        hashes, counts = _sampled(codes, starts[:-1], np.diff(starts), np.uint64(low), np.uint64(high))
        return _distinct((hashes & ~mask) | np.repeat(gene[first:last], counts))

    def pairs(parts: tuple[Kmers, ...]) -> tuple[Numbers, Numbers]:
        found, counts = np.unique(_pairs_of(_distinct(np.concatenate(parts)), gene_bits), return_counts=True)
        return found, counts

    cuts = _cuts(np.diff(offsets))
    with ThreadPoolExecutor() as pool:
        parts = list(pool.map(sampled, cuts[:-1].tolist(), cuts[1:].tolist()))
        n_ranges = 1 + sum(map(len, parts)) // _KMERS_OF_A_RANGE
        inner = [(low + i * (high - low) // n_ranges) * EVERY >> gene_bits << gene_bits for i in range(1, n_ranges)]
        bounds = np.array(inner, dtype=np.uint64)
        ranges = zip(*(np.split(part, np.searchsorted(part, bounds)) for part in parts), strict=True)
        found, counts = zip(*pool.map(pairs, ranges), strict=True)
    return np.concatenate(found), np.concatenate(counts)


def _distinct(numbers: Kmers) -> Kmers:
    """Each number once, ascending; the array given is sorted."""
    numbers.sort()
    new = np.ones(len(numbers), dtype=np.bool_)
    np.not_equal(numbers[1:], numbers[:-1], out=new[1:])
    distinct: Kmers = numbers[new]
    return distinct


def _pairs_of(kmers: Kmers, gene_bits: int) -> Numbers:
    """The genes of every two that have one k-mer, or of many each and the next: a above bit 32, b below it, a < b."""
    kmer = kmers >> np.uint64(gene_bits)
    same = np.zeros(len(kmers) + 1, dtype=np.bool_)
    np.equal(kmer[1:], kmer[:-1], out=same[1:-1])
    shared = np.flatnonzero(same[1:] | same[:-1])
    kmer, gene = kmer[shared], (kmers[shared] & np.uint64((1 << gene_bits) - 1)).astype(np.int64)
    begins = np.flatnonzero(~same[:-1][shared])
    size = np.diff(np.append(begins, len(kmer)))
    size = np.repeat(size, size)
    pairs = []
    for step in range(1, MANY):
        few = size[:-step] <= (MANY if step > 1 else len(kmer))
        left = np.flatnonzero((kmer[step:] == kmer[:-step]) & few)
        pairs.append((gene[left] << 32) + gene[left + step])
    return np.concatenate(pairs)


def _sketches(sequences: Sequences, rows: Numbers) -> tuple[Kmers, Numbers]:
    """The samples of the transcripts at ``rows``, each ascending, end to end; and where each begins, (n + 1,)."""
    codes = np.asarray(np.memmap(sequences.codes, np.uint8, "r"))
    lengths = np.diff(sequences.offsets)[rows]
    hashes, counts = _sampled(codes, sequences.offsets[rows], lengths, np.uint64(0), np.uint64(_LIMIT))
    bits = np.uint64(max(1, len(rows).bit_length()))
    owner = np.arange(len(rows) + 1, dtype=np.uint64) << (np.uint64(64) - bits)
    hashes = _distinct((hashes >> bits) | np.repeat(owner[:-1], counts))
    return hashes & ((np.uint64(1) << (np.uint64(64) - bits)) - np.uint64(1)), np.searchsorted(hashes, owner)


@compiled(nogil=True)
def _sampled(codes: Codes, start: Numbers, length: Numbers, low: np.uint64, high: np.uint64) -> tuple[Kmers, Numbers]:
    """Of n transcripts the sampled k-mers with a hash from ``low`` to ``high``, and how many of each, (n,).

    Of a k-mer it is the hash times :data:`EVERY`, (N,). Whether one is kept is added, not branched on: nothing could
    foretell it.
    """
    total = length.sum()
    hashes, kmers = np.empty(total + 1, dtype=np.uint64), np.empty(total + 1, dtype=np.uint64)
    counts = np.empty(len(start), dtype=np.int64)
    n = 0
    mask = np.uint64((1 << (2 * K)) - 1)
    for t in range(len(start)):
        begin = n
        valid, kmer = 0, np.uint64(0)
        for at in range(start[t], start[t] + length[t]):
            base = codes[at] & BASE_BITS
            valid = valid + 1 if base > 0 else 0
            kmer = ((kmer << np.uint64(2)) | np.uint64((base - 1) & 3)) & mask
            hashed = splitmix64(kmer)
            hashes[n], kmers[n] = hashed, kmer
            n += int((valid >= K) & (hashed >= low) & (hashed < high))
        end, n = n, begin
        for i in range(begin, end):
            hashes[n] = hashes[i] * np.uint64(EVERY)
            n += int(not _is_repeat(kmers[i], mask))
        counts[t] = n - begin
    return hashes[:n].copy(), counts


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
                    break
            if close[p]:
                break
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
