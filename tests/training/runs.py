"""Small runs of `orthrus fit`, in this process or in one of its own, and what they leave."""

import csv
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from orthrus.cli import main

SMALL = [
    "--trainer.max_steps=4",
    "--trainer.val_check_interval=2",
    "--trainer.log_every_n_steps=1",
    "--trainer.enable_progress_bar=false",
    "--trainer.accelerator=cpu",
    "--model.encoder.init_args.d_model=16",
    "--model.encoder.init_args.n_layers=1",
    "--data.token_budget=6000",
    "--data.val_fraction=0.4",
    "--data.num_workers=0",
]
TWO_RANKS = ["--trainer.devices=2", "--trainer.strategy=ddp"]


def arguments(run: Path, store: Path, *args: str, recipe: str = "conf/fit/demo.yaml") -> list[str]:
    return ["fit", f"--config={recipe}", f"--trainer.default_root_dir={run}", f"--data.store={store}", *SMALL, *args]


def fit(run: Path, store: Path, *args: str, recipe: str = "conf/fit/demo.yaml") -> int:
    return main(arguments(run, store, *args, recipe=recipe))


def command(run: Path, store: Path, *args: str) -> list[str]:
    return [sys.executable, "-m", "orthrus", *arguments(run, store, *args)]


def start(run: Path, store: Path, *args: str, **env: str) -> subprocess.Popen[str]:
    """A run in a process of its own, its output in files beside the run folder."""
    run.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{run}.out").open("a") as out:
        return subprocess.Popen(
            command(run, store, *args),
            stdout=out,
            stderr=out,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"} | env,
        )


def output_of(run: Path) -> str:
    return Path(f"{run}.out").read_text()


def metrics(run: Path, version: int = 0) -> list[dict[str, str]]:
    with (run / "metrics" / f"version_{version}" / "metrics.csv").open() as stream:
        return list(csv.DictReader(stream))


def losses(run: Path, version: int = 0) -> dict[str, str]:
    return {row["step"]: row["train/loss"] for row in metrics(run, version) if row.get("train/loss")}


def same(run: Path, whole: Path) -> None:
    """Assert that two runs are equal bit for bit: what was logged, weights, optimiser, data position, random states."""
    assert all_values(run) == all_values(whole)
    one, other = (torch.load(r / "checkpoints" / "last.ckpt", weights_only=True) for r in (whole, run))
    for name in ("state_dict", "optimizer_states", "lr_schedulers", "random_states", "PairDataModule", "global_step"):
        assert _identical(other[name], one[name]), name


def _identical(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_identical(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_identical, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else bool(one == other)


def all_values(run: Path) -> dict[tuple[str, str], set[str]]:
    """Every value that was logged for a (metric, step), over all the starts of a run; timings left out."""
    found: dict[tuple[str, str], set[str]] = {}
    for path in (run / "metrics").glob("version_*/metrics.csv"):
        for row in metrics(run, int(path.parent.name.removeprefix("version_"))):
            for name, value in row.items():
                if value and name not in ("step", "epoch", "train/nt_per_s", "train/mfu") and name[:5] != "perf/":
                    found.setdefault((name, row["step"]), set()).add(value)
    return found


def recipe_of(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The whole recipe that a command line stands for."""
    with pytest.raises(SystemExit):
        main([*arguments, "--print_config"])
    recipe: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)
    return recipe


def numbers(node: Any, key: str = "") -> Iterator[tuple[str, float]]:
    """Dotted key and value of every number in a recipe."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield from numbers(value, f"{key}.{name}" if key else name)
    elif isinstance(node, int | float) and not isinstance(node, bool):
        yield key, node


def at_their_edges(recipe: dict[str, Any], run: Callable[[int, str], int]) -> list[str]:
    """Runs with each number of a recipe at the edges of its type in turn; returns what ended in a traceback."""
    warnings.simplefilter("ignore")
    logging.disable()
    failed = []  # all of them, rather than the first
    changes = [
        f"--{key}={edge}"
        for key, value in numbers(recipe)
        for edge in ([-1, 0, 10**6] if isinstance(value, int) else [-1.0, 0.0, "nan", "inf", 1e300])
        if edge != 10**6 or key.startswith(("model.warmup", "checkpoint", "collapse", "data.seed", "patience"))
    ]  # without sizes and steps of a run that would be large
    for number, change in enumerate(changes):
        try:
            status = run(number, change)
        except BaseException as error:
            failed.append(f"{change}: {error!r}")
        else:
            if status not in (0, 2):
                failed.append(f"{change}: status {status}")
    logging.disable(logging.NOTSET)
    return failed
