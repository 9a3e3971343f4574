"""The GPU backends. Without a GPU, Triton's interpreter runs them: TRITON_INTERPRET=1 pytest -m gpu tests/nn."""

import os
import sys
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from orthrus.scan import plain
from tests.scan.test_scan import make_inputs, own_positions, relative_error

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1" and not torch.cuda.is_available()
LONG = [] if INTERPRETED else [1000, 12288]


@pytest.fixture
def device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda")
    if not INTERPRETED:
        pytest.skip("needs a CUDA device, or TRITON_INTERPRET=1")
    return torch.device("cpu")


def values_and_gradients(
    module: ModuleType, inputs: dict[str, Tensor], dtype: torch.dtype, gated: bool, lengths: Tensor | None = None
) -> dict[str, Tensor]:
    leaves = {name: x.detach().to(dtype).requires_grad_() for name, x in inputs.items()}
    states = leaves["A"].shape[1]
    x, z = leaves["uz"].chunk(2, dim=-1)
    _, B, C = leaves["BC"].split([3, states, states], dim=-1)
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
@pytest.mark.parametrize("positions", [1, 2, 3, 5, 33, *LONG])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("backend", ["triton_gpu", "mamba_ssm"])
def test_agrees_with_double_precision(
    device: torch.device,
    backend: str,
    dtype: torch.dtype,
    tolerance: float,
    positions: int,
    gated: bool,
    backwards: bool,
) -> None:
    if backend == "mamba_ssm" and device.type != "cuda":
        pytest.skip("mamba-ssm needs a CUDA device")
    module = pytest.importorskip(f"orthrus.scan.{backend}")
    inputs = {name: x.to(device, dtype) for name, x in make_inputs(2, positions, 9).items()}
    lengths = torch.tensor([positions, positions - positions // 3], device=device) if backwards else None
    got = values_and_gradients(module, inputs, dtype, gated, lengths)
    expected = values_and_gradients(plain, inputs, torch.float64, gated, lengths)
    errors = {name: relative_error(got[name], expected[name]) for name in expected}
    assert got["y"].dtype == dtype
    assert max(errors.values()) < tolerance, errors


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
