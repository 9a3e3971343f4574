"""What the parts of `benchmarks/gpu.sh` share: the device, timing, the command line, tables and JSON."""

import argparse
import contextlib
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

Row = dict[str, Any]
Found = Iterator[Row]


class Bench:
    """The device, sizes that fit it, and timing."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.device, self.tiny = torch.device(options.device), options.tiny
        self.dtype = torch.bfloat16
        self.times, self.calls = (2, 1) if options.tiny else (9, 8)

    def seconds(self, call: Callable[[], Any]) -> float:
        """Seconds of a call: the median of a few times, each over several calls, so that the host's part overlaps."""
        for _ in range(1 if self.tiny else 3):
            call()
        taken = []
        for _ in range(self.times):
            self.wait()
            started = time.perf_counter()
            for _ in range(self.calls):
                call()
            self.wait()
            taken.append((time.perf_counter() - started) / self.calls)
        return statistics.median(taken)

    def both(self, forward: Callable[[], Tensor], leaves: list[Tensor]) -> dict[str, float]:
        """Milliseconds of a forward pass that keeps what backward needs, and of both passes."""
        direction = torch.randn_like(forward())

        def forward_and_backward() -> None:
            torch.autograd.grad(forward(), leaves, direction)

        return {
            "forward_ms": 1e3 * self.seconds(forward),
            "forward_backward_ms": 1e3 * self.seconds(forward_and_backward),
        }

    def wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16)

    def normal(self, *shape: int, dtype: torch.dtype | None = None, mean: float = 0.0) -> Tensor:
        return (torch.randn(*shape, device=self.device) + mean).to(dtype or self.dtype).requires_grad_()


@contextlib.contextmanager
def told_if_it_fails(what: str) -> Iterator[None]:
    """Goes on without a peer that cannot be imported, or fails: it may need more memory than there is."""
    try:
        yield
    except Exception as error:
        print(f"without {what}: {type(error).__name__}: {error}", file=sys.stderr)
        torch.cuda.empty_cache()


def fused() -> bool:
    """Whether mamba-ssm's block has its fused path, which needs causal-conv1d's extension."""
    return importlib.util.find_spec("causal_conv1d_cuda") is not None


Part = Callable[[Bench, argparse.Namespace], Found]


def run(
    parts: dict[str, Part], description: str | None, add_arguments: Callable[[argparse.ArgumentParser], None]
) -> None:
    """The command line of a script: do one part, print its table, write its JSON."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=parts)
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--tiny", action="store_true", help="sizes that a CPU does in seconds")
    parser.add_argument("--output", type=Path, required=True, help="JSON to write")
    add_arguments(parser)
    options = parser.parse_args()
    bench = Bench(options)
    name = torch.cuda.get_device_name() if bench.device.type == "cuda" else "cpu"
    print(f"{options.part} on {name}, PyTorch {torch.__version__}", flush=True)
    rows: list[Row] = []
    for row in parts[options.part](bench, options):  # each is kept before the next one may fail
        rows.append(row)
        show([row])
        found = {"device": name, "torch": torch.__version__, "rows": rows}
        options.output.write_text(json.dumps(found, indent=1) + "\n")


def show(rows: list[Row]) -> None:
    """One line a row, its numbers by name."""
    for row in rows:
        numbers = "  ".join(f"{name} {_short(value)}" for name, value in row.items() if name not in ("what", "shape"))
        print(f"{row['what']:45} {row.get('shape', ''):28} {numbers}", flush=True)


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
    return str(value)
