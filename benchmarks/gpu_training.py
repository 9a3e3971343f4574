"""Training and embedding on a GPU as a user runs them, and a step alone with its profile. `benchmarks/gpu.sh` runs all.

    python benchmarks/gpu_training.py step --output step.json      # conf/fit/published.yaml, and the published recipe's
    python benchmarks/gpu_training.py fit --output fit.json        # `orthrus fit` with its loader at work
    python benchmarks/gpu_training.py embed --output embed.json    # 17,870 mRNAs, and how far CPU and GPU differ

The published recipe's step is ours with mamba-ssm's blocks, where they can be imported, on pairs drawn at random and
padded to the longest, as many positions with padding as ours has. nt are those of transcripts, not of padding.
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from gpu_bench import Bench, Found, Row, fused, run, told_if_it_fails
from torch import Tensor, nn

from orthrus import MambaEncoder, TranscriptStore
from orthrus.embedding.embed import embed, embed_to_file, encode
from orthrus.loading.batch import PairBatch
from orthrus.nn.checkpoints import save_encoder
from orthrus.objectives import ContrastiveTerm, MaskedLanguageTerm
from orthrus.store import StoreBuilder
from orthrus.training.callbacks.throughput import peak_flops, training_flops
from orthrus.training.module import Pretraining

ROOT = Path(__file__).resolve().parent.parent


def model(bench: Bench) -> Pretraining:
    """Encoder and joint objective of conf/fit/published.yaml."""
    objective = {"contrastive": partial(ContrastiveTerm, weight=0.05), "mlm": partial(MaskedLanguageTerm, weight=0.95)}
    size = {"d_model": 16, "n_layers": 1} if bench.tiny else {"d_model": 512, "n_layers": 6}
    torch.manual_seed(0)
    return Pretraining(MambaEncoder(6, **size), objective).to(bench.device)


def pair_batch(bench: Bench, lengths: np.ndarray) -> PairBatch:
    """Random pairs of mRNAs of these lengths, 15 % of bases to predict."""
    draw = np.random.default_rng(0)
    views = np.concatenate([lengths, lengths])
    own = np.arange(views.max()) < views[:, None]
    codes = (draw.integers(1, 5, own.shape) * own).astype(np.uint8)
    hidden = (draw.random(own.shape) < 0.15) & own
    parts = (
        np.where(hidden, 0, codes),
        np.where(hidden, codes, 0),
        views,
        np.ones(len(lengths)),
        np.arange(len(lengths)),
    )
    types = (np.uint8, np.uint8, np.int64, np.int64, np.int64)
    arrays = (torch.from_numpy(np.ascontiguousarray(x, dtype=t)) for x, t in zip(parts, types, strict=True))
    return PairBatch(*(array.to(bench.device) for array in arrays))


def mrna_lengths(n: int) -> np.ndarray:
    """Lengths spread as those of human mRNAs: log-normal, median 2,500 nt, at most 12,288."""
    return np.clip(np.random.default_rng(1).lognormal(np.log(2500), 0.7, n), 200, 12288).astype(np.int64)


def training_step(bench: Bench, module: nn.Module, batch: PairBatch) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-4)

    def step() -> None:
        with bench.autocast():
            loss = module.scores(batch)[0]["loss"]
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


class PeerMixer(nn.Module):
    """mamba-ssm's block in the place of ours: lengths are of no use to it."""

    def __init__(self, width: int, bidirectional: bool) -> None:
        super().__init__()
        from mamba_ssm.modules.mamba_simple import Mamba as Peer

        self.peer = Peer(width, use_fast_path=fused())

    def forward(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        out: Tensor = self.peer(hidden)
        return out


def step(bench: Bench, options: argparse.Namespace) -> Found:
    """Ours on pairs of like length, as our batches hold them, and mamba-ssm's blocks on random pairs, padded."""
    budget = 2048 if bench.tiny else options.budget
    like = np.full(max(budget // 2 // (64 if bench.tiny else 2048), 2), 64 if bench.tiny else 2048)
    module, batch = model(bench), pair_batch(bench, like)
    if bench.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    run = training_step(bench, module, batch)
    bench.times, bench.calls = min(bench.times, 5), min(bench.calls, 2)
    seconds = bench.seconds(run)
    rate = int(batch.lengths_V.sum()) / seconds
    row = {"what": "training step, orthrus", "step_ms": 1e3 * seconds, "nt_per_s": rate}
    on_gpu = bench.device.type == "cuda"
    peak = {"peak_GiB": torch.cuda.max_memory_allocated() / 2**30} if on_gpu else {}
    yield row | utilisation(bench, module, rate) | peak
    if on_gpu:
        yield from profile(run)
    del run, module, batch
    with told_if_it_fails("the published recipe's step"):
        module = model(bench)
        for layer in module.encoder.layers:
            layer.mixer = PeerMixer(module.encoder.d_model, False).to(bench.device)
        random = np.array([40, 64]) if bench.tiny else mrna_lengths(4096)
        size = (
            2 if bench.tiny else max(2, int(budget // 2 // random[:256].max()))
        )  # padded to the longest, as much memory
        batch = pair_batch(bench, random[:size])
        seconds = bench.seconds(training_step(bench, module, batch))
        rate = int(batch.lengths_V.sum()) / seconds
        padding = 1 - rate * seconds / batch.codes_VL.numel()
        row = {"what": "training step, mamba-ssm's blocks, padded", "step_ms": 1e3 * seconds, "nt_per_s": rate}
        yield row | {"padding": padding}


def utilisation(bench: Bench, module: Pretraining, rate: float) -> dict[str, float]:
    return {"mfu": rate * training_flops(module.encoder) / peak_flops(bench.device, torch.bfloat16)}


KINDS = {  # of kernels, by a part of their names
    "scan": ("scan_forward", "scan_backward"),
    "convolution": ("conv_forward", "conv_backward"),
    "matrix products": ("gemm", "cutlass", "sm90_xmma", "sm80_xmma", "nvjet", "cublas"),
    "norms": ("layer_norm", "LayerNorm", "GammaBeta"),
    "sums": ("reduce_kernel",),
    "copies and casts": ("copy", "Memcpy", "cat", "Cat", "memset", "Memset", "fill", "Fill"),
    "optimiser": ("multi_tensor", "adam", "Adam"),
}


def profile(run: Callable[[], None]) -> list[Row]:
    """Where a step's time on the device goes, by kind of kernel, and the fifteen longest kernels."""
    from torch.profiler import ProfilerActivity

    with torch.profiler.profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for _ in range(3):
            run()
        torch.cuda.synchronize()
    kernels = [(event.key, event.self_device_time_total) for event in profiler.key_averages()]
    total = sum(taken for _, taken in kernels) or 1
    kinds: dict[str, float] = {}
    for name, taken in kernels:
        kind = next(
            (kind for kind, parts in KINDS.items() if any(part in name for part in parts)), "elementwise, other"
        )
        kinds[kind] = kinds.get(kind, 0) + taken
    found: list[Row] = [
        {"what": f"  of it {kind}", "share": taken / total, "step_ms": taken / 3e3}
        for kind, taken in sorted(kinds.items(), key=lambda item: -item[1])
    ]
    longest = sorted(kernels, key=lambda item: -item[1])[:15]
    return [
        *found,
        *({"what": f"    {name[:70]}", "share": taken / total, "step_ms": taken / 3e3} for name, taken in longest),
    ]


def mrna_store(path: Path, n: int, scale: float = 1.0) -> TranscriptStore:
    """Random mRNAs of two isoforms a gene, of the lengths of human ones."""
    draw = np.random.default_rng(2)
    with StoreBuilder(path) as builder:
        for number, length in enumerate((scale * mrna_lengths(n)).astype(int)):
            cds = (int(length) // 5, int(length) // 5 + 3 * (int(length) // 6))
            codes = draw.integers(1, 5, length, dtype=np.uint8)
            codes[cds[0] : cds[1] : 3] |= 0b01000
            codes[-1] |= 0b10000
            builder.add(
                codes,
                transcript_id=f"T{number}",
                gene_id=f"G{number // 2}",
                gene_name=f"GENE{number // 2}",
                species="human",
                biotype="protein_coding",
                cds=cds,
                exon_ends=[int(length)],
                source="generated",
            )
        builder.finish()
    return TranscriptStore.open(path)


def fit(bench: Bench, options: argparse.Namespace) -> Found:
    """`orthrus fit` of the published recipe on generated mRNAs, loader and callbacks at work."""
    with tempfile.TemporaryDirectory() as folder:
        store, run = Path(folder) / "store", Path(folder) / "run"
        mrna_store(store, 200 if bench.tiny else 20_000, 0.05 if bench.tiny else 1.0)
        budget = 8192 if bench.tiny else options.budget
        given = {
            "trainer.default_root_dir": run,
            "trainer.max_steps": 6 if bench.tiny else 100_000,
            "trainer.max_time": f"00:00:{options.fit_seconds // 60:02d}:{options.fit_seconds % 60:02d}",
            "trainer.log_every_n_steps": 2 if bench.tiny else 10,
            "trainer.devices": 1,
            "trainer.accelerator": "gpu" if bench.device.type == "cuda" else "cpu",
            "trainer.val_check_interval": 1_000_000,
            "trainer.limit_val_batches": 0,
            "trainer.logger.class_path": "lightning.pytorch.loggers.CSVLogger",
            "trainer.logger.init_args": json.dumps({"save_dir": str(run), "name": "metrics"}),
            "data.store": store,
            "data.token_budget": budget,
            "data.num_workers": 0 if bench.tiny else 8,
        }
        if bench.tiny:
            given |= {"model.encoder.init_args": json.dumps({"n_tracks": 6, "d_model": 16, "n_layers": 1})}
        command = [sys.executable, "-m", "orthrus", "fit", "--config", str(ROOT / "conf/fit/published.yaml")]
        command += [f"--{name}={value}" for name, value in given.items()]
        started = time.perf_counter()
        process = subprocess.run(command, cwd=folder, capture_output=True, text=True, env=dict(os.environ))
        if process.returncode:
            raise RuntimeError(f"orthrus fit failed: {process.stderr[-3000:]}")
        logged = next((run / "metrics").rglob("metrics.csv"))
        rows = [row for row in csv.DictReader(logged.open()) if row.get("train/nt_per_s")]
        rates = [float(row["train/nt_per_s"]) for row in rows[len(rows) // 4 :]]  # the first ones warm up
        yield {
            "what": "orthrus fit, loader at work",
            "seconds": time.perf_counter() - started,
            "steps": int(rows[-1]["step"]) + 1,
            "nt_per_s": statistics.median(rates),
            "mfu": statistics.median(float(row["train/mfu"]) for row in rows),
            "loader_wait": statistics.median(float(row["perf/loader_wait"]) for row in rows),
            "padding": statistics.median(float(row["perf/padding"]) for row in rows),
        }


def embeddings(bench: Bench, options: argparse.Namespace) -> Found:
    """`orthrus embed` in bfloat16, its file written, and transcripts in float32 on GPU and CPU."""
    with tempfile.TemporaryDirectory() as folder:
        store = mrna_store(Path(folder) / "store", 40 if bench.tiny else 17_870, 0.02 if bench.tiny else 1.0)
        encoder = model(bench).encoder.eval()
        every = np.arange(len(store))
        checkpoint, output = Path(folder) / "encoder", Path(folder) / "embeddings.parquet"
        save_encoder(encoder, checkpoint)
        given = {"input_name": "generated", "device": str(bench.device), "token_budget": options.embed_budget}
        with bench.autocast():
            embed(encoder, store, every[: len(every) // 20 or 1], token_budget=options.embed_budget)  # to warm up
        started = time.perf_counter()
        embed_to_file(checkpoint, store, output, bf16=True, **given)
        seconds = time.perf_counter() - started
        rate = int(store.lengths.sum()) / seconds
        yield {"what": f"embedding {len(store):,} mRNAs", "seconds": seconds, "nt_per_s": rate}
        few = [store.codes(int(i)) for i in np.argsort(store.lengths)[:8]]
        on_device, on_cpu = encode(encoder, few), encode(encoder.cpu(), few)
        worst = float(np.abs(on_device - on_cpu).max())
        yield {"what": "float32, largest difference from the CPU", "difference": worst}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--budget", type=int, default=524_288, help="padded nt of a training batch")
    parser.add_argument("--embed-budget", type=int, default=262_144, help="padded nt of a batch to embed")
    parser.add_argument("--fit-seconds", type=int, default=120)


if __name__ == "__main__":
    run({"step": step, "fit": fit, "embed": embeddings}, __doc__, arguments)
