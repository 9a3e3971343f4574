"""The causal depthwise convolution with SiLU in Triton: channels last in and out, nothing transposed or padded.

B batch rows, L positions (nt), D channels, W filter width; a program does T positions of K channels of one row.
Positions t count along the way, which in a row that is read backwards goes from its own last position to its first.
Backward recomputes the convolution; its shares of the filter's gradient are added outside, in one order.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"
# Kernels are in Triton's language, whose values have types of their own; torch.cuda.device_of is untyped.

from collections.abc import Callable
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK, CHANNELS = 32, 32  # backward fits the registers of sm_80 and sm_90 without spilling


@triton.jit
def _along(t, length, REVERSED: tl.constexpr):
    """Where position t of the way lies in memory."""
    return length - 1 - t if REVERSED else t


@triton.jit
def _convolve(
    x_at, weight_ptr, x_step, t, d, length, channels, bias,
    T: tl.constexpr, K: tl.constexpr, W: tl.constexpr, REVERSED: tl.constexpr,
):  # fmt: skip
    """(T, K): the filter's output at positions t, 0 beyond the row."""
    total = tl.zeros((T, K), dtype=tl.float32) + bias[None, :]
    for k in tl.static_range(W):
        source = t - W + 1 + k
        own = ((source >= 0) & (source < length))[:, None] & (d < channels)[None, :]
        at = _along(source, length, REVERSED)
        x = tl.load(x_at + at[:, None] * x_step + d[None, :], mask=own, other=0.0).to(tl.float32)
        total += tl.load(weight_ptr + d * W + k, mask=d < channels, other=0.0)[None, :] * x
    return total


@triton.jit
def _conv_forward(
    x_ptr, weight_ptr, bias_ptr, lengths_ptr, y_ptr, x_row, x_step, positions, channels,
    T: tl.constexpr, K: tl.constexpr, W: tl.constexpr, REVERSED: tl.constexpr,
):  # fmt: skip
    row, d = tl.program_id(0).to(tl.int64), tl.program_id(2) * K + tl.arange(0, K)
    t = tl.program_id(1) * T + tl.arange(0, T)
    length = tl.load(lengths_ptr + row) if REVERSED else positions
    bias = tl.load(bias_ptr + d, mask=d < channels, other=0.0)
    total = _convolve(x_ptr + row * x_row, weight_ptr, x_step, t, d, length, channels, bias, T, K, W, REVERSED)
    y = (total * tl.sigmoid(total)).to(y_ptr.dtype.element_ty)
    own = (t < length)[:, None] & (d < channels)[None, :]
    at = _along(t, length, REVERSED)
    tl.store(y_ptr + (row * positions + at[:, None]) * channels + d[None, :], y, mask=own)


@triton.jit
def _conv_backward(
    x_ptr, weight_ptr, bias_ptr, lengths_ptr, dy_ptr, dx_ptr, dweight_ptr, dbias_ptr,
    x_row, x_step, dy_row, dy_step, positions, channels,
    T: tl.constexpr, K: tl.constexpr, W: tl.constexpr, REVERSED: tl.constexpr,
):  # fmt: skip
    row, d = tl.program_id(0).to(tl.int64), tl.program_id(2) * K + tl.arange(0, K)
    t = tl.program_id(1) * T + tl.arange(0, T)
    own_d = d < channels
    length = tl.load(lengths_ptr + row) if REVERSED else positions
    bias = tl.load(bias_ptr + d, mask=own_d, other=0.0)
    share_at = (row * tl.num_programs(1) + tl.program_id(1)) * channels
    dx = tl.zeros((T, K), dtype=tl.float32)
    for later in tl.static_range(W):  # position t took part in the outputs t to t + W - 1
        output = t + later
        total = _convolve(x_ptr + row * x_row, weight_ptr, x_step, output, d, length, channels, bias, T, K, W, REVERSED)
        own = (output < length)[:, None] & own_d[None, :]
        at = _along(output, length, REVERSED)
        dy = tl.load(dy_ptr + row * dy_row + at[:, None] * dy_step + d[None, :], mask=own, other=0.0).to(tl.float32)
        share = tl.sigmoid(total)
        dtotal = dy * share * (1 + total * (1 - share))
        dx += tl.load(weight_ptr + d * W + W - 1 - later, mask=own_d, other=0.0)[None, :] * dtotal
        if later == 0:
            tl.store(dbias_ptr + share_at + d, tl.sum(dtotal, axis=0), mask=own_d)
            for k in tl.static_range(W):
                source = t - W + 1 + k
                own = ((source >= 0) & (source < length))[:, None] & own_d[None, :]
                source_at = _along(source, length, REVERSED)
                x = tl.load(x_ptr + row * x_row + source_at[:, None] * x_step + d[None, :], mask=own, other=0.0)
                tl.store(dweight_ptr + (share_at + d) * W + k, tl.sum(dtotal * x.to(tl.float32), axis=0), mask=own_d)
    own = (t < length)[:, None] & own_d[None, :]
    at = _along(t, length, REVERSED)
    dx_at = dx_ptr + (row * positions + at[:, None]) * channels + d[None, :]
    tl.store(dx_at, dx.to(dx_ptr.dtype.element_ty), mask=own)


def conv(x_BLD: Tensor, weight_DK: Tensor, bias_D: Tensor, reversed_B: Tensor | None = None) -> Tensor:
    lengths = None if reversed_B is None else reversed_B.to(x_BLD.device)
    return _conv(lengths, rows_of(x_BLD), weight_DK.float().contiguous(), bias_D.float().contiguous())


def new(like: Tensor, reversed: bool) -> Tensor:
    """A tensor to write into, side by side; 0 in the padding, which a walk backwards leaves out."""
    return (torch.zeros if reversed else torch.empty)(like.shape, dtype=like.dtype, device=like.device)


def rows_of(x: Tensor) -> Tensor:
    """x with its last dimension side by side."""
    return x if x.stride(-1) == 1 else x.contiguous()


def _grid(x: Tensor) -> tuple[int, int, int]:
    return x.shape[0], triton.cdiv(x.shape[1], CHUNK), triton.cdiv(x.shape[2], CHANNELS)


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, lengths: Tensor | None, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, bias, lengths)
        y = new(x, reversed=lengths is not None)
        sizes = (*x.stride()[:2], *x.shape[1:])
        options = {"T": CHUNK, "K": CHANNELS, "W": weight.shape[1], "REVERSED": lengths is not None}
        with torch.cuda.device_of(x):
            _conv_forward[_grid(x)](x, weight, bias, lengths, y, *sizes, **options)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, lengths = ctx.saved_tensors
        dy = rows_of(dy)
        rows, chunks, _ = _grid(x)
        dx = new(x, reversed=lengths is not None)
        dweight = torch.empty(rows, chunks, *weight.shape, device=x.device)
        dbias = torch.empty(rows, chunks, *bias.shape, device=x.device)
        sizes = (*x.stride()[:2], *dy.stride()[:2], *x.shape[1:])
        options = {"T": CHUNK, "K": CHANNELS, "W": weight.shape[1], "REVERSED": lengths is not None}
        with torch.cuda.device_of(x):
            _conv_backward[_grid(x)](x, weight, bias, lengths, dy, dx, dweight, dbias, *sizes, **options)
        return None, dx, dweight.sum((0, 1)), dbias.sum((0, 1))


_conv: Callable[..., Tensor] = _Conv.apply
