"""Training steps: nt/s on one rank and on several, where a step's time goes, and the reference's way beside ours.

    python benchmarks/training.py [--store STORE] [--ranks 1 2] [--steps 20]
    python benchmarks/training.py --device cuda --ranks 1 --d-model 512 --layers 6 --budget 262144 --bf16

Each case runs in processes of its own (gloo on CPU, nccl on GPUs), all with the joint objective (5 % contrastive, 95 %
masked bases) and AdamW under DistributedDataParallel. Ranks share the machine's cores: two ranks get half each, and
efficiency is the rate of all ranks over that of one. The reference's way takes as many pairs a batch, drawn at random
and padded to the longest view, and sends float16 one-hot tracks to the device, where ours sends a byte a base. nt are
those of transcripts, not of padding; rates are of the median step.

Phases are told apart by waiting for the device after each. `gather` is what the objective's collectives take, forward
and backward; averaging gradients over ranks overlaps with the backward pass and is counted there.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, Sampler

from orthrus import MambaEncoder, TranscriptStore
from orthrus.loading.augment import MaskBases, MaskTracks
from orthrus.loading.batch import PairBatch, PairDataset
from orthrus.loading.plan import BatchPlan, Planner
from orthrus.loading.stream import EndlessPlans
from orthrus.loading.views import Graft
from orthrus.nn.pooling import mean_pool
from orthrus.nn.tracks import codes_to_tracks
from orthrus.objectives import ContrastiveTerm, Encoded, MaskedLanguageTerm
from orthrus.prepare import prepare
from orthrus.store.pairs import PairIndex
from orthrus.training.callbacks.throughput import peak_flops, training_flops
from orthrus.training.module import Pretraining

PHASES = ("data", "forward", "gather", "backward", "optimiser")
WARM_UP = 3


class Step(nn.Module):
    """The loss of a batch, given as codes or as float tracks."""

    def __init__(self, module: Pretraining) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: PairBatch, tracks_VCL: Tensor | None) -> Tensor:
        if tracks_VCL is None:
            return self.module.scores(batch)[0]["loss"]
        hidden_VLD = self.module.encoder(tracks_VCL.float(), batch.lengths_V)
        sums = self.module.objective.read(hidden_VLD, batch.targets_VL)
        pooled_VD = mean_pool(hidden_VLD, batch.lengths_V)
        loss: Tensor = self.module.objective(Encoded(pooled_VD, sums, batch.pair_kind_N, batch.family_N))["loss"]
        return loss


class RandomPlans(Sampler[BatchPlan]):
    """The same pairs as ``plans``, as many a batch as they have on average, drawn at random."""

    def __init__(self, plans: list[BatchPlan]) -> None:
        self.columns = [np.concatenate([plan[column] for plan in plans]) for column in range(4)]
        self.views = [np.concatenate([np.split(plan.parts_V42, 2)[side] for plan in plans]) for side in (0, 1)]
        self.size = round(len(self.columns[0]) / len(plans))

    def __iter__(self) -> Iterator[BatchPlan]:
        generator = np.random.default_rng(0)
        number = 0
        while True:
            rows = generator.choice(len(self.columns[0]), self.size, replace=False)
            number += 1
            parts_V42 = np.concatenate([view[rows] for view in self.views])
            yield BatchPlan(*(column[rows] for column in self.columns), parts_V42, (0, number))


class Clock:
    """Seconds by phase, waiting for the device at each change; time spent in collectives is taken out of the others."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.collectives = device, 0.0
        for name in ("all_gather", "all_reduce"):
            setattr(dist, name, partial(self._collective, getattr(dist, name)))

    def now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    def phase(self, act: Callable[[], Any]) -> tuple[Any, float, float]:
        """What ``act`` returns, its seconds, and those of them that collectives took."""
        self.collectives, started = 0.0, self.now()
        result = act()
        taken = self.now() - started
        return result, taken - self.collectives, self.collectives

    def _collective(self, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        started = self.now()
        result = call(*args, **kwargs)
        self.collectives += self.now() - started
        return result


def run_rank(options: argparse.Namespace) -> dict[str, Any]:
    """Train some steps as one rank; seconds by phase and nt of each step."""
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    device = torch.device(options.device, rank) if options.device == "cuda" else torch.device("cpu")
    dist.init_process_group("nccl" if options.device == "cuda" else "gloo")
    torch.manual_seed(0)
    objective = {"contrastive": partial(ContrastiveTerm, weight=0.05), "mlm": partial(MaskedLanguageTerm, weight=0.95)}
    encoder = MambaEncoder(6, options.d_model, options.layers)
    step = DistributedDataParallel(Step(Pretraining(encoder, objective)).to(device))
    optimizer = torch.optim.AdamW(step.parameters(), lr=1e-4)
    batches = iter(loader_of(TranscriptStore.open(options.store), options, rank, world_size))
    clock = Clock(device)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=options.bf16)

    def fetch() -> tuple[PairBatch, Tensor | None]:
        batch: PairBatch = next(batches)
        if options.way == "orthrus":
            return PairBatch(*(part.to(device) for part in batch)), None
        tracks_VCL = codes_to_tracks(batch.codes_VL, 6).half()
        return PairBatch(*(part.to(device) for part in batch)), tracks_VCL.to(device)

    def forward(batch: PairBatch, tracks_VCL: Tensor | None) -> Tensor:
        with autocast:
            loss: Tensor = step(batch, tracks_VCL)
        return loss

    def update() -> None:
        optimizer.step()
        optimizer.zero_grad()

    steps: list[dict[str, float]] = []
    for number in range(WARM_UP + options.steps):
        given, data, _ = clock.phase(fetch)
        loss, forwards, gather = clock.phase(partial(forward, *given))
        _, backward, gather_back = clock.phase(loss.backward)
        _, optimiser, _ = clock.phase(update)
        if number >= WARM_UP:
            seconds = (data, forwards, gather + gather_back, backward, optimiser)
            nt = torch.tensor([given[0].lengths_V.sum().item(), given[0].codes_VL.numel()], device=device)
            dist.all_reduce(nt)
            steps.append(dict(zip(PHASES, seconds, strict=True)) | {"nt": float(nt[0]), "positions": float(nt[1])})
    dist.destroy_process_group()
    peak = peak_flops(device, torch.bfloat16 if options.bf16 else torch.float32)
    share = training_flops(encoder) / peak / world_size
    return {"steps": steps, "peak_share_per_nt_s": share}


