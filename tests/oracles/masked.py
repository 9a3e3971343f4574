"""Losses at single positions, literally: one position at a time."""

import math

Logits = list[list[list[float]]]


def masked_base_loss(logits_BL4: Logits, targets_BL: list[list[int]]) -> tuple[float, float]:
    """Mean cross-entropy over bases to predict (bits 0-2), and the share guessed."""
    losses, hits = [], []
    for logits_L4, targets_L in zip(logits_BL4, targets_BL, strict=True):
        for logits, target in zip(logits_L4, targets_L, strict=True):
            if base := target % 8:
                losses.append(-math.log(math.exp(logits[base - 1]) / sum(math.exp(x) for x in logits)))
                hits.append(logits[base - 1] == max(logits))
    return sum(losses) / len(losses), sum(hits) / len(hits)


def annotation_loss(logits_BL2: Logits, targets_BL: list[list[int]]) -> tuple[float, float]:
    """Mean binary cross-entropy of CDS (bit 3) and splice (bit 4) where bit 5 asks for them."""
    losses: tuple[list[float], list[float]] = ([], [])
    for logits_L2, targets_L in zip(logits_BL2, targets_BL, strict=True):
        for logits, target in zip(logits_L2, targets_L, strict=True):
            if target // 32 % 2:
                for track, bit in enumerate((8, 16)):
                    present = 1 / (1 + math.exp(-logits[track]))
                    losses[track].append(-math.log(present if target // bit % 2 else 1 - present))
    return sum(losses[0]) / len(losses[0]), sum(losses[1]) / len(losses[1])


def next_token_loss(logits_BLW: Logits, word_BL: list[list[int]]) -> tuple[float, float]:
    """Mean cross-entropy of the next word over positions before a known one, and the share guessed."""
    losses, hits = [], []
    for logits_LW, word_L in zip(logits_BLW, word_BL, strict=True):
        for logits, following in zip(logits_LW, word_L[1:], strict=False):
            if following >= 0:
                losses.append(-math.log(math.exp(logits[following]) / sum(math.exp(x) for x in logits)))
                hits.append(logits[following] == max(logits))
    return sum(losses) / len(losses), sum(hits) / len(hits)
