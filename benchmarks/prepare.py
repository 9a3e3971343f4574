"""`orthrus prepare` at GENCODE's size: seconds, transcripts/s and the peak memory of all its processes.

    python benchmarks/prepare.py [--lines 3400000] [--chromosome 140000000] [--folder DIR] [--gzip]

Generates 22 chromosomes and a GTF in GENCODE's wording over them (3.4 M lines make some 250 k transcripts; kept in
--folder for the next run), then builds a store with one worker process and with one a core, and compares what comes
out. Memory is the sum over the process tree of what is a process's own and its share of what is shared (PSS). In the
same run, on the first lines of the same GTF, the peer, in one process: pyranges reads it, and transcripts are cut from
pyfaidx (whose index of the genome is there before the clock starts). The ratio is of transcripts/s.
"""

import argparse
import gzip
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import psutil
from annotation import gencode_like

from orthrus.prepare.splicer import available_cores
from orthrus.store import TranscriptStore

CHROMOSOMES = 22
LINE = 60


def write_input(folder: Path, n_lines: int, length: int, compress: bool) -> tuple[Path, Path]:
    suffix = ".gz" if compress else ""
    annotation, genome = folder / f"annotation.{n_lines}.gtf{suffix}", folder / f"genome.{length}.fa{suffix}"
    open_ = partial(gzip.open, mode="wb", compresslevel=1) if compress else partial(Path.open, mode="wb")
    if not annotation.exists():
        with open_(annotation) as stream:
            for line in gencode_like(n_lines, max_exons=10, exon=300):
                stream.write(line.encode())
    if not genome.exists():
        draw = np.random.default_rng(0)
        with open_(genome) as stream:
            for number in range(1, CHROMOSOMES + 1):
                stream.write(f">chr{number} generated\n".encode())
                lines = np.frombuffer(b"ACGTacgt", np.uint8)[draw.integers(0, 8, (length // LINE, LINE), np.uint8)]
                stream.write(np.pad(lines, ((0, 0), (0, 1)), constant_values=ord("\n")).tobytes())
    return annotation, genome


def write_spec(folder: Path, annotation: Path, genome: Path) -> Path:
    spec = folder / "spec.yaml"
    spec.write_text(
        f"species: {{human: {{annotation: {annotation}, genome: {genome}}}}}\n"
        "filters: {biotypes: all, min_length: 1}\n"
    )
    return spec


def run(spec: Path, output: Path, workers: int) -> tuple[float, float]:
    """Seconds, and the peak memory of the process tree in GiB."""
    command = [sys.executable, "-m", "orthrus", "prepare", "--config", str(spec), "--output", str(output)]
    started, peak = time.perf_counter(), 0
    process = subprocess.Popen([*command, f"--workers={workers}"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while process.poll() is None:
        peak = max(peak, tree_memory(process.pid))
        time.sleep(0.2)
    if process.returncode:
        raise SystemExit(process.stderr.read().decode())
    return time.perf_counter() - started, peak / 2**30


def tree_memory(pid: int) -> int:
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in [parent, *parent.children(recursive=True)]:
            total += process.memory_full_info().pss
    except psutil.Error:  # one has just ended
        pass
    return total


def peer(annotation: Path, genome: Path) -> tuple[int, float]:
    """Transcripts cut with pyranges and pyfaidx, and the seconds that took; the genome's index is there before."""
    import pyfaidx
    import pyranges

    contigs = pyfaidx.Fasta(str(genome))
    started = time.perf_counter()
    rows = pyranges.read_gtf(str(annotation)).df
    exons = rows[rows.Feature == "exon"].sort_values(["Chromosome", "Start"])
    n = 0
    for _, mine in exons.groupby("transcript_id", observed=True, sort=False):
        parts = [contigs[e.Chromosome][e.Start : e.End] for e in mine.itertuples()]
        if mine.Strand.iloc[0] == "-":
            parts = [part.reverse.complement for part in reversed(parts)]
        assert "".join(part.seq for part in parts)
        n += 1
    return n, time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=3_400_000)
    parser.add_argument("--chromosome", type=int, default=140_000_000, help="nt of each (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="where the input is and stays (default: a temporary one)")
    parser.add_argument("--gzip", action="store_true", help="input as it is downloaded")
    parser.add_argument("--peer-lines", type=int, default=100_000, help="0: no peer")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        annotation, genome = write_input(folder, options.lines, options.chromosome, options.gzip)
        print(f"{options.lines:,} lines, {CHROMOSOMES} x {options.chromosome:,} nt", flush=True)
        spec = write_spec(folder, annotation, genome)
        files = []
        for workers in sorted({1, available_cores()}):
            store = Path(scratch) / "store"
            seconds, peak = run(spec, store, workers)
            meta = TranscriptStore.open(store).meta
            n = meta["counts"]["transcripts"]
            print(
                f"workers {workers}: {n:,} transcripts, {seconds:.1f} s, {n / seconds:,.0f}/s, peak {peak:.2f} GiB",
                flush=True,
            )
            files.append(meta["files"])
            shutil.rmtree(store)
        assert all(each == files[0] for each in files), "the store depends on the number of workers"
        if options.peer_lines and not options.gzip:
            subset = folder / "subset.gtf"
            with annotation.open() as stream:
                subset.write_text("".join(islice(stream, options.peer_lines)))
            n_peer, seconds_peer = peer(subset, genome)
            rate = n_peer / seconds_peer
            print(f"pyranges + pyfaidx: {n_peer:,} transcripts, {seconds_peer:.1f} s, {rate:,.0f}/s")
            print(f"ratio {n / seconds / rate:.0f}x")


if __name__ == "__main__":
    main()
