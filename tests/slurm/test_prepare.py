"""A store built by an array job and a merge, on a real Slurm, is the one that a single build gives."""

from pathlib import Path

import pytest

from orthrus import TranscriptStore
from orthrus.prepare import prepare
from tests.conftest import REPOSITORY
from tests.slurm.cluster import Cluster
from tests.slurm.test_scripts import ENV, logs
from tests.store.test_merge import same

SPEC = REPOSITORY / "conf/prepare/demo.yaml"


@pytest.mark.slurm
def test_shards_and_their_merge(cluster: Cluster, tmp_path: Path) -> None:
    options = ["--cpus-per-task=1", "--mem=0", f"--chdir={tmp_path}"]
    command = ["bash", str(REPOSITORY / "slurm/prepare.sbatch"), str(SPEC), str(tmp_path / "store"), *options]
    said = cluster.run(*command, **ENV)
    assert "(2 tasks)" in said
    merge = said.split()[-1]
    assert cluster.wait(merge) == "COMPLETED", logs(tmp_path)
    prepare(SPEC, tmp_path / "whole")
    same(TranscriptStore.open(tmp_path / "store"), TranscriptStore.open(tmp_path / "whole"))

    cluster.run("rm", "-r", str(tmp_path / "store"), str(tmp_path / "store.shards/human"))
    merge = cluster.run(*command, **ENV).split()[-1]
    assert cluster.wait(merge) == "COMPLETED", logs(tmp_path)
    assert "store.shards/primates is there" in logs(tmp_path)
    same(TranscriptStore.open(tmp_path / "store"), TranscriptStore.open(tmp_path / "whole"))


@pytest.mark.slurm
def test_a_failed_shard_is_not_merged(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "good.fa").write_text(">A\n" + "ACGT" * 60 + "\n")
    (tmp_path / "bad.fa").write_text(">A\n" + "MKVL" * 60 + "\n")
    (tmp_path / "t.tsv").write_text("transcript_id\tgene_name\tlength\tcds_start\tcds_end\nA\tG\t240\t0\t30\n")
    spec = tmp_path / "spec.yaml"
    entries = [f"  {name}: {{transcripts: {name}.fa, coordinates: t.tsv}}\n" for name in ("good", "bad")]
    spec.write_text("species:\n" + "".join(entries))
    command = ["bash", str(REPOSITORY / "slurm/prepare.sbatch"), str(spec), str(tmp_path / "store")]
    said = cluster.run(*command, "--cpus-per-task=1", "--mem=0", f"--chdir={tmp_path}", **ENV)
    assert cluster.wait(said.split()[-1]) == "CANCELLED"
    assert "is not a nucleotide" in logs(tmp_path)
    assert [path.name for path in (tmp_path / "store.shards").iterdir()] == ["good"]
    assert not (tmp_path / "store").exists()
