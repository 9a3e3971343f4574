from pathlib import Path

import pytest
import torch

from orthrus.cli import main
from tests.training.runs import arguments, fit, losses


def kept(run: Path) -> set[str]:
    return {path.name for path in (run / "checkpoints").iterdir() if not path.is_symlink()}


def test_the_newest_and_the_best_are_kept(tmp_path: Path, store: Path) -> None:
    run = tmp_path / "run"
    # the learning rate is so high that the loss only rises: the first validation is the best
    given = ["--trainer.max_steps=8", "--model.learning_rate=0.3", "--model.warmup_steps=0", "--checkpoint.keep=1"]
    assert fit(run, store, *given, "--checkpoint.every_n_steps=1") == 0
    best, last = ((run / "checkpoints" / name).resolve() for name in ("best.ckpt", "last.ckpt"))
    assert kept(run) == {best.name, "step-00000008.ckpt"}
    assert last.name == "step-00000008.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == 8
    scores = torch.load(last, weights_only=True)["callbacks"]["Checkpoints"]
    assert scores["best_score"] < float("inf")


def test_time_makes_checkpoints_too(tmp_path: Path, store: Path) -> None:
    given = ["--checkpoint.every_minutes=1e-9", "--checkpoint.keep=9", "--trainer.val_check_interval=100"]
    assert fit(tmp_path / "often", store, *given) == 0
    assert kept(tmp_path / "often") == {f"step-0000000{step}.ckpt" for step in (1, 2, 3, 4)}
    assert fit(tmp_path / "seldom", store, *given, "--checkpoint.every_minutes=60") == 0
    assert kept(tmp_path / "seldom") == {"step-00000004.ckpt"}


def test_only_whole_steps_are_saved_while_gradients_accumulate(tmp_path: Path, store: Path) -> None:
    given = ["--trainer.accumulate_grad_batches=2", "--checkpoint.every_n_steps=1", "--checkpoint.keep=9"]
    assert fit(tmp_path / "run", store, *given) == 0
    for path in (tmp_path / "run" / "checkpoints").glob("step-*"):
        state = torch.load(path, weights_only=True)
        assert state["PairDataModule"]["trained_batches"] == 2 * state["global_step"]


def test_a_run_that_goes_back_sets_later_checkpoints_aside(
    tmp_path: Path, store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run, every = tmp_path / "run", ["--checkpoint.every_n_steps=1", "--checkpoint.keep=9"]
    assert fit(run, store, *every, "--trainer.max_steps=6") == 0
    back = [f"--ckpt_path={run}/checkpoints/step-00000002.ckpt", "--trainer.max_steps=3", "--checkpoint.keep=1"]
    assert fit(run, store, *back) == 0
    assert "going back to step 2; 4 checkpoints of later steps are now in" in caplog.text
    checkpoints = run / "checkpoints"
    assert {path.name for path in checkpoints.glob("set-aside-*/*")} == {f"step-0000000{n}.ckpt" for n in (3, 4, 5, 6)}
    assert (checkpoints / "last.ckpt").resolve().name == "step-00000003.ckpt"
    assert (checkpoints / "best.ckpt").exists()
    assert fit(run, store, *back, "--resume=auto", "--trainer.max_steps=4") == 0  # from step 3, not again from step 2
    assert list(losses(run, version=2)) == ["3"]


def test_a_run_that_ends_before_its_last_step_is_saved_there(tmp_path: Path, store: Path) -> None:
    epoch = ["--trainer.limit_train_batches=3", "--trainer.max_epochs=1", "--trainer.max_steps=50"]
    assert fit(tmp_path / "run", store, *epoch) == 0
    assert kept(tmp_path / "run") >= {"step-00000003.ckpt"}
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").resolve().name == "step-00000003.ckpt"


def test_a_trial_run_leaves_nothing_to_go_on_from(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(tmp_path / "run", store, "--trainer.fast_dev_run=true") == 0
    assert "nothing is kept" in capsys.readouterr().out
    assert not [path for path in (tmp_path / "run").rglob("*") if path.is_file()]


@pytest.mark.parametrize("option", ["every_n_steps=0", "every_minutes=0", "keep=0"])
def test_settings_that_keep_nothing_are_refused(
    option: str, tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(tmp_path / "run", store, f"--checkpoint.{option}")) == 2
    assert f"checkpoint.{option.partition('=')[0]} is 0; expected more than 0" in capsys.readouterr().err.replace(
        "0.0", "0"
    )
