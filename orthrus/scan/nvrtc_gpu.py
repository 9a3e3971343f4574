"""GPU backend in CUDA C++, compiled at run time (:mod:`orthrus.scan.nvrtc`): no compiler, no build.

B batch rows, L positions (nt), D channels, N states (at most 32, else the definition is used), W filter width.

A block processes the positions of a row in order, with the states of some channels in registers. The forward pass keeps
the states before every 16th position (B D N L / 16 numbers), from which the backward pass recomputes the rest. A row
that is read backwards is processed from its own last position to its first. Sums over channels and positions are in
float32, in parts of a fixed order that are added as a tree, so that results are reproducible. The sources are in
``kernels/``.
"""

import ctypes
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from orthrus.scan import plain
from orthrus.scan.nvrtc import launch

MAX_STATES, MAX_FILTER = 32, 8
CHUNK, SEGMENT, CONV_SEGMENT = 16, 256, 64  # as in kernels/
_NAMES = {torch.float32: "float", torch.bfloat16: "bfloat16", torch.float16: "float16"}


class Rows(ctypes.Structure):
    """Activations: address, and row and position steps in numbers."""

    _fields_ = (("data", ctypes.c_void_p), ("row", ctypes.c_longlong), ("step", ctypes.c_longlong))


class Inputs(ctypes.Structure):
    _fields_ = (
        *((name, Rows) for name in ("u", "delta", "z", "B", "C")),
        *((name, ctypes.c_void_p) for name in ("A", "D", "bias", "lengths")),
        *((name, ctypes.c_int) for name in ("positions", "channels")),
    )


class Gradients(ctypes.Structure):
    _fields_ = (
        *((name, Rows) for name in ("u", "delta", "z")),
        *((name, ctypes.c_void_p) for name in ("A", "D", "bias", "BC")),
    )


def scan(
    u_BLD: Tensor,
    delta_BLD: Tensor,
    A_DN: Tensor,
    B_BLN: Tensor,
    C_BLN: Tensor,
    D_D: Tensor,
    delta_bias_D: Tensor,
    z_BLD: Tensor | None,
    reversed_B: Tensor | None = None,
) -> Tensor:
    if A_DN.shape[1] > MAX_STATES:
        wide = (u_BLD, delta_BLD, A_DN, B_BLN, C_BLN, D_D, delta_bias_D, z_BLD)
        return plain.scan(*wide, reversed_B=reversed_B)
    u, delta, B, C = (_rows(x.to(u_BLD.dtype)) for x in (u_BLD, delta_BLD, B_BLN, C_BLN))
    z = None if z_BLD is None else _rows(z_BLD.to(u_BLD.dtype))
    A, D, bias = (x.float().contiguous() for x in (A_DN, D_D, delta_bias_D))
    keep = torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in (u, delta, B, C, A, D, bias, z))
    return _scan(keep, _lengths(reversed_B, u), u, delta, B, C, A, D, bias, z)


def conv(x_BLD: Tensor, weight_DK: Tensor, bias_D: Tensor, reversed_B: Tensor | None = None) -> Tensor:
    if weight_DK.shape[1] > MAX_FILTER:
        return plain.conv(x_BLD, weight_DK, bias_D, reversed_B=reversed_B)
    return _conv(_lengths(reversed_B, x_BLD), _rows(x_BLD), weight_DK.float().contiguous(), bias_D.float().contiguous())


def _rows(x: Tensor) -> Tensor:
    """x with a contiguous last dimension; a slice of a wider tensor is not copied."""
    return x if x.stride(-1) == 1 else x.contiguous()


def _lengths(reversed_B: Tensor | None, like: Tensor) -> Tensor | None:
    return None if reversed_B is None else reversed_B.to(like.device, torch.int64).contiguous()


def _new(like: Tensor, lengths: Tensor | None) -> Tensor:
    """A contiguous tensor to write into; its padding is 0 for rows read backwards, which skip it."""
    return (torch.empty if lengths is None else torch.zeros)(like.shape, dtype=like.dtype, device=like.device)


def _at(x: Tensor | None) -> int | None:
    return None if x is None else x.data_ptr()


def _rows_at(x: Tensor | None) -> Rows:
    return Rows() if x is None else Rows(x.data_ptr(), *x.stride()[:2])


def _definitions(*activations: Tensor | None, **sizes: int) -> list[str]:
    """The definitions for compilation: the type, whether pairs of channels are read as words, and ``sizes``."""
    there = [x for x in activations if x is not None]
    size = there[0].element_size()
    paired = all(
        x.data_ptr() % (2 * size) == 0 and x.shape[2] % 2 == 0 and x.stride(0) % 2 == 0 and x.stride(1) % 2 == 0
        for x in there
    )
    return [f"SCALAR={_NAMES[there[0].dtype]}", f"PAIRED={int(paired)}", *(f"{k}={v}" for k, v in sizes.items())]


