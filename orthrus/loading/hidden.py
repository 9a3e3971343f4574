"""What masked modelling is to predict: bases, annotation, or both. V views, L positions.

Targets are chosen from the codes as they are, before any augmentation: what an augmentation hides besides never
becomes the answer.
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
    """Hide bases and annotation at random positions; returns the codes left and the targets, both uint8 (V, L).

    Bits 0-2 of a target are the base (1..4) to predict, 0 where none is: N and padding never are. Bit 5 is set where
    the annotation is to be predicted, and bits 3 and 4 are then its CDS and splice bits. Codes and targets share no
    bit of a track: what is asked was taken.
    """
    targets_VL = np.zeros_like(codes_VL)
    if base_fraction:
        targets_VL = choose(codes_VL.shape, base_fraction, generator) * np.uint8(BASE_BITS) & codes_VL
    if annotation_fraction:
        asked_VL = choose(codes_VL.shape, annotation_fraction, generator)
        asked_VL &= np.arange(codes_VL.shape[1]) < lengths_V[:, None]
        targets_VL |= asked_VL * np.uint8(ANNOTATION_TARGET) | asked_VL * np.uint8(ANNOTATION_BITS) & codes_VL
    return codes_VL & ~targets_VL, targets_VL
