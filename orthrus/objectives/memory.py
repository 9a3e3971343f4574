"""Cross-batch memory: the projections of past steps' pairs (Wang et al. 2020, arXiv 1912.06798).

N pairs of this rank, K stored pairs, D features. Projections drift slowly after the warm-up of the learning rate, so
those of a few hundred steps ago are still good negatives; a memory of 4,096 pairs of 128 features is 4 MB.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from orthrus.errors import InputError
from orthrus.nn.ranks import gather_rows, row_counts
from orthrus.objectives.pair_rows import PastPairs


class PairMemory(nn.Module):
    """The newest ``size`` pairs of all ranks. It is the same on every rank, and it is part of the state dict.

    Raises InputError for a size below 1.
    """

    def __init__(self, size: int, d_out: int) -> None:
        super().__init__()
        if size < 1:
            raise InputError(f"a memory must hold at least 1 pair, got {size}")
        self.register_buffer("views_2KD", torch.zeros(2, size, d_out))
        self.register_buffer("kind_K", torch.zeros(size, dtype=torch.int64))
        self.register_buffer("family_K", torch.zeros(size, dtype=torch.int64))
        self.views_2KD: Tensor
        self.kind_K: Tensor
        self.family_K: Tensor
        self.written = 0
        """The number of pairs ever added; 0 empties the memory. No tensor: the host would wait for a GPU to read it."""

    def past(self) -> PastPairs:
        """The pairs stored so far."""
        held = min(self.written, len(self.kind_K))
        return PastPairs(self.views_2KD[:, :held].clone(), self.kind_K[:held].clone(), self.family_K[:held].clone())

    @torch.no_grad()
    def add(self, view0_ND: Tensor, view1_ND: Tensor, pair_kind_N: Tensor, family_N: Tensor) -> None:
        """Replace the oldest pairs with this step's pairs of all ranks."""
        size, counts = len(self.kind_K), row_counts(view0_ND)
        views_2ND = F.normalize(torch.stack([view0_ND, view1_ND]).to(self.views_2KD.dtype), dim=-1)
        view0_MD, view1_MD = gather_rows(torch.cat([*views_2ND], dim=-1).detach(), counts)[-size:].chunk(2, dim=-1)
        place_M = (self.written + torch.arange(len(view0_MD), device=view0_MD.device)) % size
        self.views_2KD[:, place_M] = torch.stack([view0_MD, view1_MD])
        self.kind_K[place_M] = gather_rows(pair_kind_N.long(), counts)[-size:]
        self.family_K[place_M] = gather_rows(family_N.long(), counts)[-size:]
        self.written += len(place_M)

    def get_extra_state(self) -> int:
        """The number of pairs ever added, for the state dict."""
        return self.written

    def set_extra_state(self, state: int) -> None:
        """Restore the number of pairs ever added."""
        self.written = int(state)
