"""Encoders side by side: our scan backends, Hugging Face transformers' Mamba and mambapy, all of one shape.

Speed (nt/s, medians), peak memory, the share of the bound that the layers' own matrix products set in forward, and the
share of the processor's peak (of one large matrix product) that their arithmetic, three times it with backward, makes
up. All in the same run. The peers are optional: ``pip install transformers mambapy``.

    python benchmarks/encoder.py                                  # 3 x 256 on the CPU, 512 to 12,288 nt
    python benchmarks/encoder.py --lengths 1024 --patience 900    # also what takes minutes a step
    python benchmarks/encoder.py --device cuda --d-model 512 --n-layers 6 --tokens 98304 --bf16
"""

import argparse
import contextlib
import importlib.util
import json
import os
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from orthrus.nn.encoder import MambaEncoder
from orthrus.nn.mamba2 import Mamba2
from orthrus.scan import BACKENDS, choose

Case = tuple[nn.Module, Callable[[nn.Module], Tensor]]  # a model and how to call it on inputs that are ready
Build = Callable[[argparse.Namespace, int, int], Case]


def hidden_input(arguments: argparse.Namespace, rows: int, length: int) -> Tensor:
    return torch.randn(rows, length, arguments.d_model, device=arguments.device)


def ours(arguments: argparse.Namespace, rows: int, length: int, **options: Any) -> Case:
    tracks = torch.randint(0, 2, (rows, 6, length), device=arguments.device).float()
    lengths = torch.full((rows,), length)
    encoder = MambaEncoder(6, arguments.d_model, arguments.n_layers, **options)
    return encoder, lambda model: model(tracks, lengths)


def transformers_mamba(arguments: argparse.Namespace, rows: int, length: int) -> Case:
    from transformers import MambaConfig, MambaModel

    config = MambaConfig(
        vocab_size=8,
        hidden_size=arguments.d_model,
        num_hidden_layers=arguments.n_layers,
        state_size=16,
        use_cache=False,
    )
    hidden = hidden_input(arguments, rows, length)
    return MambaModel(config), lambda model: model(inputs_embeds=hidden).last_hidden_state


def mambapy(arguments: argparse.Namespace, rows: int, length: int) -> Case:
    from mambapy.mamba import Mamba, MambaConfig

    hidden = hidden_input(arguments, rows, length)
    return Mamba(MambaConfig(d_model=arguments.d_model, n_layers=arguments.n_layers)), lambda model: model(hidden)


