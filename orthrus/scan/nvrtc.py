"""CUDA kernels compiled at run time by NVRTC, a compiler library that comes with PyTorch's CUDA wheels.

Nothing is compiled at installation, and no CUDA toolkit, compiler or header is needed. A kernel is compiled for the
present GPU on its first use (about a second) and kept in the user's cache, ``$XDG_CACHE_HOME/orthrus``.
"""

import contextlib
import ctypes
import hashlib
import importlib.util
import logging
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

logger = logging.getLogger(__name__)

THREADS = 128  # threads of a block in every kernel
_KERNELS = Path(__file__).parent / "kernels"
_MAX_DYNAMIC_SHARED = 8  # CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, cuda.h


@dataclass(frozen=True)
class Kernel:
    """A loaded function, its context, and the bytes of shared memory of a block."""

    function: ctypes.c_void_p
    context: ctypes.c_void_p
    shared_bytes: int


def launch(name: str, definitions: Sequence[str], device: torch.device, blocks: int, *arguments: Any) -> None:
    """Start the kernel ``name``, compiled with these definitions, on the current stream of the device.

    ``arguments`` are ctypes values and structures as the kernel declares them. Nothing is started for 0 blocks.
    """
    if not blocks:
        return
    driver, size = _libraries()[1], (blocks, 1, 1, THREADS, 1, 1)
    pointers = (ctypes.c_void_p * len(arguments))(*(ctypes.addressof(argument) for argument in arguments))
    with torch.cuda.device(device):
        found = kernel(name, tuple(definitions), torch.cuda.current_device())
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        _check_driver(driver.cuCtxSetCurrent(found.context))  # a thread of autograd may have no context yet
        _check_driver(driver.cuLaunchKernel(found.function, *size, found.shared_bytes, stream, pointers, None))


@cache
def kernel(name: str, definitions: tuple[str, ...], device_index: int) -> Kernel:
    """Load a kernel, from the cache or after compilation."""
    driver = _libraries()[1]
    binary = _binary(name, definitions, "{}{}".format(*torch.cuda.get_device_capability(device_index)))
    with torch.cuda.device(device_index):
        torch.cuda.current_stream().synchronize()  # PyTorch's context is now the current one
        context, module, function, address = (ctypes.c_void_p() for _ in range(4))
        _check_driver(driver.cuCtxGetCurrent(ctypes.byref(context)))
        _check_driver(driver.cuModuleLoadData(ctypes.byref(module), binary))
        _check_driver(driver.cuModuleGetFunction(ctypes.byref(function), module, name.encode()))
        shared, size = ctypes.c_int(), ctypes.c_size_t()
        symbol = f"{name}_shared".encode()
        _check_driver(driver.cuModuleGetGlobal_v2(ctypes.byref(address), ctypes.byref(size), module, symbol))
        _check_driver(driver.cuMemcpyDtoH_v2(ctypes.byref(shared), address, ctypes.c_size_t(4)))
        _check_driver(driver.cuFuncSetAttribute(function, _MAX_DYNAMIC_SHARED, shared))
    return Kernel(function, context, shared.value)


def source(name: str, device: Path = _KERNELS / "device.cuh") -> str:
    """The whole source of a kernel; ``device`` defines the machine-specific instructions."""
    layout = name.partition("_")[0]
    parts = [device, _KERNELS / "common.cuh", _KERNELS / f"{layout}.cuh", _KERNELS / f"{name}.cu"]
    return "\n".join(part.read_text() for part in parts)


