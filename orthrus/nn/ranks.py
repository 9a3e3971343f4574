"""Communication between the ranks of a distributed run, with gradients. N rows of this rank, M of all, D features.

Every scalar of an objective follows one convention: its mean over ranks is its value over the whole batch. DDP
averages gradients in the same way, so the gradients are those of the whole batch too, provided that gradients also pass
between ranks: without this, rows would get no gradient as negatives of the other ranks' rows. A single process does
none of this.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def row_counts(rows_ND: Tensor) -> list[int]:
    """The number of rows of each rank, in rank order."""
    if world_size() == 1:
        return [rows_ND.shape[0]]
    count = torch.tensor([rows_ND.shape[0]], device=rows_ND.device)
    counts = [torch.empty_like(count) for _ in range(world_size())]
    dist.all_gather(counts, count)
    return [int(n) for n in counts]


def gather_rows(rows_ND: Tensor, counts: list[int]) -> Tensor:
    """All ranks' rows in rank order, (M, D); the gradient of a row is the sum of its gradients on all ranks.

    ``counts`` are the :func:`row_counts`; they may differ and may be 0. Costs one collective of the padded rows, and
    one of the gradients.
    """
    if world_size() == 1:
        return rows_ND
    return _gather_rows(rows_ND, counts) if rows_ND.is_floating_point() else _gather(rows_ND, counts)


def share_of_mean(total: Tensor, count: Tensor) -> Tensor:
    """The value whose mean over ranks is the sum of all totals divided by the sum of all counts; 0 for no counts."""
    counts = count.detach().clone()
    if world_size() > 1:
        dist.all_reduce(counts)
    return total * world_size() / counts.clamp(min=1)


def mean_over_ranks(scalars: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The mean of each scalar over ranks, detached, the same on every rank; costs one collective."""
    means_S = torch.stack([scalar.detach().float() for scalar in scalars.values()])
    if world_size() > 1:
        dist.all_reduce(means_S)
        means_S /= world_size()
    return dict(zip(scalars, means_S.unbind(), strict=True))


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
