"""Loading, re-derived position by position."""

import numpy as np

from orthrus.genome.codes import BASE_BITS, Codes

STOPS = {"TAA", "TAG", "TGA"}


def choose(n: int, fraction: float, bit_generator: np.random.BitGenerator) -> list[int]:
    """Positions chosen: four to a 64-bit draw, the lowest 16 bits first."""
    chosen = []
    for position in range(n):
        if position % 4 == 0:
            draw = int(bit_generator.random_raw())
        chosen.append(int((draw >> 16 * (position % 4) & 0xFFFF) < round(fraction * 65536)))
    return chosen


def graft(base: Codes, base_cds: tuple[int, int], ortholog: Codes, ortholog_cds: tuple[int, int]) -> Codes:
    """An ortholog's CDS between the base's UTRs, with the base's stop codon where only the base has one."""
    start, end = base_cds
    coding = ortholog[slice(*ortholog_cds)]
    lends = _ends_in_stop(base[start:end]) and not _ends_in_stop(coding) and len(coding) % 3 == 0
    return np.concatenate([base[:start], coding, base[end - 3 : end] if lends else base[:0], base[end:]])


def _ends_in_stop(coding: Codes) -> bool:
    return "".join("NACGT"[code & BASE_BITS] for code in coding[-3:]) in STOPS


def hide_targets(
    codes: list[int], length: int, asked_bases: list[int], asked_annotation: list[int]
) -> tuple[list[int], list[int]]:
    """A row of codes and of targets, given which positions are asked for."""
    left, targets = [], []
    for position, code in enumerate(codes):
        target = code & 0b00111 if asked_bases[position] else 0
        if asked_annotation[position] and position < length:
            target |= 0b100000 | code & 0b11000
        left.append(code & ~target & 0xFF)
        targets.append(target)
    return left, targets