def compiled(text: str, options: Sequence[str], library: ctypes.CDLL) -> tuple[bytes, str]:
    """Machine code (or PTX, if ``options`` ask for a virtual architecture) and the compiler's log.

    Raises RuntimeError with the log if the text does not compile.
    """
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    _check(library, library.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernel.cu", 0, None, None))
    try:
        flags = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        outcome = library.nvrtcCompileProgram(program, len(options), flags)
        _check(library, library.nvrtcGetProgramLogSize(program, ctypes.byref(size)))
        log = ctypes.create_string_buffer(size.value)
        _check(library, library.nvrtcGetProgramLog(program, log))
        log_text = log.value.decode()
        if outcome:
            raise RuntimeError(f"NVRTC could not compile a kernel: {log_text}")
        form = "PTX" if any("=compute_" in option for option in options) else "CUBIN"
        _check(library, getattr(library, f"nvrtcGet{form}Size")(program, ctypes.byref(size)))
        code = ctypes.create_string_buffer(size.value)
        _check(library, getattr(library, f"nvrtcGet{form}")(program, code))
        return code.raw, log_text
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def options_for(architecture: str, definitions: Sequence[str], library: ctypes.CDLL) -> list[str]:
    """The compiler options; a GPU newer than the compiler gets PTX of the newest architecture for the driver."""
    count = ctypes.c_int()
    _check(library, library.nvrtcGetNumSupportedArchs(ctypes.byref(count)))
    known = (ctypes.c_int * count.value)()
    _check(library, library.nvrtcGetSupportedArchs(known))
    target = f"sm_{architecture}" if int(architecture) in known else f"compute_{max(known)}"
    return [f"--gpu-architecture={target}", "--std=c++17", *(f"-D{definition}" for definition in definitions)]


def _binary(name: str, definitions: Sequence[str], architecture: str) -> bytes:
    """The binary of a kernel, from the cache, or compiled and added to it."""
    library, text = _libraries()[0], source(name)
    options = options_for(architecture, definitions, library)
    major, minor = ctypes.c_int(), ctypes.c_int()
    _check(library, library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
    key = hashlib.sha256("\n".join([text, *options, f"{major.value}.{minor.value}"]).encode()).hexdigest()
    file = f"{name}-{key[:32]}.bin"
    with contextlib.suppress(OSError, RuntimeError):
        return (_cache_folder() / file).read_bytes()
    code, _ = compiled(text, options, library)
    try:
        folder = _cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as scratch:  # others may write it at the same time
            scratch.write(code)
        Path(scratch.name).replace(folder / file)
    except (OSError, RuntimeError) as error:
        logger.info("compiled kernels are not kept: %s", error)
    return code


def _cache_folder() -> Path:
    """Where compiled kernels are kept; raises RuntimeError for a user without a home."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "orthrus" / "kernels"


@cache
def _libraries() -> tuple[ctypes.CDLL, ctypes.CDLL]:
    """NVRTC and the driver; raises ModuleNotFoundError if PyTorch is not built for NVIDIA GPUs."""
    if torch.version.cuda is None:
        raise ModuleNotFoundError("PyTorch is not built with CUDA", name="nvrtc")
    major = torch.version.cuda.partition(".")[0]
    if sys.platform == "win32":
        return ctypes.CDLL(f"nvrtc64_{major}0_0.dll"), ctypes.CDLL("nvcuda.dll")
    load_builtins(major)
    through_torch = Path(torch.__file__).parent / "lib" / "libcaffe2_nvrtc.so"  # PyTorch's own library for both
    if through_torch.exists():
        both = ctypes.CDLL(str(through_torch))
        return both, both
    return ctypes.CDLL(f"libnvrtc.so.{major}"), ctypes.CDLL("libcuda.so.1")


def load_builtins(major: str) -> None:
    """Load the library that NVRTC opens by name when it compiles, from NVIDIA's wheels.

    NVRTC 13.0 does not look for it beside itself, and not every PyTorch has loaded it.
    """
    for path in wheel_libraries(f"libnvrtc-builtins.so.{major}.*"):
        ctypes.CDLL(str(path))


def wheel_libraries(pattern: str) -> list[Path]:
    """The libraries of NVIDIA's installed wheels whose file name matches ``pattern``, by path."""
    package = importlib.util.find_spec("nvidia")
    folders = (package and package.submodule_search_locations) or ()
    return [path for folder in folders for path in sorted(Path(folder).glob(f"*/lib/{pattern}"))]


def _check(library: ctypes.CDLL, outcome: int) -> None:
    if outcome:
        library.nvrtcGetErrorString.restype = ctypes.c_char_p
        raise RuntimeError(f"NVRTC failed: {library.nvrtcGetErrorString(outcome).decode()}")


def _check_driver(outcome: int) -> None:
    if outcome:
        text = ctypes.c_char_p()
        _libraries()[1].cuGetErrorString(outcome, ctypes.byref(text))
        raise RuntimeError(f"CUDA driver: {(text.value or b'unknown error').decode()} ({outcome})")
