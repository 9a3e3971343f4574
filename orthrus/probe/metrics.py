"""Scores of predictions on test rows, and their mean and 95 % interval over seeds.

Regression: Pearson's R, Spearman's rho, R2. Labels: area under the ROC curve and average precision, each the mean over
the labels (or classes) that the test rows can score.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.metrics import average_precision_score, r2_score, roc_auc_score

from orthrus.probe.document import Mean
from orthrus.probe.targets import Task

TITLES = {
    "pearson_r": "Pearson R",
    "spearman_r": "Spearman ρ",
    "r2": "R²",
    "auroc": "AUROC",
    "auprc": "AUPRC",
}
EXPLANATIONS = {
    "pearson_r": "Correlation of prediction and label, −1 to 1; blind to a wrong scale.",
    "spearman_r": "Correlation of the ranks of prediction and label, −1 to 1; only their order counts.",
    "r2": "Share of the labels' variance that is predicted; 0 is predicting their mean, 1 is perfect.",
    "auroc": "Chance that a positive is ranked above a negative; 0.5 is guessing, 1 is perfect.",
    "auprc": "Precision averaged over recall; guessing gives the share of positives, 1 is perfect.",
}
"""One sentence on each metric, for those who read it on a page."""
REGRESSION_METRICS = ("pearson_r", "spearman_r", "r2")
LABEL_METRICS = ("auroc", "auprc")

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class SeedScores:
    """Scores of one feature set on one seed's test rows.

    ``scores`` are means over targets or labels; ``of_label`` has (T,) arrays, empty for a single number.
    ``predicted_NT`` are the predictions (logits, log-probabilities) for the N test rows. ``validation_loss`` chose the
    penalties and the vectors named ``readout``.
    """

    scores: dict[str, float]
    of_label: dict[str, Floats]
    penalties: tuple[float, ...]
    predicted_NT: Floats
    validation_loss: float
    readout: str = ""


def score(task: Task, truth_NT: Floats, predicted_NT: Floats) -> dict[str, Floats]:
    """Every metric of each target or label of N rows, (T,); NaN for one that the rows cannot score."""
    if task is not Task.REGRESSION:
        return label_scores(truth_NT, predicted_NT)
    by_target = [regression_scores(*pair) for pair in zip(truth_NT.T, predicted_NT.T, strict=True)]
    return {metric: np.array([scores[metric] for scores in by_target]) for metric in REGRESSION_METRICS}


def regression_scores(truth_N: Floats, predicted_N: Floats) -> dict[str, float]:
    """``pearson_r``, ``spearman_r`` and ``r2``; the correlations of a constant prediction are 0.

    A constant truth scores nothing: NaN.
    """
    if np.ptp(truth_N) == 0:
        return dict.fromkeys(REGRESSION_METRICS, float("nan"))
    constant = np.ptp(predicted_N) == 0
    return {
        "pearson_r": 0.0 if constant else float(stats.pearsonr(truth_N, predicted_N).statistic),
        "spearman_r": 0.0 if constant else float(stats.spearmanr(truth_N, predicted_N).statistic),
        "r2": float(r2_score(truth_N, predicted_N)),
    }


def label_scores(truth_NT: Floats, scores_NT: Floats) -> dict[str, Floats]:
    """``auroc`` and ``auprc`` of each label, (T,); NaN for a label whose test rows have one value or no score."""
    n_labels = truth_NT.shape[1]
    result = {metric: np.full(n_labels, np.nan) for metric in LABEL_METRICS}
    for label in range(n_labels):
        truth, score = truth_NT[:, label], scores_NT[:, label]
        if np.ptp(truth) > 0 and np.isfinite(score).all():
            result["auroc"][label] = roc_auc_score(truth, score)
            result["auprc"][label] = average_precision_score(truth, score)
    return result


def interval(scores: Sequence[float]) -> Mean:
    """Mean and 95 % t-interval over seeds, the variation of the mean with the splits of these labels."""
    return _t_interval(scores, 1 / max(len(scores), 1))


def paired_p_value(differences: Sequence[float], test_to_train: float) -> float:
    """Two-sided p-value of 'no difference' by the t-test of :func:`corrected_interval`; NaN with one seed."""
    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2:
        return float("nan")
    error = float(np.sqrt(values.var(ddof=1) * (1 / len(values) + test_to_train)))
    if error == 0:
        return 1.0 if values[0] == 0 else 0.0
    return float(2 * stats.t.sf(abs(values.mean()) / error, len(values) - 1))


def corrected_interval(differences: Sequence[float], test_to_train: float) -> Mean:
    """Mean and 95 % interval of paired differences over seeds, for claims that one feature set beats another.

    Training sets of different seeds overlap, so the plain t-interval is too narrow; the variance is multiplied by 1/n +
    n_test/n_train instead of 1/n (Nadeau and Bengio, Machine Learning 52, 2003).
    """
    return _t_interval(differences, 1 / max(len(differences), 1) + test_to_train)


def _t_interval(scores: Sequence[float], variance_factor: float) -> Mean:
    values = np.asarray(scores, dtype=np.float64)
    mean = float(values.mean())
    if len(values) < 2:
        return Mean(mean=mean, interval95=None)
    half = float(stats.t.ppf(0.975, len(values) - 1) * np.sqrt(values.var(ddof=1) * variance_factor))
    return Mean(mean=mean, interval95=(mean - half, mean + half))


def chance(task_metrics: Sequence[str], prevalence: float) -> Mapping[str, float]:
    """The scores of predictions unrelated to the truth: 0.5 for AUROC, the mean prevalence for AUPRC, else 0."""
    return {metric: {"auroc": 0.5, "auprc": prevalence}.get(metric, 0.0) for metric in task_metrics}
