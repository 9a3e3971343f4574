"""Pairs as rows to compare, and the common part of all losses over pairs.

N pairs of this rank; M pairs to compare with: those of all ranks, then those stored from past steps.

View 0 and view 1 of a pair are the projections, of D features, of two transcripts that should be close: a transcript
and itself with other masks, two isoforms of one gene, or two orthologs.
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from orthrus.errors import InputError
from orthrus.nn.ranks import gather_rows, row_counts, world_size
from orthrus.store.pairs import PairKind


class PastPairs(NamedTuple):
    """K pairs of past steps, the same on all ranks, without gradient."""

    views_2KD: Tensor
    """Both views, on the unit sphere."""
    kind_K: Tensor
    family_K: Tensor


class PairRows(NamedTuple):
    """The views of this rank's pairs (anchors) and of the pairs to compare with, on the unit sphere."""

    own_2ND: Tensor
    """Both views of this rank's pairs."""
    all_2MD: Tensor
    """Both views of the pairs to compare with; the gradient of a pair of this step goes to its rank."""
    pair_NM: Tensor
    """bool: column j is row i's own pair."""
    family_NM: Tensor
    """bool: column j is of row i's family, its own pair included. Such a row is never a negative."""
    weight_N: Tensor
    """Weights of this rank's pairs, by kind."""
    weight_M: Tensor
    """Weights of the pairs to compare with, by kind."""
    n_pairs: int
    """The number of this step's pairs on all ranks."""

    def partners(self) -> Tensor:
        """Cosine of the two views of each pair (N,)."""
        return (self.own_2ND[0] * self.own_2ND[1]).sum(-1)

    def within(self) -> Tensor:
        """Cosines of anchors of view 0 with views 0, and of anchors of view 1 with views 1 (2, N, M)."""
        return self.own_2ND @ self.all_2MD.mT

    def across(self) -> Tensor:
        """Cosines of anchors of view 0 with views 1, and of anchors of view 1 with views 0 (2, N, M)."""
        return self.own_2ND @ self.all_2MD.flip(0).mT


MAX_WEIGHT = 1_000_000
"""The largest weight of a kind of pairs; sums of losses could overflow beyond it."""


