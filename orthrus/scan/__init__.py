"""The selective scan of Mamba-1 and its causal convolution: one function each, with interchangeable backends.

B batch rows, L positions (nt), D channels, N states, K filter width. Activations are (B, L, D) with channels last,
which is the layout of the surrounding matrix products, so that nothing is transposed.

A backend is chosen by device and type, the fastest first: on a GPU ``nvrtc`` (CUDA C++ compiled at run time), then
``cuda`` (mamba-ssm's kernels) if installed; on a CPU ``numba``; ``plain`` otherwise, and for float64. A GPU backend is
checked against ``plain`` on its first use. The argument ``backend`` or the environment variable ORTHRUS_SCAN forces
one. Under torch.compile both functions run uncompiled, between compiled graphs.

Both read rows forwards or, for the other direction of a bidirectional mixer, each from its own last position to its
first: ``reversed_B`` then has the lengths of the rows, results are at the positions of their inputs, and the results of
padding are meaningless.
"""

import importlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from orthrus.errors import InputError
from orthrus.scan.check import disagreement

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Backend:
    """A module with ``scan`` and ``conv``, the devices and types it serves (None: all), the package that it imports.

    ``checked``: compared with the definition on its first use on a device.
    """

    module: str
    devices: frozenset[str] | None
    dtypes: frozenset[torch.dtype] | None
    package: str | None = None
    checked: bool = False

    def serves(self, x: Tensor) -> bool:
        on_device = self.devices is None or x.device.type in self.devices
        return on_device and (self.dtypes is None or x.dtype in self.dtypes)


_SINGLE = frozenset({torch.float32, torch.bfloat16, torch.float16})
_GPU, _CPU = frozenset({"cuda"}), frozenset({"cpu"})
TOLERANCE = 1e-3

BACKENDS = {  # in order of preference
    "nvrtc": Backend("orthrus.scan.nvrtc_gpu", _GPU, _SINGLE, "nvrtc", checked=True),
    "cuda": Backend("orthrus.scan.mamba_ssm", _GPU, _SINGLE, "mamba_ssm", checked=True),
    "numba": Backend("orthrus.scan.numba_cpu", _CPU, _SINGLE, "numba"),
    "plain": Backend("orthrus.scan.plain", None, None),
}


@cache
def _fault(name: str, device: torch.device) -> str | None:
    """Why a backend cannot be used on a device, None if it can; an unexpected reason is logged once."""
    backend = BACKENDS[name]
    try:
        module = importlib.import_module(backend.module)
        error = disagreement(module, device) if backend.checked else 0.0
    except Exception as failure:  # a broken installation may raise any error
        if isinstance(failure, ModuleNotFoundError) and failure.name == backend.package:
            return f"{backend.package} is not installed"
        fault = f"{type(failure).__name__}: {failure}"
        logger.warning("scan backend %r is installed but broken, and is skipped (%s)", name, fault)
        return fault
    if not error < TOLERANCE:
        fault = f"its results differ from the definition by {error:.1e}"
        logger.warning("scan backend %r is skipped: %s", name, fault)
        return fault
    return None


@cache
def _announce(name: str, device: str) -> None:
    logger.info("selective scan on %s: %s", device, name)


def choose(x: Tensor, backend: str | None = None) -> str:
    """Name of the backend that would scan ``x``; raises InputError if a forced one is unknown, absent or unfit."""
    forced = backend or os.environ.get("ORTHRUS_SCAN")
    if forced is None:
        usable = (name for name, candidate in BACKENDS.items() if candidate.serves(x) and not _fault(name, x.device))
        return next(usable)
    if forced not in BACKENDS:
        raise InputError(f"unknown scan backend {forced!r}: choose one of {', '.join(BACKENDS)}")
    if not BACKENDS[forced].serves(x):
        raise InputError(
            f"scan backend {forced!r} does not serve {x.dtype} on {x.device.type}: choose another or unset ORTHRUS_SCAN"
        )
    if (fault := _fault(forced, x.device)) is not None:
        raise InputError(f"scan backend {forced!r} cannot be used ({fault}): repair it, or unset ORTHRUS_SCAN")
    return forced


def _call(function: str, backend: str | None, x: Tensor, *inputs: Tensor | None, reversed_B: Tensor | None) -> Tensor:
    name = choose(x, backend)
    _announce(name, x.device.type)
    run: Callable[..., Tensor] = getattr(importlib.import_module(BACKENDS[name].module), function)
    return run(x, *inputs, reversed_B=reversed_B)


_uncompiled: Any = torch.compiler.disable
_call_uncompiled: Callable[..., Tensor] = _uncompiled(_call)


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
    reversed_B: Tensor | None = None,
) -> Tensor:
    """y_BLD of the selective state space model (Gu & Dao 2023, arXiv 2312.00752, algorithm 2), in u's type.

    With delta = softplus(delta_BLD + delta_bias_D), per channel d and state n, from h = 0: ``h_t = exp(delta_t A)
    h_(t-1) + delta_t B_t u_t`` and ``y_t = (sum_n C_t h_t + D u_t) * silu(z_t)``, with the gate only if z is given. The
    state is float32 (float64 for float64 inputs). Raises InputError for a forced backend that is unknown, absent,
    broken or does not serve this device and type.
    """
    inputs = (u_BLD, delta_BLD, A_DN, B_BLN, C_BLN, D_D, delta_bias_D, z_BLD)
    return _call_uncompiled("scan", backend, *inputs, reversed_B=reversed_B)


def causal_conv(
    x_BLD: Tensor,
    weight_DK: Tensor,
    bias_D: Tensor,
    backend: str | None = None,
    reversed_B: Tensor | None = None,
) -> Tensor:
    """silu(bias + sum_k weight_k x_(t-K+1+k)) per channel, with x = 0 before the first position; (B, L, D)."""
    return _call_uncompiled("conv", backend, x_BLD, weight_DK, bias_D, reversed_B=reversed_B)
