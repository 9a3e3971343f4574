"""Rows of every rank, with their gradients. N rows of this rank, M rows of all ranks, D features.

A gather without gradients would let a rank see the others' rows as constants: their share as negatives would be lost.
Costs one collective of the row counts, one of the padded rows, and one of the gradients.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def row_counts(rows_ND: Tensor) -> list[int]:
    """How many rows each rank holds."""
    count = torch.tensor([rows_ND.shape[0]], device=rows_ND.device)
    counts = [torch.empty_like(count) for _ in range(world_size())]
    dist.all_gather(counts, count)
    return [int(n) for n in counts]


def _gather(rows_ND: Tensor, counts: list[int]) -> Tensor:
    padded = rows_ND.new_zeros(max(counts), *rows_ND.shape[1:])
    padded[: rows_ND.shape[0]] = rows_ND
    parts = [torch.empty_like(padded) for _ in counts]
    dist.all_gather(parts, padded)
    return torch.cat([part[:n] for part, n in zip(parts, counts, strict=True)])


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows_ND: Tensor, counts: list[int]) -> Tensor:
        ctx.counts = counts
        return _gather(rows_ND, counts)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        grad_MD = grads[0].contiguous()
        dist.all_reduce(grad_MD)  # every rank's loss depends on these rows
        return torch.split(grad_MD, ctx.counts)[dist.get_rank()], None


_gather_rows: Callable[[Tensor, list[int]], Tensor] = _GatherRows.apply


def gather_rows(rows_ND: Tensor, counts: list[int]) -> Tensor:
    """(M, D): all ranks' rows in rank order; the gradient of a row is the sum of what every rank sends back to it."""
    if not rows_ND.is_floating_point():
        return _gather(rows_ND, counts)
    return _gather_rows(rows_ND, counts)
