import heapq
from pathlib import Path

import numpy as np
import pytest

from orthrus import InputError
from orthrus.analyse.compression import Sample, bases, compress, huffman_bits, read_text
from orthrus.genome.codes import annotate, encode_bases


def code_lengths(words: list[tuple[int, ...]]) -> dict[tuple[int, ...], int]:
    """Bits of each word's Huffman code, from a tree that is built and walked."""
    counts = {word: words.count(word) for word in set(words)}
    heap: list[tuple[int, int, object]] = [(n, i, word) for i, (word, n) in enumerate(sorted(counts.items()))]
    heapq.heapify(heap)
    number = len(heap)
    while len(heap) > 1:
        (a, _, left), (b, _, right) = heapq.heappop(heap), heapq.heappop(heap)
        heapq.heappush(heap, (a + b, number, [left, right]))
        number += 1
    depths: dict[tuple[int, ...], int] = {}

    def walk(node: object, depth: int) -> None:
        if isinstance(node, list):
            for child in node:
                walk(child, depth + 1)
        else:
            depths[node] = max(depth, 1)  # type: ignore[index]

    walk(heap[0][2], 0)
    return depths


@pytest.mark.parametrize("k", [1, 2, 3])
def test_huffman_bits_are_those_of_a_tree(k: int) -> None:
    generator = np.random.default_rng(k)
    symbols = generator.choice(4, 301, p=[0.6, 0.2, 0.15, 0.05]).astype(np.uint8)
    words = [tuple(symbols[i : i + k].tolist()) for i in range(0, 301 // k * k, k)]
    lengths = code_lengths(words)
    expected = sum(lengths[word] for word in words) + len(lengths) * (2 * k + 8) + 301 % k * 2
    assert huffman_bits(Sample(symbols, 4), k) == expected


def test_a_single_symbol_costs_a_bit() -> None:
    assert huffman_bits(Sample(np.zeros(100, np.uint8), 4), 1) == 100 + 10


def test_random_bases_have_no_structure_and_repeats_have() -> None:
    generator = np.random.default_rng(0)
    random = Sample(generator.integers(0, 4, 20_000).astype(np.uint8), 4)
    repeats = Sample(np.tile(random.symbols[:100], 200), 4)
    of_random, of_repeats = (
        {(row["method"], row["k"]): row for row in compress(sample, generator)} for sample in (random, repeats)
    )
    assert set(of_random) == {*(("huffman", k) for k in range(1, 8)), ("lzma", None), ("zstd", None)}
    assert of_random["huffman", 1]["of_uniform"] == pytest.approx(1, abs=0.01)
    for key in (("lzma", None), ("zstd", None)):
        assert of_random[key]["of_uniform"] == pytest.approx(of_random[key]["shuffled_of_uniform"], abs=0.02)
        assert of_repeats[key]["of_uniform"] < 0.1
        assert of_repeats[key]["shuffled_of_uniform"] > 0.9


def test_the_reference_text_is_letters_and_spaces(tmp_path: Path) -> None:
    english = read_text()
    assert english.alphabet == 27
    assert len(english.symbols) > 130_000
    letters = "abcdefghijklmnopqrstuvwxyz "
    assert "alice was beginning to get very tired" in "".join(letters[s] for s in english.symbols[:500])
    mine = tmp_path / "mine.txt"
    mine.write_text("To be, or NOT to be:  " * 100)
    assert "".join(letters[s] for s in read_text(mine).symbols[:19]) == "to be or not to be "
    mine.write_text("ab")
    with pytest.raises(InputError, match="has 2 letters and spaces"):
        read_text(mine)


def test_bases_are_without_n_and_annotation() -> None:
    codes = annotate(encode_bases("ACNGTU", "test"), (0, 6), [6])
    assert bases(codes).tolist() == [0, 1, 2, 3, 3]
