"""Every number of a fine-tuning at the edge of its type: a run, or one line that names it; never a traceback."""

from collections.abc import Callable
from pathlib import Path

import pytest

from orthrus.cli import main
from tests.training.runs import at_their_edges, recipe_of

Task = Callable[[str, str], Path]


@pytest.fixture
def given(store: Path, checkpoint: Path, task: Task) -> Callable[..., list[str]]:
    def arguments(run: Path, *args: str) -> list[str]:
        return [
            "finetune", f"--model.checkpoint={checkpoint}", f"--data.store={store.path}", "--data.n_splits=1",
            f"--data.task={task('value', 'regression')}", f"--trainer.default_root_dir={run}",
            "--trainer.enable_progress_bar=false", "--trainer.accelerator=cpu", "--trainer.max_epochs=1", *args,
        ]  # fmt: skip

    return arguments


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("seed_everything=-1", "seed_everything is -1; expected 0 to 4,294,967,295"),
        ("patience=-1", "patience is -1; expected 0 or more"),
        ("trainer.max_epochs=0", "trainer.max_epochs is 0; expected 1 or more"),
        ("trainer.limit_val_batches=0", "trainer.limit_val_batches is 0; expected more than 0"),
        ("trainer.devices=0", "orthrus finetune --help"),
        ("trainer.devices=2", "trainer.devices is 2 and trainer.num_nodes 1; expected 1 of each"),
        ("trainer.max_steps=5", "a fine-tuning is measured in epochs"),
        ("trainer.fast_dev_run=true", "a fine-tuning is measured in epochs"),
        ("trainer.precision=bf16-true", "trainer.precision is bf16-true"),
        ("trainer.check_val_every_n_epoch=0", "check_val_every_n_epoch is 0; expected 1 or more"),
        ("model.learning_rate=-1", "model.learning_rate is -1.0; expected 0 to 1000"),
        ("model.layer_decay=1e300", "model.layer_decay is 1e+300; expected 0 to 1"),
        ("model.warmup_fraction=-1", "model.warmup_fraction is -1.0; expected 0 to 1"),
        ("model.lora={class_path: orthrus.finetune.lora.LoRA, init_args: {rank: 0}}", "LoRA.rank is 0"),
        ("data.n_splits=0", "data.n_splits is 0; expected 1 or more"),
        ("data.num_workers=-1", "data.num_workers is -1; expected 0 or more"),
    ],
)
def test_a_plain_bad_value_is_one_line_that_names_it_and_leaves_nothing(
    option: str, told: str, given: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(given(tmp_path / "run", f"--{option}")) == 2
    err = capsys.readouterr().err
    assert told in " ".join(err.split())
    assert "Traceback" not in err
    assert not (tmp_path / "run").exists()  # so that the corrected command is not taken for another configuration


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [[], ["--model.lora=orthrus.finetune.lora.LoRA", "--model.head=orthrus.finetune.module.DenseHead"]],
    ids=["plain", "LoRA"],
)
def test_every_number_of_a_fine_tuning_is_bounded(
    more: list[str], given: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = recipe_of(given(tmp_path / "run", *more), capsys)
    failed = at_their_edges(recipe, lambda number, *change: main(given(tmp_path / f"run{number}", *more, *change)))
    assert not failed, "\n".join(failed)
