"""N pairs of a step, K remembered."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from orthrus.errors import InputError
from orthrus.objectives import ContrastiveTerm, Encoded
from orthrus.objectives.memory import PairMemory
from tests.objectives.test_contrastive import FAMILY, KIND, LOSSES, every_loss, literal, make_views

Step = tuple[Tensor, Tensor, Tensor, Tensor]


def make_step(seed: int, pairs: int = 3) -> Step:
    generator = torch.Generator().manual_seed(seed)
    views = torch.randn(2, pairs, 5, generator=generator, dtype=torch.float64)
    kind_N, family_N = (torch.randint(0, n, (pairs,), generator=generator) for n in (3, 6))
    return views[0], views[1], kind_N, family_N


@every_loss
def test_remembered_pairs_are_compared_with_and_are_no_anchors(name: str) -> None:
    view0, view1 = make_views()
    kind, family = torch.tensor(KIND), torch.tensor(FAMILY)
    memory = PairMemory(6, 5).double()
    memory.add(view0[3:], view1[3:], kind[3:], family[3:])
    now = tuple(view[:3].detach().clone().requires_grad_() for view in (view0, view1))
    loss_fn = LOSSES[name][0]().double()
    loss = loss_fn(*now, kind[:3], family[:3], past=memory.past())
    both = (torch.cat([own, view[3:].detach()]) for own, view in zip(now, (view0, view1), strict=True))
    expected = literal(name, loss_fn, *both, KIND, FAMILY, anchors=3)
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(torch.autograd.grad(loss, now), torch.autograd.grad(expected, now), rtol=0, atol=1e-12)


def test_the_newest_pairs_are_kept() -> None:
    memory = PairMemory(7, 5).double()
    steps = [make_step(seed) for seed in range(5)]
    for number, step in enumerate(steps):
        memory.add(*step)
        newest = [torch.cat(part)[-7:] for part in zip(*steps[: number + 1], strict=True)]
        past = memory.past()
        found = {
            tuple(past.views_2KD[0, k].tolist()): (int(past.kind_K[k]), int(past.family_K[k]))
            for k in range(len(past.kind_K))
        }
        unit = torch.nn.functional.normalize(newest[0], dim=-1)
        wanted = {tuple(unit[k].tolist()): (int(newest[2][k]), int(newest[3][k])) for k in range(len(unit))}
        assert found == wanted


def test_a_step_of_more_pairs_than_the_memory_holds_leaves_the_last_of_them() -> None:
    memory = PairMemory(2, 5).double()
    view0, view1, kind, family = make_step(0, pairs=5)
    memory.add(view0, view1, kind, family)
    torch.testing.assert_close(memory.past().views_2KD[1], torch.nn.functional.normalize(view1[-2:], dim=-1))
    assert memory.past().family_K.tolist() == family[-2:].tolist()


def test_a_term_resumed_from_its_state_goes_on_bit_for_bit() -> None:
    def scores(term: ContrastiveTerm, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        rows_VD = torch.randn(8, 6, generator=generator)
        return term(Encoded(rows_VD, {}, torch.tensor([0, 1, 2, 1]), torch.arange(4) + seed % 3))["loss"]

    torch.manual_seed(0)
    term = ContrastiveTerm(6, memory=10)
    for seed in range(4):
        scores(term, seed)
    resumed = ContrastiveTerm(6, memory=10)
    resumed.load_state_dict(term.state_dict())
    for seed in range(4, 8):
        assert torch.equal(scores(term, seed), scores(resumed, seed))


def test_validation_neither_reads_nor_fills_the_memory() -> None:
    torch.manual_seed(0)
    term = ContrastiveTerm(6, memory=10)
    encoded = Encoded(torch.randn(8, 6), {}, torch.tensor([0, 1, 2, 1]), torch.arange(4))
    term(encoded)
    term.eval()
    once, again = term(encoded)["loss"], term(encoded)["loss"]
    assert torch.equal(once, again)
    assert term.memory is not None
    assert len(term.memory.past().kind_K) == 4


def test_a_memory_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="a memory must hold at least 1 pair, got -1"):
        ContrastiveTerm(6, memory=-1)


def check_rank(counts: list[int]) -> None:
    """After steps of uneven ranks, the memory of every rank is that of one process with the whole batches."""
    whole, mine = PairMemory(6, 5).double(), PairMemory(6, 5).double()
    rank = dist.get_rank()
    own = slice(sum(counts[:rank]), sum(counts[: rank + 1]))
    steps = [make_step(seed, sum(counts)) for seed in range(3)]
    for step in steps:
        mine.add(*(part[own] for part in step))
    group = dist.group.WORLD
    dist.barrier(group)
    for step in steps:  # by hand, as one process would
        _fill(whole, step)
    for found, wanted in zip(mine.past(), whole.past(), strict=True):
        torch.testing.assert_close(found, wanted)


def _fill(memory: PairMemory, step: Step) -> None:
    size = len(memory.kind_K)
    for row in range(len(step[0])):
        place = memory.get_extra_state() % size
        for view in (0, 1):
            memory.views_2KD[view, place] = step[view][row] / step[view][row].norm()
        memory.kind_K[place], memory.family_K[place] = step[2][row], step[3][row]
        memory.set_extra_state(memory.get_extra_state() + 1)


def one_process(rank: int, rendezvous: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    try:
        for counts in ([2, 2], [3, 1], [4, 0]):
            check_rank(counts)
    finally:
        dist.destroy_process_group()


@pytest.mark.dist
def test_ranks_remember_the_pairs_of_all(tmp_path: Path) -> None:
    mp.spawn(one_process, args=(str(tmp_path / "rendezvous"),), nprocs=2)
