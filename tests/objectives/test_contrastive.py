from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from orthrus.errors import InputError
from orthrus.objectives.contrastive import DecoupledContrastiveLoss
from tests.oracles.dcl import dcl

KIND = [0, 1, 2, 2, 1, 0, 2, 1]
FAMILY = [3, 3, 5, 6, 7, 3, 5, 9]


def make_views(pairs: int = 8, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    return tuple(torch.randn(pairs, 5, generator=generator, dtype=dtype, requires_grad=True) for _ in range(2))


@pytest.mark.shared
def test_equals_the_published_loss(shared: Path) -> None:
    golden = np.load(shared / "golden" / "dcl.npz")
    view0, view1 = (torch.tensor(golden[name], requires_grad=True) for name in ("view0_ND", "view1_ND"))
    weights = golden["weights_self_splice_ortholog"].tolist()
    loss_fn = DecoupledContrastiveLoss(float(golden["temperature"]), *weights)
    loss = loss_fn(view0, view1, torch.tensor(golden["pair_kind_N"]))
    loss.backward()
    assert loss.item() == pytest.approx(float(golden["loss"]), abs=2e-6)
    assert loss_fn(view0, view1).item() == pytest.approx(float(golden["loss_unweighted"]), abs=2e-6)
    np.testing.assert_allclose(view0.grad, golden["grad0_ND"], atol=1e-6)
    np.testing.assert_allclose(view1.grad, golden["grad1_ND"], atol=1e-6)


@pytest.mark.parametrize("family", [None, FAMILY])
@pytest.mark.parametrize("kind", [None, KIND])
def test_equals_the_literal_loss(kind: list[int] | None, family: list[int] | None) -> None:
    view0, view1 = make_views()
    loss = DecoupledContrastiveLoss()(
        view0, view1, None if kind is None else torch.tensor(kind), None if family is None else torch.tensor(family)
    )
    expected = dcl(view0, view1, kind, family)
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-12)
    for got, wanted in zip(
        torch.autograd.grad(loss, (view0, view1)), torch.autograd.grad(expected, (view0, view1)), strict=True
    ):
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-12)


def test_rows_without_negatives_keep_their_positive_term() -> None:
    view0, view1 = make_views(3)
    loss = DecoupledContrastiveLoss()(view0, view1, None, torch.tensor([1, 1, 1]))
    loss.backward()
    torch.testing.assert_close(loss, -torch.cosine_similarity(view0, view1).mean() / 0.1)
    assert view0.grad is not None
    assert view0.grad.isfinite().all()


def test_one_pair_alone_and_none() -> None:
    view0, view1 = make_views(1)
    assert DecoupledContrastiveLoss()(view0, view1).isfinite()
    nothing = torch.zeros(0, 5, requires_grad=True)
    loss = DecoupledContrastiveLoss()(nothing, nothing)
    loss.backward()
    assert loss.item() == 0


def test_scale_of_the_views_does_not_matter() -> None:
    view0, view1 = make_views()
    loss_fn = DecoupledContrastiveLoss()
    torch.testing.assert_close(loss_fn(view0, view1), loss_fn(3 * view0, 0.2 * view1))


def test_pair_kinds_may_be_bytes() -> None:
    view0, view1 = make_views()
    loss_fn, kind = DecoupledContrastiveLoss(), torch.tensor(KIND)
    assert torch.equal(loss_fn(view0, view1, kind.to(torch.uint8)), loss_fn(view0, view1, kind))


def test_autocast_does_not_cost_precision() -> None:
    view0, view1 = make_views(dtype=torch.float32)
    expected = DecoupledContrastiveLoss()(view0, view1)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(DecoupledContrastiveLoss()(view0, view1), expected)


def test_bad_views_and_temperature() -> None:
    with pytest.raises(InputError, match=r"got \(2, 5\) and \(3, 5\)"):
        DecoupledContrastiveLoss()(torch.zeros(2, 5), torch.zeros(3, 5))
    with pytest.raises(InputError, match="temperature must be above 0, got 0"):
        DecoupledContrastiveLoss(temperature=0)


def check_rank(counts: list[int], with_family: bool) -> None:
    """A model of one matrix: value and DDP-averaged gradient against the literal loss of the whole batch."""
    rank, pairs = dist.get_rank(), sum(counts)
    inputs = torch.randn(2, pairs, 5, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    weight = torch.randn(5, 5, generator=torch.Generator().manual_seed(5), dtype=torch.float64, requires_grad=True)
    kind, family = [i % 3 for i in range(pairs)], [i % 4 for i in range(pairs)] if with_family else None
    mine = slice(sum(counts[:rank]), sum(counts[: rank + 1]))
    loss = DecoupledContrastiveLoss()(
        *(view[mine] @ weight for view in inputs),
        torch.tensor(kind)[mine],
        None if family is None else torch.tensor(family)[mine],
    )
    (gradient,) = torch.autograd.grad(loss, weight)
    mean = torch.cat([loss.detach()[None], gradient.flatten()])
    dist.all_reduce(mean)
    mean /= len(counts)
    expected = dcl(*(view @ weight for view in inputs), kind, family)
    (expected_gradient,) = torch.autograd.grad(expected, weight)
    torch.testing.assert_close(mean[0], expected.detach(), rtol=0, atol=1e-10)
    torch.testing.assert_close(mean[1:], expected_gradient.flatten(), rtol=0, atol=1e-10)


def one_process(rank: int, world_size: int, rendezvous: str, cases: list[tuple[list[int], bool]]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=world_size)
    try:
        for counts, with_family in cases:
            check_rank(counts, with_family)
    finally:
        dist.destroy_process_group()


@pytest.mark.dist
@pytest.mark.parametrize(
    ("world_size", "cases"),
    [(2, [([4, 4], False), ([5, 2], True), ([4, 0], False)]), (3, [([3, 1, 6], True), ([2, 2, 2], False)])],
)
def test_many_processes_equal_one(tmp_path: Path, world_size: int, cases: list[tuple[list[int], bool]]) -> None:
    mp.spawn(one_process, args=(world_size, str(tmp_path / "rendezvous"), cases), nprocs=world_size)
