"""Random choices of positions, fast and the same everywhere.

The bits come from NumPy's SFC64, seeded for every batch, so they depend only on the seed, and not on the worker, the
number of threads or the version of a compiler. A position takes 16 bits, 0.4 ns, against 2.5 ns for a float.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from orthrus.errors import InputError

_LEVELS = 1 << 16


def seeded(seed: Sequence[int]) -> np.random.Generator:
    """The generator of a batch whose seed is a few non-negative integers."""
    return np.random.Generator(np.random.SFC64(tuple(seed)))


def choose(shape: tuple[int, ...], fraction: float, generator: np.random.Generator) -> NDArray[np.uint8]:
    """1 at random positions and 0 elsewhere, uint8 of ``shape``.

    A position is chosen with probability ``fraction``, rounded to a multiple of 2**-16, independently of the others.
    Of each 64 bits of the generator, the lowest 16 belong to the first of four positions in C order.
    """
    n = int(np.prod(shape))
    lanes = generator.bit_generator.random_raw(-(-n // 4)).astype("<u8", copy=False).view("<u2")
    return (lanes[:n] < round(fraction * _LEVELS)).view(np.uint8).reshape(shape)


def check_fraction(fraction: float, name: str) -> float:
    """``fraction``; raises InputError, by ``name``, unless it is between 0 and 1."""
    if not 0 <= fraction <= 1:
        raise InputError(f"{name} is {fraction}; expected a fraction between 0 and 1")
    return fraction
