"""The variation of scores with the test families: resamples of whole families, the same for every feature set.

B resamples, F families, N test rows, T targets or labels. A resample draws F of the F families with replacement. A
family has the same count in the test side of every seed, because different seeds share families. 1,000 resamples of one
target of 1,900 rows take a few ms a seed, 200 of 84 labels about 0.1 s.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from orthrus.compiled import compiled
from orthrus.probe.metrics import Floats

Counts = NDArray[np.int16]

SAMPLES, SAMPLES_OF_MANY_LABELS = 1000, 200
MANY_LABELS = 5

_ROUNDING = 1e-12


def family_counts(n_families: int, n_targets: int) -> Counts:
    """How often each family is drawn in each resample, (B, F)."""
    n_samples = SAMPLES if n_targets < MANY_LABELS else SAMPLES_OF_MANY_LABELS
    generator = np.random.default_rng(0)
    counts = np.empty((n_samples, n_families), dtype=np.int16)
    for sample in counts:
        sample[:] = np.bincount(generator.integers(0, n_families, n_families), minlength=n_families)
    return counts


def regression_resamples(truth_NT: Floats, predicted_NT: Floats, counts_BN: Counts) -> Mapping[str, Floats]:
    """``pearson_r``, ``spearman_r`` and ``r2`` of every resample, (B,), mean over the targets that it can score.

    Spearman's rho uses the ranks of the rows among all test rows. A resample whose rows all have the same value scores
    nothing: NaN.
    """
    weights_BN = counts_BN.astype(np.float64)
    weights_BN /= np.maximum(weights_BN.sum(axis=1, keepdims=True), 1)
    by_target: dict[str, list[Floats]] = {"pearson_r": [], "spearman_r": [], "r2": []}
    for truth, predicted in zip(truth_NT.T, predicted_NT.T, strict=True):
        spread = _spread(truth, weights_BN)
        varied = np.where(spread > 0, 1.0, np.nan)
        error = weights_BN @ (truth - predicted) ** 2
        by_target["pearson_r"].append(varied * _correlation(truth, predicted, weights_BN))
        by_target["spearman_r"].append(varied * _correlation(rankdata(truth), rankdata(predicted), weights_BN))
        by_target["r2"].append(1 - error / (varied * spread))
    return {metric: mean_of_known(values) for metric, values in by_target.items()}


def _spread(x: Floats, weights_BN: Floats) -> Floats:
    """The variance in each resample, 0 where it is only an error of rounding."""
    x = x - x.mean()
    found = weights_BN @ x**2 - (weights_BN @ x) ** 2
    return np.where(found > _ROUNDING * np.square(x).max(), found, 0.0)


def _correlation(x: Floats, y: Floats, weights_BN: Floats) -> Floats:
    x, y = x - x.mean(), y - y.mean()
    covariance = weights_BN @ (x * y) - (weights_BN @ x) * (weights_BN @ y)
    spread = np.sqrt(_spread(x, weights_BN)) * np.sqrt(_spread(y, weights_BN))
    return np.where(spread > 0, covariance, 0.0) / np.where(spread > 0, spread, 1.0)


def mean_of_known(values: Sequence[Floats]) -> Floats:
    """Mean over the first axis, without NaN; NaN where there is nothing else."""
    stacked = np.stack(values)
    known = np.isfinite(stacked)
    total, n = np.where(known, stacked, 0).sum(axis=0), known.sum(axis=0)
    means: Floats = np.where(n > 0, total, np.nan) / np.maximum(n, 1)
    return means


def label_resamples(truth_NT: Floats, scores_NT: Floats, counts_BN: Counts) -> Mapping[str, Floats]:
    """``auroc`` and ``auprc`` of every resample, (B,), mean over the labels that it can score, NaN without any."""
    by_label = []
    for truth, score in zip(truth_NT.T, scores_NT.T, strict=True):
        if np.isfinite(score).all() and np.ptp(truth) > 0:
            order = np.argsort(-score, kind="stable")
            last = np.append(np.diff(score[order]) != 0, True)  # last of the rows that share a score
            by_label.append(_areas(truth[order] > 0, last, np.ascontiguousarray(counts_BN[:, order])))
    if not by_label:
        return {metric: np.full(len(counts_BN), np.nan) for metric in ("auroc", "auprc")}
    means = mean_of_known(by_label)
    return {"auroc": means[:, 0], "auprc": means[:, 1]}


@compiled()
def _areas(truth: NDArray[np.bool_], last: NDArray[np.bool_], counts_BN: Counts) -> Floats:
    """Areas under the ROC and precision-recall curves (B, 2) of rows in descending order of score; NaN for one
    class."""
    areas = np.full((len(counts_BN), 2), np.nan)
    for b, counts in enumerate(counts_BN):
        n_true, n_false = 0, 0
        for i, count in enumerate(counts):
            if truth[i]:
                n_true += count
            else:
                n_false += count
        if n_true == 0 or n_false == 0:
            continue
        above_true, above_false, here_true, here_false = 0, 0, 0, 0
        roc, precision = 0.0, 0.0
        for i, count in enumerate(counts):
            if truth[i]:
                here_true += count
            else:
                here_false += count
            if last[i]:
                roc += here_false * (above_true + here_true / 2)
                above_true += here_true
                above_false += here_false
                if here_true:
                    precision += here_true * above_true / (above_true + above_false)
                here_true, here_false = 0, 0
        areas[b, 0] = roc / (n_true * n_false)
        areas[b, 1] = precision / n_true
    return areas
