"""Losses that draw partners together and other families apart. N pairs of this rank, M pairs of all ranks.

Each is a pure function of the rows to compare, with a module that holds its settings. In the equations s is the cosine
similarity, T the temperature, w_i the weight of pair i by its kind, i' the partner of row i in the other view, and j a
negative of i: a row of another pair and, given families, of another family. The loss of a batch is the mean over its
pairs. Cost: two (sigmoid: half a) N x M x D products a view.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from orthrus.objectives.pair_rows import PairLoss, PairRows, check_temperature, log_sum_exp


def decoupled(rows: PairRows, temperature: float) -> Tensor:
    """Decoupled contrastive loss (Yeh et al. 2022, arXiv 2110.06848, equation 6), (N,).

        loss_i = -w_i s(i, i') / T + log sum_j exp(s(i, j) / T) + log sum_j exp(s(i, j') / T)

    The first sum is over the negatives in i's own view, the second over those in the other view; the loss is the mean
    of the two directions. The weight multiplies the positive term only, as published; a sum without negatives is 0.
    """
    negative_NM = ~rows.family_NM
    loss_N = -rows.weight_N * rows.partners() / temperature
    for cosine_2NM in (rows.within(), rows.across()):
        loss_N = loss_N + log_sum_exp(cosine_2NM / temperature, negative_NM, empty=0).mean(0)
    return loss_N


def info_nce(rows: PairRows, temperature: float, within_view: bool = True) -> Tensor:
    """NT-Xent (Chen et al. 2020, arXiv 2002.05709, equation 1), (N,), the InfoNCE of both views.

        loss_i = -w_i log( exp(s(i, i') / T) / (exp(s(i, i') / T) + sum_j exp(s(i, j) / T) + sum_j exp(s(i, j') / T)) )

    The loss is the mean of the two directions. Without ``within_view`` the sum over i's own view is omitted, which
    gives InfoNCE (van den Oord et al. 2018, arXiv 1807.03748) in the symmetric form of CLIP.
    """
    across_2NM = rows.across() / temperature
    total_2N = log_sum_exp(across_2NM, ~rows.family_NM | rows.pair_NM, empty=0)  # the partner is always part of the sum
    if within_view:
        within_2N = log_sum_exp(rows.within() / temperature, ~rows.family_NM, empty=-torch.inf)
        total_2N = torch.logaddexp(total_2N, within_2N)
    return rows.weight_N * (total_2N.mean(0) - rows.partners() / temperature)


def sigmoid(rows: PairRows, log_scale: Tensor, bias: Tensor) -> Tensor:
    """Sigmoid loss (SigLIP; Zhai et al. 2023, arXiv 2303.15343, equation 1), (N,).

        loss_i = -w_i log sigmoid(t s(i, i') + b) - sum_j log sigmoid(-t s(i, j') - b),  t = exp(log_scale)

    It compares rows i of view 0 with rows j' of view 1, every pair of pairs once, in both orders. Rows do not compete
    with each other, so the loss needs no large batch; t and b are learned.
    """
    logit_NM = rows.own_2ND[0] @ rows.all_2MD[1].T * log_scale.exp() + bias
    positive_N = F.logsigmoid(rows.partners() * log_scale.exp() + bias)
    return -rows.weight_N * positive_N - F.logsigmoid(-logit_NM).masked_fill(rows.family_NM, 0).sum(1)


def multi_positive(rows: PairRows, temperature: float) -> Tensor:
    """Supervised contrastive loss (SupCon; Khosla et al. 2020, arXiv 2004.11362, L_out), with families as labels, (N,).

        loss_i = -1 / |P(i)| sum_p w_p log( exp(s(i, p) / T) / (exp(s(i, p) / T) + sum_j exp(s(i, j) / T)) )

    P(i) are all other rows of i's family in either view, w_p is the weight of p's pair, and j runs over the negatives
    in both views; the loss is the mean of the two directions. Unlike in the paper, the other positives are not in the
    denominator, which would push them away. With one pair a family the loss is NT-Xent.
    """
    logit_2NK = torch.cat([rows.within(), rows.across()], dim=2) / temperature
    negative_NK = ~rows.family_NM.repeat(1, 2)
    positive_NK = torch.cat([rows.family_NM & ~rows.pair_NM, rows.family_NM], dim=1)
    negative_2N1 = log_sum_exp(logit_2NK, negative_NK, empty=-torch.inf)[..., None]
    # log(a / (a + b)) as a sigmoid of logits. Without b it is 0, and so is its gradient.
    loss_2NK = -F.logsigmoid(logit_2NK - negative_2N1) * rows.weight_M.repeat(2)
    return (loss_2NK.masked_fill(~positive_NK, 0).sum(2) / positive_NK.sum(1)).mean(0)


class DecoupledContrastiveLoss(PairLoss):
    """Decoupled contrastive loss with weights by pair kind: :func:`decoupled`, the published objective.

    ``loss_fn(view0_ND, view1_ND, pair_kind_N=None, family_N=None)`` returns a scalar, which is correct across ranks
    (:class:`PairLoss`).

    Args:
        temperature: T, above 0.
        self_weight: weight of pairs of a transcript with itself (kind 0).
        splice_weight: weight of pairs of isoforms (kind 1).
        ortholog_weight: weight of pairs of orthologs (kind 2).

    Examples:
        >>> import torch
        >>> loss_fn = DecoupledContrastiveLoss(temperature=0.1)
        >>> view_ND = torch.eye(4, 8)  # four pairs of equal views, orthogonal to each other
        >>> round(float(loss_fn(view_ND, view_ND)), 2)  # -1 / 0.1 + 2 log 3
        -7.8
    """

    def __init__(
        self,
        temperature: float = 0.1,
        self_weight: float = 1.0,
        splice_weight: float = 1.0,
        ortholog_weight: float = 0.8,
    ) -> None:
        super().__init__(self_weight, splice_weight, ortholog_weight)
        self.temperature = check_temperature(temperature)

    def losses(self, rows: PairRows) -> Tensor:
        """The loss of each of ``rows``, (N,)."""
        return decoupled(rows, self.temperature)


class InfoNCELoss(PairLoss):
    """NT-Xent, or with ``within_view=False`` InfoNCE across the views only: :func:`info_nce`."""

    def __init__(
        self,
        temperature: float = 0.1,
        self_weight: float = 1.0,
        splice_weight: float = 1.0,
        ortholog_weight: float = 0.8,
        within_view: bool = True,
    ) -> None:
        super().__init__(self_weight, splice_weight, ortholog_weight)
        self.temperature, self.within_view = check_temperature(temperature), within_view

    def losses(self, rows: PairRows) -> Tensor:
        return info_nce(rows, self.temperature, self.within_view)


class SigmoidLoss(PairLoss):
    """Sigmoid loss with a learned temperature and bias: :func:`sigmoid`.

    The initial values are the paper's, scale 10 and bias -10, so that the many negatives contribute little at first.
    """

    def __init__(
        self,
        temperature: float = 0.1,
        bias: float = -10.0,
        self_weight: float = 1.0,
        splice_weight: float = 1.0,
        ortholog_weight: float = 0.8,
    ) -> None:
        super().__init__(self_weight, splice_weight, ortholog_weight)
        self.log_scale = nn.Parameter(torch.tensor(-math.log(check_temperature(temperature))))
        self.bias = nn.Parameter(torch.tensor(float(bias)))

    @property
    def temperature(self) -> Tensor:
        """The current temperature."""
        return (-self.log_scale).exp()

    def losses(self, rows: PairRows) -> Tensor:
        return sigmoid(rows, self.log_scale, self.bias)


class MultiPositiveLoss(PairLoss):
    """Supervised contrastive loss, with every transcript of the family as a positive: :func:`multi_positive`."""

    def __init__(
        self,
        temperature: float = 0.1,
        self_weight: float = 1.0,
        splice_weight: float = 1.0,
        ortholog_weight: float = 0.8,
    ) -> None:
        super().__init__(self_weight, splice_weight, ortholog_weight)
        self.temperature = check_temperature(temperature)

    def losses(self, rows: PairRows) -> Tensor:
        return multi_positive(rows, self.temperature)
