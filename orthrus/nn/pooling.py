"""Pools hidden states into one vector a transcript.

B batch rows, L tokens (bases, or codons with the codon stem), D model width.
"""

import torch
from torch import Tensor

from orthrus.errors import InputError
from orthrus.nn.stem import CODING, FIVE_PRIME, THREE_PRIME


def mean_pool(hidden_BLD: Tensor, lengths_B: Tensor, region_BL: Tensor | None = None) -> Tensor:
    """Mean over each row's own tokens (B, D), the published pooling, summed in float32 at least."""
    return _masked_mean(hidden_BLD, _own_tokens(hidden_BLD, lengths_B))


def max_pool(hidden_BLD: Tensor, lengths_B: Tensor, region_BL: Tensor | None = None) -> Tensor:
    """Maximum over each row's own tokens (B, D)."""
    own_BL = _own_tokens(hidden_BLD, lengths_B)
    return hidden_BLD.masked_fill(~own_BL[:, :, None], -torch.inf).amax(dim=1)


def region_pool(hidden_BLD: Tensor, lengths_B: Tensor, region_BL: Tensor | None = None) -> Tensor:
    """Means over 5'UTR, CDS and 3'UTR side by side (B, 3 D), by ``region_BL`` of :class:`orthrus.nn.stem.Tokens`.

    For a missing region (all three without a CDS) it is the mean over the whole transcript. Raises InputError without
    regions.
    """
    return torch.cat([_region_mean(hidden_BLD, lengths_B, region_BL, n) for n in (FIVE_PRIME, CODING, THREE_PRIME)], 1)


def cds_pool(hidden_BLD: Tensor, lengths_B: Tensor, region_BL: Tensor | None = None) -> Tensor:
    """Mean over the CDS (B, D), or, without one, over the whole transcript. Raises as :func:`region_pool`."""
    return _region_mean(hidden_BLD, lengths_B, region_BL, CODING)


def _region_mean(hidden_BLD: Tensor, lengths_B: Tensor, region_BL: Tensor | None, region: int) -> Tensor:
    if region_BL is None:
        raise InputError("pooling by region needs the regions of the tokens")
    own_BL = _own_tokens(hidden_BLD, lengths_B)
    inside_BL = own_BL & (region_BL == region)
    return _masked_mean(hidden_BLD, torch.where(inside_BL.any(dim=1)[:, None], inside_BL, own_BL))


def _own_tokens(hidden_BLD: Tensor, lengths_B: Tensor) -> Tensor:
    token_L = torch.arange(hidden_BLD.shape[1], device=hidden_BLD.device)
    return token_L < lengths_B.to(hidden_BLD.device)[:, None]


def _masked_mean(hidden_BLD: Tensor, counted_BL: Tensor) -> Tensor:
    precision = torch.promote_types(hidden_BLD.dtype, torch.float32)
    total_BD = hidden_BLD.masked_fill(~counted_BL[:, :, None], 0).sum(dim=1, dtype=precision)
    return total_BD / counted_BL.sum(dim=1)[:, None]
