from pathlib import Path

import pytest

from tests.training.runs import fit


def test_the_bar_of_a_resumed_run_begins_where_it_stopped(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = ["--trainer.enable_progress_bar=true", "--trainer.max_steps=8", "--trainer.val_check_interval=8"]
    stop = ["--trainer.callbacks+=tests.training.stop.StopAt", "--trainer.callbacks.step=4"]
    assert fit(tmp_path, store, *shown, *stop) == 0
    capsys.readouterr()
    assert fit(tmp_path, store, *shown, "--resume=auto") == 0
    lines = [line for line in capsys.readouterr().out.split("\r") if line.startswith("pretraining: ")]
    assert " 4/8 " in lines[0]
    assert " 8/8 " in lines[-1]
