"""The selective scan of Mamba-1 and its causal convolution: one function each, interchangeable backends behind them.

B batch rows, L positions (nt), D channels, N states, K filter width. Activations are (B, L, D) with channels last,
the layout that the matrix products around them leave, so that nothing is transposed.

A backend is chosen by device and type: ``numba`` for float32, bfloat16 and float16 on a CPU, ``plain`` for the rest.
The argument ``backend`` or the environment variable ORTHRUS_SCAN forces one.
"""

import importlib
import os
from dataclasses import dataclass
from functools import cache
from types import ModuleType

import torch
from torch import Tensor

from orthrus.errors import InputError


@dataclass(frozen=True)
class Backend:
    """A module with ``scan`` and ``conv``, the devices and types it serves, and the package it needs, if any."""

    module: str
    devices: frozenset[str] | None
    dtypes: frozenset[torch.dtype] | None
    package: str | None = None

    def serves(self, x: Tensor) -> bool:
        return (self.devices is None or x.device.type in self.devices) and (
            self.dtypes is None or x.dtype in self.dtypes
        )


_SINGLE = frozenset({torch.float32, torch.bfloat16, torch.float16})

BACKENDS = {  # in order of preference
    "numba": Backend("orthrus.nn.scan.numba_cpu", frozenset({"cpu"}), _SINGLE, "numba"),
    "plain": Backend("orthrus.nn.scan.plain", None, None),
}


@cache
def _failure(name: str) -> Exception | None:
    """Why a backend cannot be imported here, None if it can."""
    try:
        importlib.import_module(BACKENDS[name].module)
    except Exception as error:  # a broken install fails in any way at all
        return error
    return None


def choose(x: Tensor, backend: str | None = None) -> str:
    """Name of the backend that would scan ``x``; raises InputError if the one forced is unknown, absent or unfit."""
    forced = backend or os.environ.get("ORTHRUS_SCAN")
    if forced is None:
        return next(name for name, candidate in BACKENDS.items() if candidate.serves(x) and _failure(name) is None)
    if forced not in BACKENDS:
        raise InputError(f"unknown scan backend {forced!r}: choose one of {', '.join(BACKENDS)}")
    if (failure := _failure(forced)) is not None:
        package = BACKENDS[forced].package
        raise InputError(f"scan backend {forced!r} is absent ({failure}): install {package} or unset ORTHRUS_SCAN")
    if not BACKENDS[forced].serves(x):
        raise InputError(
            f"scan backend {forced!r} does not serve {x.dtype} on {x.device.type}: choose another or unset ORTHRUS_SCAN"
        )
    return forced


def _module(x: Tensor, backend: str | None) -> ModuleType:
    return importlib.import_module(BACKENDS[choose(x, backend)].module)


def selective_scan(
    u_BLD: Tensor,
    delta_BLD: Tensor,
    A_DN: Tensor,
    B_BLN: Tensor,
    C_BLN: Tensor,
    D_D: Tensor,
    delta_bias_D: Tensor,
    z_BLD: Tensor | None = None,
    backend: str | None = None,
) -> Tensor:
    """y_BLD of the selective state space model (Gu & Dao 2023, arXiv 2312.00752, algorithm 2), in u's type.

    With delta = softplus(delta_BLD + delta_bias_D), per channel d and state n, from h = 0:
    ``h_t = exp(delta_t A) h_(t-1) + delta_t B_t u_t`` and ``y_t = (sum_n C_t h_t + D u_t) * silu(z_t)``, the gate only
    where z is given. The state is float32 (float64 for float64 inputs). Raises InputError for a forced backend that
    is unknown, absent or does not serve this device and type.
    """
    y: Tensor = _module(u_BLD, backend).scan(u_BLD, delta_BLD, A_DN, B_BLN, C_BLN, D_D, delta_bias_D, z_BLD)
    return y


def causal_conv(x_BLD: Tensor, weight_DK: Tensor, bias_D: Tensor, backend: str | None = None) -> Tensor:
    """silu(bias + sum_k weight_k x_(t-K+1+k)) per channel, x before the first position being 0; (B, L, D)."""
    y: Tensor = _module(x_BLD, backend).conv(x_BLD, weight_DK, bias_D)
    return y
