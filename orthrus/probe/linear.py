"""Linear probes: standardised features in principal axes, and ridge regression on them.

N rows, D features, R their rank, T targets, P penalties.

Features are standardised by the training rows and rotated onto the principal axes of those rows, once for each feature
set and split. The rotation preserves the squared-norm penalty, and ridge is then one division for each coefficient,
penalty and target. Everything is float64. 12.6 k x 512 rows: the axes 0.3 s, ridge 0.05 s.

Penalties are per training row: ridge minimises ``|y - Xw|^2 / n + penalty |w|^2``, that is scikit-learn's
``alpha = n penalty``. Intercepts are not penalised. Each target has its own penalty, the one with the smallest squared
error on validation rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from orthrus.probe.splits import Split

RIDGE_PENALTIES = tuple(float(10**exponent) for exponent in np.arange(-5, 2.5, 0.5))


@dataclass(frozen=True)
class Fit:
    """``scores_NT``: predictions for the test rows (numbers; logits; log-probabilities of classes), float64, NaN
    where the training rows have only one class. ``penalties``: the chosen penalty of each target. ``validation_loss``:
    the loss that chose it, mean over targets (squared error in variances of the target; log-loss). ``weights_RT`` and
    ``intercept_T`` give the predictions from principal axes, except for the normalisation of classes."""

    scores_NT: NDArray[np.float64]
    penalties: tuple[float, ...]
    validation_loss: float
    weights_RT: NDArray[np.float64]
    intercept_T: NDArray[np.float64]


@dataclass(frozen=True)
class Axes:
    """Features of each side in principal axes of the training rows; ``variance_R`` is the variance of ``train_NR``.

    The coordinates of x are ``((x - mean_D) * inverse_D) @ axes_DR``; ``inverse_D`` is 0 for a constant feature.
    """

    train_NR: Tensor
    validation_NR: Tensor
    test_NR: Tensor
    variance_R: Tensor
    mean_D: Tensor
    inverse_D: Tensor
    axes_DR: Tensor


@contextmanager
def threads_for(n_values: int) -> Iterator[None]:
    """Use one thread for a matrix of fewer than a million values, else leave the number unchanged.

    On small problems threads mostly wait for each other: on a shared machine, a thousand labels by 64 features took 65
    s on two threads and 4 s on one.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1 if n_values < 1_000_000 else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def principal_axes(features_ND: NDArray[np.float32], split: Split, weight_D: NDArray[np.float64] | None = None) -> Axes:
    """Standardise by the training rows only and rotate onto all of their principal axes that have variance.

    A feature that is constant in training is ignored. Standardised features are multiplied by ``weight_D``; a smaller
    weight means a stronger penalty. The decomposed matrix is D x D or N x N, whichever is smaller.
    """
    sides = [torch.from_numpy(features_ND[rows]).double() for rows in (split.train, split.validation, split.test)]
    train = sides[0]
    mean_D, std_D = train.mean(dim=0), train.std(dim=0, correction=0)
    constant_D = std_D <= 1e-6 * train.abs().amax(dim=0)
    inverse_D = torch.where(constant_D, 0.0, 1 / torch.where(constant_D, 1.0, std_D))
    if weight_D is not None:
        inverse_D = inverse_D * torch.from_numpy(weight_D)
    sides = [(side - mean_D) * inverse_D for side in sides]
    train = sides[0]
    n_rows, n_features = train.shape
    if n_features <= n_rows:
        variance, axes_DR = eigh(train.T @ train / n_rows)
    else:
        variance, left_NR = eigh(train @ train.T / n_rows)
        axes_DR = train.T @ (left_NR / (n_rows * variance.clamp_min(1e-300)).sqrt())
    kept = variance > 1e-10 * variance[-1].clamp_min(1e-300)
    axes_DR = axes_DR[:, kept]
    train_NR, validation_NR, test_NR = (side @ axes_DR for side in sides)
    return Axes(train_NR, validation_NR, test_NR, variance[kept], mean_D, inverse_D, axes_DR)


def eigh(symmetric: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, ascending, and eigenvectors, by NumPy, which is 3-8x faster here than torch.linalg.eigh."""
    values, vectors = np.linalg.eigh(symmetric.numpy())
    return torch.from_numpy(values), torch.from_numpy(vectors)


def fit_ridge(
    axes: Axes,
    targets_NT: NDArray[np.float64],
    split: Split,
    penalties: tuple[float, ...] = RIDGE_PENALTIES,
) -> Fit:
    """Ridge regression of each target; ``targets_NT`` has all rows that ``split`` divides."""
    train_NT, validation_NT = (torch.from_numpy(targets_NT[rows]) for rows in (split.train, split.validation))
    mean_T = train_NT.mean(dim=0)
    covariance_RT = axes.train_NR.T @ (train_NT - mean_T) / len(train_NT)
    penalties_P = torch.tensor(penalties, dtype=torch.float64)
    shrunk_PR1 = 1 / (axes.variance_R + penalties_P[:, None])[:, :, None]
    weights_PRT = covariance_RT * shrunk_PR1
    error_PT = ((axes.validation_NR @ weights_PRT + mean_T - validation_NT) ** 2).mean(dim=1)
    best_T = error_PT.argmin(dim=0)
    weights_RT = weights_PRT[best_T, :, torch.arange(len(best_T))].T
    variance_T = train_NT.var(dim=0, correction=0)
    relative_T = error_PT.amin(dim=0)[variance_T > 0] / variance_T[variance_T > 0]
    return Fit(
        scores_NT=(axes.test_NR @ weights_RT + mean_T).numpy(),
        penalties=tuple(penalties_P[best_T].tolist()),
        validation_loss=float(relative_T.mean()),
        weights_RT=weights_RT.numpy(),
        intercept_T=mean_T.numpy(),
    )
