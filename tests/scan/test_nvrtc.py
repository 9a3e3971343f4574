"""The CUDA kernels without a GPU: run by an emulator, and compiled for GPUs by NVRTC."""

import ctypes
import re
from pathlib import Path

import pytest
import torch

from orthrus.scan import nvrtc, nvrtc_gpu, plain
from tests.scan.emulator import COMPILER, Emulator
from tests.scan.test_scan import Inputs, make_inputs, relative_error
from tests.scan.test_scan_gpu import values_and_gradients

FP32, BF16, FP16 = torch.float32, torch.bfloat16, torch.float16
TOLERANCE = {FP32: 1e-5, BF16: 2e-2, FP16: 2e-3}


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if COMPILER is None:
        pytest.skip("needs a C++ compiler")
    return tmp_path_factory.mktemp("kernels")


@pytest.fixture
def emulator(built: Path, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    emulator = Emulator(built)
    monkeypatch.setattr(nvrtc_gpu, "launch", emulator.launch)
    return emulator


def errors(inputs: Inputs, dtype: torch.dtype, gated: bool, lengths: torch.Tensor | None = None) -> dict[str, float]:
    inputs = {name: x.to(dtype) for name, x in inputs.items()}
    got = values_and_gradients(nvrtc_gpu, inputs, dtype, gated, lengths)
    expected = values_and_gradients(plain, inputs, torch.float64, gated, lengths)
    assert got["y"].dtype == dtype
    return {name: relative_error(got[name], expected[name]) for name in expected}


@pytest.mark.parametrize("lengths", [None, [33, 20]])
@pytest.mark.parametrize("downwards", [False, True], ids=["upwards", "downwards"])
def test_kernels_agree_in_whatever_order_threads_run(
    emulator: Emulator, downwards: bool, lengths: list[int] | None
) -> None:
    """Two blocks of channels; rows that end within a chunk."""
    emulator.downwards = downwards
    found = errors(make_inputs(2, 33, 66, rank=2), FP32, True, None if lengths is None else torch.tensor(lengths))
    assert emulator.launched == {"scan_forward", "scan_backward", "conv_forward", "conv_backward"}
    assert max(found.values()) < TOLERANCE[FP32], found


@pytest.mark.parametrize(("positions", "length"), [(1, 1), (16, 15), (17, 1), (270, 258)])
def test_kernels_agree_at_lengths_around_a_chunk_and_a_segment(emulator: Emulator, positions: int, length: int) -> None:
    found = errors(make_inputs(2, positions, 2, rank=2), FP32, True, torch.tensor([positions, length]))
    assert max(found.values()) < TOLERANCE[FP32], found


@pytest.mark.parametrize("lengths", [None, [70, 64]])
def test_half_precision_agrees_where_no_two_channels_are_a_word(emulator: Emulator, lengths: list[int] | None) -> None:
    """Odd numbers of channels and states, and no gate."""
    found = errors(make_inputs(2, 70, 9, 5), BF16, False, None if lengths is None else torch.tensor(lengths))
    assert max(found.values()) < TOLERANCE[BF16], found


@pytest.mark.slow
@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("dtype", [FP32, BF16, FP16])
@pytest.mark.parametrize(("channels", "states"), [(6, 1), (300, 4), (10, 8), (70, 16), (7, 16), (34, 20), (33, 32)])
def test_kernels_agree_for_any_type_and_number_of_states(
    emulator: Emulator, channels: int, states: int, dtype: torch.dtype, gated: bool
) -> None:
    found = errors(make_inputs(2, 37, channels, states, rank=2), dtype, gated, torch.tensor([37, 18]))
    assert max(found.values()) < TOLERANCE[dtype], found


def test_a_row_is_the_same_alone(emulator: Emulator) -> None:
    inputs = make_inputs(2, 33, 66, rank=2)
    together = values_and_gradients(nvrtc_gpu, inputs, FP32, True)
    of_row = {name: x[1:] if x.ndim == 3 else x for name, x in inputs.items()}
    alone = values_and_gradients(nvrtc_gpu, of_row, FP32, True)["y"]
    assert torch.equal(together["y"][1:], alone)


def test_nan_stays_in_its_row(emulator: Emulator) -> None:
    inputs = make_inputs(2, 33, 66, rank=2)
    inputs["uz"][1, 4, 0] = torch.nan
    y = values_and_gradients(nvrtc_gpu, inputs, FP32, True)["y"]
    assert y[0].isfinite().all()
    assert y[1, :4].isfinite().all()
    assert y[1, 4:, 0].isnan().all()


def test_without_gradients_nothing_is_kept(emulator: Emulator) -> None:
    inputs = make_inputs(1, 33, 66, rank=2)
    with_gradients = values_and_gradients(nvrtc_gpu, inputs, FP32, True)["y"]
    u, z = inputs["uz"].chunk(2, dim=-1)
    _, B, C = inputs["BC"].split([2, 16, 16], dim=-1)
    with torch.inference_mode():
        u = nvrtc_gpu.conv(u, inputs["weight"], inputs["conv_bias"])
        y = nvrtc_gpu.scan(u, inputs["delta"], inputs["A"], B, C, inputs["D"], inputs["bias"], z)
    assert torch.equal(y, with_gradients)


def test_more_states_than_a_lane_can_share_take_the_definition(emulator: Emulator) -> None:
    found = errors(make_inputs(1, 5, 4, 40, rank=2), FP32, True)
    assert max(found.values()) < TOLERANCE[FP32], found
    assert not any(name.startswith("scan") for name in emulator.launched)


@pytest.fixture(scope="session")
def compiler() -> ctypes.CDLL:
    """NVRTC of the development requirements, or of PyTorch's own CUDA wheel."""
    for path in nvrtc.wheel_libraries("libnvrtc.so.*"):
        nvrtc.load_builtins(path.suffix.removeprefix("."))
        return ctypes.CDLL(str(path))
    pytest.skip("needs the package nvidia-cuda-nvrtc")


def spilled(
    compiler: ctypes.CDLL, name: str, architecture: str, scalar: str, states: int = 16
) -> list[tuple[str, str]]:
    """Bytes of registers that a kernel's code stores in memory and reads again."""
    sizes = [f"STATES={states}", "GATED=1"] if "scan" in name else ["WIDTH=4"]
    options = nvrtc.options_for(architecture, [f"SCALAR={scalar}", "PAIRED=1", *sizes], compiler)
    code, log = nvrtc.compiled(nvrtc.source(name), [*options, "--ptxas-options=-v"], compiler)
    assert code.startswith(b"\x7fELF")
    assert "warning" not in log
    return re.findall(r"(\d+) bytes spill stores, (\d+) bytes spill loads", log)


@pytest.mark.parametrize(("architecture", "scalar"), [("80", "bfloat16"), ("90", "bfloat16"), ("90", "float")])
@pytest.mark.parametrize("name", ["scan_forward", "scan_backward", "conv_forward", "conv_backward"])
def test_kernels_compile_for_gpus_without_spilling_registers(
    compiler: ctypes.CDLL, name: str, scalar: str, architecture: str
) -> None:
    assert spilled(compiler, name, architecture, scalar) == [("0", "0")]


@pytest.mark.slow
@pytest.mark.parametrize("scalar", ["bfloat16", "float"])
@pytest.mark.parametrize("states", [4, 8])
@pytest.mark.parametrize("name", ["scan_forward", "scan_backward"])
def test_kernels_of_few_states_spill_no_registers(compiler: ctypes.CDLL, name: str, states: int, scalar: str) -> None:
    assert spilled(compiler, name, "90", scalar, states) == [("0", "0")]


def test_a_gpu_newer_than_the_compiler_gets_ptx(compiler: ctypes.CDLL) -> None:
    options = nvrtc.options_for("9999", ["SCALAR=float", "PAIRED=1", "WIDTH=4"], compiler)
    code, _ = nvrtc.compiled(nvrtc.source("conv_forward"), options, compiler)
    assert b".visible .entry conv_forward" in code


def test_a_kernel_that_does_not_compile_shows_why(compiler: ctypes.CDLL) -> None:
    options = nvrtc.options_for("90", ["SCALAR=float", "PAIRED=1"], compiler)
    with pytest.raises(RuntimeError, match=r'(?s)could not compile a kernel: .*"WIDTH" is undefined'):
        nvrtc.compiled(nvrtc.source("conv_forward"), options, compiler)
