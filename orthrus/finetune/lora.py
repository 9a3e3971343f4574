"""Low-rank adaptation (LoRA; Hu et al. 2022, arXiv 2106.09685) of projections, for every reader of their weights.

Our mixers read ``in_proj.weight`` and ``dt_proj.weight`` directly, as the fused scan needs. They would bypass an
adapter that wraps a Linear's ``forward``, like peft's, and it would get no gradient. This adapter is a parametrisation
of the weight: every reader gets W + (alpha / rank) B A, the same value as with peft.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from orthrus.errors import InputError


class LowRankUpdate(nn.Module):
    """W -> W + (alpha / rank) B A, with A (rank, in) random and B (out, rank) zero initially."""

    def __init__(self, weight: Tensor, rank: int, alpha: float) -> None:
        super().__init__()
        n_out, n_in = weight.shape
        self.A = nn.Parameter(weight.new_empty(rank, n_in))
        self.B = nn.Parameter(weight.new_zeros(n_out, rank))
        self.scale = alpha / rank
        nn.init.kaiming_uniform_(self.A, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        """The updated weight."""
        return weight + self.scale * (self.B @ self.A)


class LoRA:
    """Freezes a network and gives the weights of its Linear layers called ``targets`` a low-rank update to train.

    Args:
        rank: rank of the update.
        alpha: the update is scaled by alpha / rank.
        targets: last parts of module names.

    Raises:
        InputError: for a rank below 1, or if the network has no such layers.
    """

    def __init__(
        self,
        rank: int = 8,
        alpha: float = 16.0,
        targets: tuple[str, ...] = ("in_proj", "x_proj", "dt_proj", "out_proj"),
    ) -> None:
        if rank < 1:
            raise InputError(f"LoRA.rank is {rank}; expected at least 1")
        self.rank, self.alpha, self.targets = rank, alpha, targets

    def add_to(self, network: nn.Module) -> None:
        """Freeze the network and register the updates."""
        chosen = [
            module
            for name, module in network.named_modules()
            if isinstance(module, nn.Linear) and name.rsplit(".", 1)[-1] in self.targets
        ]
        if not chosen:
            raise InputError(f"no linear layer is called {', '.join(self.targets)}: LoRA has nothing to adapt")
        network.requires_grad_(False)
        for module in chosen:
            update = LowRankUpdate(module.weight, self.rank, self.alpha)
            parametrize.register_parametrization(module, "weight", update)


def merge(network: nn.Module) -> None:
    """Merge the updates into the weights, under the weights' own names."""
    with torch.no_grad():
        for module in network.modules():
            if parametrize.is_parametrized(module, "weight"):
                parametrize.remove_parametrizations(module, "weight", leave_parametrized=True)
