"""Decoupled contrastive loss over pairs of transcripts. N pairs of this rank, M pairs of all ranks, D features.

View 0 and view 1 of a pair are the projections of two transcripts that should lie close: a transcript and itself under
other masks, two isoforms of one gene, or two orthologs. Costs four N x M products.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from orthrus.errors import InputError
from orthrus.objectives.gather import gather_rows, row_counts, world_size


class DecoupledContrastiveLoss(nn.Module):
    """Decoupled contrastive loss (DCL; Yeh et al. 2022, arXiv 2110.06848), with weights by pair kind.

    With s the cosine similarity, T the temperature and i' the partner of row i in the other view,

        loss_i = -w_i s(i, i') / T + log sum_j exp(s(i, j) / T) + log sum_j exp(s(i, j') / T)

    where j runs over the rows that are negatives of i (another pair and, given families, of another family): first in
    i's own view, then in the other. The weight multiplies the positive term only. The loss is the mean over rows and
    over the two directions; a sum without any negative counts as 0.

    ``loss_fn(view0_ND, view1_ND, pair_kind_N=None, family_N=None)`` -> scalar. ``pair_kind_N``: 0 self, 1 splice,
    2 ortholog; None weighs every pair 1. ``family_N``: integers; rows of one family are not negatives of each other.

    Under torch.distributed each rank passes its own rows, as many as it has. The returned values, averaged over ranks
    as DDP averages gradients, are the value and the gradient of one process with the whole batch.
    """

    def __init__(
        self,
        temperature: float = 0.1,
        self_weight: float = 1.0,
        splice_weight: float = 1.0,
        ortholog_weight: float = 0.8,
    ) -> None:
        super().__init__()
        if temperature <= 0:
            raise InputError(f"temperature must be above 0, got {temperature}")
        self.temperature = temperature
        self.pair_weights = (self_weight, splice_weight, ortholog_weight)

    def forward(
        self, view0_ND: Tensor, view1_ND: Tensor, pair_kind_N: Tensor | None = None, family_N: Tensor | None = None
    ) -> Tensor:
        if view0_ND.ndim != 2 or view0_ND.shape != view1_ND.shape:
            shapes = f"{tuple(view0_ND.shape)} and {tuple(view1_ND.shape)}"
            raise InputError(f"the two views need one shape (pairs, features), got {shapes}")
        with torch.autocast(view0_ND.device.type, enabled=False):  # cosines / temperature need float32
            return self._loss(view0_ND, view1_ND, pair_kind_N, family_N)

    def _loss(self, view0_ND: Tensor, view1_ND: Tensor, pair_kind_N: Tensor | None, family_N: Tensor | None) -> Tensor:
        precision = torch.promote_types(view0_ND.dtype, torch.float32)
        own0_ND, own1_ND = (F.normalize(view.to(precision), dim=-1) for view in (view0_ND, view1_ND))
        all0_MD, all1_MD, negative_NM = _against(own0_ND, own1_ND, family_N)
        positive_N = (own0_ND * own1_ND).sum(-1) / self.temperature
        if pair_kind_N is not None:
            positive_N = positive_N * positive_N.new_tensor(self.pair_weights)[pair_kind_N.long()]
        loss_N = -positive_N
        for own_ND in (own0_ND, own1_ND):
            for other_MD in (all0_MD, all1_MD):
                loss_N = loss_N + 0.5 * _log_sum_exp(own_ND @ other_MD.T / self.temperature, negative_NM)
        return loss_N.sum() * world_size() / max(negative_NM.shape[1], 1)


def _against(own0_ND: Tensor, own1_ND: Tensor, family_N: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Both views of all ranks (M, D), and which of those rows are negatives of this rank's (N, M)."""
    all0_MD, all1_MD, family_M, first = own0_ND, own1_ND, family_N, 0
    if world_size() > 1:
        counts = row_counts(own0_ND)
        all0_MD, all1_MD = gather_rows(torch.cat([own0_ND, own1_ND], dim=-1), counts).chunk(2, dim=-1)
        family_M = None if family_N is None else gather_rows(family_N, counts)
        first = sum(counts[: torch.distributed.get_rank()])
    pair_M = torch.arange(all0_MD.shape[0], device=own0_ND.device)
    negative_NM = pair_M[first : first + own0_ND.shape[0], None] != pair_M
    if family_N is not None and family_M is not None:
        negative_NM &= family_N[:, None] != family_M
    return all0_MD, all1_MD, negative_NM


def _log_sum_exp(logit_NM: Tensor, counted_NM: Tensor) -> Tensor:
    """log sum exp over the counted entries of each row, 0 (and no gradient) where there is none."""
    any_N = counted_NM.any(dim=1)
    # A row of -inf alone would have a NaN gradient, so that row is left as it is and its sum dropped.
    total_N = logit_NM.masked_fill(~counted_NM & any_N[:, None], -torch.inf).logsumexp(dim=1)
    return total_N.masked_fill(~any_N, 0)
