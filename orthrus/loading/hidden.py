"""The targets of masked modelling: bases, annotation, or both. V views, L positions.

Targets are chosen from the codes before any augmentation, so that bits which an augmentation clears do not change them.
"""

import numpy as np
from numpy.typing import NDArray

from orthrus.genome.codes import ANNOTATION_TARGET, BASE_BITS, CDS_BIT, SPLICE_BIT, Codes
from orthrus.loading.draws import choose

ANNOTATION_BITS = CDS_BIT | SPLICE_BIT


def hide_targets(
    codes_VL: Codes,
    lengths_V: NDArray[np.int64],
    base_fraction: float,
    annotation_fraction: float,
    generator: np.random.Generator,
) -> tuple[Codes, Codes]:
    """Hide bases and annotation at random positions; returns the remaining codes and the targets, both uint8 (V, L).

    Bits 0-2 of a target are the base (1..4) to predict, 0 for none; N and padding are never predicted. Bit 5 is set
    where the annotation is predicted, and bits 3 and 4 are then its CDS and splice bits. Every bit of a track in the
    targets is cleared in the codes.
    """
    targets_VL = np.zeros_like(codes_VL)
    if base_fraction:
        targets_VL = choose(codes_VL.shape, base_fraction, generator) * np.uint8(BASE_BITS) & codes_VL
    if annotation_fraction:
        asked_VL = choose(codes_VL.shape, annotation_fraction, generator)
        asked_VL &= np.arange(codes_VL.shape[1]) < lengths_V[:, None]
        targets_VL |= asked_VL * np.uint8(ANNOTATION_TARGET) | asked_VL * np.uint8(ANNOTATION_BITS) & codes_VL
    return codes_VL & ~targets_VL, targets_VL
