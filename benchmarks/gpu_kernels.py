"""Our kernels on a GPU beside mamba-ssm's: scan and convolution alone, and a whole mixer, for `benchmarks/gpu.sh`.

    python benchmarks/gpu_kernels.py scan --output scan.json
    python benchmarks/gpu_kernels.py block --output block.json

The peers run where they can be imported: ``selective_scan_cuda`` (mamba-ssm's extension) for the scan, mamba-ssm's
Python files too for the mixer, causal-conv1d for its fused path. Times are medians, the device waited for.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from gpu_bench import Bench, Found, fused, run, told_if_it_fails
from torch import Tensor, nn

from orthrus.nn.mamba import Mamba
from orthrus.scan import causal_conv, choose, selective_scan

STATES = 16


def shapes(bench: Bench) -> list[tuple[int, int, int]]:
    """Rows, positions, channels."""
    return [(2, 64, 32)] if bench.tiny else [(48, 2048, 1024), (8, 12288, 1024), (512, 256, 512)]


def scan_inputs(bench: Bench, rows: int, positions: int, channels: int) -> dict[str, Tensor]:
    """Activations with channels last, parameters in float32."""
    return {
        "u": bench.normal(rows, positions, channels),
        "delta": bench.normal(rows, positions, channels, mean=-4),
        "A": (-16 * torch.rand(channels, STATES, device=bench.device)).requires_grad_(),
        "B": bench.normal(rows, positions, STATES),
        "C": bench.normal(rows, positions, STATES),
        "D": bench.normal(channels, dtype=torch.float32),
        "bias": bench.normal(channels, dtype=torch.float32),
        "z": bench.normal(rows, positions, channels),
    }


def peer_scan(inputs: dict[str, Tensor]) -> tuple[Callable[[], Tensor], list[Tensor]]:
    """mamba-ssm's CUDA scan called as its own autograd function calls it, in its own layout (B, D, L)."""
    import selective_scan_cuda

    def turned(x: Tensor) -> Tensor:
        return x.detach().transpose(1, 2).contiguous()

    u, delta, z = (turned(inputs[name]).requires_grad_() for name in ("u", "delta", "z"))
    B, C = (turned(inputs[name])[:, None].requires_grad_() for name in ("B", "C"))
    A, D, bias = (inputs[name].detach().requires_grad_() for name in ("A", "D", "bias"))

    class Scan(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *given: Tensor) -> Tensor:
            out, states, gated = selective_scan_cuda.fwd(*given, True)
            ctx.save_for_backward(*given, out, states)
            return gated

        @staticmethod
        def backward(ctx: Any, dout: Tensor) -> tuple[Tensor, ...]:
            *given, out, states = ctx.saved_tensors
            du, ddelta, dA, dB, dC, dD, dbias, dz = selective_scan_cuda.bwd(
                *given, dout, states, out, None, True, False
            )
            return du, ddelta, dA, dB, dC, dD, dz, dbias

    given = [u, delta, A, B, C, D, z, bias]
    return lambda: Scan.apply(*given), given


def scan(bench: Bench, options: Any) -> Found:
    """Scan and convolution alone."""
    for rows, positions, channels in shapes(bench):
        shape = f"{rows} x {positions:,} x {channels:,}"
        inputs = scan_inputs(bench, rows, positions, channels)
        leaves = list(inputs.values())
        u, delta, A, B, C, D, bias, z = leaves
        backend = choose(u)
        ours = partial(selective_scan, u, delta, A, B, C, D, bias, z)
        yield {"what": f"scan, {backend}", "shape": shape} | bench.both(ours, leaves)
        with told_if_it_fails("mamba-ssm's scan"):
            peer, peer_leaves = peer_scan(inputs)
            theirs, mine = peer().detach().transpose(1, 2).float(), ours().detach().float()
            error = float((theirs - mine).norm() / mine.norm())
            del theirs, mine
            row = {"what": "scan, mamba-ssm", "shape": shape, "difference": error}
            yield row | bench.both(peer, peer_leaves)
        weight, filter_bias = (
            bench.normal(channels, 4, dtype=torch.float32),
            bench.normal(channels, dtype=torch.float32),
        )
        conv = partial(causal_conv, u, weight, filter_bias)
        yield {"what": f"convolution, {backend}", "shape": shape} | bench.both(conv, [u, weight, filter_bias])
        del inputs, leaves, u, delta, B, C, z


def block(bench: Bench, options: Any) -> Found:
    """A whole mixer under autocast: ours, ours in two directions, mamba-ssm's."""
    for rows, positions, channels in shapes(bench):
        width, shape = channels // 2, f"{rows} x {positions:,} x {channels // 2:,} wide"
        hidden = bench.normal(rows, positions, width, dtype=torch.float32)
        lengths = torch.full((rows,), positions, device=bench.device)
        ours, two_way = Mamba(width).to(bench.device), Mamba(width, bidirectional=True).to(bench.device)
        cases: list[tuple[str, nn.Module, Callable[[], Tensor]]] = [
            ("block, orthrus", ours, lambda ours=ours, x=hidden, n=lengths: ours(x, n)),
            ("block, orthrus two-way", two_way, lambda two=two_way, x=hidden, n=lengths: two(x, n)),
        ]
        with told_if_it_fails("mamba-ssm's block"):
            from mamba_ssm.modules.mamba_simple import Mamba as Peer

            path = "fused" if fused() else "not fused: no causal-conv1d"
            peer = Peer(width, use_fast_path=fused()).to(bench.device)
            cases.append((f"block, mamba-ssm ({path})", peer, lambda peer=peer, x=hidden: peer(x)))
        for name, module, call in cases:
            with told_if_it_fails(name), bench.autocast():
                row = {"what": name, "shape": shape}
                yield row | bench.both(call, [hidden, *module.parameters()])


if __name__ == "__main__":
    run({"scan": scan, "block": block}, __doc__, lambda parser: None)
