"""The codon stem, literally: one transcript at a time, one base at a time, every word that an unknown base may be."""

from itertools import product

import torch
from torch import Tensor


def codon_tokens(
    sequence: str, cds: tuple[int, int] | None, exon_last: set[int], weight: Tensor, region: Tensor, splice: Tensor
) -> tuple[list[Tensor], list[int], list[int]]:
    """Vectors, regions and words of the tokens of a transcript; ``exon_last`` holds the last base of each exon."""
    start = 0 if cds is None else cds[0]
    first = start % 3 - 3 if start % 3 else 0  # where token 0 begins, before the first base unless that is in frame
    last_codon_end = 0 if cds is None else start + 3 * -(-(cds[1] - cds[0]) // 3)
    vectors, regions, words = [], [], []
    for begin in range(first, len(sequence), 3):
        if cds is None:
            where = 3
        elif begin < start and start >= 3:  # fewer bases are what is left of a codon that is cut off
            where = 0
        else:
            where = 1 if begin < last_codon_end else 2
        vector = region[where].clone()
        if exon_last & set(range(begin, begin + 3)):
            vector = vector + splice
        for k in range(3):
            letters = [sequence[i] if 0 <= i < len(sequence) else "N" for i in range(begin + k - 2, begin + k + 1)]
            meant = [_word(word) for word in product(*(letter if letter != "N" else "ACGT" for letter in letters))]
            vector = vector + torch.stack([weight[k, word] for word in meant]).mean(0)
        codon = "".join(sequence[i] if 0 <= i < len(sequence) else "N" for i in range(begin, begin + 3))
        vectors.append(vector)
        regions.append(where)
        words.append(-1 if "N" in codon else _word(tuple(codon)))
    return vectors, regions, words


def _word(letters: tuple[str, ...]) -> int:
    return sum("ACGT".index(letter) * 4 ** (2 - place) for place, letter in enumerate(letters))
