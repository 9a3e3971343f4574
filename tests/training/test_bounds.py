"""Every number of a recipe at the edge of its type: a run, or one line that names it; never a traceback."""

from pathlib import Path

import pytest

from orthrus.cli import main
from tests.training.runs import arguments, at_their_edges, fit, recipe_of

QUICK = ["--trainer.max_steps=1", "--trainer.limit_val_batches=1", "--trainer.val_check_interval=1"]


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("model.learning_rate=-1", "model.learning_rate is -1"),
        ("model.learning_rate=nan", '"model.learning_rate": Expected'),
        ("model.warmup_steps=-5", "model.warmup_steps is -5"),
        ("model.encoder_decay=-1", "model.encoder_decay is -1"),
        ("data.num_workers=-3", "data.num_workers is -3"),
        ("data.seed=-1", "data.seed is -1"),
        ("data.token_budget=0", "data.token_budget is 0"),
        ("seed_everything=-1", "seed_everything is -1; expected 0 to 4,294,967,295"),
        ("trainer.val_check_interval=0", "trainer.val_check_interval is 0"),
        ("trainer.accumulate_grad_batches=0", "trainer.accumulate_grad_batches is 0; expected 1 or more"),
        ("model.encoder.init_args.mixer.init_args.d_state=-1", "d_state must be at least 1, got -1"),
        ("model.encoder.init_args.mixer.init_args.d_state=0", "d_state must be at least 1, got 0"),
        ("checkpoint.monitor=val/los", "checkpoint.monitor is 'val/los'; expected one of"),
        ("checkpoint.keep=0", "checkpoint.keep is 0"),
        ("collapse.every_n_steps=0", "collapse.every_n_steps is 0"),
        ("data.val_fraction=0", "raise data.val_fraction"),
        ("trainer.precision=bf16-true", "trainer.precision is bf16-true; weights and sums need float32"),
        ("trainer.overfit_batches=2", "trainer.overfit_batches is 2"),
        ("trainer.accumulate_grad_batches=3", "trainer.val_check_interval is 2; expected a multiple of"),
        ("trainer.val_check_interval=00:00:00:01", "trainer.val_check_interval is 00:00:00:01; expected a number"),
    ],
)
def test_a_plain_bad_value_is_one_line_that_names_it(
    option: str, told: str, tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(tmp_path / "run", store, f"--{option}") == 2
    err = capsys.readouterr().err
    assert told in err
    assert "Traceback" not in err
    assert not [path for path in (tmp_path / "run").rglob("*") if path.suffix in (".yaml", ".ckpt")]


@pytest.mark.slow
def test_every_number_of_a_recipe_is_bounded(tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = recipe_of(arguments(tmp_path / "run", store, *QUICK), capsys)
    failed = at_their_edges(recipe, lambda number, change: fit(tmp_path / f"run{number}", store, *QUICK, change))
    assert not failed, "\n".join(failed)


@pytest.mark.slow
def test_every_number_of_a_validation_is_bounded(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit(tmp_path / "run", store, *QUICK) == 0
    _, *given = arguments(tmp_path / "run", store, *QUICK)
    validate = ["validate", *given, f"--ckpt_path={tmp_path}/run/checkpoints/last.ckpt"]
    recipe = recipe_of(validate, capsys)
    failed = at_their_edges(recipe, lambda number, change: main([*validate, change]))
    assert not failed, "\n".join(failed)