def product_shapes(arguments: argparse.Namespace) -> list[tuple[int, int]]:
    """Weights of a layer's in_proj, x_proj, dt_proj and out_proj."""
    width, inner, rank = arguments.d_model, 2 * arguments.d_model, -(-arguments.d_model // 16)
    return [(width, 2 * inner), (inner, rank + 32), (rank, inner), (inner, width)]


def products(arguments: argparse.Namespace, rows: int, length: int) -> Case:
    """The layers' matrix products and nothing else."""
    options: dict[str, Any] = {
        "device": arguments.device,
        "dtype": torch.bfloat16 if arguments.bf16 else torch.float32,
    }
    shapes = product_shapes(arguments)
    weights = [torch.randn(shape, **options) for shape in shapes]
    inputs = [torch.randn(rows * length, source, **options) for source, _ in shapes]

    def run(model: nn.Module) -> Tensor:
        for _ in range(arguments.n_layers):
            outputs = [x @ weight for x, weight in zip(inputs, weights, strict=True)]
        return outputs[0]

    return nn.Module(), run


def candidates(device: str) -> dict[str, Build]:
    """What can run here, by name."""
    builds: dict[str, Build] = {}
    probe = torch.zeros(1, device=device)
    for name, backend in BACKENDS.items():
        with contextlib.suppress(ValueError):
            if backend.serves(probe) and choose(probe, name):
                builds[f"orthrus {name}"] = ours
    builds["orthrus two-way"] = lambda *shape: ours(*shape, bidirectional=True)
    builds["orthrus Mamba-2"] = lambda *shape: ours(*shape, mixer=Mamba2)
    peers: dict[str, Build] = {"transformers": transformers_mamba, "mambapy": mambapy}
    return builds | {name: build for name, build in peers.items() if importlib.util.find_spec(name)}


def reset_peak(device: str) -> None:
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        with contextlib.suppress(OSError):  # Linux: the resident size's high-water mark starts anew
            Path("/proc/self/clear_refs").write_text("5")


def peak_gib(device: str) -> float:
    if device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    status = Path("/proc/self/status")
    mark = re.search(r"VmHWM:\s+(\d+)", status.read_text()) if status.exists() else None
    return int(mark[1]) / 2**20 if mark else float("nan")


def seconds(step: Callable[[], object], arguments: argparse.Namespace) -> float:
    """Median of up to 7 steps after one to warm up; of that one alone if it takes longer than 20 s."""

    def timed() -> float:
        started = time.perf_counter()
        step()
        if arguments.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    first = timed()
    if first > 20:
        return first
    return statistics.median(timed() for _ in range(max(3, min(7, int(20 / first)))))


def measure(
    name: str, build: Build, backward: bool, rows: int, length: int, arguments: argparse.Namespace
) -> dict[str, Any]:
    if name.startswith("orthrus ") and name.split()[1] in BACKENDS:
        os.environ["ORTHRUS_SCAN"] = name.split()[1]
    else:
        os.environ.pop("ORTHRUS_SCAN", None)
    torch.manual_seed(0)
    model, call = build(arguments, rows, length)
    model = model.to(arguments.device)
    autocast = torch.autocast(arguments.device, torch.bfloat16, enabled=arguments.bf16)

    def forward() -> None:
        with torch.inference_mode(), autocast:
            call(model)

    def forward_and_backward() -> None:
        model.zero_grad()
        with autocast:
            loss = call(model).float().square().mean()
        loss.backward()

    reset_peak(arguments.device)
    taken = seconds(forward_and_backward if backward else forward, arguments)
    return {
        "model": name,
        "pass": "forward+backward" if backward else "forward",
        "rows": rows,
        "length": length,
        "seconds": taken,
        "nt_per_s": rows * length / taken,
        "peak_GiB": peak_gib(arguments.device),
    }


def peak_flops(arguments: argparse.Namespace) -> float:
    """Of one large square product, in the precision of the run."""
    side = 8192 if arguments.device == "cuda" else 2048
    square = torch.randn(side, side, device=arguments.device).to(torch.bfloat16 if arguments.bf16 else torch.float32)
    return 2 * side**3 / seconds(lambda: square @ square, arguments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--d-model", type=int, default=256)
    parser.add_argument("--n-layers", type=int, default=3)
    parser.add_argument("--lengths", type=int, nargs="+", default=[512, 1024, 2048, 4096, 12288])
    parser.add_argument(
        "--tokens", type=int, default=4096, help="positions a batch: rows = tokens / length, at least 1"
    )
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--bf16", action="store_true", help="under autocast to bfloat16")
    parser.add_argument("--models", nargs="+", help="only these, by name")
    parser.add_argument("--patience", type=float, default=60, help="skip what would take longer a step, in seconds")
    parser.add_argument("--output", type=Path, help="also write the rows as JSON")
    arguments = parser.parse_args()
    builds = candidates(arguments.device)
    if arguments.models:
        builds = {name: builds[name] for name in arguments.models}

    rows_out: list[dict[str, Any]] = []
    last: dict[tuple[str, bool], dict[str, Any]] = {}
    peak = peak_flops(arguments)
    flops_per_nt = 2 * arguments.n_layers * sum(source * target for source, target in product_shapes(arguments))
    print(
        f"{arguments.n_layers} x {arguments.d_model} on {arguments.device}, {torch.get_num_threads()} threads, "
        f"peak of a matrix product {peak / 1e12:.2f} TFLOP/s"
    )
    print(f"{'model':18} {'pass':17} {'rows x length':>14} {'nt/s':>10} {'of bound':>9} {'of peak':>8} {'peak GiB':>9}")
    for length in arguments.lengths:
        rows = max(1, arguments.tokens // length)
        bound = measure("products", products, False, rows, length, arguments)["nt_per_s"]
        print(f"{'products (bound)':18} {'forward':17} {f'{rows} x {length}':>14} {bound:10,.0f}")
        for name, build in builds.items():
            for backward in (False, True):
                before = last.get((name, backward))
                # A batch has about as many positions at any length, so what is quadratic in length grows in proportion.
                growth = 1.0 if before is None else length / before["length"]
                if before is not None and before["seconds"] * growth > arguments.patience:
                    continue
                row = measure(name, build, backward, rows, length, arguments)
                row["of_bound"] = row["nt_per_s"] / bound
                row["of_peak"] = row["nt_per_s"] * flops_per_nt * (3 if backward else 1) / peak
                last[name, backward] = row
                rows_out.append(row)
                print(
                    f"{name:18} {row['pass']:17} {f'{rows} x {length}':>14} {row['nt_per_s']:10,.0f} "
                    f"{row['of_bound']:9.3f} {row['of_peak']:8.3f} {row['peak_GiB']:9.2f}",
                    flush=True,
                )
    if arguments.output:
        arguments.output.write_text(json.dumps(rows_out, indent=1) + "\n")


if __name__ == "__main__":
    main()