def _channel_blocks(channels: int, states: int) -> int:
    """The number of blocks for the channels of a row: a lane has 4 states of 2 channels, a block 128 lanes."""
    lanes = next(lanes for lanes in (1, 2, 4, 8) if 4 * lanes >= states)
    return -(-channels * lanes // 256)


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, keep: bool, lengths: Tensor | None, *inputs: Any) -> Tensor:
        u, delta, B, C, A, _, _, z = inputs
        (rows, positions, channels), states = u.shape, A.shape[1]
        blocks, chunks = _channel_blocks(channels, states), -(-positions // CHUNK)
        y = _new(u, lengths)
        kept = torch.empty(rows if keep else 0, chunks, blocks, 8 * 128, device=u.device, dtype=torch.float32)
        definitions = _definitions(u, delta, B, C, z, y, STATES=states, GATED=int(z is not None))
        task = _inputs(inputs, lengths)
        at = ctypes.c_void_p(_at(kept) if keep else None)
        launch("scan_forward", definitions, u.device, rows * blocks, task, _rows_at(y), at)
        ctx.save_for_backward(*inputs, kept, lengths)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        *inputs, kept, lengths = ctx.saved_tensors
        u, delta, B, C, A, D, bias, z = inputs
        dy = _rows(dy)
        (rows, positions, channels), states = u.shape, A.shape[1]
        blocks, segments = _channel_blocks(channels, states), -(-positions // SEGMENT)
        du, ddelta, dz = (None if x is None else _new(x, lengths) for x in (u, delta, z))
        parts = {"device": u.device, "dtype": torch.float32}
        new = torch.empty if lengths is None else torch.zeros  # segments beyond a row's length are not written
        dA, dD, dbias = (new(rows, segments, *x.shape, **parts) for x in (A, D, bias))
        dBC = new(blocks, rows, positions, 2, states, **parts)
        definitions = _definitions(u, delta, B, C, z, dy, du, STATES=states, GATED=int(z is not None))
        out = Gradients(*map(_rows_at, (du, ddelta, dz)), *map(_at, (dA, dD, dbias, dBC)))
        task = _inputs(inputs, lengths)
        at = ctypes.c_void_p(_at(kept))
        launch("scan_backward", definitions, u.device, rows * blocks, task, _rows_at(dy), at, out)
        dB, dC = dBC.sum(0).to(B.dtype).unbind(2)
        return None, None, du, ddelta, dB, dC, dA.sum((0, 1)), dD.sum((0, 1)), dbias.sum((0, 1)), dz


def _inputs(inputs: Any, lengths: Tensor | None) -> Inputs:
    u, delta, B, C, A, D, bias, z = inputs
    return Inputs(*map(_rows_at, (u, delta, z, B, C)), *map(_at, (A, D, bias, lengths)), *u.shape[1:])


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, lengths: Tensor | None, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, bias, lengths)
        y = _new(x, lengths)
        definitions = _definitions(x, y, WIDTH=weight.shape[1])
        launch(
            "conv_forward", definitions, x.device, _conv_blocks(x), *_conv_task(x, weight, bias, lengths), _rows_at(y)
        )
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, lengths = ctx.saved_tensors
        dy, dx = _rows(dy), _new(x, lengths)
        shares = (x.shape[0], -(-x.shape[1] // CONV_SEGMENT))
        dweight, dbias = (torch.empty(*shares, *p.shape, device=x.device, dtype=torch.float32) for p in (weight, bias))
        definitions = _definitions(x, dy, dx, WIDTH=weight.shape[1])
        out = (_rows_at(dy), _rows_at(dx), ctypes.c_void_p(_at(dweight)), ctypes.c_void_p(_at(dbias)))
        launch("conv_backward", definitions, x.device, _conv_blocks(x), *_conv_task(x, weight, bias, lengths), *out)
        return None, dx, dweight.sum((0, 1)), dbias.sum((0, 1))


def _conv_blocks(x: Tensor) -> int:
    """The number of blocks; each processes 64 channels of 4 segments."""
    rows, positions, channels = x.shape
    return rows * -(-positions // (4 * CONV_SEGMENT)) * -(-channels // 64)


def _conv_task(x: Tensor, weight: Tensor, bias: Tensor, lengths: Tensor | None) -> tuple[Any, ...]:
    addresses = (ctypes.c_void_p(_at(tensor)) for tensor in (weight, bias, lengths))
    return (_rows_at(x), *addresses, ctypes.c_int(x.shape[1]), ctypes.c_int(x.shape[2]))


_scan: Callable[..., Tensor] = _Scan.apply
_conv: Callable[..., Tensor] = _Conv.apply
