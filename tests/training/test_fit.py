"""Training as a user runs it, on a small store: every recipe, resuming, two processes, refusals."""

import os
import subprocess
from pathlib import Path

import pytest
import torch

from orthrus import load_encoder
from orthrus.cli import main
from tests.conftest import REPOSITORY
from tests.training.runs import TWO_RANKS, command, fit, losses, metrics


@pytest.mark.parametrize(
    "recipe", sorted(str(p.relative_to(REPOSITORY)) for p in (REPOSITORY / "conf/fit").glob("*.yaml"))
)
def test_every_recipe_trains(recipe: str, tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no_login"))
    monkeypatch.chdir(tmp_path)  # where W&B writes by default
    assert fit(tmp_path / "run", store, recipe=str(REPOSITORY / recipe)) == 0
    if "WandbRun" in (REPOSITORY / recipe).read_text():  # without a login, offline
        assert list(tmp_path.rglob("offline-run-*/run-*.wandb"))
    encoder = load_encoder(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert encoder.d_model == 16
    rows = metrics(tmp_path / "run")
    assert rows[0]["step"] == "0"
    for name in ("train/loss", "val/loss", "val/retrieval_top1", "val/alignment", "val/uniformity", "train/lr"):
        assert any(row[name] for row in rows), name


def test_a_run_leaves_configuration_metrics_and_checkpoints_that_load_as_weights_only(
    tmp_path: Path, store: Path
) -> None:
    assert fit(tmp_path / "run", store) == 0
    names = set(metrics(tmp_path / "run")[0])
    for kind in ("splice", "ortholog"):
        assert {f"val/retrieval_top1_{kind}", f"val/alignment_{kind}"} <= names
    assert {
        "val/effective_rank",
        "val/retrieval_chance",
        "val/mlm_accuracy",
        "train/nt_per_s",
        "train/mfu",
        "perf/padding",
    } <= names
    assert (tmp_path / "run" / "config.yaml").is_file()
    for name in ("last.ckpt", "best.ckpt"):
        torch.load(tmp_path / "run" / "checkpoints" / name, weights_only=True)
    assert load_encoder(tmp_path / "run/checkpoints/last.ckpt").held_out == {"val_fraction": 0.4, "test_fraction": 0.0}


def test_a_resumed_run_repeats_the_uninterrupted_one_bit_for_bit(tmp_path: Path, store: Path) -> None:
    whole, halved = tmp_path / "whole", tmp_path / "halved"
    assert fit(whole, store, "--trainer.max_steps=6") == 0
    stop = "--trainer.callbacks+=tests.training.stop.StopAt"
    assert fit(halved, store, "--trainer.max_steps=6", stop, "--trainer.callbacks.step=4") == 0
    assert fit(halved, store, "--trainer.max_steps=6", "--resume=auto") == 0
    resumed = losses(halved) | losses(halved, version=1)
    assert list(losses(halved)) == ["0", "1", "2", "3"]
    assert resumed == losses(whole)


def test_the_configuration_that_a_run_leaves_resumes_and_validates_it(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert fit(run, store, "--trainer.enable_progress_bar=true") == 0
    written = [f"--config={run / 'config.yaml'}", f"--ckpt_path={run / 'checkpoints' / 'last.ckpt'}"]
    assert main(["validate", *written]) == 0
    assert "val/retrieval_top1" in capsys.readouterr().out
    assert main(["fit", *written, "--trainer.max_steps=6"]) == 0
    assert list(losses(run, version=1)) == ["4", "5"]


def test_a_folder_that_holds_a_run_is_refused(tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fit(tmp_path / "run", store) == 0
    before = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert fit(tmp_path / "run", store) == 2
    assert "already holds a run" in capsys.readouterr().err
    after = {path: path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize(
    ("arg", "message"),
    [
        ("--data.stor=x", "--data.stor"),
        ("--model.encoder.init_args.d_modle=8", "d_modle"),
        ("--trainer.max_step=8", "max_step"),
        ("--data.store=nowhere", "nowhere is not a transcript store"),
        ("--data.token_budget=100", "raise data.token_budget to at least"),
        ("--data.val_fraction=0", "(data.val_fraction 0.0, data.test_fraction 0.0): 0 transcripts of 0 families"),
        ("--data.mlm_fraction=2", "data.mlm_fraction is 2"),
        ("--data.base_species=[rat]", "it holds human, mouse"),
        ("--model.encoder.init_args.n_tracks=5", "n_tracks is 5; expected 4"),
        ("--ckpt_path=nowhere.ckpt", "nowhere.ckpt"),
        ("--trainer.max_steps=-1", "trainer.max_steps is not set"),
    ],
)
def test_unusable_settings_are_refused_in_a_line(
    arg: str, message: str, tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(tmp_path / "run", store, arg) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "Traceback" not in err
    assert not list((tmp_path / "run").rglob("*.ckpt"))


@pytest.mark.dist
@pytest.mark.slow
def test_two_processes_train_on_different_pairs_of_the_same_batches(tmp_path: Path, store: Path) -> None:
    done = subprocess.run(
        command(tmp_path / "run", store, *TWO_RANKS),
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(losses(tmp_path / "run")) == 4
