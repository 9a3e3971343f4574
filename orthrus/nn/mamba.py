"""The Mamba-1 mixer, causal or bidirectional, under the published parameter names.

B batch rows, L positions (nt), M model width, D inner channels (expand x M), N states, R rank of delta.

Data flow: hidden (B, L, M) -> in_proj -> x and gate z (B, L, D) -> causal convolution, x_proj, dt_proj, selective
scan -> out_proj -> (B, L, M). The matrix products cost 3 M D + D (2 R + 2 N) multiply-adds a position.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from orthrus.errors import InputError
from orthrus.scan import causal_conv, selective_scan


class SelectiveSSM(nn.Module):
    """One direction of a mixer: causal convolution, the projections of delta, B and C, and the selective scan."""

    def __init__(self, d_inner: int, dt_rank: int, d_state: int = 16, d_conv: int = 4) -> None:
        super().__init__()
        self.A_log = nn.Parameter(torch.log(torch.arange(1.0, d_state + 1)).repeat(d_inner, 1))
        self.D = nn.Parameter(torch.ones(d_inner))
        self.conv1d = nn.Conv1d(d_inner, d_inner, d_conv, groups=d_inner, padding=d_conv - 1)
        self.x_proj = nn.Linear(d_inner, dt_rank + 2 * d_state, bias=False)
        self.dt_proj = nn.Linear(dt_rank, d_inner)
        # Published initialisation: delta = softplus(bias) is log-uniform between 0.001 and 0.1 at the start.
        nn.init.uniform_(self.dt_proj.weight, -(dt_rank**-0.5), dt_rank**-0.5)
        delta = torch.exp(torch.empty(d_inner).uniform_(math.log(1e-3), math.log(1e-1))).clamp(min=1e-4)
        with torch.no_grad():
            self.dt_proj.bias.copy_(delta + torch.log(-torch.expm1(-delta)))  # the inverse of softplus

    def scan(self, x_BLD: Tensor, z_BLD: Tensor, reversed_B: Tensor | None = None) -> Tensor:
        """The direction's output (B, L, D), gated by silu(z); with ``reversed_B``, the lengths, it runs backwards."""
        d_state, conv_bias_D = self.A_log.shape[1], self.conv1d.bias
        assert conv_bias_D is not None
        u_BLD = causal_conv(x_BLD, self.conv1d.weight.squeeze(1), conv_bias_D, reversed_B=reversed_B)
        dt_BLR, B_BLN, C_BLN = self.x_proj(u_BLD).split([self.dt_proj.in_features, d_state, d_state], dim=-1)
        delta_BLD = dt_BLR @ self.dt_proj.weight.T  # the scan adds the bias
        A_DN = -torch.exp(self.A_log.float() if self.A_log.dtype.itemsize < 4 else self.A_log)
        inputs = (u_BLD, delta_BLD, A_DN, B_BLN, C_BLN, self.D, self.dt_proj.bias, z_BLD)
        return selective_scan(*inputs, reversed_B=reversed_B)


class Mamba(SelectiveSSM):
    """Mamba-1 (Gu & Dao 2023, arXiv 2312.00752); bidirectional as in Caduceus (Schiff et al. 2024, arXiv 2403.03234).

    A bidirectional mixer shares in_proj and out_proj between the directions; ``reverse`` holds the other direction's
    own convolution, projections, A and D, and scans each row from its last position to its first. The parameters of
    the forward direction keep the published names.

    ``forward(hidden_BLM, lengths_B)`` -> (B, L, M).
    """

    def __init__(
        self, d_model: int, bidirectional: bool = False, d_state: int = 16, d_conv: int = 4, expand: int = 2
    ) -> None:
        for name, size in (("d_state", d_state), ("d_conv", d_conv), ("expand", expand)):
            if size < 1:
                raise InputError(f"{name} must be at least 1, got {size}")
        d_inner, dt_rank = expand * d_model, math.ceil(d_model / 16)
        super().__init__(d_inner, dt_rank, d_state, d_conv)
        self.config = {"d_state": d_state, "d_conv": d_conv, "expand": expand}
        self.in_proj = nn.Linear(d_model, 2 * d_inner, bias=False)
        self.out_proj = nn.Linear(d_inner, d_model, bias=False)
        self.reverse = SelectiveSSM(d_inner, dt_rank, d_state, d_conv) if bidirectional else None

    def forward(self, hidden_BLM: Tensor, lengths_B: Tensor) -> Tensor:
        if hidden_BLM.is_cuda:
            x_BLD, z_BLD = self.in_proj(hidden_BLM).chunk(2, dim=-1)
        else:  # two products instead of the halves of one, so that their gradients are not copied together
            x_BLD, z_BLD = (F.linear(hidden_BLM, weight_DM) for weight_DM in self.in_proj.weight.chunk(2))
        y_BLD = self.scan(x_BLD, z_BLD)
        if self.reverse is not None:
            y_BLD = y_BLD + self.reverse.scan(x_BLD, z_BLD, reversed_B=lengths_B)
        out_BLM: Tensor = self.out_proj(y_BLD)
        return out_BLM
