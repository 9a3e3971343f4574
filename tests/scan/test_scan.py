import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

from orthrus import scan
from orthrus.errors import InputError
from orthrus.scan import BACKENDS, causal_conv, choose, numba_cpu, numba_kernels, plain, selective_scan
from orthrus.scan.check import disagreement
from tests.oracles import scan as oracle

Inputs = dict[str, Tensor]


def make_inputs(
    rows: int, positions: int, channels: int, states: int = 16, dtype: torch.dtype = torch.float32, rank: int = 3
) -> Inputs:
    """As a mixer makes them: u and z are halves of one tensor, B and C what follows ``rank`` numbers in another."""
    generator = torch.Generator().manual_seed(positions * channels + states)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(dtype)

    return {
        "uz": normal(rows, positions, 2 * channels),
        "delta": normal(rows, positions, channels) - 3,
        "A": -16 * torch.rand(channels, states, generator=generator).to(dtype),
        "BC": normal(rows, positions, rank + 2 * states),
        "D": normal(channels),
        "bias": normal(channels),
        "weight": normal(channels, 4),
        "conv_bias": normal(channels),
    }


def run(inputs: Inputs, backend: str, gated: bool = True, reversed_B: Tensor | None = None) -> Tensor:
    """Convolution, then scan; where rows are read backwards, 0 in the padding, whatever a backend leaves there."""
    states = inputs["A"].shape[1]
    x, z = inputs["uz"].chunk(2, dim=-1)
    _, B, C = inputs["BC"].split([3, states, states], dim=-1)
    way = {"backend": backend, "reversed_B": reversed_B}
    u = causal_conv(x, inputs["weight"], inputs["conv_bias"], **way)
    y = selective_scan(u, inputs["delta"], inputs["A"], B, C, inputs["D"], inputs["bias"], z if gated else None, **way)
    return y if reversed_B is None else y * own_positions(y, reversed_B)


def own_positions(y: Tensor, lengths: Tensor) -> Tensor:
    return (torch.arange(y.shape[1], device=y.device) < lengths[:, None])[:, :, None]


def values_and_gradients(
    inputs: Inputs, backend: str, dtype: torch.dtype, gated: bool = True, reversed_B: Tensor | None = None
) -> Inputs:
    leaves = {name: x.detach().to(dtype).requires_grad_() for name, x in inputs.items()}
    y = run(leaves, backend, gated, reversed_B)
    direction = torch.randn(y.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float32)
    y.backward(direction.to(dtype))
    return {"y": y.detach(), **{name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}}


def relative_error(got: Tensor, expected: Tensor) -> float:
    return float((got.double() - expected.double()).norm() / expected.double().norm().clamp(min=1e-30))


@pytest.mark.parametrize("gated", [True, False])
def test_plain_scan_equals_the_literal_equations(gated: bool) -> None:
    inputs = make_inputs(2, 7, 3, states=4, dtype=torch.float64)
    got = run(inputs, "plain", gated)
    x, z = (part.numpy() for part in inputs["uz"].chunk(2, dim=-1))
    _, B, C = (part.numpy() for part in inputs["BC"].split([3, 4, 4], dim=-1))
    delta, A, D, bias, weight, conv_bias = (
        inputs[name].numpy() for name in ("delta", "A", "D", "bias", "weight", "conv_bias")
    )
    u = oracle.causal_conv(x, weight, conv_bias)
    expected = oracle.selective_scan(u, delta, A, B, C, D, bias, z if gated else None)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-12, atol=1e-12)


def test_plain_gradients_are_the_derivatives() -> None:
    inputs = make_inputs(1, 4, 2, states=3, dtype=torch.float64)
    leaves = [x.requires_grad_() for x in inputs.values()]
    assert torch.autograd.gradcheck(lambda *xs: run(dict(zip(inputs, xs, strict=True)), "plain"), leaves)


@pytest.mark.parametrize(
    ("rows", "positions", "channels", "states", "gated"),
    [(2, 1, 3, 16, True), (1, 2, 7, 16, False), (3, 3, 64, 4, True), (2, 5, 65, 16, True), (1, 1000, 37, 16, True),
     (1, 33, 130, 5, False), (2, 32, 64, 16, True)],
)  # fmt: skip
def test_numba_agrees_with_double_precision(rows: int, positions: int, channels: int, states: int, gated: bool) -> None:
    inputs = make_inputs(rows, positions, channels, states)
    got = values_and_gradients(inputs, "numba", torch.float32, gated)
    expected = values_and_gradients(inputs, "plain", torch.float64, gated)
    errors = {name: relative_error(got[name], expected[name]) for name in expected}
    assert max(errors.values()) < 1e-5, errors


