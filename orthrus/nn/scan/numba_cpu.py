"""CPU backend: Numba kernels over tasks of one batch row by WIDTH channels, on a few threads; forward and backward.

B batch rows, L positions (nt), D channels, N states, K filter width, G blocks of WIDTH channels.

Compiled for the machine at first use and cached on disk; shapes are arguments, so no new shape compiles anything.
The threads are as many as torch's and hold no GIL. Memory beside inputs and outputs: with gradients B L N D / SPAN
numbers, without them nothing. Computes in float32; bfloat16 and float16 are converted on the way in and out.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from orthrus.nn.scan import plain
from orthrus.nn.scan.memory import keep_freed_memory
from orthrus.nn.scan.numba_kernels import (
    MAX_FILTER,
    MAX_STATES,
    SPAN,
    WIDTH,
    ConvTask,
    ScanGradients,
    ScanTask,
    conv_backward,
    conv_forward,
    scan_backward,
    scan_forward,
)

keep_freed_memory()

ScanInputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor | None]


@cache
def _helpers(process: int, count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="orthrus-scan")


def _run(task: Callable[[int, int], None], rows: int, channels: int) -> None:
    """Calls task(row, first channel) for every row and block of channels, on this thread and its helpers."""
    tasks = product(range(rows), range(0, channels, WIDTH))

    def work(tasks: Iterator[tuple[int, int]]) -> None:
        for row, first in tasks:  # taking the next one is atomic, so threads share the iterator
            task(row, first)

    helpers = min(torch.get_num_threads(), rows * -(-channels // WIDTH)) - 1
    if helpers < 1:
        return work(tasks)
    pool = _helpers(os.getpid(), helpers)  # threads do not survive a fork, so each process has its own
    pending = [pool.submit(work, tasks) for _ in range(helpers)]
    work(tasks)
    for future in pending:
        future.result()


def _at(x: Tensor | None, *index: int) -> int:
    """Address of a number of a float32 tensor; 0 for None."""
    if x is None:
        return 0
    return int(x.data_ptr()) + 4 * sum(i * step for i, step in zip(index, x.stride(), strict=False))


def _rows(x: Tensor) -> Tensor:
    """x in float32 with its last dimension side by side; a slice of a wider tensor stays where it is."""
    x = x.float()
    return x if x.stride(-1) == 1 else x.contiguous()


def _wants_gradient(*inputs: Tensor | None) -> bool:
    return torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in inputs)


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
    u, delta, B, C = (_rows(x) for x in (u_BLD, delta_BLD, B_BLN, C_BLN))
    A, D, bias = (x.float().contiguous() for x in (A_DN, D_D, delta_bias_D))
    inputs: ScanInputs = (u, delta, A, B, C, D, bias, None if z_BLD is None else _rows(z_BLD))
    y_BLD: Tensor = _scan_with_gradient(*inputs) if _wants_gradient(*inputs) else _scan_forward(inputs, kept=None)
    return y_BLD.to(u_BLD.dtype)


def _scan_task(inputs: ScanInputs, row: int, first: int) -> ScanTask:
    u, delta, A, B, C, D, bias, z = inputs
    return ScanTask(
        channels=min(WIDTH, u.shape[2] - first),
        positions=u.shape[1],
        states=A.shape[1],
        u=_at(u, row, 0, first),
        u_step=u.stride(1),
        delta=_at(delta, row, 0, first),
        delta_step=delta.stride(1),
        A=_at(A, first),
        B=_at(B, row),
        B_step=B.stride(1),
        C=_at(C, row),
        C_step=C.stride(1),
        D=_at(D, first),
        bias=_at(bias, first),
        z=_at(z, row, 0, first),
        z_step=0 if z is None else z.stride(1),
    )


def _scan_forward(inputs: ScanInputs, kept: Tensor | None) -> Tensor:
    rows, _, channels = inputs[0].shape
    y = torch.empty(inputs[0].shape)

    def task(row: int, first: int) -> None:
        scan_forward(_scan_task(inputs, row, first), _at(y, row, 0, first), channels, _at(kept, row, first // WIDTH))

    _run(task, rows, channels)
    return y


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        (rows, positions, channels), states = inputs[0].shape, inputs[2].shape[1]
        kept = torch.empty(rows, -(-channels // WIDTH), -(-positions // SPAN), states, WIDTH)
        ctx.save_for_backward(*inputs, kept)
        return _scan_forward(inputs, kept)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, kept = ctx.saved_tensors
        inputs: ScanInputs = tuple(tensors)
        u, z, dy = inputs[0], inputs[-1], _rows(dy)
        (rows, positions, channels), (blocks, states) = u.shape, kept.shape[1:4:2]
        du, ddelta, dz = torch.empty(u.shape), torch.empty(u.shape), None if z is None else torch.empty(u.shape)
        dA, dD, dbias = torch.empty(rows, channels, states), torch.empty(rows, channels), torch.empty(rows, channels)
        dB, dC = torch.empty(blocks, rows, positions, states), torch.empty(blocks, rows, positions, states)

        def task(row: int, first: int) -> None:
            block = first // WIDTH
            work = torch.empty(states, SPAN + 1, 2, WIDTH)
            out = ScanGradients(
                u=_at(du, row, 0, first),
                delta=_at(ddelta, row, 0, first),
                z=_at(dz, row, 0, first),
                step=channels,
                A=_at(dA, row, first),
                D=_at(dD, row, first),
                bias=_at(dbias, row, first),
                B=_at(dB, block, row),
                C=_at(dC, block, row),
            )
            inputs_at = _scan_task(inputs, row, first)
            scan_backward(inputs_at, _at(dy, row, 0, first), dy.stride(1), _at(kept, row, block), _at(work), out)

        _run(task, rows, channels)
        return du, ddelta, dA.sum(0), dB.sum(0), dC.sum(0), dD.sum(0), dbias.sum(0), dz


_scan_with_gradient: Callable[..., Tensor] = _Scan.apply


def conv(x_BLD: Tensor, weight_DK: Tensor, bias_D: Tensor) -> Tensor:
    if weight_DK.shape[1] > MAX_FILTER:
        return plain.conv(x_BLD, weight_DK, bias_D)
    inputs = (_rows(x_BLD), weight_DK.float().T.contiguous(), bias_D.float().contiguous())
    y_BLD: Tensor = _conv_with_gradient(*inputs) if _wants_gradient(*inputs) else _conv_forward(*inputs)
    return y_BLD.to(x_BLD.dtype)


def _conv_task(x: Tensor, weight: Tensor, bias: Tensor, row: int, first: int) -> ConvTask:
    return ConvTask(
        channels=min(WIDTH, x.shape[2] - first),
        positions=x.shape[1],
        width=weight.shape[0],
        x=_at(x, row, 0, first),
        x_step=x.stride(1),
        weight=_at(weight, 0, first),
        weight_step=weight.shape[1],
        bias=_at(bias, first),
    )


def _conv_forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    rows, _, channels = x.shape
    y = torch.empty(x.shape)

    def task(row: int, first: int) -> None:
        conv_forward(_conv_task(x, weight, bias, row, first), _at(y, row, 0, first), channels)

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
        rows, _, channels = x.shape
        dx, dweight, dbias = torch.empty(x.shape), torch.empty(rows, *weight.shape), torch.empty(rows, channels)

        def task(row: int, first: int) -> None:
            inputs_at = _conv_task(x, weight, bias, row, first)
            dx_at, dweight_at, dbias_at = _at(dx, row, 0, first), _at(dweight, row, 0, first), _at(dbias, row, first)
            conv_backward(inputs_at, _at(dy, row, 0, first), dy.stride(1), dx_at, channels, dweight_at, dbias_at)

        _run(task, rows, channels)
        return dx, dweight.sum(0), dbias.sum(0)


_conv_with_gradient: Callable[..., Tensor] = _Conv.apply
