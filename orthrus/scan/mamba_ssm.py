"""GPU backend with mamba-ssm's CUDA kernels, if that package is installed (extra ``cuda``).

Its scan takes (B, D, L) with positions side by side, so inputs and outputs are transposed. The convolution is
causal-conv1d's if that is installed, which takes channels last.
"""

from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
from torch import Tensor

from orthrus.scan import plain
from orthrus.scan.reverse import with_reversal

try:
    from causal_conv1d import causal_conv1d_fn
except ImportError:
    causal_conv1d_fn = None


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
    u, delta, B, C = (x.to(u_BLD.dtype).transpose(1, 2).contiguous() for x in (u_BLD, delta_BLD, B_BLN, C_BLN))
    z = None if z_BLD is None else z_BLD.to(u_BLD.dtype).transpose(1, 2).contiguous()
    A, D, bias = A_DN.float(), D_D.float(), delta_bias_D.float()
    y_BDL: Tensor = selective_scan_fn(u, delta, A, B, C, D, z=z, delta_bias=bias, delta_softplus=True)
    return y_BDL.transpose(1, 2)


@with_reversal
def conv(x_BLD: Tensor, weight_DK: Tensor, bias_D: Tensor) -> Tensor:
    if causal_conv1d_fn is None or not 2 <= weight_DK.shape[1] <= 4:  # the widths of its kernels
        return plain.conv(x_BLD, weight_DK, bias_D)
    weight, bias = weight_DK.to(x_BLD.dtype), bias_D.to(x_BLD.dtype)
    y_BDL: Tensor = causal_conv1d_fn(x_BLD.transpose(1, 2), weight, bias, activation="silu")
    return y_BDL.transpose(1, 2)
