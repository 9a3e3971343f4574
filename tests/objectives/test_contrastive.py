from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor

from orthrus.errors import InputError
from orthrus.objectives import DecoupledContrastiveLoss, InfoNCELoss, MultiPositiveLoss, SigmoidLoss
from orthrus.objectives.pair_rows import PairLoss
from tests.oracles import pair_losses
from tests.oracles.dcl import dcl

KIND = [0, 1, 2, 2, 1, 0, 2, 1]
FAMILY = [3, 3, 5, 6, 7, 3, 5, 9]

Oracle = Callable[..., Tensor]
LOSSES: dict[str, tuple[Callable[[], PairLoss], Oracle]] = {
    "decoupled": (DecoupledContrastiveLoss, dcl),
    "nt_xent": (InfoNCELoss, pair_losses.info_nce),
    "info_nce": (partial(InfoNCELoss, within_view=False), partial(pair_losses.info_nce, within_view=False)),
    "sigmoid": (partial(SigmoidLoss, bias=-3.0), partial(pair_losses.sigmoid, bias=-3.0)),
    "multi_positive": (MultiPositiveLoss, pair_losses.multi_positive),
}
every_loss = pytest.mark.parametrize("name", LOSSES)


def make_views(pairs: int = 8, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(4)
    return tuple(torch.randn(pairs, 5, generator=generator, dtype=dtype, requires_grad=True) for _ in range(2))


def literal(name: str, loss_fn: PairLoss, *inputs: Any, **settings: Any) -> Tensor:
    learned = {"scale": loss_fn.log_scale.detach().exp()} if isinstance(loss_fn, SigmoidLoss) else {}
    return LOSSES[name][1](*inputs, **learned, **settings)


def as_tensor(numbers: list[int] | None) -> Tensor | None:
    return None if numbers is None else torch.tensor(numbers)


@pytest.mark.shared
def test_decoupled_equals_the_published_loss(shared: Path) -> None:
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


@every_loss
@pytest.mark.parametrize("family", [None, FAMILY, [1] * 8])
@pytest.mark.parametrize("kind", [None, KIND])
def test_equals_the_literal_loss(name: str, kind: list[int] | None, family: list[int] | None) -> None:
    view0, view1 = make_views()
    loss_fn = LOSSES[name][0]().double()
    loss = loss_fn(view0, view1, as_tensor(kind), as_tensor(family))
    expected = literal(name, loss_fn, view0, view1, kind, family)
    torch.testing.assert_close(loss, expected, rtol=0, atol=1e-12)
    for got, wanted in zip(
        torch.autograd.grad(loss, (view0, view1)), torch.autograd.grad(expected, (view0, view1)), strict=True
    ):
        torch.testing.assert_close(got, wanted, rtol=0, atol=1e-12)


def test_sigmoid_learns_scale_and_bias() -> None:
    view0, view1 = make_views()
    loss_fn = SigmoidLoss(temperature=0.2, bias=-1.0).double()
    got = torch.autograd.grad(loss_fn(view0, view1), (loss_fn.log_scale, loss_fn.bias))
    scale, bias = loss_fn.log_scale.exp().detach().requires_grad_(), loss_fn.bias.detach().requires_grad_()
    by_scale, by_bias = torch.autograd.grad(pair_losses.sigmoid(view0, view1, scale=scale, bias=bias), (scale, bias))
    torch.testing.assert_close(got, (by_scale * scale.detach(), by_bias))
    assert loss_fn.temperature.item() == pytest.approx(0.2)


def test_with_one_pair_a_family_multi_positive_is_nt_xent() -> None:
    view0, view1 = make_views()
    kind = torch.tensor(KIND)
    torch.testing.assert_close(MultiPositiveLoss()(view0, view1, kind), InfoNCELoss()(view0, view1, kind))


@every_loss
@pytest.mark.parametrize("pairs", [0, 1, 3])
def test_without_any_negative_loss_and_gradients_are_finite(name: str, pairs: int) -> None:
    view0, view1 = make_views(pairs)
    loss = LOSSES[name][0]().double()(view0, view1, None, torch.ones(pairs, dtype=torch.long))
    loss.backward()
    assert loss.isfinite()
    assert view0.grad is not None
    assert view0.grad.isfinite().all()


def test_decoupled_rows_without_negatives_keep_their_positive_term() -> None:
    view0, view1 = make_views(3)
    loss = DecoupledContrastiveLoss()(view0, view1, None, torch.tensor([1, 1, 1]))
    torch.testing.assert_close(loss, -torch.cosine_similarity(view0, view1).mean() / 0.1)


@every_loss
def test_views_that_are_all_one_vector_give_finite_gradients(name: str) -> None:
    for value in (0.0, 1.0):
        view0, view1 = (torch.full((4, 5), value, requires_grad=True) for _ in range(2))
        LOSSES[name][0]()(view0, view1).backward()
        assert view0.grad is not None
        assert view0.grad.isfinite().all()


@every_loss
def test_scale_of_the_views_does_not_matter(name: str) -> None:
    view0, view1 = make_views()
    loss_fn = LOSSES[name][0]()
    torch.testing.assert_close(loss_fn(view0, view1), loss_fn(3 * view0, 0.2 * view1))


def test_pair_kinds_may_be_bytes() -> None:
    view0, view1 = make_views()
    loss_fn, kind = DecoupledContrastiveLoss(), torch.tensor(KIND)
    assert torch.equal(loss_fn(view0, view1, kind.to(torch.uint8)), loss_fn(view0, view1, kind))


@every_loss
def test_autocast_does_not_cost_precision(name: str) -> None:
    view0, view1 = make_views(dtype=torch.float32)
    loss_fn = LOSSES[name][0]()
    expected = loss_fn(view0, view1)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(loss_fn(view0, view1), expected)


@every_loss
def test_bad_input_is_refused(name: str) -> None:
    build, _ = LOSSES[name]
    with pytest.raises(InputError, match=r"got \(2, 5\) and \(3, 5\)"):
        build()(torch.zeros(2, 5), torch.zeros(3, 5))
    with pytest.raises(InputError, match="unknown pair kind 3: expected 0 self, 1 splice, 2 ortholog"):
        build()(torch.zeros(2, 5), torch.zeros(2, 5), torch.tensor([0, 3]))
    for temperature in (0, -1, float("nan")):
        with pytest.raises(InputError, match="temperature must be above 0, got"):
            build(temperature=temperature)
    with pytest.raises(InputError, match="splice_weight must be 0 to 1,000,000, got -1"):
        build(splice_weight=-1)


def check_rank(name: str, counts: list[int], with_family: bool) -> None:
    """A model of one matrix: value and DDP-averaged gradient against the literal loss of the whole batch."""
    rank, pairs = dist.get_rank(), sum(counts)
    inputs = torch.randn(2, pairs, 5, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    weight = torch.randn(5, 5, generator=torch.Generator().manual_seed(5), dtype=torch.float64, requires_grad=True)
    kind, family = [i % 3 for i in range(pairs)], [i % 4 for i in range(pairs)] if with_family else None
    mine = slice(sum(counts[:rank]), sum(counts[: rank + 1]))
    loss_fn = LOSSES[name][0]().double()
    loss = loss_fn(
        *(view[mine] @ weight for view in inputs),
        torch.tensor(kind)[mine],
        None if family is None else torch.tensor(family)[mine],
    )
    (gradient,) = torch.autograd.grad(loss, weight)
    mean = torch.cat([loss.detach()[None], gradient.flatten()])
    dist.all_reduce(mean)
    mean /= len(counts)
    expected = literal(name, loss_fn, *(view @ weight for view in inputs), kind, family)
    (expected_gradient,) = torch.autograd.grad(expected, weight)
    torch.testing.assert_close(mean[0], expected.detach(), rtol=0, atol=1e-10)
    torch.testing.assert_close(mean[1:], expected_gradient.flatten(), rtol=0, atol=1e-10)


def one_process(rank: int, world_size: int, rendezvous: str, cases: list[tuple[list[int], bool]]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=world_size)
    try:
        for counts, with_family in cases:
            for name in LOSSES:
                check_rank(name, counts, with_family)
    finally:
        dist.destroy_process_group()


@pytest.mark.dist
@pytest.mark.parametrize(
    ("world_size", "cases"),
    [(2, [([4, 4], False), ([5, 2], True), ([4, 0], False)]), (3, [([3, 1, 6], True), ([2, 2, 2], False)])],
)
def test_many_processes_equal_one(tmp_path: Path, world_size: int, cases: list[tuple[list[int], bool]]) -> None:
    mp.spawn(one_process, args=(world_size, str(tmp_path / "rendezvous"), cases), nprocs=world_size)
