"""The GPU backends on a GPU, and the adapter of mamba-ssm anywhere."""

import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from orthrus.scan import plain
from tests.scan.test_scan import make_inputs, own_positions, relative_error


@pytest.fixture
def device() -> torch.device:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return torch.device("cuda")


def values_and_gradients(
    module: ModuleType, inputs: dict[str, Tensor], dtype: torch.dtype, gated: bool, lengths: Tensor | None = None
) -> dict[str, Tensor]:
    leaves = {name: x.detach().to(dtype).requires_grad_() for name, x in inputs.items()}
    states = leaves["A"].shape[1]
    x, z = leaves["uz"].chunk(2, dim=-1)
    _, B, C = leaves["BC"].split([leaves["BC"].shape[2] - 2 * states, states, states], dim=-1)
    u = module.conv(x, leaves["weight"], leaves["conv_bias"], reversed_B=lengths)
    y = module.scan(
        u, leaves["delta"], leaves["A"], B, C, leaves["D"], leaves["bias"], z if gated else None, reversed_B=lengths
    )
    if lengths is not None:
        y = y * own_positions(y, lengths)
    direction = torch.randn(y.shape, generator=torch.Generator().manual_seed(0)).to(y)
    y.backward(direction)
    return {"y": y.detach(), **{name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}}


@pytest.mark.gpu
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("positions", [1, 2, 3, 5, 33, 1000, 12288])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("backend", ["nvrtc_gpu", "mamba_ssm"])
def test_agrees_with_double_precision(
    device: torch.device,
    backend: str,
    dtype: torch.dtype,
    positions: int,
    gated: bool,
    backwards: bool,
) -> None:
    module = pytest.importorskip(f"orthrus.scan.{backend}")
    inputs = {name: x.to(device, dtype) for name, x in make_inputs(2, positions, 66, rank=4).items()}
    lengths = torch.tensor([positions, positions - positions // 3], device=device) if backwards else None
    got = values_and_gradients(module, inputs, dtype, gated, lengths)
    expected = values_and_gradients(plain, inputs, torch.float64, gated, lengths)
    errors = {name: relative_error(got[name], expected[name]) for name in expected}
    assert got["y"].dtype == dtype
    assert max(errors.values()) < tolerance(dtype, positions), errors


def tolerance(dtype: torch.dtype, positions: int) -> float:
    """A GPU's exponential is right to some 1e-7. A state is a product of one for each position that it remembers, and
    dA a sum over all of them: with every exponential wrong by 3e-8 in one direction, dA of 12,288 is by 3e-5.
    """
    if dtype == torch.bfloat16:
        return 2e-2
    return 1e-5 if positions < 300 else 3e-4


@pytest.mark.gpu
@pytest.mark.parametrize(("channels", "states", "rank"), [(9, 16, 3), (70, 3, 2), (300, 8, 4), (40, 20, 4), (5, 40, 1)])
def test_odd_sizes_agree_on_a_gpu(device: torch.device, channels: int, states: int, rank: int) -> None:
    inputs = {name: x.to(device) for name, x in make_inputs(3, 300, channels, states, rank=rank).items()}
    lengths = torch.tensor([300, 17, 256], device=device)
    got = values_and_gradients(pytest.importorskip("orthrus.scan.nvrtc_gpu"), inputs, torch.float32, True, lengths)
    expected = values_and_gradients(plain, inputs, torch.float64, True, lengths)
    errors = {name: relative_error(got[name], expected[name]) for name in expected}
    assert max(errors.values()) < tolerance(torch.float32, 300), errors


@pytest.mark.gpu
def test_a_gpu_gives_the_same_bits_twice(device: torch.device) -> None:
    inputs = {name: x.to(device) for name, x in make_inputs(4, 500, 300, rank=4).items()}
    module = pytest.importorskip("orthrus.scan.nvrtc_gpu")
    first, second = (values_and_gradients(module, inputs, torch.float32, True) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def fake_mamba_ssm() -> dict[str, ModuleType]:
    """mamba-ssm's interface over the definition: (B, D, L), positions side by side."""

    def selective_scan_fn(
        u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, **options: Any
    ) -> Tensor:
        assert options["delta_softplus"] is True
        assert all(x.stride(-1) == 1 for x in (u, delta, B, C))
        z = None if options["z"] is None else options["z"].transpose(1, 2)
        wide = (x.transpose(1, 2) for x in (u, delta))
        y = plain.scan(*wide, A, B.transpose(1, 2), C.transpose(1, 2), D, options["delta_bias"], z)
        return y.transpose(1, 2)

    names = ("mamba_ssm", "mamba_ssm.ops", "mamba_ssm.ops.selective_scan_interface")
    modules = {name: ModuleType(name) for name in names}
    modules[names[-1]].selective_scan_fn = selective_scan_fn
    return modules


@pytest.mark.parametrize("lengths", [None, torch.tensor([7, 4])])
@pytest.mark.parametrize("gated", [True, False])
def test_mamba_ssm_is_called_as_it_expects(
    monkeypatch: pytest.MonkeyPatch, gated: bool, lengths: Tensor | None
) -> None:
    for name, module in fake_mamba_ssm().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.delitem(sys.modules, "orthrus.scan.mamba_ssm", raising=False)
    import orthrus.scan.mamba_ssm as adapter

    inputs = make_inputs(2, 7, 6)
    got = values_and_gradients(adapter, inputs, torch.float32, gated, lengths)
    expected = values_and_gradients(plain, inputs, torch.float64, gated, lengths)
    monkeypatch.delitem(sys.modules, "orthrus.scan.mamba_ssm")
    assert max(relative_error(got[name], expected[name]) for name in expected) < 1e-5
