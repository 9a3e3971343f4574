"""Turns codes into tracks, on the device. B rows, L positions, C tracks."""

from functools import cache

import torch
from torch import Tensor

from orthrus.genome.codes import TRACK_TABLE, check_n_tracks


def codes_to_tracks(codes_BL: Tensor, n_tracks: int) -> Tensor:
    """Tracks A, C, G, T and, with 6, CDS and splice, float32 (B, C, L), of codes, uint8 (B, L).

    Raises InputError for any other number of tracks.
    """
    check_n_tracks(n_tracks)
    return _table(n_tracks, codes_BL.device)[codes_BL.int()].transpose(1, 2)


@cache
def _table(n_tracks: int, device: torch.device) -> Tensor:
    """The table, copied to the device once: a copy for every batch would make the host wait for the device."""
    with torch.inference_mode(False):  # the first use may be inference, and a later one training
        return torch.as_tensor(TRACK_TABLE[:, :n_tracks], dtype=torch.float32, device=device)
