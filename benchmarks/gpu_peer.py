"""Compiles mamba-ssm's scan and causal-conv1d from their unpacked source archives, for the GPU at hand alone.

    python benchmarks/gpu_peer.py SOURCES FOLDER

SOURCES holds mamba_ssm-* and, for mamba-ssm's fused path, causal_conv1d-*; FOLDER then goes on PYTHONPATH. Its
``mamba_ssm/__init__.py`` is empty: the package's own imports what is not needed here. Some two minutes on 16 cores.
"""

import os
import shutil
import sys
from pathlib import Path

import torch
from torch.utils.cpp_extension import load


def build(name: str, sources: list[Path], include: Path, folder: Path) -> None:
    """An extension module NAME.so in the folder."""
    flags = ["-O3", "-std=c++17", "-U__CUDA_NO_HALF_OPERATORS__", "-U__CUDA_NO_HALF_CONVERSIONS__", "--use_fast_math"]
    flags += ["-U__CUDA_NO_BFLOAT16_OPERATORS__", "-U__CUDA_NO_BFLOAT16_CONVERSIONS__", "--expt-relaxed-constexpr"]
    flags += ["--expt-extended-lambda", "--threads", "2"]
    work = folder / f"build_{name}"
    work.mkdir(parents=True, exist_ok=True)
    load(
        name,
        [str(source) for source in sources],
        extra_include_paths=[str(include)],
        extra_cflags=["-O3", "-std=c++17"],
        extra_cuda_cflags=flags,
        build_directory=str(work),
        is_python_module=False,
    )
    shutil.copy(work / f"{name}.so", folder)


def main() -> None:
    given, folder = Path(sys.argv[1]), Path(sys.argv[2])
    os.environ["TORCH_CUDA_ARCH_LIST"] = "{}.{}".format(*torch.cuda.get_device_capability())
    folder.mkdir(parents=True, exist_ok=True)
    for archive in sorted(given.glob("mamba_ssm-*/")):  # first, since it is of use without the other
        csrc = archive / "csrc" / "selective_scan"
        build("selective_scan_cuda", sorted([*csrc.glob("*.cpp"), *csrc.glob("*.cu")]), csrc, folder)
        shutil.copytree(archive / "mamba_ssm", folder / "mamba_ssm", dirs_exist_ok=True)
        (folder / "mamba_ssm" / "__init__.py").write_text("")
    for archive in sorted(given.glob("causal_conv1d-*/")):
        csrc = archive / "csrc"
        build("causal_conv1d_cuda", sorted([*csrc.glob("*.cpp"), *csrc.glob("*.cu")]), csrc, folder)
        shutil.copytree(archive / "causal_conv1d", folder / "causal_conv1d", dirs_exist_ok=True)


if __name__ == "__main__":
    main()
