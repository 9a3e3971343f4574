"""Splicing in worker processes makes what splicing here makes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from orthrus.errors import InputError
from orthrus.genome.filters import Filters
from orthrus.genome.findings import Findings
from orthrus.genome.transcripts import annotated_contigs
from orthrus.prepare import prepare, splicer
from orthrus.prepare.splicer import Splicer
from orthrus.store import TranscriptStore

LETTERS = "".join(np.random.default_rng(0).choice(list("ACGT"), 5000))


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two contigs of 120 and 30 transcripts, more than a chunk each."""
    monkeypatch.setattr(splicer, "_CHUNK", 25)
    monkeypatch.setattr(splicer, "_WORTH_WORKERS", 100)
    rows = []
    for n in range(150):
        contig, strand, start = f"chr{1 + (n % 5 == 0)}", "+-"[n % 2], 1 + 7 * n
        for exon in range(1 + n % 3):
            place = f"{contig}\ts\texon\t{start + 300 * exon}\t{start + 300 * exon + 250}\t.\t{strand}\t."
            rows.append(f'{place}\tgene_id "G{n // 3}"; transcript_id "T{n}"; transcript_biotype "protein_coding";\n')
    (tmp_path / "a.gtf").write_text("".join(rows))
    (tmp_path / "genome.fa").write_text(f">chr2\n{LETTERS[::-1]}\n>chr1\n{LETTERS}\n")
    spec = tmp_path / "spec.yaml"
    spec.write_text(yaml.safe_dump({"species": {"human": {"annotation": "a.gtf", "genome": "genome.fa"}}}))
    return spec


def test_a_store_does_not_depend_on_the_number_of_workers(spec: Path, tmp_path: Path) -> None:
    files = []
    for workers in (1, 2):
        prepare(spec, tmp_path / f"s{workers}", workers=workers)
        store = TranscriptStore.open(tmp_path / f"s{workers}")
        files.append(store.meta["files"])
        assert len(store) == 150
    assert files[0] == files[1]
    assert {path.name for path in tmp_path.iterdir()} == {"a.gtf", "genome.fa", "spec.yaml", "s1", "s2"}


def test_a_genome_that_is_too_short_is_the_users_error(spec: Path, tmp_path: Path) -> None:
    (tmp_path / "genome.fa").write_text(f">chr1\n{LETTERS[:900]}\n")
    with pytest.raises(InputError, match=r"whose last exon ends at base .* of chr1, which has 900 bases"):
        prepare(spec, tmp_path / "s", workers=2)
    assert {path.name for path in tmp_path.iterdir()} == {"a.gtf", "genome.fa", "spec.yaml"}
    with pytest.raises(InputError, match="0 worker processes"):
        prepare(spec, tmp_path / "s", workers=0)


def test_a_killed_worker_is_told(spec: Path, tmp_path: Path) -> None:
    contigs = annotated_contigs(tmp_path / "a.gtf", tmp_path / "genome.fa", Filters(), Findings())
    with Splicer(2, tmp_path) as pool:
        pool._start().submit(os._exit, 1)  # as abrupt an end as being killed
        with pytest.raises(InputError, match="a worker process was killed"):
            list(pool.chunks(contigs, "human", "a.gtf"))


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["worker", "parent"])
def test_sigkill_of_a_worker_or_of_the_parent_leaves_no_store_and_no_process(
    victim: str, spec: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", _SLOW_WORKERS, str(spec), str(tmp_path / "store")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while len(workers := _workers(process.pid)) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(workers) == 2
    os.kill(workers[0] if victim == "worker" else process.pid, signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    if victim == "worker":
        assert process.returncode == 2
        assert "a worker process was killed" in errors
    while any(Path(f"/proc/{worker}").exists() for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    assert not (tmp_path / "store").exists()
    prepare(spec, tmp_path / "store", workers=1)
    assert [path.name for path in tmp_path.glob("*store*")] + [path.name for path in tmp_path.glob(".store*")] == [
        "store"
    ]


_SLOW_WORKERS = """
import sys
from pathlib import Path
from orthrus.errors import InputError
from orthrus.prepare import prepare, splicer

splicer._WORTH_WORKERS, splicer._CHUNK = 0, 1
if __name__ == "__main__":
    try:
        prepare(Path(sys.argv[1]), Path(sys.argv[2]), workers=2)
    except InputError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2)
"""


def _workers(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [child for child in children if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()]