class PairLoss(nn.Module, ABC):
    """A loss over pairs: ``loss_fn(view0_ND, view1_ND, pair_kind_N=None, family_N=None)`` -> scalar.

    ``pair_kind_N``: 0 self, 1 splice, 2 ortholog, which gives the weight of a pair; None: every pair has weight 1.
    ``family_N``: integers; rows of one family are not negatives of each other. None: every pair is its own family.

    ``past``: pairs of past steps to compare with too (cross-batch memory; Wang et al. 2020, arXiv 1912.06798); it needs
    ``pair_kind_N`` and ``family_N``. They are not anchors; the loss is the mean over this step's pairs.

    Under torch.distributed each rank passes its own rows, in any number. The mean over ranks of the returned values,
    and of their gradients as in DDP, equals that of one process with the whole batch.

    Raises InputError for views of different shapes, unknown pair kinds, a temperature not above 0 and weights below 0.
    """

    def __init__(self, self_weight: float, splice_weight: float, ortholog_weight: float) -> None:
        super().__init__()
        self.pair_weights = (self_weight, splice_weight, ortholog_weight)
        for kind, weight in zip(PairKind, self.pair_weights, strict=True):
            if not 0 <= weight <= MAX_WEIGHT:
                raise InputError(f"{kind.label}_weight must be 0 to {MAX_WEIGHT:,}, got {weight}")

    @abstractmethod
    def losses(self, rows: PairRows) -> Tensor:
        """The contribution of each of this rank's pairs to the loss of the whole batch, (N,), before division by M."""

    def forward(
        self,
        view0_ND: Tensor,
        view1_ND: Tensor,
        pair_kind_N: Tensor | None = None,
        family_N: Tensor | None = None,
        past: PastPairs | None = None,
    ) -> Tensor:
        if view0_ND.ndim != 2 or view0_ND.shape != view1_ND.shape:
            shapes = f"{tuple(view0_ND.shape)} and {tuple(view1_ND.shape)}"
            raise InputError(f"the two views need one shape (pairs, features), got {shapes}")
        with torch.autocast(view0_ND.device.type, enabled=False):  # cosines / temperature need float32
            rows = self._rows(view0_ND, view1_ND, self._weights(view0_ND, pair_kind_N), family_N)
            if past is not None and family_N is not None:
                rows = self._with_past(rows, past, family_N)
            return self.losses(rows).sum() * world_size() / max(rows.n_pairs, 1)

    def _with_past(self, rows: PairRows, past: PastPairs, family_N: Tensor) -> PairRows:
        own_M = family_N[:, None] == past.family_K
        return rows._replace(
            all_2MD=torch.cat([rows.all_2MD, past.views_2KD.to(rows.all_2MD.dtype)], dim=1),
            pair_NM=torch.cat([rows.pair_NM, torch.zeros_like(own_M)], dim=1),
            family_NM=torch.cat([rows.family_NM, own_M], dim=1),
            weight_M=torch.cat([rows.weight_M, self._weights(past.views_2KD[0], past.kind_K)]),
        )

    def _weights(self, view_ND: Tensor, pair_kind_N: Tensor | None) -> Tensor:
        precision = torch.promote_types(view_ND.dtype, torch.float32)
        if pair_kind_N is None:
            return view_ND.new_ones(len(view_ND), dtype=precision)
        kinds = pair_kind_N.long()
        unknown = (kinds < 0) | (kinds >= len(PairKind))
        if kinds.device.type == "cpu" and unknown.any():  # elsewhere the host would wait for the device
            known = ", ".join(f"{kind.value} {kind.label}" for kind in PairKind)
            raise InputError(f"unknown pair kind {int(kinds[unknown][0])}: expected {known}")
        weights = [view_ND.new_full((), weight, dtype=precision) for weight in self.pair_weights]
        return torch.stack(weights)[kinds]

    @staticmethod
    def _rows(view0_ND: Tensor, view1_ND: Tensor, weight_N: Tensor, family_N: Tensor | None) -> PairRows:
        own_2ND = F.normalize(torch.stack([view0_ND, view1_ND]).to(weight_N.dtype), dim=-1)
        counts = row_counts(view0_ND)
        sent = torch.cat([*own_2ND, weight_N[:, None]], dim=-1)  # one collective for both views and the weights
        all0_MD, all1_MD, weight_M1 = torch.split(gather_rows(sent, counts), [*[view0_ND.shape[1]] * 2, 1], dim=-1)
        first = sum(counts[: torch.distributed.get_rank()]) if world_size() > 1 else 0
        pair_M = torch.arange(len(all0_MD), device=view0_ND.device)
        pair_NM = pair_M[first : first + len(view0_ND), None] == pair_M
        family_NM = pair_NM if family_N is None else family_N[:, None] == gather_rows(family_N, counts)
        return PairRows(
            own_2ND,
            torch.stack([all0_MD, all1_MD]),
            pair_NM,
            family_NM,
            weight_N,
            weight_M1.detach()[:, 0],
            len(all0_MD),
        )


def check_temperature(temperature: float) -> float:
    """The temperature; raises InputError unless it is above 0."""
    if not temperature > 0:
        raise InputError(f"temperature must be above 0, got {temperature}")
    return temperature


def log_sum_exp(logit_NM: Tensor, counted_NM: Tensor, empty: float) -> Tensor:
    """log sum exp over the counted entries of the last dimension; ``empty``, without gradient, if there is none."""
    any_N = counted_NM.any(dim=-1)
    # A row of only -inf would have a NaN gradient, so such a row is not masked and its sum is dropped.
    total_N = logit_NM.masked_fill(~counted_NM & any_N[..., None], -torch.inf).logsumexp(dim=-1)
    return total_N.masked_fill(~any_N, empty)
