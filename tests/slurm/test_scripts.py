"""The batch scripts as shipped, on a real Slurm."""

import gzip
import json
import os
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch

from orthrus import MambaEncoder, TranscriptStore
from orthrus.nn.checkpoints import save_encoder
from tests.builders import build_store
from tests.conftest import REPOSITORY
from tests.slurm.cluster import Cluster
from tests.training.runs import SMALL, losses, same

SCRIPTS = REPOSITORY / "slurm"
ENV = {
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "PYTHONPATH": str(REPOSITORY),
    "OMP_NUM_THREADS": "1",
    "ORTHRUS_SETUP": "",
}
CPUS = ["--gpus-per-node=0", "--cpus-per-task=1", "--mem=0"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_store(tmp_path_factory.mktemp("slurm-store") / "store", n_genes=40, cds_only_species=True).path


def pretrain(cluster: Cluster, run: Path, store: Path, pause: float) -> str:
    args = ["conf/fit/demo.yaml", *SMALL, f"--data.store={store}", f"--trainer.default_root_dir={run}"]
    args += ["--trainer.strategy=ddp", "--trainer.max_steps=14", "--trainer.val_check_interval=5"]
    args += ["--checkpoint.every_n_steps=3", "--trainer.callbacks+=tests.training.stop.Pause"]
    options = ["--ntasks-per-node=2", *CPUS, f"--output={run}.log", f"--chdir={REPOSITORY}"]
    script = str(SCRIPTS / "pretrain.sbatch")
    return cluster.submit(*options, script, *args, f"--trainer.callbacks.seconds={pause}", **ENV)


def wait_for_step(run: Path, version: int, step: int) -> None:
    end = time.monotonic() + 300
    while not (run / f"metrics/version_{version}/metrics.csv").exists() or str(step) not in losses(run, version):
        assert time.monotonic() < end, Path(f"{run}.log").read_text()
        time.sleep(0.2)


@pytest.mark.slurm
def test_pretraining_that_was_requeued_equals_an_uninterrupted_run(
    cluster: Cluster, store: Path, tmp_path: Path
) -> None:
    whole, requeued = tmp_path / "whole", tmp_path / "requeued"
    assert cluster.wait(pretrain(cluster, whole, store, pause=0)) == "COMPLETED", Path(f"{whole}.log").read_text()
    job = pretrain(cluster, requeued, store, pause=1)
    log = Path(f"{requeued}.log")
    wait_for_step(requeued, version=0, step=3)
    cluster.run("scontrol", "requeue", job)  # as an administrator or a preemption does
    wait_for_step(requeued, version=1, step=7)
    cluster.run("scancel", "--signal=USR1", job)  # as Slurm does before the time limit
    assert cluster.wait(job) == "COMPLETED", log.read_text()
    text = log.read_text()
    for start in (1, 2, 3):
        assert f"job {job}, start {start}" in text
    assert text.count("back into the queue") == 1
    assert text.count("stopped by SIG") == 2
    same(requeued, whole)


@pytest.mark.slurm
def test_an_array_embeds_its_inputs_and_another_probes_them(cluster: Cluster, store: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_encoder(MambaEncoder(6, 16, 1), tmp_path / "encoder")
    fasta = tmp_path / "some.fa.gz"
    with gzip.open(REPOSITORY / "data/demo/human_short.fa.gz", "rt") as stream, gzip.open(fasta, "wt") as out:
        out.writelines(next(stream) for _ in range(8))
    options = [*CPUS, f"--output={tmp_path}/%a.log", f"--chdir={tmp_path}"]
    inputs = [str(tmp_path / "encoder"), str(tmp_path / "embeddings"), str(store), str(fasta)]
    job = cluster.submit("--array=1-2", *options, str(SCRIPTS / "embed.sbatch"), *inputs, **ENV)
    assert cluster.wait(job) == "COMPLETED", logs(tmp_path)
    opened = TranscriptStore.open(store)
    assert len(pq.read_table(tmp_path / "embeddings/store.parquet")) == len(opened)
    assert len(pq.read_table(tmp_path / "embeddings/some.parquet")) > 0

    names, lengths = opened.column("transcript_id"), opened.lengths
    for target, values in (("length", lengths), ("even", lengths % 2)):
        lines = [f"{name}\t{value}" for name, value in zip(names, values, strict=True)]
        (tmp_path / f"{target}.tsv").write_text("\n".join([f"transcript_id\t{target}", *lines]) + "\n")
    (tmp_path / "tasks.tsv").write_text(
        f"long\t{tmp_path}/length.tsv\tlength\tregression\nodd\t{tmp_path}/even.tsv\teven\tclassification"
    )
    probed = [str(tmp_path / "embeddings/store.parquet"), str(tmp_path / "probe"), "tasks.tsv"]
    passed_on = ["--store", str(store), "--seeds=2"]
    job = cluster.submit("--array=1-2", *options, str(SCRIPTS / "probe.sbatch"), *probed, *passed_on, **ENV)
    assert cluster.wait(job) == "COMPLETED", logs(tmp_path)
    for name in ("long", "odd"):
        assert json.loads((tmp_path / "probe" / name / "metrics.json").read_text())["feature_sets"]


def logs(folder: Path) -> str:
    return "\n".join(path.read_text() for path in folder.glob("*.log"))


@pytest.mark.slurm
def test_a_job_that_was_submitted_twice_trains_once(cluster: Cluster, store: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    args = ["conf/fit/demo.yaml", *SMALL, f"--data.store={store}", f"--trainer.default_root_dir={run}"]
    args += ["--trainer.max_steps=14", "--checkpoint.every_n_steps=3"]
    args += ["--trainer.callbacks+=tests.training.stop.Pause", "--trainer.callbacks.seconds=2"]
    script = str(SCRIPTS / "pretrain.sbatch")
    logs_of = [tmp_path / f"{name}.log" for name in ("first", "second")]
    jobs = []
    for log in logs_of:
        options = ["--ntasks-per-node=1", *CPUS, f"--output={log}", f"--chdir={REPOSITORY}"]
        jobs.append(cluster.submit(*options, script, *args, **ENV))
        end = time.monotonic() + 300
        while not (run / "config.yaml").exists():
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.2)
    assert cluster.wait(jobs[1]) == "FAILED", logs_of[1].read_text()
    assert "is being written by another process" in " ".join(logs_of[1].read_text().split())
    assert cluster.wait(jobs[0]) == "COMPLETED", logs_of[0].read_text()
    assert list(losses(run)) == [str(step) for step in range(14)]