def loader_of(store: TranscriptStore, options: argparse.Namespace, rank: int, world_size: int) -> DataLoader[Any]:
    planner = Planner(
        store,
        PairIndex(store),
        np.arange(len(store)),
        token_budget=options.budget,
        ortholog_probability=0.5,
        rearrangements=[Graft()],
        seed=0,
        rank=rank,
        world_size=world_size,
    )
    plans = EndlessPlans(planner) if options.way == "orthrus" else RandomPlans(planner.window(0, 0))
    dataset = PairDataset(store, [MaskBases(0.15), MaskTracks(0.3)], mlm_fraction=0.15)
    return DataLoader(dataset, sampler=plans, batch_size=None, num_workers=options.workers)


def run_case(options: argparse.Namespace, way: str, ranks: int) -> dict[str, Any]:
    """Start the ranks of a case, and put together what rank 0 measured."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    threads = max(1, options.cores // ranks)
    env = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(ranks)}
    env |= {"OMP_NUM_THREADS": str(threads), "NUMBA_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    command = [sys.executable, __file__, *options.given, f"--store={options.store}", f"--way={way}"]
    processes = [
        subprocess.Popen(command, env=env | {"RANK": str(rank)}, stdout=subprocess.PIPE, text=True)
        for rank in range(ranks)
    ]
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        sys.exit(f"{way} on {ranks} ranks failed")
    found = json.loads(outputs[0].splitlines()[-1])
    steps = found["steps"]
    totals = [sum(step[phase] for phase in PHASES) for step in steps]
    rate = statistics.median(step["nt"] / total for step, total in zip(steps, totals, strict=True))
    return {
        "way": way,
        "ranks": ranks,
        "nt_per_s": rate,
        "padding": 1 - sum(step["nt"] for step in steps) / sum(step["positions"] for step in steps),
        "peak_share": rate * found["peak_share_per_nt_s"],
        **{
            phase: statistics.median(step[phase] / t for step, t in zip(steps, totals, strict=True)) for phase in PHASES
        },
    }


def real_store(folder: Path) -> Path:
    """A store of the demo's transcripts, which are in the repository."""
    root = Path(__file__).resolve().parent.parent
    prepare(root / "conf/prepare/demo.yaml", folder / "store")
    return folder / "store"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, help="a prepared store (default: one made of data/demo)")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--d-model", type=int, default=64)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--budget", type=int, default=32_768, help="padded nt of a rank's batch")
    parser.add_argument("--workers", type=int, default=0, help="loader processes of a rank")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--way", choices=("orthrus", "reference"), help=argparse.SUPPRESS)  # of a rank's own process
    options = parser.parse_args()
    options.given, options.cores = sys.argv[1:], len(os.sched_getaffinity(0))
    if options.way:
        print(json.dumps(run_rank(options)))
        return
    with tempfile.TemporaryDirectory() as folder:
        options.store = options.store or real_store(Path(folder))
        cases = [("orthrus", ranks) for ranks in options.ranks] + [("reference", options.ranks[0])]
        results = [run_case(options, *case) for case in cases]
    print(
        f"\n{options.layers} x {options.d_model}, {options.budget:,} nt a rank, {options.cores} cores, {options.device}"
    )
    print(f"{'way':10} ranks {'nt/s':>10} padding {'of peak':>7}  " + " ".join(f"{phase:>9}" for phase in PHASES))
    for each in results:
        peak = f"{each['peak_share']:.1%}"
        phases = " ".join(f"{each[phase]:9.1%}" for phase in PHASES)
        line = f"{each['nt_per_s']:10,.0f} {each['padding']:7.1%} {peak:>7}  {phases}"
        print(f"{each['way']:10} {each['ranks']:5} {line}")
    one, reference = results[0], results[-1]
    for several in results[1:-1]:
        print(f"{several['ranks']} ranks: {several['nt_per_s'] / one['nt_per_s']:.2f} of the rate of {one['ranks']}")
    print(f"orthrus against the reference's way: {one['nt_per_s'] / reference['nt_per_s']:.2f}x")


if __name__ == "__main__":
    main()
