"""Peak memory of a training step by batch and length, with each way to lower it; the joint objective with AdamW.

Every figure comes from a process of its own and is what a step on the batch holds at its peak beyond what a step on two
views of 64 nt leaves behind (weights, gradients, moments, libraries): on a GPU what PyTorch allocated, on a CPU the
resident size. As Markdown.

    python benchmarks/memory.py                                                  # 3 x 256 on the CPU
    python benchmarks/memory.py --device cuda --d-model 512 --n-layers 6 --rows 16 64 256 --lengths 2048 12288
"""

import argparse
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import torch
from encoder import peak_gib, reset_peak

from orthrus.loading import PairBatch
from orthrus.nn.encoder import MambaEncoder
from orthrus.objectives import ContrastiveTerm, MaskedLanguageTerm
from orthrus.training.module import Pretraining


class Case(NamedTuple):
    d_model: int
    n_layers: int
    bidirectional: bool
    device: str
    rows: int
    length: int
    chunk_rows: int | None = None
    checkpointing: bool = False
    bf16: bool = False


def random_pairs(rows: int, length: int, device: str) -> PairBatch:
    """Views without padding, 15 % of whose bases are to be predicted."""
    codes_VL = torch.randint(1, 5, (rows, length), dtype=torch.uint8)
    asked_VL = torch.rand(codes_VL.shape) < 0.15
    kind_N, family_N = torch.ones(rows // 2, dtype=torch.long), torch.arange(rows // 2)
    batch = PairBatch(codes_VL * ~asked_VL, codes_VL * asked_VL, torch.full((rows,), length), kind_N, family_N)
    return PairBatch(*(tensor.to(device) for tensor in batch))


def measure(case: Case) -> float:
    """GiB that the step on the batch of a case takes at its peak."""
    torch.manual_seed(0)
    encoder = MambaEncoder(
        6, case.d_model, case.n_layers, case.bidirectional, gradient_checkpointing=case.checkpointing
    )
    objective = {"contrastive": ContrastiveTerm, "mlm": MaskedLanguageTerm}
    module = Pretraining(encoder, objective, chunk_rows=case.chunk_rows).to(case.device)
    optimizer = torch.optim.AdamW(module.parameters())
    held = []
    for rows, length in ((2, 64), (case.rows, case.length)):
        batch = random_pairs(rows, length, case.device)
        reset_peak(case.device)
        held.append(peak_gib(case.device))
        with torch.autocast(case.device, torch.bfloat16, enabled=case.bf16):
            loss = module.scores(batch)[0]["loss"]
        loss.backward()
        optimizer.step()
        held.append(peak_gib(case.device))
    return held[-1] - held[-2]


def in_a_process(case: Case) -> float:
    os.environ["MALLOC_MMAP_THRESHOLD_"] = "65536"  # glibc then returns what is freed, and resident is what is in use
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, case).result()


def table(arguments: argparse.Namespace) -> Iterator[str]:
    ways = {
        "as it is": {},
        "bf16": {"bf16": True},
        "checkpointed layers": {"checkpointing": True},
        f"chunks of {arguments.chunk_rows}": {"chunk_rows": arguments.chunk_rows},
        "both": {"checkpointing": True, "chunk_rows": arguments.chunk_rows},
        "both, bf16": {"checkpointing": True, "chunk_rows": arguments.chunk_rows, "bf16": True},
    }
    yield f"| views x nt | {' | '.join(ways)} |"
    yield f"|---|{'---:|' * len(ways)}"
    model = (arguments.d_model, arguments.n_layers, arguments.bidirectional, arguments.device)
    for rows in arguments.rows:
        for length in arguments.lengths:
            cells = [f"{in_a_process(Case(*model, rows, length, **way)):.2f}" for way in ways.values()]
            yield f"| {rows} x {length:,} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--d-model", type=int, default=256)
    parser.add_argument("--n-layers", type=int, default=3)
    parser.add_argument("--bidirectional", action="store_true")
    parser.add_argument("--rows", type=int, nargs="+", default=[8, 32], help="views of a batch, two a pair")
    parser.add_argument("--lengths", type=int, nargs="+", default=[512, 2048], help="nt")
    parser.add_argument("--chunk-rows", type=int, default=4)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    arguments = parser.parse_args()
    where = torch.cuda.get_device_name() if arguments.device == "cuda" else "CPU"
    print(f"{arguments.n_layers} x {arguments.d_model}, GiB on a {where}, PyTorch {torch.__version__}\n")
    for line in table(arguments):
        print(line, flush=True)


if __name__ == "__main__":
    main()
