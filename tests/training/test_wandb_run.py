"""W&B as a user has it without a login, with a server that is not there, and with a disk that refuses."""

import csv
from pathlib import Path

import pytest
import torch
import wandb

from orthrus import TranscriptStore
from orthrus.cli import main
from orthrus.training.callbacks.wandb_media import examples, plane
from tests.oracles.wandb_file import read_run
from tests.training.runs import fit, losses

WANDB = "--trainer.logger=orthrus.training.wandb_run.WandbRun"


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user without a login."""
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no_login"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "no_config"))


def files(run: Path) -> list[Path]:
    wandb.teardown()  # its service writes on after a run is finished
    return sorted(run.glob("wandb/offline-run-*/run-*.wandb"), key=lambda path: path.stat().st_mtime_ns)


def test_a_resumed_run_is_one_run_whose_steps_have_the_values_of_the_csv(tmp_path: Path, store: Path) -> None:
    run = tmp_path / "run"
    assert fit(run, store, WANDB) == 0
    assert fit(run, store, WANDB, "--resume=auto", "--trainer.max_steps=6") == 0
    first, second = map(read_run, files(run))
    assert first[0] == second[0] == (run / "wandb_id").read_text().strip()
    logged = {
        str(row["_step"]): row["train/loss"] for _, _, rows in (first, second) for row in rows if "train/loss" in row
    }
    expected = losses(run) | losses(run, version=1)
    assert logged == {step: float(value) for step, value in expected.items()}
    assert [row["_step"] for row in second[2]] == [4, 5]


def test_names_are_grouped_and_configuration_and_provenance_are_there(tmp_path: Path, store: Path) -> None:
    assert fit(tmp_path / "run", store, WANDB) == 0
    _, configuration, history = read_run(files(tmp_path / "run")[0])
    names = {"/".join(name.split("/")[:2]) for row in history for name in row if not name.startswith("_")}
    assert {name.partition("/")[0] for name in names} == {"train", "val", "perf", "media", "epoch"}
    with (tmp_path / "run/metrics/version_0/metrics.csv").open() as stream:
        in_csv = set(next(csv.reader(stream))) - {"step"}
    assert names == in_csv | {"media/embedding_map", "media/retrieval"}
    assert configuration["store"]["transcripts"] == len(TranscriptStore.open(store))
    assert len(configuration["store"]["sha256"]) == 64
    assert configuration["model"]["encoder"]["init_args"]["d_model"] == 16
    validated = [row["_step"] for row in history if "val/loss" in row]
    assert [row["_step"] for row in history if "media/retrieval/_type" in row] == validated[1:]


def test_checkpoints_are_artifacts_by_choice(tmp_path: Path, store: Path) -> None:
    choose = "--trainer.logger.log_checkpoints"
    for choice, expected in (("false", 0), ("true", 1)):
        run = tmp_path / choice
        assert fit(run, store, WANDB, f"{choose}={choice}") == 0
        content = files(run)[0].read_bytes()
        assert content.count(b"best.ckpt") >= expected
        assert (b"best.ckpt" in content) == bool(expected)


def test_a_server_that_is_not_there_costs_a_wait_at_the_start_and_nothing_else(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    assert fit(tmp_path / "run", store, WANDB) == 0
    assert "W&B cannot be reached" in caplog.text
    _, _, history = read_run(files(tmp_path / "run")[0])
    assert len({row["_step"] for row in history if "train/loss" in row}) == 4


def test_a_folder_that_cannot_be_written_costs_nothing(
    tmp_path: Path, store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "wandb").write_text("a file where the folder should be")
    assert fit(tmp_path / "run", store, WANDB) == 0
    assert "training goes on without it" in caplog.text
    assert caplog.text.count("W&B cannot") == 1
    assert len(losses(tmp_path / "run")) == 4


def test_the_run_s_own_configuration_resumes_it(tmp_path: Path, store: Path) -> None:
    run = tmp_path / "run"
    assert fit(run, store, WANDB) == 0
    assert main(["fit", f"--config={run / 'config.yaml'}", "--resume=auto", "--trainer.max_steps=5"]) == 0
    assert len({read_run(path)[0] for path in files(run)}) == 1


def test_examples_rank_the_partner_among_other_families() -> None:
    view0_MD = torch.eye(3)
    view1_MD = torch.tensor([[1.0, 0.1, 0.0], [0.9, 0.1, 0.3], [0.0, 0.0, 1.0]])
    table = examples(view0_MD, view1_MD, torch.tensor([90, 80, 70]), torch.tensor([1, 2, 0]), ["A", "B", "C"])
    assert table["partner's rank"] == [1, 1, 1]
    assert table["kind"] == ["splice", "ortholog", "self"]
    table = examples(view0_MD.flip(0), view1_MD, torch.tensor([90, 80, 70]), torch.tensor([1, 2, 0]), ["A", "B", "A"])
    assert table["partner's rank"] == [2, 1, 2]
    assert table["nearest other family"] == ["B", "A", "B"]


def test_the_plane_keeps_distances_of_what_is_flat() -> None:
    generator = torch.Generator().manual_seed(0)
    angle_N = torch.rand(20, generator=generator) * 0.5
    flat_ND = torch.stack([angle_N.cos(), angle_N.sin(), torch.zeros(20)], dim=1)
    points = torch.from_numpy(plane(flat_ND))
    torch.testing.assert_close(torch.cdist(points, points), torch.cdist(flat_ND, flat_ND), atol=1e-5, rtol=1e-4)
