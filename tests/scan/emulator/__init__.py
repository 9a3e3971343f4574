"""The CUDA kernels on a CPU: their own source over ``device.cuh`` of this folder, built by the C++ compiler."""

import ctypes
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from orthrus.scan.nvrtc import THREADS, source

_HERE = Path(__file__).parent
_PARAMETERS = {
    "scan_forward": ["Inputs", "Rows", "float4*"],
    "scan_backward": ["Inputs", "Rows", "const float4*", "Gradients"],
    "conv_forward": ["Rows", "const float*", "const float*", "const long long*", "int", "int", "Rows"],
    "conv_backward": [
        *("Rows", "const float*", "const float*", "const long long*", "int", "int", "Rows", "Rows", "float*", "float*"),
    ],
}
COMPILER = shutil.which("c++") or shutil.which("g++")


class Emulator:
    """Takes the place of :func:`orthrus.scan.nvrtc.launch`; keeps what it builds in a folder."""

    def __init__(self, folder: Path, downwards: bool = False) -> None:
        self.folder, self.downwards, self.launched = folder, downwards, set[str]()

    def launch(self, name: str, definitions: Sequence[str], device: torch.device, blocks: int, *arguments: Any) -> None:
        self.launched.add(name)
        pointers = (ctypes.c_void_p * len(arguments))(*(ctypes.addressof(argument) for argument in arguments))
        self._library(name, definitions).run(pointers, blocks, int(self.downwards))

    def _library(self, name: str, definitions: Sequence[str]) -> ctypes.CDLL:
        path = self.folder / ("-".join([name, *definitions]).replace("=", "") + ".so")
        if not path.exists():
            given = ", ".join(f"*static_cast<{kind}*>(a[{i}])" for i, kind in enumerate(_PARAMETERS[name]))
            call = (
                'extern "C" void run(void** a, unsigned blocks, int downwards) {\n'
                f"    launch(blocks, {THREADS}, {name}_shared, downwards, [&] {{ {name}({given}); }});\n}}\n"
            )
            text = path.with_suffix(".cpp")
            text.write_text(source(name, _HERE / "device.cuh") + call)
            assert COMPILER is not None
            defined = [f"-D{definition}" for definition in definitions]
            options = ["-std=c++17", "-shared", "-fPIC", "-Wno-unknown-pragmas", *defined]
            subprocess.run([COMPILER, *options, str(text), "-o", str(path)], check=True)
        return ctypes.CDLL(str(path))
