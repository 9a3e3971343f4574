"""Logistic probes of many labels at once; the penalty of each label is chosen on validation rows.

N rows, R principal axes of the features, T labels, P problems solved side by side, K classes, M parameters.

In principal axes the logistic Hessian at the start is diagonal, so a preconditioned L-BFGS over all labels and
penalties at once needs 12 to 24 passes. Penalties are chosen in float32 from solutions that are accurate enough to rank
them (log-loss to 1e-6); the chosen problem of each label, a sixth of all, is then solved in float64 to the optimum.
10.7 k x 512 rows, 84 labels x 6 penalties: 8 s of one core.

Penalties are per training row: the mean log-loss ``+ penalty / 2 |w|^2`` is minimised, that is scikit-learn's
``C = 1 / (n penalty)``. Intercepts are not penalised. Each label has its own penalty, the one with the smallest
validation log-loss, a proper score that varies less for rare labels than a ranking. A multiclass target has one
penalty.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from orthrus.probe.lbfgs import minimise
from orthrus.probe.linear import Axes, Fit, eigh
from orthrus.probe.splits import Split

LOGISTIC_PENALTIES = tuple(float(10.0**exponent) for exponent in range(-4, 2))

EXACT = 1e-9  # root of gradient x inverse Hessian x gradient, about the weighted error of the logits
EXACT_OF_CLASSES = 1e-7  # with many separable classes, the weakest penalty converges slowly beyond it
NEAR = 1e-3


def fit_logistic(
    axes: Axes,
    labels_NT: NDArray[np.float64],
    split: Split,
    penalties: tuple[float, ...] = LOGISTIC_PENALTIES,
) -> Fit:
    """Separate logistic regression of each 0/1 label; ``labels_NT`` has all rows that ``split`` divides."""
    train_NT = labels_NT[split.train]
    fitted = np.flatnonzero((train_NT != train_NT[0]).any(axis=0))
    scores_NT = np.full((len(split.test), labels_NT.shape[1]), np.nan)
    chosen = np.full(labels_NT.shape[1], np.nan)
    params_MT = np.full((len(axes.variance_R) + 1, labels_NT.shape[1]), np.nan)
    if not len(fitted):
        return Fit(scores_NT, tuple(chosen.tolist()), float("nan"), params_MT[:-1], params_MT[-1])
    train_TN = torch.from_numpy(train_NT[:, fitted].T.copy())
    validation_TN = torch.from_numpy(labels_NT[split.validation][:, fitted].T.copy())
    grid_PT = torch.tensor(penalties, dtype=torch.float64)[:, None].expand(-1, len(fitted))
    start_TM = None
    best_T = torch.zeros(len(fitted), dtype=torch.int64)
    if len(penalties) > 1:
        params_PM = _solve(axes, train_TN, grid_PT, torch.float32, NEAR)
        near_PTM = params_PM.view(len(penalties), len(fitted), -1)
        best_T = torch.stack([_log_loss(near_TM, axes.validation_NR, validation_TN) for near_TM in near_PTM]).argmin(
            dim=0
        )
        start_TM = near_PTM[best_T, torch.arange(len(fitted))]
    penalties_T = grid_PT[best_T, torch.arange(len(fitted))]
    params_TM = _solve(axes, train_TN, penalties_T[None], torch.float64, EXACT, start_TM)
    scores_NT[:, fitted] = _logits(params_TM, axes.test_NR).T.numpy()
    chosen[fitted] = penalties_T.numpy()
    loss = float(_log_loss(params_TM, axes.validation_NR, validation_TN).mean())
    params_MT[:, fitted] = params_TM.T.numpy()
    return Fit(scores_NT, tuple(chosen.tolist()), loss, params_MT[:-1], params_MT[-1])


def _solve(
    axes: Axes,
    train_TN: Tensor,
    penalties_PT: Tensor,
    dtype: torch.dtype,
    tolerance: float,
    start_PM: Tensor | None = None,
) -> Tensor:
    """Weights and intercept of every penalty and label, float64 (P T, R + 1)."""
    features_NR, targets_TN = axes.train_NR.to(dtype), train_TN.to(dtype)
    penalties_P = penalties_PT.flatten().to(dtype)
    label_of_P = torch.arange(len(targets_TN)).repeat(len(penalties_PT))

    def evaluate(params_PM: Tensor, problems_P: Tensor) -> tuple[Tensor, Tensor]:
        logits_PN = _logits(params_PM, features_NR)
        wanted_PN = targets_TN[label_of_P[problems_P]]
        loss_P = (F.softplus(logits_PN) - wanted_PN * logits_PN).mean(dim=1)
        residual_PN = logits_PN.sigmoid_().sub_(wanted_PN).div_(logits_PN.shape[1])
        return _penalised(loss_P, residual_PN @ features_NR, residual_PN, params_PM[:, :-1], penalties_P[problems_P])

    rate_P = targets_TN.mean(dim=1)[label_of_P]
    curvature_P = rate_P * (1 - rate_P)
    if start_PM is None:
        start_PM = torch.zeros(len(penalties_P), features_NR.shape[1] + 1)
        start_PM[:, -1] = torch.logit(rate_P)
    curvature_PM = F.pad(curvature_P[:, None] * axes.variance_R.to(dtype), (0, 1)) + penalties_P[:, None]
    curvature_PM[:, -1] = curvature_P
    return minimise(evaluate, start_PM.to(dtype), 1 / curvature_PM, tolerance).double()


def _logits(params_PM: Tensor, features_NR: Tensor) -> Tensor:
    return torch.addmm(params_PM[:, -1:], params_PM[:, :-1], features_NR.T)


def _log_loss(params_TM: Tensor, features_NR: Tensor, targets_TN: Tensor) -> Tensor:
    logits_TN = _logits(params_TM, features_NR)
    return (F.softplus(logits_TN) - targets_TN * logits_TN).mean(dim=1)


def fit_softmax(
    axes: Axes,
    classes_NK: NDArray[np.float64],
    split: Split,
    penalties: tuple[float, ...] = LOGISTIC_PENALTIES,
) -> Fit:
    """Multinomial logistic regression of one-hot ``classes_NK``, which has all rows that ``split`` divides."""
    fitted = np.flatnonzero(classes_NK[split.train].any(axis=0))
    train_KN = torch.from_numpy(classes_NK[split.train][:, fitted].T.copy())
    validation_KN = torch.from_numpy(classes_NK[split.validation][:, fitted].T.copy())
    n_classes, n_axes = len(fitted), len(axes.variance_R)
    penalties_P = torch.tensor(penalties, dtype=torch.float64)

    # The Hessian at the start is (diag(rate) - rate rate') x variance: diagonal in the eigenvectors of its first factor
    # and the principal axes of the features. One eigenvector moves all classes equally, which has no effect.
    rate_K = train_KN.mean(dim=1)
    curvature_K, turn_KK = eigh(torch.diag(rate_K) - torch.outer(rate_K, rate_K))
    curvature_K1 = curvature_K.clamp_min(0)[:, None]

    def log_probabilities(params_PM: Tensor, features_NR: Tensor) -> Tensor:
        params_PKM = params_PM.view(len(params_PM), n_classes, n_axes + 1)
        turned_PKN = params_PKM[..., :-1] @ features_NR.T + params_PKM[..., -1:]
        return (turn_KK @ turned_PKN).log_softmax(dim=1)

    def evaluate(params_PM: Tensor, problems_P: Tensor) -> tuple[Tensor, Tensor]:
        log_PKN = log_probabilities(params_PM, axes.train_NR)
        loss_P = -(log_PKN * train_KN).sum(dim=1).mean(dim=1)
        residual_PKN = turn_KK.T @ (log_PKN.exp() - train_KN) / train_KN.shape[1]
        weights_PKR = params_PM.view(len(params_PM), n_classes, -1)[..., :-1]
        return _penalised(loss_P, residual_PKN @ axes.train_NR, residual_PKN, weights_PKR, penalties_P[problems_P])

    start_KM = F.pad(torch.zeros(n_classes, n_axes, dtype=torch.float64), (0, 1))
    start_KM[:, -1] = turn_KK.T @ rate_K.log()
    curvature_PKM = F.pad(curvature_K1 * axes.variance_R, (0, 1)) + penalties_P[:, None, None]
    curvature_PKM[..., -1:] = curvature_K1.clamp_min(1e-12)
    start_PM = start_KM.flatten().repeat(len(penalties), 1)
    params_PM = minimise(evaluate, start_PM, 1 / curvature_PKM.flatten(1), EXACT_OF_CLASSES)

    error_P = -(log_probabilities(params_PM, axes.validation_NR) * validation_KN).sum(dim=1).mean(dim=1)
    best = int(error_P.argmin())
    scores_NK = np.full((len(split.test), classes_NK.shape[1]), np.nan)
    scores_NK[:, fitted] = log_probabilities(params_PM[best : best + 1], axes.test_NR)[0].T.numpy()
    params_MK = np.full((n_axes + 1, classes_NK.shape[1]), np.nan)
    params_MK[:, fitted] = (turn_KK @ params_PM[best].view(n_classes, -1)).T.numpy()
    return Fit(scores_NK, (penalties[best],), float(error_P[best]), params_MK[:-1], params_MK[-1])


def _penalised(
    loss_P: Tensor, gradient: Tensor, residual: Tensor, weights: Tensor, penalties_P: Tensor
) -> tuple[Tensor, Tensor]:
    """Loss and flat gradient with the penalty on the weights but not on the intercept, which is last."""
    penalty = penalties_P.view(-1, *[1] * (weights.dim() - 1))
    loss_P = loss_P + 0.5 * (penalty * weights**2).flatten(1).sum(dim=1)
    return loss_P, torch.cat([gradient + penalty * weights, residual.sum(dim=-1, keepdim=True)], dim=-1).flatten(1)