@pytest.mark.parametrize("backend", ["plain", "numba"])
@pytest.mark.parametrize("lengths", [[7, 1], [2, 5], [3, 7]])
def test_a_row_read_backwards_is_the_reversed_row_read_forwards(backend: str, lengths: list[int]) -> None:
    """Row by row: cut to its own length and turned round, then through the definition in double precision."""
    inputs, dtype = make_inputs(2, 7, 65), torch.float64 if backend == "plain" else torch.float32
    got = values_and_gradients(inputs, backend, dtype, reversed_B=torch.tensor(lengths))
    leaves = {name: x.double().requires_grad_() for name, x in inputs.items()}
    rows = []
    for row, length in enumerate(lengths):
        of_row = {k: x[row : row + 1, :length].flip(1) if x.ndim == 3 else x for k, x in leaves.items()}
        rows.append(torch.nn.functional.pad(run(of_row, "plain").flip(1), (0, 0, 0, 7 - length)))
    y = torch.cat(rows)
    direction = torch.randn(y.shape, generator=torch.Generator().manual_seed(0))
    y.backward(direction.double())
    expected = {"y": y.detach(), **{name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}}
    errors = {name: relative_error(got[name], expected[name]) for name in expected}
    assert max(errors.values()) < (1e-12 if backend == "plain" else 1e-5), errors


def test_numba_reads_many_spans_backwards() -> None:
    inputs, lengths = make_inputs(3, 100, 70), torch.tensor([100, 33, 64])
    got = values_and_gradients(inputs, "numba", torch.float32, reversed_B=lengths)
    expected = values_and_gradients(inputs, "plain", torch.float64, reversed_B=lengths)
    errors = {name: relative_error(got[name], expected[name]) for name in expected}
    assert max(errors.values()) < 1e-5, errors


@pytest.mark.slow
def test_numba_agrees_over_the_longest_transcripts() -> None:
    inputs = make_inputs(1, 12288, 3)
    got = values_and_gradients(inputs, "numba", torch.float32)
    expected = values_and_gradients(inputs, "plain", torch.float64)
    errors = {name: relative_error(got[name], expected[name]) for name in expected}
    assert max(errors.values()) < 1e-5, errors


def test_numba_agrees_in_bfloat16() -> None:
    inputs = {name: x.bfloat16() for name, x in make_inputs(2, 50, 65).items()}
    got = values_and_gradients(inputs, "numba", torch.bfloat16)
    expected = values_and_gradients(inputs, "plain", torch.float64)
    assert got["y"].dtype == torch.bfloat16
    assert max(relative_error(got[name], expected[name]) for name in expected) < 2e-2


def test_numba_without_gradients_is_the_same_and_keeps_nothing() -> None:
    inputs = make_inputs(2, 70, 65)
    with_graph = run({name: x.requires_grad_() for name, x in inputs.items()}, "numba")
    with torch.inference_mode():
        without = run(inputs, "numba")
    assert with_graph.grad_fn is not None
    assert without.grad_fn is None
    assert torch.equal(with_graph.detach(), without)


def test_numba_is_the_same_on_any_number_of_threads() -> None:
    inputs = make_inputs(3, 40, 130)
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            results.append(values_and_gradients(inputs, "numba", torch.float32))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])


def test_numba_is_the_same_for_any_default_type() -> None:
    """Its kernels write float32 by address, so memory of another type would be too small, or half of it written."""
    inputs, lengths = make_inputs(2, 40, 5), torch.tensor([40, 11])
    expected = values_and_gradients(inputs, "numba", torch.float32, reversed_B=lengths)
    for default in (torch.float64, torch.bfloat16):
        torch.set_default_dtype(default)
        try:
            got = values_and_gradients(inputs, "numba", torch.float32, reversed_B=lengths)
        finally:
            torch.set_default_dtype(torch.float32)
        assert all(torch.equal(got[name], expected[name]) for name in expected)


def test_numba_survives_a_decay_beyond_float32() -> None:
    inputs = make_inputs(1, 20, 5)
    inputs["A"] = inputs["A"] - 1000
    got, expected = (
        run({k: v.to(t) for k, v in inputs.items()}, b) for b, t in (("numba", torch.float32), ("plain", torch.float64))
    )
    assert relative_error(got, expected) < 1e-5


