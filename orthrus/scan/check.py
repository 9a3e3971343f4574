"""Compares a backend with the definition on a small case, values and gradients, before its first use."""

import math
from types import ModuleType

import torch
from torch import Tensor

from orthrus.scan import plain


def disagreement(module: ModuleType, device: torch.device) -> float:
    """Largest relative error (of norms) of values and gradients of convolution and scan; about 1e-6 if correct."""
    # The first use may be for inference or under autocast; the check always uses gradients and float32.
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False):
        pairs = zip(_run(module, device, torch.float32), _run(plain, device, torch.float64), strict=True)
        errors = [float((got.double() - true).norm() / true.norm()) for got, true in pairs]
    return math.nan if any(map(math.isnan, errors)) else max(errors)


def _run(module: ModuleType, device: torch.device, dtype: torch.dtype) -> list[Tensor]:
    """Values, then gradients of convolution and scan, forwards and backwards."""
    generator = torch.Generator().manual_seed(0)
    rows, positions, channels, states = 2, 70, 24, 16

    def normal(*shape: int, mean: float = 0) -> Tensor:
        return (torch.randn(*shape, generator=generator) + mean).to(device, dtype).requires_grad_()

    x, weight, conv_bias = normal(rows, positions, channels), normal(channels, 4), normal(channels)
    delta, A = normal(rows, positions, channels, mean=-3), normal(channels, states, mean=-8)
    B, C = normal(rows, positions, states), normal(rows, positions, states)
    D, bias, z = normal(channels), normal(channels), normal(rows, positions, channels)
    direction = normal(rows, positions, channels).detach()
    results: list[Tensor] = []
    for lengths in (None, torch.tensor([positions, 43], device=device)):
        u = module.conv(x, weight, conv_bias, reversed_B=lengths)
        y: Tensor = module.scan(u, delta, A, B, C, D, bias, z, reversed_B=lengths)
        if lengths is not None:
            y = y.masked_fill((torch.arange(positions, device=device) >= lengths[:, None])[:, :, None], 0)
        results += [y.detach()]
        results += torch.autograd.grad(y, [x, weight, conv_bias, delta, A, B, C, D, bias, z], direction)
    return results
