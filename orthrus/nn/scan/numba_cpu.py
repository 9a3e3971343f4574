"""CPU backend: Numba kernels over tasks of one batch row by WIDTH channels, on a few threads; forward and backward.

B batch rows, L positions (nt), D channels, N states, K filter width, G blocks of WIDTH channels.

Compiled for the machine at first use and cached on disk; shapes are arguments, so no new shape compiles anything.
The threads are as many as torch's and need no GIL. Memory beside inputs and outputs: with gradients B L N D / SPAN
numbers, without them nothing. Computes in float32; bfloat16 and float16 are converted on the way in and out.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from orthrus.nn.scan import plain
from orthrus.nn.scan.numba_kernels import (
    MAX_FILTER,
    MAX_STATES,
    SPAN,
    WIDTH,
    conv_backward,
    conv_forward,
    scan_backward,
    scan_forward,
)


@cache
def _threads(process: int, count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="orthrus-scan")


def _run(task: Callable[[int, int], None], rows: int, channels: int) -> None:
    """Calls task(row, first channel) for every row and block of channels."""
    tasks = list(product(range(rows), range(0, channels, WIDTH)))
    count = min(torch.get_num_threads(), len(tasks))
    if count == 1:
        for row, first in tasks:
            task(row, first)
    else:  # the process is part of the key because threads do not survive a fork
        for _ in _threads(os.getpid(), count).map(lambda at: task(*at), tasks):
            pass


def _at(x: Tensor | None, *index: int) -> int:
    """Address of a number of a float32 tensor; 0 for None."""
    if x is None:
        return 0
    offset = sum(i * step for i, step in zip(index, x.stride(), strict=False))
    return x.data_ptr() + 4 * offset


def _rows(x: Tensor) -> Tensor:
    """x in float32 with its last dimension side by side; a slice of a wider tensor stays where it is."""
    x = x.float()
    return x if x.stride(-1) == 1 else x.contiguous()


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
    if A_DN.shape[1] > MAX_STATES:
        return plain.scan(u_BLD, delta_BLD, A_DN, B_BLN, C_BLN, D_D, delta_bias_D, z_BLD)
    small = [x.float().contiguous() for x in (A_DN, D_D, delta_bias_D)]
    wide = [_rows(x) for x in (u_BLD, delta_BLD, B_BLN, C_BLN)]
    z = None if z_BLD is None else _rows(z_BLD)
    inputs = (wide[0], wide[1], small[0], wide[2], wide[3], small[1], small[2], z)
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in inputs):
        y_BLD: Tensor = _Scan.apply(*inputs)
    else:
        y_BLD = _scan_forward(*inputs, kept=None)
    return y_BLD.to(u_BLD.dtype)


def _scan_forward(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    bias: Tensor,
    z: Tensor | None,
    kept: Tensor | None,
) -> Tensor:
    y = torch.empty(u.shape)
    (rows, positions, channels), states = u.shape, A.shape[1]

    def task(row: int, first: int) -> None:
        scan_forward(
            min(WIDTH, channels - first), positions, states,
            _at(u, row, 0, first), u.stride(1), _at(delta, row, 0, first), delta.stride(1), _at(A, first),
            _at(B, row), B.stride(1), _at(C, row), C.stride(1), _at(D, first), _at(bias, first),
            _at(z, row, 0, first), 0 if z is None else z.stride(1), _at(y, row, 0, first), y.stride(1),
            _at(kept, row, first // WIDTH),
        )  # fmt: skip

    _run(task, rows, channels)
    return y


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, bias: Tensor, z: Tensor | None
    ) -> Tensor:
        (rows, positions, channels), states = u.shape, A.shape[1]
        kept = torch.empty(rows, -(-channels // WIDTH), -(-positions // SPAN), states, WIDTH)
        ctx.save_for_backward(u, delta, A, B, C, D, bias, z, kept)
        return _scan_forward(u, delta, A, B, C, D, bias, z, kept)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        u, delta, A, B, C, D, bias, z, kept = ctx.saved_tensors
        dy = _rows(dy)
        (rows, positions, channels), states = u.shape, A.shape[1]
        blocks = kept.shape[1]
        du, ddelta = torch.empty(u.shape), torch.empty(u.shape)
        dz = None if z is None else torch.empty(u.shape)
        dA, dD, dbias = torch.empty(rows, channels, states), torch.empty(rows, channels), torch.empty(rows, channels)
        dB, dC = torch.empty(blocks, rows, positions, states), torch.empty(blocks, rows, positions, states)

        def task(row: int, first: int) -> None:
            block = first // WIDTH
            work = torch.empty(SPAN + 1, states, 2, WIDTH)
            scan_backward(
                min(WIDTH, channels - first), positions, states,
                _at(u, row, 0, first), u.stride(1), _at(delta, row, 0, first), delta.stride(1), _at(A, first),
                _at(B, row), B.stride(1), _at(C, row), C.stride(1), _at(D, first), _at(bias, first),
                _at(z, row, 0, first), 0 if z is None else z.stride(1), _at(dy, row, 0, first), dy.stride(1),
                _at(kept, row, block), work.data_ptr(), _at(du, row, 0, first), _at(ddelta, row, 0, first),
                _at(dz, row, 0, first), channels, _at(dA, row, first), _at(dD, row, first), _at(dbias, row, first),
                _at(dB, block, row), _at(dC, block, row),
            )  # fmt: skip

        _run(task, rows, channels)
        return du, ddelta, dA.sum(0), dB.sum(0), dC.sum(0), dD.sum(0), dbias.sum(0), dz


def conv(x_BLD: Tensor, weight_DK: Tensor, bias_D: Tensor) -> Tensor:
    if weight_DK.shape[1] > MAX_FILTER:
        return plain.conv(x_BLD, weight_DK, bias_D)
    inputs = (_rows(x_BLD), weight_DK.float(), bias_D.float().contiguous())
    if torch.is_grad_enabled() and any(x.requires_grad for x in inputs):
        y_BLD: Tensor = _Conv.apply(*inputs)
    else:
        y_BLD = _conv_forward(*inputs)
    return y_BLD.to(x_BLD.dtype)


def _conv_forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    y = torch.empty(x.shape)
    rows, positions, channels = x.shape
    taps = weight.T.contiguous()

    def task(row: int, first: int) -> None:
        conv_forward(
            min(WIDTH, channels - first), positions, weight.shape[1], _at(x, row, 0, first), x.stride(1),
            _at(taps, 0, first), channels, _at(bias, first), _at(y, row, 0, first), channels,
        )  # fmt: skip

    _run(task, rows, channels)
    return y


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight, bias)
        return _conv_forward(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, ...]:
        x, weight, bias = ctx.saved_tensors
        dy = _rows(dy)
        rows, positions, channels = x.shape
        taps = weight.T.contiguous()
        dx, dtaps, dbias = torch.empty(x.shape), torch.empty(rows, *taps.shape), torch.empty(rows, channels)

        def task(row: int, first: int) -> None:
            conv_backward(
                min(WIDTH, channels - first), positions, weight.shape[1], _at(x, row, 0, first), x.stride(1),
                _at(taps, 0, first), channels, _at(bias, first), _at(dy, row, 0, first), dy.stride(1),
                _at(dx, row, 0, first), channels, _at(dtaps, row, 0, first), _at(dbias, row, first),
            )  # fmt: skip

        _run(task, rows, channels)
        return dx, dtaps.sum(0).T, dbias.sum(0)
