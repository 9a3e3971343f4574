"""Runs a causal Mamba-1 mixer over a long sequence piece by piece, exactly, in the memory of one piece.

B batch rows, L positions of a piece, D inner channels, N states, K filter width.

A piece passes the last K - 1 inputs of the convolution and the state h of the scan to the next. Backends need no change
for this: since ``h_t = exp(delta_t A) h_(t-1) + delta_t B_t u_t`` and ``y_t = C_t h_t``, N positions before a piece,
with delta close to 0, u = h / delta and B the n-th unit vector, set the state, and N positions after it, with C the
n-th unit vector, read it. The cost is 2 N more positions a piece, and float32 rounding.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from orthrus.nn.mamba import Mamba
from orthrus.scan import causal_conv, selective_scan

PIECE = 16_384
_TINY = 1e-9  # a delta whose decay exp(delta A) is 1 in float32
_OPEN = 1.0  # the gate z of positions that read the state


class Carry(NamedTuple):
    """What a piece passes to the next: inputs of the convolution (B, K - 1, D), state of the scan (B, D, N)."""

    inputs_BKD: Tensor
    state_BDN: Tensor


def go_on(mixer: Mamba, hidden_BLM: Tensor, carry: Carry | None) -> tuple[Tensor, Carry]:
    """The output of a causal ``mixer`` for the next piece, and the next carry; ``carry`` is None at the start."""
    x_BLD, z_BLD = (F.linear(hidden_BLM, weight_DM) for weight_DM in mixer.in_proj.weight.chunk(2))
    (d_inner, d_state), width = mixer.A_log.shape, mixer.conv1d.kernel_size[0]
    if carry is None:
        rows = len(x_BLD)
        carry = Carry(x_BLD.new_zeros(rows, width - 1, d_inner), x_BLD.new_zeros(rows, d_inner, d_state).float())
    x_BLD = torch.cat([carry.inputs_BKD, x_BLD], dim=1)
    conv_bias_D = mixer.conv1d.bias
    assert conv_bias_D is not None
    u_BLD = causal_conv(x_BLD, mixer.conv1d.weight.squeeze(1), conv_bias_D)[:, width - 1 :]
    dt_BLR, B_BLN, C_BLN = mixer.x_proj(u_BLD).split([mixer.dt_proj.in_features, d_state, d_state], dim=-1)
    y_BLD, state_BDN = _scan(mixer, u_BLD, dt_BLR @ mixer.dt_proj.weight.T, B_BLN, C_BLN, z_BLD, carry.state_BDN)
    out_BLM: Tensor = mixer.out_proj(y_BLD.to(hidden_BLM.dtype))
    return out_BLM, Carry(x_BLD[:, x_BLD.shape[1] - (width - 1) :].clone(), state_BDN)


def _scan(
    mixer: Mamba, u_BLD: Tensor, delta_BLD: Tensor, B_BLN: Tensor, C_BLN: Tensor, z_BLD: Tensor, state_BDN: Tensor
) -> tuple[Tensor, Tensor]:
    """The output y (B, L, D), float32, of a scan from a given state, and its final state."""
    n_rows, n_states, bias_D = len(u_BLD), state_BDN.shape[2], mixer.dt_proj.bias.float()
    unit_BNN = torch.eye(n_states, device=u_BLD.device).expand(n_rows, -1, -1)
    none_BNN, none_BND = torch.zeros_like(unit_BNN), state_BDN.new_zeros(n_rows, n_states, len(bias_D))
    still_BND = (math.log(math.expm1(_TINY)) - bias_D).expand_as(none_BND)  # softplus(still + bias) = tiny
    set_BND = state_BDN.transpose(1, 2) / _TINY
    y_BLD = selective_scan(
        torch.cat([set_BND, u_BLD.float(), none_BND], dim=1),
        torch.cat([still_BND, delta_BLD.float(), still_BND], dim=1),
        -torch.exp(mixer.A_log.float()),
        torch.cat([unit_BNN, B_BLN.float(), none_BNN], dim=1),
        torch.cat([none_BNN, C_BLN.float(), unit_BNN], dim=1),
        mixer.D.float(),
        bias_D,
        torch.cat([none_BND, z_BLD.float(), none_BND + _OPEN], dim=1),
    )
    gate = _OPEN / (1 + math.exp(-_OPEN))
    end_BDN = (y_BLD[:, -n_states:] / gate).transpose(1, 2)
    return y_BLD[:, n_states:-n_states], end_BDN
