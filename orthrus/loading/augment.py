"""Augmentations: what makes two views of a pair harder to match than their sequences are.

Each takes codes, uint8 of any shape (padding is 0 and stays 0), and a generator, and returns new codes of the same
shape. :func:`graft` builds the view of an ortholog that is a coding sequence only.
"""

from abc import ABC, abstractmethod

import numpy as np

from orthrus.errors import InputError
from orthrus.genome.codes import BASE_BITS, Codes

_STOPS = frozenset({(4, 1, 1), (4, 1, 3), (4, 3, 1)})  # TAA, TAG, TGA


class Augmentation(ABC):
    """A random change of codes."""

    @abstractmethod
    def __call__(self, codes: Codes, generator: np.random.Generator) -> Codes:
        """Changed codes, uint8, of the same shape."""


def _draw(shape: tuple[int, ...], fraction: float, generator: np.random.Generator) -> np.ndarray:
    return generator.random(shape, dtype=np.float32) < fraction


def _check(fraction: float, name: str) -> float:
    if not 0 <= fraction <= 1:
        raise InputError(f"{name} is {fraction}; expected a fraction between 0 and 1")
    return fraction


class MaskBases(Augmentation):
    """Clears the base of a random ``fraction`` of positions; CDS and splice bits stay."""

    def __init__(self, fraction: float = 0.3) -> None:
        self.fraction = _check(fraction, "MaskBases.fraction")

    def __call__(self, codes: Codes, generator: np.random.Generator) -> Codes:
        """Codes with the base bits of the drawn positions cleared."""
        return np.where(_draw(codes.shape, self.fraction, generator), codes & ~np.uint8(BASE_BITS), codes)


class MaskTracks(Augmentation):
    """Clears the CDS and splice bits of a random ``fraction`` of positions; bases stay."""

    def __init__(self, fraction: float = 0.3) -> None:
        self.fraction = _check(fraction, "MaskTracks.fraction")

    def __call__(self, codes: Codes, generator: np.random.Generator) -> Codes:
        """Codes with the annotation bits of the drawn positions cleared."""
        return np.where(_draw(codes.shape, self.fraction, generator), codes & np.uint8(BASE_BITS), codes)


def choose_targets(codes: Codes, fraction: float, generator: np.random.Generator) -> tuple[Codes, Codes]:
    """Masked language modelling: hide a random ``fraction`` of the bases that are there.

    Returns the codes with those bases cleared and the targets, uint8 of the same shape: the base (1..4) where it is to
    be predicted and 0 elsewhere. Padding, N and bases already masked are never targets.
    """
    targets = np.where(_draw(codes.shape, fraction, generator), codes & np.uint8(BASE_BITS), np.uint8(0))
    return np.where(targets > 0, codes & ~np.uint8(BASE_BITS), codes), targets


def graft(base: Codes, base_cds: tuple[int, int], ortholog: Codes, ortholog_cds: tuple[int, int]) -> Codes:
    """An ortholog's coding sequence between the base transcript's UTRs, uint8 (L,).

    Intervals are half-open mRNA coordinates. Where the ortholog's CDS has no stop codon and the base's has one, the
    base's stays, so that the frame ends as it does in a transcript and a missing stop betrays no ortholog.
    """
    start, end = base_cds
    coding = ortholog[ortholog_cds[0] : ortholog_cds[1]]
    if _ends_in_stop(base[start:end]) and not _ends_in_stop(coding):
        end -= 3
    return np.concatenate([base[:start], coding, base[end:]])


def _ends_in_stop(coding: Codes) -> bool:
    return tuple((coding[-3:] & BASE_BITS).tolist()) in _STOPS
