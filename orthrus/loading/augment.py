"""Augmentations of codes, which make the two views of a pair harder to match.

Each takes codes, uint8 (V, L) with one view a row (padding is 0 and stays 0), and a generator, and returns new codes of
the same shape. They run in the worker that builds a batch. Changes of the length of a view are made when batches are
planned (:mod:`orthrus.loading.views`).
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from orthrus.genome.codes import BASE_BITS, CDS_BIT, SPLICE_BIT, Codes
from orthrus.loading.draws import check_fraction, choose


class Augmentation(ABC):
    """A random change of codes that keeps every view's length."""

    @abstractmethod
    def __call__(self, codes_VL: Codes, generator: np.random.Generator) -> Codes:
        """Changed codes, uint8 (V, L)."""


@dataclass(frozen=True)
class MaskBases(Augmentation):
    """Clears the base of a random ``fraction`` of positions; CDS and splice bits stay."""

    fraction: float = 0.3

    def __post_init__(self) -> None:
        check_fraction(self.fraction, "MaskBases.fraction")

    def __call__(self, codes_VL: Codes, generator: np.random.Generator) -> Codes:
        """Codes with the base bits of the drawn positions cleared."""
        return codes_VL & ~(choose(codes_VL.shape, self.fraction, generator) * np.uint8(BASE_BITS))


@dataclass(frozen=True)
class MaskTracks(Augmentation):
    """Clears the CDS and splice bits of a random ``fraction`` of positions; bases stay."""

    fraction: float = 0.3

    def __post_init__(self) -> None:
        check_fraction(self.fraction, "MaskTracks.fraction")

    def __call__(self, codes_VL: Codes, generator: np.random.Generator) -> Codes:
        """Codes with the annotation bits of the drawn positions cleared."""
        return codes_VL & ~(choose(codes_VL.shape, self.fraction, generator) * np.uint8(CDS_BIT | SPLICE_BIT))


@dataclass(frozen=True)
class DropTracks(Augmentation):
    """Clears a whole track of a view: the CDS track with probability ``cds``, the splice track with ``splice``."""

    cds: float = 0.1
    splice: float = 0.1

    def __post_init__(self) -> None:
        check_fraction(self.cds, "DropTracks.cds")
        check_fraction(self.splice, "DropTracks.splice")

    def __call__(self, codes_VL: Codes, generator: np.random.Generator) -> Codes:
        """Codes in which the drawn tracks of the drawn views are empty."""
        one_a_view = (len(codes_VL), 1)
        dropped_V1 = choose(one_a_view, self.cds, generator) * np.uint8(CDS_BIT)
        dropped_V1 |= choose(one_a_view, self.splice, generator) * np.uint8(SPLICE_BIT)
        return codes_VL & ~dropped_V1
