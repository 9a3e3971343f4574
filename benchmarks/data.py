"""Loading pairs: orthrus against one npz file a transcript, in one run on real transcripts.

    python benchmarks/data.py [--store STORE] [--parts loading padding planning] [--workers 0 2] [--repeats 3]

Without a store, one is made of ORTHRUS_SHARED's human mRNAs. The peer is how the published method loads: a
compressed npz of float one-hot tracks a transcript, random batches, masks of float draws, all padded to the longest
view. It gets as many pairs a batch as orthrus has on average, and the same masks (30 % of bases, 30 % of annotation).
Rates are medians over repeats in which both take turns; nt are those of transcripts, not of padding.

--parts planning with a store of millions of transcripts shows what planning costs there.
"""

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from orthrus.loading.augment import MaskBases, MaskTracks
from orthrus.loading.batch import PairDataset
from orthrus.loading.plan import Planner
from orthrus.loading.stream import EndlessPlans
from orthrus.loading.views import Graft, lengths
from orthrus.prepare import prepare
from orthrus.store import TranscriptStore
from orthrus.store.pairs import PairIndex

MASKED = 0.3


class NpzPairs(Dataset[Any]):
    """Pairs of transcripts, each in a file of its own as float tracks (6, L)."""

    def __init__(self, folder: Path, pairs: list[tuple[int, int]]) -> None:
        self._folder, self._pairs = folder, pairs

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, i: int) -> list[torch.Tensor]:
        return [self._view(transcript) for transcript in self._pairs[i]]

    def _view(self, transcript: int) -> torch.Tensor:
        with np.load(self._folder / f"{transcript}.npz") as file:
            tracks_CL = file["tracks"]
        for rows in (slice(0, 4), slice(4, 6)):
            tracks_CL[rows, np.random.random(tracks_CL.shape[1]) < MASKED] = 0
        return torch.from_numpy(tracks_CL)

    @staticmethod
    def write(store: TranscriptStore, transcripts: Any, folder: Path) -> None:
        for i in transcripts:
            np.savez_compressed(folder / f"{i}.npz", tracks=store.tracks(int(i)).astype(np.float32))


