"""Signals: what is asked of a run, it does, and says how to go on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from orthrus.training.stop import StopSignals, ready_to_leave
from tests.training.runs import fit, losses, output_of, start

STRIKE = "--trainer.callbacks+=tests.training.stop.SignalAt"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_an_interrupt_saves_the_step_at_hand_and_tells_how_to_go_on(
    number: signal.Signals, status: int, tmp_path: Path, store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "run"
    former = signal.getsignal(number)
    strike = [STRIKE, "--trainer.callbacks.step=2", f"--trainer.callbacks.number={int(number)}"]
    with pytest.raises(SystemExit) as ended:
        fit(run, store, *strike, "--trainer.callbacks.hook=on_before_backward")
    assert ended.value.code == status
    assert signal.getsignal(number) == former
    assert f"stopped by {number.name}; saved: {run}/checkpoints/step-00000003.ckpt" in caplog.text
    assert f"go on with: orthrus fit --config {run}/config.yaml --resume auto" in caplog.text
    assert list(losses(run)) == ["0", "1", "2"]  # the row of the step that was saved is there
    assert not (run / ".partial").exists()


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGUSR1, 75), (signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGTERM, 143)],
)
def test_before_the_first_step_there_is_nothing_to_save(
    number: signal.Signals, status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    former = signal.getsignal(number)

    def be_struck() -> None:
        with ready_to_leave():
            os.kill(os.getpid(), number)
            time.sleep(1)

    with pytest.raises(SystemExit) as ended:
        be_struck()
    assert ended.value.code == status
    assert signal.getsignal(number) == former
    assert f"stopped by {number.name} before the first step; there is nothing to save" in capfd.readouterr().err


def test_a_second_ctrl_c_ends_the_process_at_once() -> None:
    code = """
import os, signal, time
from orthrus.training.stop import StopSignals
signals = StopSignals()
signals.listen()
os.kill(os.getpid(), signal.SIGINT)
time.sleep(0.1)
assert signals.number == signal.SIGINT
os.kill(os.getpid(), signal.SIGINT)
time.sleep(5)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 130
    assert "ended at once; nothing was saved since the last checkpoint" in done.stderr


def test_a_second_signal_of_another_kind_does_not_end_it_at_once() -> None:
    signals = StopSignals()
    for number in (signal.SIGUSR1, signal.SIGTERM):
        signals._note(number, None)
    assert signals.number == signal.SIGTERM


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.5, 3, 6])
def test_slurms_signal_while_the_program_starts_puts_the_job_back_into_the_queue(
    seconds: float, tmp_path: Path, store: Path
) -> None:
    process = start(tmp_path / "run", store, "--trainer.max_steps=2000")  # so long that no signal comes after it
    time.sleep(seconds)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=120) in ((75, -signal.SIGUSR1) if seconds < 1 else (75,)), output_of(tmp_path / "run")


@pytest.mark.slow
@pytest.mark.dist
def test_ctrl_c_in_a_terminal_saves_with_loader_workers_too(tmp_path: Path, store: Path) -> None:
    run = tmp_path / "run"
    process = start(run, store, "--data.num_workers=2", "--trainer.max_steps=500", "--trainer.limit_val_batches=1")
    while not (run / "checkpoints/last.ckpt").exists():
        assert process.poll() is None, output_of(run)
        time.sleep(0.2)
    for child in (process.pid, *children(process.pid)):  # a terminal sends it to all of the group
        os.kill(child, signal.SIGINT)
    assert process.wait(timeout=120) == 130, output_of(run)
    assert "stopped by SIGINT; saved" in output_of(run)


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
