"""Slow literal versions of the probe's parts."""

from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler


def ridge_test_predictions(
    features: NDArray[np.float32],
    target: NDArray[np.float64],
    sides: Sequence[NDArray[np.int64]],
    penalties: Sequence[float],
) -> tuple[NDArray[np.float64], float]:
    """scikit-learn's ridge fitted anew for each penalty; the one with the least squared error on validation rows."""
    train, validation, test = sides
    scaled = StandardScaler().fit(features[train].astype(np.float64)).transform(features.astype(np.float64))
    best = (np.inf, np.empty(0), np.nan)
    for penalty in penalties:
        model = Ridge(alpha=penalty * len(train), solver="svd").fit(scaled[train], target[train])
        error = np.mean((model.predict(scaled[validation]) - target[validation]) ** 2)
        if error < best[0]:
            best = (error, model.predict(scaled[test]), penalty)
    return best[1], best[2]


def logistic_test_scores(
    features: NDArray[np.float32], target: NDArray[np.int64], sides: Sequence[NDArray[np.int64]], penalty: float
) -> NDArray[np.float64]:
    """scikit-learn's decision function (two classes) or log-probabilities (more) on the test rows."""
    train, _, test = sides
    scaled = StandardScaler().fit(features[train].astype(np.float64)).transform(features.astype(np.float64))
    model = LogisticRegression(C=1 / (penalty * len(train)), solver="newton-cg", tol=1e-9, max_iter=1000)
    model.fit(scaled[train], target[train])
    if len(model.classes_) == 2:
        return np.asarray(model.decision_function(scaled[test]))
    return np.asarray(model.predict_log_proba(scaled[test]))


def kmer_frequencies(sequence: str, max_k: int) -> list[float]:
    """Frequencies of all k-mers by counting slices, windows with an N left out."""
    frequencies: list[float] = []
    for k in range(1, max_k + 1):
        windows = [sequence[i : i + k] for i in range(len(sequence) - k + 1)]
        windows = [window for window in windows if "N" not in window]
        frequencies += [windows.count("".join(kmer)) / max(len(windows), 1) for kmer in product("ACGT", repeat=k)]
    return frequencies


def codon_control(sequence: str, cds_track: Sequence[int], n_exons: int) -> list[float]:
    """The codon control's 238 numbers by counting slices; ``cds_track`` is 1 at the first base of each codon."""
    starts = [i for i, first in enumerate(cds_track) if first]
    codons = [sequence[i : i + 3] for i in starts]
    codons = [codon for codon in codons if len(codon) == 3 and "N" not in codon]
    begin = starts[0] if starts and starts[0] > 2 else 0  # one or two bases are what is left of a codon
    five_prime = sequence[:begin]
    cds = sequence[begin : starts[-1] + 3] if starts else ""
    three_prime = sequence[starts[-1] + 3 :] if starts else ""
    numbers = [codons.count("".join(codon)) / max(len(codons), 1) for codon in product("ACGT", repeat=3)]
    numbers += kmer_frequencies(five_prime, 3) + kmer_frequencies(three_prime, 3)
    lengths = [len(part) for part in (sequence, five_prime, cds, three_prime)]
    return [*numbers, *(float(np.log2(1 + n)) for n in (*lengths, n_exons)), float(n_exons > 0)]


def weighted_ridge_test_predictions(
    blocks: Sequence[NDArray[np.float32]],
    weights: Sequence[Sequence[float]],
    target: NDArray[np.float64],
    sides: Sequence[NDArray[np.int64]],
    penalties: Sequence[float],
) -> NDArray[np.float64]:
    """scikit-learn's ridge of blocks that are standardised, then weighted: the weights and penalty of least error."""
    train, validation, test = sides
    standard = [
        StandardScaler().fit(block[train].astype(np.float64)).transform(block.astype(np.float64)) for block in blocks
    ]
    best = (np.inf, np.empty(0))
    for of_block in weights:
        scaled = np.hstack([weight * block for weight, block in zip(of_block, standard, strict=True)])
        for penalty in penalties:
            model = Ridge(alpha=penalty * len(train), solver="svd").fit(scaled[train], target[train])
            error = np.mean((model.predict(scaled[validation]) - target[validation]) ** 2)
            if error < best[0]:
                best = (error, model.predict(scaled[test]))
    return best[1]