def pad_to_longest(pairs: list[list[torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Float tracks (2N, 6, L) and lengths (2N,)."""
    views = [pair[side] for side in (0, 1) for pair in pairs]
    lengths_V = torch.tensor([view.shape[1] for view in views])
    tracks_VCL = torch.zeros(len(views), 6, int(lengths_V.max()))
    for row, view in zip(tracks_VCL, views, strict=True):
        row[:, : view.shape[1]] = view
    return tracks_VCL, lengths_V


def make_planner(store: TranscriptStore, budget: int, bases: Any) -> Planner:
    return Planner(
        store,
        PairIndex(store),
        bases,
        token_budget=budget,
        ortholog_probability=0.5,
        rearrangements=[Graft()],
        seed=0,
    )


def rate(loader: Any, n_pairs: int) -> tuple[float, float]:
    """Pairs and nt a second, of about ``n_pairs``; starting workers is not counted, planning is."""
    batches = iter(loader)
    next(batches)
    pairs = nt = 0
    started = time.perf_counter()
    for batch in batches:
        lengths_V = batch.lengths_V if hasattr(batch, "lengths_V") else batch[1]
        pairs += len(lengths_V) // 2
        nt += int(lengths_V.sum())
        if pairs >= n_pairs:
            break
    seconds = time.perf_counter() - started
    return pairs / seconds, nt / seconds


def show_loading(store: TranscriptStore, options: argparse.Namespace) -> None:
    bases = np.random.default_rng(0).permutation(options.bases)[: options.transcripts]
    planner = make_planner(store, options.budget, np.sort(bases))
    plans = list(planner.epoch(0))
    pairs = [pair for plan in plans for pair in zip(plan.base_N.tolist(), plan.partner_N.tolist(), strict=True)]
    a_batch = round(len(pairs) / len(plans))
    dataset = PairDataset(store, [MaskBases(MASKED), MaskTracks(MASKED)])
    with tempfile.TemporaryDirectory() as folder:
        NpzPairs.write(store, np.unique(pairs), Path(folder))
        npz = NpzPairs(Path(folder), pairs)
        print(f"\nloading: {len(pairs):,} pairs, {a_batch} a batch, median of {options.repeats}")
        for workers in options.workers:
            loaders: dict[str, tuple[Any, int]] = {
                "orthrus": (
                    DataLoader(dataset, sampler=EndlessPlans(planner), batch_size=None, num_workers=workers),
                    20 * len(pairs),
                ),
                "npz": (
                    DataLoader(npz, a_batch, shuffle=True, collate_fn=pad_to_longest, num_workers=workers),
                    len(pairs),
                ),
            }
            rates: dict[str, list[tuple[float, float]]] = {name: [] for name in loaders}
            for _ in range(options.repeats):  # taking turns, so that both meet the same load
                for name, (loader, n) in loaders.items():
                    rates[name].append(rate(loader, n))
            where = f"{workers} workers" if workers else "one process"
            medians = {name: [statistics.median(r) for r in zip(*found, strict=True)] for name, found in rates.items()}
            for name, (pairs_s, nt_s) in medians.items():
                print(f"{where:12} {name:8} {pairs_s:10,.0f} pairs/s {nt_s / 1e6:8,.1f} Mnt/s")
            print(f"{where:12} ratio    {medians['orthrus'][0] / medians['npz'][0]:10.1f}x")


def filled(length_P2: Any, budget: int) -> tuple[int, int]:
    """Padded positions and batches of pairs taken in order, each batch as full as the budget lets it be."""
    positions = batches = 0
    rows = longest = 0
    for length in length_P2.max(axis=1).tolist():
        if 2 * (rows + 1) * max(longest, length) > budget:
            positions, batches, rows, longest = positions + 2 * rows * longest, batches + 1, 0, 0
        rows, longest = rows + 1, max(longest, length)
    return positions + 2 * rows * longest, batches + 1


def show_padding(store: TranscriptStore, options: argparse.Namespace) -> None:
    plans = list(make_planner(store, options.budget, options.bases).epoch(0))
    length_P2 = np.concatenate([lengths(plan.parts_V42).reshape(2, -1).T for plan in plans])
    nt = int(length_P2.sum())
    shuffled = np.random.default_rng(0).permutation(length_P2)
    ours = sum(int(lengths(plan.parts_V42).max()) * len(plan.parts_V42) for plan in plans), len(plans)
    ways = {
        "random": filled(shuffled, options.budget),
        "sorted": filled(length_P2[np.argsort(length_P2.max(axis=1))], options.budget),
        "orthrus": ours,
    }
    print(f"\npadding: {len(length_P2):,} pairs, budget {options.budget:,} nt, {length_P2.max():,} nt the longest view")
    for name, (positions, batches) in ways.items():
        print(
            f"{name:8} {1 - nt / positions:6.1%} of positions padding, {len(length_P2) / batches:5.1f} pairs a batch,"
            f" {positions / batches / options.budget:6.1%} of the budget used"
        )
    within = 2 * int(length_P2.max(axis=1).sum())
    print(f"{1 - nt / within:.1%} would be left if every pair were a batch: its views differ in length")


def show_planning(store: TranscriptStore, options: argparse.Namespace) -> None:
    started = time.process_time()
    planner = make_planner(store, options.budget, options.bases)
    made = time.process_time()
    planner.window(0, 0)
    first = time.process_time()
    times = []
    pairs = 0
    for window in range(1, min(planner.n_windows, 21)):
        began = time.process_time()
        pairs += sum(len(plan.base_N) for plan in planner.window(0, window))
        times.append(time.process_time() - began)
    print(f"\nplanning: {len(store):,} transcripts, {planner.n_windows:,} windows an epoch, seconds of CPU")
    print(f"planner {made - started:.3f} s, first window {first - made:.3f} s (with the epoch's order)")
    if times:
        print(f"a window {statistics.median(times) * 1e3:.1f} ms, {sum(times) / pairs * 1e6:.2f} us a pair")
    began = time.process_time()
    list(islice(EndlessPlans(planner), 1000))
    print(f"1,000 plans of the stream in {time.process_time() - began:.2f} s")
    print(f"peak memory of the process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


@contextmanager
def human_mrna() -> Iterator[TranscriptStore]:
    data = Path(os.environ.get("ORTHRUS_SHARED", "../shared")).resolve() / "data" / "human_mrna"
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "spec.yaml"
        spec.write_text(
            f"species: {{human: {{transcripts: {data}/transcripts.fa.gz, coordinates: {data}/transcripts.tsv.gz}}}}\n"
            "filters: {max_length: 12288}\n"
        )
        prepare(spec, Path(folder) / "store")
        yield TranscriptStore.open(Path(folder) / "store")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path)
    parts = {"loading": show_loading, "padding": show_padding, "planning": show_planning}
    parser.add_argument("--parts", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--base-species", help="the species of the first of each pair; all without it")
    parser.add_argument("--transcripts", type=int, default=2000, help="how many to load, and to write as npz")
    parser.add_argument("--budget", type=int, default=65_536, help="padded positions of a batch, nt")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with human_mrna() if options.store is None else _opened(options.store) as store:
        print(f"{len(store):,} transcripts, {store.lengths.sum() / 1e6:,.0f} Mnt")
        names = store.species_names
        wanted = [options.base_species in (None, name) for name in names]
        options.bases = np.flatnonzero(np.array(wanted)[store.species])
        for part in options.parts:
            parts[part](store, options)


@contextmanager
def _opened(path: Path) -> Iterator[TranscriptStore]:
    yield TranscriptStore.open(path)


if __name__ == "__main__":
    main()
