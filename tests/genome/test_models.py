"""Columns of many transcripts."""

import numpy as np

from orthrus.genome.models import mrna_position


def test_positions_on_the_mrnas_of_millions_of_transcripts() -> None:
    n = (1 << 22) + 3
    start = np.arange(n) * 100
    strand = np.where(np.arange(n) % 2, 1, -1)
    at = mrna_position(start, start + 90, np.arange(n + 1), strand, np.arange(n), start + 30)
    assert np.array_equal(at, np.where(strand > 0, 30, 59))