def test_numba_gives_nan_for_nan() -> None:
    inputs = make_inputs(2, 6, 4)
    inputs["uz"][1, 2, 0] = torch.nan
    y = run(inputs, "numba")
    assert y[0].isfinite().all()
    assert y[1, :2].isfinite().all()
    assert y[1, 2:, 0].isnan().all()


def test_more_states_than_the_kernels_hold() -> None:
    inputs = make_inputs(1, 3, 2, states=80)
    got, expected = run(inputs, "numba"), run({k: v.double() for k, v in inputs.items()}, "plain")
    assert relative_error(got, expected) < 1e-5


def test_new_shapes_compile_nothing() -> None:
    run(make_inputs(1, 3, 2), "numba")
    run(make_inputs(3, 40, 70, states=7), "numba")
    assert len(numba_kernels.scan_forward.signatures) == 1
    assert len(numba_kernels.conv_forward.signatures) == 1


def test_backend_is_chosen_by_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ORTHRUS_SCAN", raising=False)
    assert choose(torch.zeros(1)) == "numba"
    assert choose(torch.zeros(1).double()) == "plain"
    assert choose(torch.zeros(1, device="meta")) == "plain"


def test_backend_can_be_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORTHRUS_SCAN", "plain")
    assert choose(torch.zeros(1)) == "plain"
    assert choose(torch.zeros(1), "numba") == "numba"


def test_unknown_backend_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORTHRUS_SCAN", "fortran")
    with pytest.raises(InputError, match=r"unknown scan backend 'fortran': choose one of .*plain"):
        choose(torch.zeros(1))


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, scan.Backend], None]]:
    """Adds a backend before all others."""
    monkeypatch.delenv("ORTHRUS_SCAN", raising=False)
    scan._fault.cache_clear()

    def add(name: str, backend: scan.Backend) -> None:
        monkeypatch.setattr(scan, "BACKENDS", {name: backend, **BACKENDS})

    yield add
    scan._fault.cache_clear()


def test_absent_backend_is_passed_over_in_silence(
    register: Callable[[str, scan.Backend], None], caplog: pytest.LogCaptureFixture
) -> None:
    register("absent", scan.Backend("no_such_module", None, None, "no_such_module"))
    assert choose(torch.zeros(1)) == "numba"
    assert not caplog.records
    with pytest.raises(InputError, match=r"'absent' cannot be used \(no_such_module is not installed\)"):
        choose(torch.zeros(1), "absent")


def test_broken_backend_is_reported_and_passed_over(
    register: Callable[[str, scan.Backend], None],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "broken_kernels.py").write_text("raise OSError('undefined symbol: _ZN3c104cuda')\n")
    monkeypatch.syspath_prepend(tmp_path)
    register("broken", scan.Backend("broken_kernels", None, None, "broken_kernels"))
    assert choose(torch.zeros(1)) == "numba"
    assert "'broken' is installed but broken" in caplog.text
    assert "undefined symbol" in caplog.text


def test_backend_with_wrong_results_is_refused(
    register: Callable[[str, scan.Backend], None], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = ModuleType("wrong_kernels")
    wrong.conv = plain.conv
    wrong.scan = lambda *inputs, **way: 1.01 * plain.scan(*inputs, **way)
    monkeypatch.setitem(sys.modules, "wrong_kernels", wrong)
    register("wrong", scan.Backend("wrong_kernels", None, None, checked=True))
    assert choose(torch.zeros(1)) == "numba"
    assert "results differ from the definition by 1.0e-02" in caplog.text


def test_the_check_passes_right_backends_in_inference_and_autocast() -> None:
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert disagreement(numba_cpu, torch.device("cpu")) < 1e-5


def test_backend_that_does_not_serve_the_type_is_refused() -> None:
    with pytest.raises(InputError, match=r"'numba' does not serve torch.float64 on cpu"):
        choose(torch.zeros(1).double(), "numba")


def test_a_forked_process_scans_too() -> None:
    """Threads started before a fork do not exist after it."""
    code = (
        "import os, torch\n"
        "from tests.scan.test_scan import make_inputs, run\n"
        "torch.set_num_threads(2)\n"
        "inputs = make_inputs(2, 9, 130)\n"
        "before = run(inputs, 'numba')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if torch.equal(run(inputs, 'numba'), before) else 1)\n"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, timeout=60, check=False).returncode == 0
