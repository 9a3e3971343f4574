"""What can go wrong with a run: each is reported in a line, and never costs what was saved."""

import math
import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from signal import SIGKILL, SIGSTOP
from typing import Any

import pytest
import torch

from orthrus.cli import main
from orthrus.nn.integrity import archive_fault
from orthrus.training.checkpoint_files import AtomicCheckpointIO, by_step
from tests.builders import build_store
from tests.training.runs import TWO_RANKS, fit, losses, metrics, output_of, start

STRIKE = "--trainer.callbacks+=tests.training.stop.SignalAt"
NAN = "--trainer.callbacks+=tests.training.stop.Poison"


def test_a_truncated_checkpoint_is_passed_over_and_told(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "run"
    assert fit(run, store) == 0
    newest, before = by_step(run / "checkpoints")
    newest.write_bytes(newest.read_bytes()[:-5000])
    assert fit(run, store, "--resume=auto") == 0
    assert str(newest) in caplog.text
    assert "passed over" in caplog.text
    assert list(losses(run, version=1)) == ["2", "3"]
    assert archive_fault(newest) is None  # written anew
    assert archive_fault(before) is None


def test_a_flipped_bit_is_found(tmp_path: Path, store: Path) -> None:
    assert fit(tmp_path / "run", store) == 0
    path = by_step(tmp_path / "run" / "checkpoints")[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "checksum" in str(archive_fault(path)) or "CRC" in str(archive_fault(path))


def test_without_any_checkpoint_auto_begins_anew(tmp_path: Path, store: Path) -> None:
    run = tmp_path / "run"
    assert fit(run, store, "--resume=auto") == 0
    for path in (run / "checkpoints").iterdir():
        path.unlink()
    assert fit(run, store, "--resume=auto") == 0
    assert losses(run, version=1) == losses(run)


def test_another_store_than_the_checkpoints_is_refused_unless_allowed(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, other = tmp_path / "run", build_store(tmp_path / "other", n_genes=25, cds_only_species=True).path
    assert fit(run, store) == 0
    more = ["--resume=auto", "--trainer.max_steps=6"]
    assert fit(run, other, *more) == 2
    err = capsys.readouterr().err
    assert "drawn from something else (store was" in err
    assert "--data.accept_changes true" in err
    assert fit(run, other, *more, "--data.accept_changes=true") == 0


def test_a_step_without_a_finite_gradient_leaves_no_trace(tmp_path: Path, store: Path) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    stop = ["--trainer.callbacks+=tests.training.stop.StopAt", "--trainer.callbacks.step=2"]
    assert fit(run, store, NAN, "--trainer.callbacks.at=[2,3]") == 0
    assert fit(whole, store, *stop) == 0
    trained, two_steps = (torch.load(r / "checkpoints" / "last.ckpt", weights_only=True) for r in (run, whole))
    assert trained["global_step"] == 4
    for name, weights in two_steps["state_dict"].items():
        assert torch.equal(trained["state_dict"][name], weights), name
    for path in ("step-00000003-rank0.pt", "step-00000004-rank0.pt"):
        bad = torch.load(run / "bad_batches" / path, weights_only=True)
        assert bad["batches"][0]["codes_VL"].dtype == torch.uint8
        assert torch.tensor(bad["losses"]).isnan().all()


def test_a_step_that_is_left_out_is_not_remembered(tmp_path: Path, store: Path) -> None:
    remember = "--model.objective.contrastive.init_args.memory=5000"
    assert fit(tmp_path / "run", store, remember) == 0
    assert fit(tmp_path / "poisoned", store, remember, NAN, "--trainer.callbacks.at=[3]") == 0
    whole, without = (
        torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for name in ("run", "poisoned")
    )
    (key,) = (name for name in whole if name.endswith("memory._extra_state"))
    views = key.replace("_extra_state", "views_2KD")
    assert 0 < without[key] < whole[key]
    assert torch.equal(without[views][:, : without[key]], whole[views][:, : without[key]])
    assert not without[views][:, without[key] :].any()


def test_pairs_of_another_store_are_forgotten(tmp_path: Path, store: Path) -> None:
    """Families have other numbers there."""
    run, other = tmp_path / "run", build_store(tmp_path / "other", n_genes=25).path
    remember = ["--model.objective.contrastive.init_args.memory=5000", "--checkpoint.keep=9"]
    assert fit(run, store, *remember) == 0
    more = ["--resume=auto", "--data.accept_changes=true", "--trainer.max_steps=5"]
    assert fit(run, other, *remember, *more) == 0
    before, after = (
        torch.load(run / f"checkpoints/step-0000000{step}.ckpt", weights_only=True)["state_dict"] for step in (4, 5)
    )
    (key,) = (name for name in before if name.endswith("memory._extra_state"))
    assert 0 < after[key] < before[key]


def test_a_step_that_is_left_out_logs_its_own_norm_and_not_that_of_the_step_before(tmp_path: Path, store: Path) -> None:
    assert fit(tmp_path / "run", store, NAN, "--trainer.callbacks.at=[2]") == 0
    norms = {row["step"]: row["train/grad_norm"] for row in metrics(tmp_path / "run") if row.get("train/grad_norm")}
    assert {step: math.isfinite(float(norm)) for step, norm in norms.items()} == {
        "0": True, "1": True, "2": False, "3": True,
    }  # fmt: skip
    assert norms["3"] != norms["1"]


def test_the_row_of_a_step_is_on_disk_before_its_checkpoint(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed just after a checkpoint loses no row: a resumed run does not log that step again."""
    run = tmp_path / "run"
    rows: dict[str, list[str]] = {}
    save = AtomicCheckpointIO.save_checkpoint

    def look(self: AtomicCheckpointIO, checkpoint: dict[str, Any], path: str | Path, **options: Any) -> None:
        rows[Path(path).name] = list(losses(run))
        save(self, checkpoint, path, **options)

    monkeypatch.setattr(AtomicCheckpointIO, "save_checkpoint", look)
    assert fit(run, store, "--checkpoint.every_n_steps=1") == 0
    assert {name: len(steps) for name, steps in rows.items()} == {f"step-{step:08d}.ckpt": step for step in range(1, 5)}


def test_too_many_bad_steps_in_a_row_end_the_run_with_the_cause(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    given = [NAN, "--trainer.callbacks.at=[3,4,5]", "--gradients.max_bad_steps=2", "--trainer.max_steps=8"]
    given += ["--checkpoint.every_n_steps=1", "--checkpoint.keep=1"]
    assert fit(run, store, *given) == 2
    err = capsys.readouterr().err
    assert "loss nan" in err
    assert "step-00000006-rank0.pt" in err
    remedy = f"orthrus fit --config {run}/config.yaml --resume auto` with --model.learning_rate 0.0025"
    assert remedy in err
    kept = [path.name for path in by_step(run / "checkpoints")]
    assert kept == ["step-00000003.ckpt", "step-00000002.ckpt"]  # the last before the streak, and the best

    config = (run / "config.yaml").read_text()
    lower = [f"--config={run}/config.yaml", "--resume=auto", "--model.learning_rate=0.0025", "--trainer.callbacks=[]"]
    assert main(["fit", *lower]) == 0
    rates = {row["step"]: float(row["train/lr"]) for row in metrics(run, 1) if row.get("train/lr")}
    assert list(rates) == ["3", "4", "5", "6", "7"]
    whole = tmp_path / "whole"
    assert fit(whole, store, "--trainer.max_steps=8", "--model.learning_rate=0.0025") == 0
    expected = {row["step"]: float(row["train/lr"]) for row in metrics(whole) if row.get("train/lr")}
    assert rates == {step: rate for step, rate in expected.items() if step in rates}
    assert "learning_rate: 0.0025" in (run / "config.yaml").read_text()
    assert (run / "config.until-step-00000003.yaml").read_text() == config


def test_a_run_that_diverges_from_the_start_says_so(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(tmp_path / "run", store, NAN, "--trainer.callbacks.at=[0]", "--gradients.max_bad_steps=0") == 2
    assert "no checkpoint of before them: begin anew" in capsys.readouterr().err


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=9m", "tmpfs", folder], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr}")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.skipif(os.name != "posix", reason="mounts")
def test_a_full_disk_costs_no_checkpoint(
    small_disk: Path, store: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    run = small_disk / "run"
    assert fit(run, store, "--trainer.max_steps=8") == 2
    assert "could not be written" in caplog.text
    assert "training goes on" in caplog.text
    assert "No space left" in capsys.readouterr().err
    assert losses(run)["7"]
    kept = by_step(run / "checkpoints")
    assert kept
    assert all(archive_fault(path) is None for path in kept)
    assert not list((run / "checkpoints").glob(".*"))
    assert (run / "checkpoints" / "last.ckpt").resolve() == kept[0]


@pytest.mark.dist
@pytest.mark.slow
def test_ranks_with_different_recipes_refuse_to_train(tmp_path: Path, store: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    ranks = []
    for rank in "01":
        env = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        env |= {"TORCHELASTIC_RUN_ID": "test", "GROUP_RANK": "0", "LOCAL_WORLD_SIZE": "2"}
        steps = f"--model.warmup_steps=1{rank}"
        same = f"--trainer.default_root_dir={tmp_path / 'same'}"
        ranks.append(start(tmp_path / f"run{rank}", store, *TWO_RANKS, same, steps, **env))
    for rank, process in enumerate(ranks):
        assert process.wait(timeout=300) == 2, output_of(tmp_path / f"run{rank}")
        assert "rank 1 has another recipe than rank 0: model.warmup_steps 10 and 11" in output_of(
            tmp_path / f"run{rank}"
        )
    assert not [path for path in (tmp_path / "same").rglob("*") if path.is_file()]


@pytest.mark.dist
@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_the_death_of_a_rank_ends_the_run_within_a_minute_and_a_restart_goes_on(
    rank: int, tmp_path: Path, store: Path
) -> None:
    run = tmp_path / "run"
    strike = ["--trainer.callbacks.step=3", f"--trainer.callbacks.rank={rank}"]
    process = start(run, store, *TWO_RANKS, STRIKE, *strike)
    while "struck" not in output_of(run):
        assert process.poll() is None, output_of(run)
        time.sleep(0.2)
    assert process.wait(timeout=60) != 0
    assert archive_fault(run / "checkpoints" / "last.ckpt") is None
    assert start(run, store, *TWO_RANKS, "--resume=auto").wait(timeout=300) == 0, output_of(run)
    assert list(losses(run, version=1)) == ["2", "3"]


@pytest.mark.dist
@pytest.mark.slow
def test_a_bad_step_of_one_rank_is_left_out_on_all(tmp_path: Path, store: Path) -> None:
    run = tmp_path / "run"
    given = [NAN, "--trainer.callbacks.at=[1]", "--trainer.callbacks.rank=1"]
    assert start(run, store, *TWO_RANKS, *given).wait(timeout=300) == 0, output_of(run)
    assert sorted(path.name for path in (run / "bad_batches").iterdir()) == [
        "step-00000002-rank0.pt",
        "step-00000002-rank1.pt",
    ]
    weights = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    assert all(weight.isfinite().all() for weight in weights.values() if weight.is_floating_point())


@pytest.mark.dist
@pytest.mark.slow
def test_more_ranks_than_families_is_said(tmp_path: Path) -> None:
    few = build_store(tmp_path / "few", n_genes=3).path
    process = start(tmp_path / "run", few, *TWO_RANKS, "--data.val_fraction=0.5")
    assert process.wait(timeout=300) == 2, output_of(tmp_path / "run")


@pytest.mark.dist
@pytest.mark.slow
def test_a_rank_that_freezes_is_named_when_the_others_time_out(tmp_path: Path, store: Path) -> None:
    run = tmp_path / "run"
    strategy = [
        "--trainer.devices=2",
        "--trainer.strategy.class_path=lightning.pytorch.strategies.DDPStrategy",
        "--trainer.strategy.init_args.timeout=0:01:30",  # also of the ranks' first meeting
    ]
    strike = ["--trainer.callbacks.step=3", "--trainer.callbacks.rank=1", f"--trainer.callbacks.number={SIGSTOP}"]
    process = start(run, store, *strategy, STRIKE, *strike, "--trainer.max_steps=8")
    assert process.wait(timeout=500) not in (0, 2), output_of(run)
    named = re.search(
        r"rank 1 was not there: it began batch 3 last \(process (\d+) on", " ".join(output_of(run).split())
    )
    assert named, output_of(run)
    os.kill(int(named[1]), SIGKILL)
    assert archive_fault(run / "checkpoints" / "last.ckpt") is None
