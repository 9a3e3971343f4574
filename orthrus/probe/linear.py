"""Linear probes: ridge and logistic regression with the penalty chosen on validation rows.

N rows, D features, R their rank, T targets or labels, P problems solved side by side, K classes, M parameters.

Features are standardised by the training rows and turned onto those rows' principal axes, once a feature set and
split. There the squared-norm penalty is unchanged, ridge is one division a coefficient for every penalty and target,
and the logistic Hessian at the start is diagonal, so a preconditioned L-BFGS over all labels and penalties at once
needs a dozen or two passes. Everything is float64. 12.6 k x 512 rows: the axes 0.3 s, ridge 0.05 s, logistic of
7 labels x 6 penalties about 2 s, of 84 labels about 6 s on one core.

Penalties are per training row: ridge minimises ``|y - Xw|^2 / n + penalty |w|^2``, that is scikit-learn's
``alpha = n penalty``; logistic minimises the mean log-loss ``+ penalty / 2 |w|^2``, that is ``C = 1 / (n penalty)``.
Intercepts are not penalised. Each target or label has its own penalty, that with the smallest validation error: squared
error or log-loss, proper scores that stay steady where a rare label's ranking does not. A multiclass target has one.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from orthrus.probe.splits import Split

RIDGE_PENALTIES = tuple(float(10**exponent) for exponent in np.arange(-5, 2.5, 0.5))
LOGISTIC_PENALTIES = tuple(float(10.0**exponent) for exponent in range(-4, 2))

TOLERANCE = 1e-7  # root of gradient x inverse Hessian x gradient, about the weighted error left in the logits
MAX_ITERATIONS = 500
HISTORY = 10


@dataclass(frozen=True)
class Fit:
    """``scores_NT``: predictions for the test rows (numbers; logits; log-probabilities of classes), float64, NaN
    where the training rows have one class only. ``penalties``: the chosen one of each target."""

    scores_NT: NDArray[np.float64]
    penalties: tuple[float, ...]


@dataclass(frozen=True)
class Axes:
    """Features in principal axes of the training rows: ``train_NR`` and so on, ``variance_R`` that of train_NR."""

    train_NR: Tensor
    validation_NR: Tensor
    test_NR: Tensor
    variance_R: Tensor


@contextmanager
def threads_for(n_values: int) -> Iterator[None]:
    """One thread for a matrix of fewer than a million values, else as many as there were.

    On small problems threads wait for each other more than they work: on a machine that others use too, a thousand
    labels by 64 features took 65 s on two threads and 4 s on one.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1 if n_values < 1_000_000 else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def principal_axes(features_ND: NDArray[np.float32], split: Split) -> Axes:
    """Standardise by the training rows alone and turn onto their principal axes; no direction with variance is lost.

    A feature that is constant in training is ignored. The decomposition is of D x D or N x N, whichever is smaller.
    """
    sides = [torch.from_numpy(features_ND[rows]).double() for rows in (split.train, split.validation, split.test)]
    train = sides[0]
    mean_D, std_D = train.mean(dim=0), train.std(dim=0, correction=0)
    constant_D = std_D <= 1e-6 * train.abs().amax(dim=0)
    inverse_D = torch.where(constant_D, 0.0, 1 / torch.where(constant_D, 1.0, std_D))
    sides = [(side - mean_D) * inverse_D for side in sides]
    train = sides[0]
    n_rows, n_features = train.shape
    if n_features <= n_rows:
        variance, axes_DR = _eigh(train.T @ train / n_rows)
    else:
        variance, left_NR = _eigh(train @ train.T / n_rows)
        axes_DR = train.T @ (left_NR / (n_rows * variance.clamp_min(1e-300)).sqrt())
    kept = variance > 1e-10 * variance[-1].clamp_min(1e-300)
    axes_DR = axes_DR[:, kept]
    train_NR, validation_NR, test_NR = (side @ axes_DR for side in sides)
    return Axes(train_NR, validation_NR, test_NR, variance[kept])


