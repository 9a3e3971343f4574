"""Many processes equal one: scores, every parameter's gradient and every buffer of a real model under DDP."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from orthrus.loading import PairBatch
from orthrus.training.module import Pretraining
from tests.training.steps import OBJECTIVES, STEP, batch, build, gradients, part

Outcome = tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]
"""Scores, gradients, buffers."""


class Step(nn.Module):
    """What Lightning wraps: the call is a training step."""

    def __init__(self, module: Pretraining) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: PairBatch) -> dict[str, Tensor]:
        return self.module.objective(self.module(batch), STEP)


CASES = [*((name, None) for name in OBJECTIVES), ("joint", 3)]
"""(objective, chunk_rows)"""


def check(module: Pretraining, mine: PairBatch, expected: Outcome) -> None:
    distributed = DistributedDataParallel(Step(module))  # which averages gradients as long as it lives
    scores = distributed(mine)
    scores["loss"].backward()
    scores = {name: score.detach() / dist.get_world_size() for name, score in scores.items()}
    for score in scores.values():
        dist.all_reduce(score)
    gradients = {name: parameter.grad for name, parameter in module.named_parameters()}
    torch.testing.assert_close((scores, gradients, dict(module.named_buffers())), expected, rtol=0, atol=1e-10)


def validated(module: Pretraining, batch: PairBatch) -> tuple[dict[str, Tensor], int]:
    """What a validation step logs, and with which weight."""
    logged: dict[str, Any] = {}
    monkey: Any = module
    monkey.trainer = SimpleNamespace(world_size=1)
    monkey.log_dict = lambda values, batch_size, **_: logged.update(values=values, weight=batch_size)
    module.eval()
    with torch.inference_mode():
        module.validation_step(batch, 0)
    return logged["values"], logged["weight"]


def one_process(rank: int, world_size: int, rendezvous: str, counts: list[int]) -> None:
    torch.set_num_threads(1)
    whole, first = batch(sum(counts)), sum(counts[:rank])
    expected = {}
    for case in CASES:
        module = build(*case)
        expected[case] = (*gradients(module, whole), dict(module.named_buffers()))
    validation = validated(build("mlm"), whole)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=world_size)
    try:
        for case in CASES:
            try:
                check(build(*case), part(whole, first, first + counts[rank]), expected[case])
            except AssertionError as error:
                raise AssertionError(f"{case}, pairs on ranks {counts}: {error}") from error
        mine = part(whole, first, first + counts[rank])
        torch.testing.assert_close(validated(build("mlm"), mine), validation, rtol=0, atol=1e-6)
    finally:
        dist.destroy_process_group()


@pytest.mark.dist
@pytest.mark.slow
@pytest.mark.parametrize("counts", [[5, 2], [3, 0, 4]])
def test_many_processes_equal_one(tmp_path: Path, counts: list[int]) -> None:
    """Also where a rank has fewer pairs than another, none at all, or none with anything to predict."""
    mp.spawn(one_process, args=(len(counts), str(tmp_path / "rendezvous"), counts), nprocs=len(counts))
