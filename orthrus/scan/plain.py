"""The definition of the selective scan and of the causal convolution, in plain PyTorch.

B batch rows, L positions (nt), D channels, N states.

It is kept simple, because every other backend is tested against it, values and gradients. It runs on any device and in
any floating-point type; the state is at least float32. Time and memory are linear in L, also for the backward pass,
because the inputs are unbound once; indexing them step by step would make the gradient of each step a whole (B, L, D)
tensor.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from orthrus.scan.reverse import with_reversal


@with_reversal
def scan(
    u_BLD: Tensor,
    delta_BLD: Tensor,
    A_DN: Tensor,
    B_BLN: Tensor,
    C_BLN: Tensor,
    D_D: Tensor,
    delta_bias_D: Tensor,
    z_BLD: Tensor | None,
) -> Tensor:
    state = torch.promote_types(u_BLD.dtype, torch.float32)
    u, A_DN = u_BLD.to(state), A_DN.to(state)
    delta = F.softplus(delta_BLD.to(state) + delta_bias_D.to(state))
    h_BDN = u.new_zeros(u.shape[0], u.shape[2], A_DN.shape[1])
    readouts = []
    steps = zip(
        (delta * u).unbind(1), delta.unbind(1), B_BLN.to(state).unbind(1), C_BLN.to(state).unbind(1), strict=True
    )
    for input_BD, delta_BD, B_BN, C_BN in steps:
        h_BDN = torch.exp(delta_BD[:, :, None] * A_DN) * h_BDN + input_BD[:, :, None] * B_BN[:, None, :]
        readouts.append((h_BDN @ C_BN[:, :, None]).squeeze(-1))
    y = torch.stack(readouts, dim=1) + D_D.to(state) * u
    if z_BLD is not None:
        y = y * F.silu(z_BLD.to(state))
    return y.to(u_BLD.dtype)


@with_reversal
def conv(x_BLD: Tensor, weight_DK: Tensor, bias_D: Tensor) -> Tensor:
    width = weight_DK.shape[1]
    padded = F.pad(x_BLD.transpose(1, 2), (width - 1, 0))
    filtered = F.conv1d(padded, weight_DK[:, None].to(x_BLD.dtype), bias_D.to(x_BLD.dtype), groups=x_BLD.shape[2])
    return F.silu(filtered).transpose(1, 2)