def _eigh(symmetric: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, ascending, and eigenvectors; by NumPy, measured 3-8x faster here than torch.linalg.eigh."""
    values, vectors = np.linalg.eigh(symmetric.numpy())
    return torch.from_numpy(values), torch.from_numpy(vectors)


def fit_ridge(
    axes: Axes,
    targets_NT: NDArray[np.float64],
    split: Split,
    penalties: tuple[float, ...] = RIDGE_PENALTIES,
) -> Fit:
    """Ridge regression of each target, ``targets_NT`` over all rows that ``split`` divides."""
    train_NT, validation_NT = (torch.from_numpy(targets_NT[rows]) for rows in (split.train, split.validation))
    mean_T = train_NT.mean(dim=0)
    covariance_RT = axes.train_NR.T @ (train_NT - mean_T) / len(train_NT)
    penalties_P = torch.tensor(penalties, dtype=torch.float64)
    shrunk_PR1 = 1 / (axes.variance_R + penalties_P[:, None])[:, :, None]
    weights_PRT = covariance_RT * shrunk_PR1
    error_PT = ((axes.validation_NR @ weights_PRT + mean_T - validation_NT) ** 2).mean(dim=1)
    best_T = error_PT.argmin(dim=0)
    weights_RT = weights_PRT[best_T, :, torch.arange(len(best_T))].T
    return Fit(
        scores_NT=(axes.test_NR @ weights_RT + mean_T).numpy(),
        penalties=tuple(penalties_P[best_T].tolist()),
    )


def fit_logistic(
    axes: Axes,
    labels_NT: NDArray[np.float64],
    split: Split,
    penalties: tuple[float, ...] = LOGISTIC_PENALTIES,
) -> Fit:
    """Logistic regression of each 0/1 label on its own, ``labels_NT`` over all rows that ``split`` divides."""
    train_NT = labels_NT[split.train]
    fitted = np.flatnonzero((train_NT != train_NT[0]).any(axis=0))
    targets_TN = torch.from_numpy(train_NT[:, fitted].T.copy())
    validation_TN = torch.from_numpy(labels_NT[split.validation][:, fitted].T.copy())
    n_labels = len(fitted)
    penalties_P = torch.tensor(penalties, dtype=torch.float64).repeat_interleave(n_labels)
    label_of_P = torch.arange(n_labels).repeat(len(penalties))

    def evaluate(params_PM: Tensor, problems_P: Tensor) -> tuple[Tensor, Tensor]:
        weights_PR = params_PM[:, :-1]
        logits_PN = torch.addmm(params_PM[:, -1:], weights_PR, axes.train_NR.T)
        wanted_PN = targets_TN[label_of_P[problems_P]]
        loss_P = (F.softplus(logits_PN) - wanted_PN * logits_PN).mean(dim=1)
        residual_PN = logits_PN.sigmoid_().sub_(wanted_PN).div_(logits_PN.shape[1])
        return _penalised(loss_P, residual_PN @ axes.train_NR, residual_PN, weights_PR, penalties_P[problems_P])

    rate_P = targets_TN.mean(dim=1)[label_of_P]
    curvature_P = rate_P * (1 - rate_P)
    start_PM = torch.zeros(len(penalties_P), len(axes.variance_R) + 1, dtype=torch.float64)
    start_PM[:, -1] = torch.logit(rate_P)
    curvature_PM = F.pad(curvature_P[:, None] * axes.variance_R, (0, 1)) + penalties_P[:, None]
    curvature_PM[:, -1] = curvature_P
    params_PM = minimise(evaluate, start_PM, 1 / curvature_PM)

    logits_PN = torch.addmm(params_PM[:, -1:], params_PM[:, :-1], axes.validation_NR.T)
    error_P = (F.softplus(logits_PN) - validation_TN[label_of_P] * logits_PN).mean(dim=1)
    best_T = error_P.view(len(penalties), n_labels).argmin(dim=0)
    chosen_TM = params_PM[best_T * n_labels + torch.arange(n_labels)]
    scores_NT = np.full((len(split.test), labels_NT.shape[1]), np.nan)
    scores_NT[:, fitted] = torch.addmm(chosen_TM[:, -1], axes.test_NR, chosen_TM[:, :-1].T).numpy()
    chosen = np.full(labels_NT.shape[1], np.nan)
    chosen[fitted] = np.array(penalties)[best_T.numpy()]
    return Fit(scores_NT, tuple(chosen.tolist()))


def fit_softmax(
    axes: Axes,
    classes_NK: NDArray[np.float64],
    split: Split,
    penalties: tuple[float, ...] = LOGISTIC_PENALTIES,
) -> Fit:
    """Multinomial logistic regression of one-hot ``classes_NK`` over all rows that ``split`` divides."""
    fitted = np.flatnonzero(classes_NK[split.train].any(axis=0))
    train_KN = torch.from_numpy(classes_NK[split.train][:, fitted].T.copy())
    validation_KN = torch.from_numpy(classes_NK[split.validation][:, fitted].T.copy())
    n_classes, n_axes = len(fitted), len(axes.variance_R)
    penalties_P = torch.tensor(penalties, dtype=torch.float64)

    # The Hessian at the start is (diag(rate) - rate rate') x variance: diagonal in the eigenvectors of its first factor
    # and the principal axes of the features. One eigenvector moves all classes alike, which changes nothing.
    rate_K = train_KN.mean(dim=1)
    curvature_K, turn_KK = _eigh(torch.diag(rate_K) - torch.outer(rate_K, rate_K))
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
    params_PM = minimise(evaluate, start_PM, 1 / curvature_PKM.flatten(1))

    error_P = -(log_probabilities(params_PM, axes.validation_NR) * validation_KN).sum(dim=1).mean(dim=1)
    best = int(error_P.argmin())
    scores_NK = np.full((len(split.test), classes_NK.shape[1]), np.nan)
    scores_NK[:, fitted] = log_probabilities(params_PM[best : best + 1], axes.test_NR)[0].T.numpy()
    return Fit(scores_NK, (penalties[best],))


def _penalised(
    loss_P: Tensor, gradient: Tensor, residual: Tensor, weights: Tensor, penalties_P: Tensor
) -> tuple[Tensor, Tensor]:
    """Loss and flat gradient with the penalty on weights but not on the intercept, which comes last."""
    penalty = penalties_P.view(-1, *[1] * (weights.dim() - 1))
    loss_P = loss_P + 0.5 * (penalty * weights**2).flatten(1).sum(dim=1)
    return loss_P, torch.cat([gradient + penalty * weights, residual.sum(dim=-1, keepdim=True)], dim=-1).flatten(1)


def minimise(
    evaluate: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], start_PM: Tensor, inverse_curvature_PM: Tensor
) -> Tensor:
    """Minima (P, M) of P independent, strictly convex functions of M parameters, by L-BFGS with backtracking.

    ``evaluate(params_AM, problems_A)`` gives values (A,) and gradients (A, M) of the problems of those numbers.
    ``inverse_curvature_PM`` is the first guess of the inverse Hessian's diagonal. Problems that are done are left out
    of the batch once they are half of it. Raises RuntimeError if MAX_ITERATIONS do not reach TOLERANCE.
    """
    result_PM = start_PM.clone()
    problems = torch.arange(len(start_PM))
    params, inverse = start_PM, inverse_curvature_PM
    value, gradient = evaluate(params, problems)
    history: list[tuple[Tensor, Tensor]] = []
    for _ in range(MAX_ITERATIONS):
        direction = -_times_inverse_hessian(gradient, inverse, history)
        slope = (gradient * direction).sum(dim=1)
        active = -slope > TOLERANCE**2
        if not active.any():
            result_PM[problems] = params
            return result_PM
        if active.sum() <= len(active) / 2:
            result_PM[problems] = params
            problems, params, inverse = problems[active], params[active], inverse[active]
            value, gradient, direction, slope = value[active], gradient[active], direction[active], slope[active]
            history = [(step[active], change[active]) for step, change in history]
            active = active[active]
        direction *= active[:, None]
        new_params, new_value, new_gradient = _backtrack(evaluate, problems, params, value, slope, direction)
        history = [*history, (new_params - params, new_gradient - gradient)][-HISTORY:]
        params, value, gradient = new_params, new_value, new_gradient
    raise RuntimeError(
        f"logistic regression: {int(active.sum())} problems have not converged in {MAX_ITERATIONS} steps"
    )


def _backtrack(
    evaluate: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    problems: Tensor,
    params: Tensor,
    value: Tensor,
    slope: Tensor,
    direction: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Parameters, values and gradients after a step along ``direction``, halved until the value falls enough."""
    new_params = params + direction
    new_value, new_gradient = evaluate(new_params, problems)
    scale = torch.ones_like(value)
    for _ in range(30):
        # The last term lets a step pass whose gain is lost in the value's rounding.
        failed = ~(new_value <= value + 1e-4 * scale * slope + 1e-15 * value.abs())
        if not failed.any():
            break
        scale[failed] /= 2
        new_params[failed] = params[failed] + scale[failed, None] * direction[failed]
        new_value[failed], new_gradient[failed] = evaluate(new_params[failed], problems[failed])
    return new_params, new_value, new_gradient


def _times_inverse_hessian(gradient: Tensor, inverse: Tensor, history: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The two-loop recursion of L-BFGS (Nocedal and Wright, Numerical Optimization, algorithm 7.4), row by row."""
    vector = gradient.clone()
    passed = []
    for step, change in reversed(history):
        along = (step * change).sum(dim=1, keepdim=True)
        inverse_along = torch.where(along > 1e-300, 1 / along, 0.0)  # 0: a problem that stood still
        weight = (step * vector).sum(dim=1, keepdim=True) * inverse_along
        vector -= weight * change
        passed.append((step, change, inverse_along, weight))
    vector *= inverse
    if history:
        step, change = history[-1]
        along = (step * change).sum(dim=1, keepdim=True)
        length = (change**2 * inverse).sum(dim=1, keepdim=True)
        vector *= torch.where(along > 1e-300, along / length, 1.0)
    for step, change, inverse_along, weight in reversed(passed):
        vector += step * (weight - (change * vector).sum(dim=1, keepdim=True) * inverse_along)
    return vector
