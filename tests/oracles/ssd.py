"""The state space recurrence of Mamba-2 (arXiv 2405.21060, equation 1), literally: one position at a time."""

import torch
from torch import Tensor


def ssd(x: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor) -> Tensor:
    """Shapes: x (rows, positions, heads, channels), delta its first three, A (heads), B and C (rows, positions, N)."""
    rows, positions, heads, channels = x.shape
    y = []
    for b in range(rows):
        for h in range(heads):
            state = x.new_zeros(channels, B.shape[2])
            for t in range(positions):
                state = torch.exp(delta[b, t, h] * A[h]) * state + delta[b, t, h] * torch.outer(x[b, t, h], B[b, t])
                y.append(state @ C[b, t])
    return torch.stack(y).reshape(rows, heads, positions, channels).transpose(1, 2)
