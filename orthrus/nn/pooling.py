"""From hidden states to one vector a transcript.

B batch rows, L positions (nt), D model width, C tracks.
"""

import torch
from torch import Tensor

from orthrus.errors import InputError

CDS_TRACK = 4


def mean_pool(hidden_BLD: Tensor, lengths_B: Tensor, tracks_BCL: Tensor | None = None) -> Tensor:
    """Mean over each row's own positions (B, D), the published pooling, summed in float32 at least."""
    return _masked_mean(hidden_BLD, _own_positions(hidden_BLD, lengths_B))


def max_pool(hidden_BLD: Tensor, lengths_B: Tensor, tracks_BCL: Tensor | None = None) -> Tensor:
    """Maximum over each row's own positions (B, D)."""
    own_BL = _own_positions(hidden_BLD, lengths_B)
    return hidden_BLD.masked_fill(~own_BL[:, :, None], -torch.inf).amax(dim=1)


def region_pool(hidden_BLD: Tensor, lengths_B: Tensor, tracks_BCL: Tensor) -> Tensor:
    """Means over 5'UTR, CDS and 3'UTR side by side (B, 3 D).

    The CDS runs from the first position of the CDS track (track 4, 1 at the first base of each codon) to the end of
    its last codon. One or two bases before it, at the transcript's start, belong to it: the rest of a codon that is
    cut off there. A region that a transcript lacks, as all three without a CDS, takes the mean over the whole of it.
    Raises InputError for tracks without a CDS track.
    """
    if tracks_BCL.shape[1] <= CDS_TRACK:
        raise InputError(f"pooling by region needs the CDS track: 6 tracks, got {tracks_BCL.shape[1]}")
    own_BL = _own_positions(hidden_BLD, lengths_B)
    codon_BL = (tracks_BCL[:, CDS_TRACK] > 0) & own_BL
    positions = codon_BL.shape[1]
    position_L = torch.arange(positions, device=hidden_BLD.device)
    start_B = torch.where(codon_BL, position_L, positions).amin(dim=1)
    start_B = torch.where(start_B < 3, 0, start_B)
    end_B = torch.where(codon_BL, position_L + 3, 0).amax(dim=1)
    five_prime_BL = own_BL & codon_BL.any(dim=1)[:, None] & (position_L < start_B[:, None])
    cds_BL = own_BL & (position_L >= start_B[:, None]) & (position_L < end_B[:, None])
    three_prime_BL = own_BL & codon_BL.any(dim=1)[:, None] & (position_L >= end_B[:, None])
    regions = [
        torch.where(region.any(dim=1)[:, None], region, own_BL) for region in (five_prime_BL, cds_BL, three_prime_BL)
    ]
    return torch.cat([_masked_mean(hidden_BLD, region_BL) for region_BL in regions], dim=1)


def _own_positions(hidden_BLD: Tensor, lengths_B: Tensor) -> Tensor:
    position_L = torch.arange(hidden_BLD.shape[1], device=hidden_BLD.device)
    return position_L < lengths_B.to(hidden_BLD.device)[:, None]


def _masked_mean(hidden_BLD: Tensor, counted_BL: Tensor) -> Tensor:
    precision = torch.promote_types(hidden_BLD.dtype, torch.float32)
    total_BD = hidden_BLD.masked_fill(~counted_BL[:, :, None], 0).sum(dim=1, dtype=precision)
    return total_BD / counted_BL.sum(dim=1)[:, None]
