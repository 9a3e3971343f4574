"""Codes to tracks, on the device. B rows, L positions, C tracks."""

import torch
from torch import Tensor

from orthrus.genome.codes import TRACK_TABLE, check_n_tracks


def codes_to_tracks(codes_BL: Tensor, n_tracks: int) -> Tensor:
    """Tracks A, C, G, T and, with 6, CDS and splice, float32 (B, C, L), of codes, uint8 (B, L).

    Raises InputError for any other number of tracks.
    """
    check_n_tracks(n_tracks)
    table = torch.as_tensor(TRACK_TABLE[:, :n_tracks], dtype=torch.float32, device=codes_BL.device)
    return table[codes_BL.long()].transpose(1, 2)
