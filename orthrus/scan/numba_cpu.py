"""CPU backend: Numba kernels over tasks of one batch row by WIDTH channels, on a few threads; forward and backward.

B batch rows, L positions (nt), D channels, N states, K filter width, G blocks of WIDTH channels.

The kernels are compiled for the machine at first use and cached on disk; shapes are arguments, so a new shape does not
compile anything. There are as many threads as torch has, and they release the GIL. Memory in addition to inputs and
outputs is B L N D / SPAN numbers with gradients, and none without. The kernels compute in float32; bfloat16 and float16
are converted on input and output.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from orthrus.scan import plain
from orthrus.scan.memory import keep_freed_memory
from orthrus.scan.numba_kernels import (
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

_new = partial(torch.empty, dtype=torch.float32)  # kernels write by address, whatever the default type is

ScanInputs = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor | None]


@cache
def _helpers(process: int, count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="orthrus-scan")


def _run(task: Callable[[int, int], None], rows: int, channels: int) -> None:
    """Calls task(row, first channel) for every row and block of channels, on this thread and its helpers."""
    tasks = product(range(rows), range(0, channels, WIDTH))

    def work(tasks: Iterator[tuple[int, int]]) -> None:
        for row, first in tasks:  # next() is atomic, so the threads share the iterator
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
    """The address of an element of a float32 tensor; 0 for None."""
    if x is None:
        return 0
    return int(x.data_ptr()) + 4 * sum(i * step for i, step in zip(index, x.stride(), strict=False))


@dataclass(frozen=True)
class Walk:
    """The order of each row's positions: from the first to the last, or backwards from the row's own last one."""

    lengths: list[int] | None
    """Lengths of rows that are read backwards."""

    @classmethod
    def of(cls, reversed_B: Tensor | None) -> "Walk":
        return cls(None if reversed_B is None else reversed_B.tolist())

    def positions(self, x_BLD: Tensor, row: int) -> int:
        return x_BLD.shape[1] if self.lengths is None else self.lengths[row]

    def along(self, x_BLD: Tensor | None, row: int, first: int = 0) -> tuple[int, int]:
        """The address of the first position of the walk, at channel ``first``, and the step to the next one."""
        if x_BLD is None:
            return 0, 0
        if self.lengths is None:
            return _at(x_BLD, row, 0, first), x_BLD.stride(1)
        return _at(x_BLD, row, self.lengths[row] - 1, first), -x_BLD.stride(1)

    def new(self, *shape: int) -> Tensor:
        """A tensor to write along the walk, 0 at positions that the walk does not reach."""
        return (torch.empty if self.lengths is None else torch.zeros)(shape, dtype=torch.float32)


def _rows(x: Tensor) -> Tensor:
    """x in float32 with a contiguous last dimension; a slice of a wider tensor is not copied."""
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
    reversed_B: Tensor | None = None,
) -> Tensor:
    if A_DN.shape[1] > MAX_STATES:
        wide = (u_BLD, delta_BLD, A_DN, B_BLN, C_BLN, D_D, delta_bias_D, z_BLD)
        return plain.scan(*wide, reversed_B=reversed_B)
    u, delta, B, C = (_rows(x) for x in (u_BLD, delta_BLD, B_BLN, C_BLN))
    A, D, bias = (x.float().contiguous() for x in (A_DN, D_D, delta_bias_D))
    inputs: ScanInputs = (u, delta, A, B, C, D, bias, None if z_BLD is None else _rows(z_BLD))
    walk = Walk.of(reversed_B)
    y_BLD = _scan_with_gradient(walk, *inputs) if _wants_gradient(*inputs) else _scan_forward(walk, inputs, kept=None)
    return y_BLD.to(u_BLD.dtype)


def _scan_task(walk: Walk, inputs: ScanInputs, row: int, first: int) -> ScanTask:
    u, delta, A, B, C, D, bias, z = inputs
    u_at, u_step = walk.along(u, row, first)
    delta_at, delta_step = walk.along(delta, row, first)
    B_at, B_step = walk.along(B, row)
    C_at, C_step = walk.along(C, row)
    z_at, z_step = walk.along(z, row, first)
    return ScanTask(
        channels=min(WIDTH, u.shape[2] - first),
        positions=walk.positions(u, row),
        states=A.shape[1],
        u=u_at,
        u_step=u_step,
        delta=delta_at,
        delta_step=delta_step,
        A=_at(A, first),
        B=B_at,
        B_step=B_step,
        C=C_at,
        C_step=C_step,
        D=_at(D, first),
        bias=_at(bias, first),
        z=z_at,
        z_step=z_step,
    )


def _scan_forward(walk: Walk, inputs: ScanInputs, kept: Tensor | None) -> Tensor:
    rows, _, channels = inputs[0].shape
    y = walk.new(*inputs[0].shape)

    def task(row: int, first: int) -> None:
        inputs_at = _scan_task(walk, inputs, row, first)
        scan_forward(inputs_at, *walk.along(y, row, first), _at(kept, row, first // WIDTH))

    _run(task, rows, channels)
    return y


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, walk: Walk, *inputs: Any) -> Tensor:
        (rows, positions, channels), states = inputs[0].shape, inputs[2].shape[1]
        kept = _new(rows, -(-channels // WIDTH), -(-positions // SPAN), states, WIDTH)
        ctx.walk = walk
        ctx.save_for_backward(*inputs, kept)
        return _scan_forward(walk, inputs, kept)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, kept = ctx.saved_tensors
        walk: Walk = ctx.walk
        inputs: ScanInputs = tuple(tensors)
        u, z, dy = inputs[0], inputs[-1], _rows(dy)
        (rows, positions, channels), (blocks, states) = u.shape, kept.shape[1:4:2]
        du, ddelta, dz = walk.new(*u.shape), walk.new(*u.shape), None if z is None else walk.new(*u.shape)
        dA, dD, dbias = _new(rows, channels, states), _new(rows, channels), _new(rows, channels)
        dB, dC = walk.new(blocks, rows, positions, states), walk.new(blocks, rows, positions, states)

        def task(row: int, first: int) -> None:
            block = first // WIDTH
            work = _new(states, SPAN + 1, 2, WIDTH)
            du_at, step = walk.along(du, row, first)
            dB_at, state_step = walk.along(dB[block], row)
            out = ScanGradients(
                u=du_at,
                delta=walk.along(ddelta, row, first)[0],
                z=walk.along(dz, row, first)[0],
                step=step,
                A=_at(dA, row, first),
                D=_at(dD, row, first),
                bias=_at(dbias, row, first),
                B=dB_at,
                C=walk.along(dC[block], row)[0],
                state_step=state_step,
            )
            inputs_at = _scan_task(walk, inputs, row, first)
            scan_backward(inputs_at, *walk.along(dy, row, first), _at(kept, row, block), _at(work), out)

        _run(task, rows, channels)
        return None, du, ddelta, dA.sum(0), dB.sum(0), dC.sum(0), dD.sum(0), dbias.sum(0), dz


_scan_with_gradient: Callable[..., Tensor] = _Scan.apply


def conv(x_BLD: Tensor, weight_DK: Tensor, bias_D: Tensor, reversed_B: Tensor | None = None) -> Tensor:
    if weight_DK.shape[1] > MAX_FILTER:
        return plain.conv(x_BLD, weight_DK, bias_D, reversed_B=reversed_B)
    inputs = (_rows(x_BLD), weight_DK.float().T.contiguous(), bias_D.float().contiguous())
    run = _conv_with_gradient if _wants_gradient(*inputs) else _conv_forward
    return run(Walk.of(reversed_B), *inputs).to(x_BLD.dtype)


def _conv_task(walk: Walk, x: Tensor, weight: Tensor, bias: Tensor, row: int, first: int) -> ConvTask:
    x_at, x_step = walk.along(x, row, first)
    return ConvTask(
        channels=min(WIDTH, x.shape[2] - first),
        positions=walk.positions(x, row),
        width=weight.shape[0],
        x=x_at,
        x_step=x_step,
        weight=_at(weight, 0, first),
        weight_step=weight.shape[1],
        bias=_at(bias, first),
    )


def _conv_forward(walk: Walk, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    rows, _, channels = x.shape
    y = walk.new(*x.shape)

    def task(row: int, first: int) -> None:
        conv_forward(_conv_task(walk, x, weight, bias, row, first), *walk.along(y, row, first))

    _run(task, rows, channels)
    return y


class _Conv(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, walk: Walk, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.walk = walk
        ctx.save_for_backward(x, weight, bias)
        return _conv_forward(walk, x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        walk: Walk = ctx.walk
        x, weight, bias = ctx.saved_tensors
        dy = _rows(dy)
        rows, _, channels = x.shape
        dx, dweight, dbias = walk.new(*x.shape), _new(rows, *weight.shape), _new(rows, channels)

        def task(row: int, first: int) -> None:
            inputs_at = _conv_task(walk, x, weight, bias, row, first)
            dweight_at, dbias_at = _at(dweight, row, 0, first), _at(dbias, row, first)
            conv_backward(inputs_at, *walk.along(dy, row, first), *walk.along(dx, row, first), dweight_at, dbias_at)

        _run(task, rows, channels)
        return None, dx, dweight.sum(0), dbias.sum(0)


_conv_with_gradient: Callable[..., Tensor] = _Conv.apply
