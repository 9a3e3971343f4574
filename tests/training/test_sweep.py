"""The W&B sweep that ships, as W&B's agent runs it, on a machine without a login."""

import os
import subprocess
from pathlib import Path

import pytest
import wandb
import yaml
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from orthrus.cli import main
from orthrus.recipes import find_recipe
from tests.oracles.wandb_file import read_run
from tests.training.runs import SMALL

SWEEP = yaml.safe_load(find_recipe("sweep/demo").read_text())
RUN_ID = "ab12cd34"


def first(parameter: dict) -> float:
    return parameter["min"] if "min" in parameter else parameter["values"][0]


CHOSEN = {name: first(parameter) for name, parameter in SWEEP["parameters"].items()}


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The arguments that ``orthrus`` gets from a command that the agent starts in a working folder of its own."""
    monkeypatch.setenv("WANDB_RUN_ID", RUN_ID)
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep123")
    monkeypatch.setenv("WANDB_MODE", "offline")
    # W&B's service was started in another folder than the run's.
    wandb.init(mode="offline", dir=tmp_path, settings=wandb.Settings(silent=True)).finish()
    monkeypatch.chdir(tmp_path)
    stand_in = tmp_path / "bin/orthrus"
    stand_in.parent.mkdir()
    stand_in.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}{os.pathsep}{os.environ['PATH']}")
    args = create_sweep_command_args({"args": {name: {"value": value} for name, value in CHOSEN.items()}})["args"]
    command = [
        part for each in create_sweep_command(SWEEP["command"]) for part in (args if each == "${args}" else [each])
    ]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def test_a_sweeps_run_has_the_agents_id_its_own_folder_and_the_values_it_was_given(
    agent: list[str], store: Path, tmp_path: Path
) -> None:
    small = [each for each in SMALL if "d_model" not in each]
    assert main([*agent, f"--data.store={store}", *small]) == 0
    run = tmp_path / "runs/sweep" / RUN_ID
    assert (run / "wandb_id").read_text().strip() == RUN_ID
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["learning_rate"] == CHOSEN["model.learning_rate"]
    assert config["model"]["encoder"]["init_args"]["d_model"] == CHOSEN["model.encoder.init_args.d_model"]
    wandb.teardown()
    (file,) = run.glob("wandb/offline-run-*/run-*.wandb")
    found_id, _, history = read_run(file)
    assert found_id == RUN_ID
    assert any(SWEEP["metric"]["name"] in row for row in history), "what the sweep looks at is logged"
