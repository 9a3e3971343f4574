"""What opening a store costs: seconds, and memory of one process and of two at the same time.

    python benchmarks/make_big_store.py STORE && python benchmarks/open_store.py STORE [--pairs 65536]

Each process opens the store, indexes its pairs and draws some; memory is the kernel's account of it (smaps_rollup):
`private` is what a process alone holds, `shared` the pages of the store and the libraries that others use too. Beside
them: reading the table of transcripts whole, which is what opening cost before there were arrays.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np


def memory() -> dict[str, float]:
    """MB of this process, by kind."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]
    kb = {name: int(value.split()[0]) for name, value in (line.split(":") for line in lines)}
    private = kb["Private_Clean"] + kb["Private_Dirty"]
    shared = kb["Shared_Clean"] + kb["Shared_Dirty"]
    return {
        name: value / 1e3
        for name, value in (
            ("rss", kb["Rss"]),
            ("pss", kb["Pss"]),
            ("private dirty", kb["Private_Dirty"]),
            ("private", private),
            ("shared", shared),
        )
    }


def show(name: str, seconds: float, before: dict[str, float]) -> None:
    now = memory()
    text = ", ".join(f"{kind} {value:,.0f} MB ({value - before[kind]:+,.0f})" for kind, value in now.items())
    print(f"{name}: {seconds:.3f} s; {text}", flush=True)


def open_and_wait(path: Path, n_pairs: int, name: str) -> None:
    """Open, report, and stay until the parent says so."""
    from orthrus.store import TranscriptStore
    from orthrus.store.pairs import PairIndex

    before = memory()
    started = time.perf_counter()
    store = TranscriptStore.open(path)
    index = PairIndex(store)
    draw = np.random.default_rng(0)
    pairs = index.sample(draw.integers(0, len(store), n_pairs), 0.5, draw)
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    found = store.index_of(store.transcript_ids[int(pairs.partner_P[0])].as_py())
    assert found == pairs.partner_P[0]
    print(f"{name}: one id found in {1e3 * (time.perf_counter() - started):.2f} ms", flush=True)
    show(f"{name}: opened, {n_pairs:,} of its pairs drawn", seconds, before)
    sys.stdin.readline()
    show(f"{name}: while all are open", seconds, before)


def read_table(path: Path) -> None:
    from orthrus.store import TranscriptStore

    before = memory()
    started = time.perf_counter()
    store = TranscriptStore.open(path)
    assert len(store.transcripts) == len(store)
    show("its table read whole", time.perf_counter() - started, before)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--pairs", type=int, default=65_536)
    parser.add_argument("--role", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role == "table":
        read_table(options.store)
    elif options.role:
        open_and_wait(options.store, options.pairs, options.role)
    else:
        command = [sys.executable, __file__, str(options.store), "--pairs", str(options.pairs), "--role"]
        for names in (["one process"], ["first of two", "second of two"]):
            running = [subprocess.Popen([*command, name], stdin=subprocess.PIPE, text=True) for name in names]
            time.sleep(15)
            for process in running:
                process.stdin.write("go on\n")
                process.stdin.flush()
            for process in running:
                process.wait()
        subprocess.run([*command, "table"], check=True)


if __name__ == "__main__":
    main()
