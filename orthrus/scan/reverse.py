"""Reverses rows, each within its own length; the padding stays in place.

B batch rows, L positions (nt), D channels.
"""

from collections.abc import Callable
from functools import wraps

import torch
from torch import Tensor


def reverse_rows(x_BLD: Tensor, lengths_B: Tensor) -> Tensor:
    """Each row reversed within its own length, with the padding in place; the function is its own inverse."""
    position_L = torch.arange(x_BLD.shape[1], device=x_BLD.device)
    mirrored_BL = lengths_B.to(x_BLD.device)[:, None] - 1 - position_L
    source_BL = torch.where(mirrored_BL >= 0, mirrored_BL, position_L)
    return x_BLD.gather(1, source_BL[:, :, None].expand_as(x_BLD))


def with_reversal(forwards: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A scan or convolution that also takes ``reversed_B``, for a backend that only reads forwards.

    Inputs with three dimensions are activations (B, L, ...), which are reversed; parameters have fewer dimensions.
    """

    @wraps(forwards)
    def either_way(*inputs: Tensor | None, reversed_B: Tensor | None = None) -> Tensor:
        if reversed_B is None:
            return forwards(*inputs)
        turned = [x if x is None or x.ndim < 3 else reverse_rows(x, reversed_B) for x in inputs]
        return reverse_rows(forwards(*turned), reversed_B)

    return either_way
