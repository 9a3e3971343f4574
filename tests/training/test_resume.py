"""A run that was killed, wherever and on however many ranks, goes on as if it had not been."""

import random
import signal
from pathlib import Path

import pytest

from tests.training.runs import TWO_RANKS, output_of, same, start

STEPS = 9
RUN = [f"--trainer.max_steps={STEPS}", "--trainer.val_check_interval=4", "--checkpoint.every_n_steps=3"]
HOOKS = (
    "on_train_batch_start",
    "on_before_backward",
    "on_before_optimizer_step",
    "on_train_batch_end",
    "on_validation_start",
    "on_validation_batch_end",
    "on_save_checkpoint",
)


def finish(run: Path, store: Path, *args: str) -> int:
    return start(run, store, *RUN, "--resume=auto", *args).wait(timeout=400)


@pytest.mark.slow
@pytest.mark.dist
@pytest.mark.parametrize("ranks", [[], TWO_RANKS], ids=["one rank", "two ranks"])
def test_a_run_killed_again_and_again_equals_the_uninterrupted_one(
    ranks: list[str], tmp_path: Path, store: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert finish(whole, store, *ranks) == 0, output_of(whole)
    generator = random.Random(len(ranks))
    blows = [(2, "on_train_batch_end"), (4, "on_validation_batch_end"), (8, "on_validation_start")]
    blows += [(generator.randrange(4, STEPS), generator.choice(HOOKS[:4])) for _ in range(0 if ranks else 2)]
    for count, (step, hook) in enumerate(sorted(blows), start=1):
        strike = [f"--trainer.callbacks.{name}={value}" for name, value in (("step", step), ("hook", hook))]
        strike.append(f"--trainer.callbacks.rank={generator.randrange(2) if ranks else 0}")
        assert finish(killed, store, *ranks, "--trainer.callbacks+=tests.training.stop.SignalAt", *strike) != 0
        assert output_of(killed).count("struck") == count, output_of(killed)
    assert finish(killed, store, *ranks) == 0, output_of(killed)
    same(killed, whole)


@pytest.mark.slow
@pytest.mark.dist
@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGUSR1, 75)])
def test_a_signal_saves_the_step_at_hand_and_ends_the_run(
    number: signal.Signals, status: int, tmp_path: Path, store: Path
) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    strike = ["--trainer.callbacks+=tests.training.stop.SignalAt", "--trainer.callbacks.step=5"]
    strike += [f"--trainer.callbacks.number={int(number)}", "--trainer.callbacks.hook=on_before_backward"]
    strike += ["--trainer.callbacks.rank=1"]
    assert finish(run, store, *TWO_RANKS, *strike) == status, output_of(run)
    assert (run / "checkpoints" / "last.ckpt").resolve().name == "step-00000006.ckpt"
    assert finish(run, store, *TWO_RANKS) == 0
    assert finish(whole, store, *TWO_RANKS) == 0
    same(run, whole)
