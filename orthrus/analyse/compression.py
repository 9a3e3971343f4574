"""The structure of a sequence, measured by its compression on a scale that also applies to texts.

Without compression, n symbols from an alphabet of A need n log2 A bits: 2 bits a base, 4.75 bits a symbol of 26 letters
and the space. Structure is the part that a compressor saves. The same sample in random order keeps only its
composition; it also shows the gain or loss of a compressor on so few symbols.
"""

import gzip
import heapq
import lzma
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from orthrus.errors import InputError
from orthrus.genome.codes import BASE_BITS, Codes
from orthrus.genome.files import open_bytes

REFERENCE_TEXT = "Alice's Adventures in Wonderland (Carroll 1865; public domain)"
TEXT_ALPHABET = 27
_TABLE_BITS = 8  # for the length of one k-mer's code


class Sample(NamedTuple):
    """Symbols 0..alphabet - 1, uint8 (n,)."""

    symbols: NDArray[np.uint8]
    alphabet: int


def bases(codes: Codes) -> NDArray[np.uint8]:
    """A, C, G, T as 0..3, without N."""
    base = codes & np.uint8(BASE_BITS)
    return base[base > 0] - np.uint8(1)


def read_text(path: Path | None = None) -> Sample:
    """A text, by default the one in this package, in the letters a to z (0..25) and the space (26).

    Letters are lowercased and everything else is space. Raises InputError for a file of fewer than 1,000 letters.
    """
    if path is None:
        data = gzip.decompress(resources.files("orthrus.analyse").joinpath("alice.txt.gz").read_bytes())
    else:
        with open_bytes(path) as stream:
            data = stream.read()
    plain = re.sub(rb"[^a-z]+", b" ", data.lower())
    if len(plain) < 1000:
        raise InputError(f"{path} has {len(plain):,} letters and spaces; expected an English text of at least 1,000")
    letters = np.frombuffer(plain, dtype=np.uint8)
    return Sample(np.where(letters == ord(" "), np.uint8(26), letters - np.uint8(ord("a"))), TEXT_ALPHABET)


def compress(sample: Sample, generator: np.random.Generator) -> Iterator[dict[str, Any]]:
    """Yield a row a compressor: ``method``, ``k``, ``bits_per_symbol``, ``of_uniform``, ``shuffled_of_uniform``.

    The last two are shares of log2 A, for the sample in its own order and in random order.

    ``huffman`` codes disjoint k-mers, for every k with fewer possible k-mers than the sample has; the table of codes is
    part of its size. ``lzma`` (xz, preset 9) and ``zstd`` (level 19) read a byte a symbol.
    """
    shuffled = Sample(generator.permutation(sample.symbols), sample.alphabet)
    uniform = np.log2(sample.alphabet)
    sizes = zip(_sizes(sample), _sizes(shuffled), strict=True)
    for (method, k, bits), (_, _, shuffled_bits) in sizes:
        yield {
            "method": method,
            "k": k,
            "bits_per_symbol": bits / len(sample.symbols),
            "of_uniform": bits / len(sample.symbols) / uniform,
            "shuffled_of_uniform": shuffled_bits / len(sample.symbols) / uniform,
        }


def _sizes(sample: Sample) -> Iterator[tuple[str, int | None, float]]:
    k = 1
    while sample.alphabet**k < len(sample.symbols):
        yield "huffman", k, huffman_bits(sample, k)
        k += 1
    text = sample.symbols.tobytes()
    yield "lzma", None, 8 * len(lzma.compress(text, preset=9))
    yield "zstd", None, 8 * pa.Codec("zstd", compression_level=19).compress(text).size


def huffman_bits(sample: Sample, k: int) -> float:
    """Bits of a sample as Huffman codes (Huffman 1952) of its disjoint k-mers, including the table of codes.

    The total bits of a code are the sum of the merged weights of its tree.
    """
    whole = len(sample.symbols) // k * k
    power = sample.alphabet ** np.arange(k - 1, -1, -1)
    numbers = sample.symbols[:whole].astype(np.int64).reshape(-1, k) @ power
    weights = np.unique(numbers, return_counts=True)[1].tolist()
    table = len(weights) * (k * np.log2(sample.alphabet) + _TABLE_BITS)
    rest = (len(sample.symbols) - whole) * np.log2(sample.alphabet)
    bits = sum(weights) if len(weights) == 1 else 0
    heapq.heapify(weights)
    while len(weights) > 1:
        merged = heapq.heappop(weights) + heapq.heappop(weights)
        bits += merged
        heapq.heappush(weights, merged)
    return float(bits + table + rest)
