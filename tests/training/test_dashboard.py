import json
import re
from pathlib import Path

import pytest

from orthrus.cli import main
from orthrus.training.dashboard import MEDIA, SECTIONS
from tests.training.runs import fit, metrics


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no_login"))


def test_without_a_login_the_definition_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["dashboard", "--project=mrna"]) == 0
    assert "mrna.json" in capsys.readouterr().out
    written = json.loads((tmp_path / "mrna.json").read_text())
    assert written["project"] == "mrna"
    sections = {section["name"]: section for section in written["spec"]["section"]["panelBankConfig"]["sections"]}
    assert set(SECTIONS) <= set(sections)
    assert sections["Training"]["panels"][0]["config"]["metrics"] == ["train/loss", "val/loss"]


def test_every_metric_of_a_run_is_on_the_dashboard(tmp_path: Path, store: Path) -> None:
    assert fit(tmp_path / "run", store, "--collapse.every_n_steps=1") == 0
    logged = {name for row in metrics(tmp_path / "run") for name in row} - {"step", "epoch"}
    shown = [panel for panels in SECTIONS.values() for panel in panels.values()]
    named = {name for panel in shown if isinstance(panel, list) for name in panel}
    patterns = [panel for panel in shown if isinstance(panel, str)]
    missing = {name for name in logged - named if not any(re.search(pattern, name) for pattern in patterns)}
    assert missing == {"val/contrastive", "val/mlm"}  # beside train's in the loss
    assert named <= logged
    assert all(key.startswith("media/") for key in MEDIA)
