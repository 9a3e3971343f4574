"""What of a recipe may change when a run goes on: applied and reported, or refused by name; never ignored."""

from pathlib import Path

import pytest
import yaml

from orthrus import InputError
from orthrus.cli import main
from orthrus.training.recipe import keep_recipe, refuse_or_report_changes
from tests.training.runs import fit, metrics

BEFORE = {
    "seed_everything": 0,
    "model": {
        "learning_rate": 0.001,
        "encoder_decay": 0.1,
        "encoder": {"class_path": "orthrus.MambaEncoder", "init_args": {"d_model": 16}},
        "objective": {"mlm": {"class_path": "M", "init_args": {"weight": 0.5}}},
    },
    "data": {"num_workers": 0, "seed": 0},
    "trainer": {"max_steps": 4, "accumulate_grad_batches": 1, "precision": None, "gradient_clip_val": 1.0},
}


def changed(key: str, value: object) -> dict[str, object]:
    recipe: dict[str, object] = yaml.safe_load(yaml.safe_dump(BEFORE))
    *parents, name = key.split(".")
    place = recipe
    for parent in parents:
        place = place[parent]  # type: ignore[assignment]
    if value is None:
        del place[name]
    else:
        place[name] = value
    return recipe


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("model.learning_rate", 0.1, "model.learning_rate was 0.001, is 0.1"),
        ("model.encoder_decay", 0.2, "model.encoder_decay was 0.1, is 0.2"),
        ("trainer.max_steps", 9, "trainer.max_steps was 4, is 9"),
        ("trainer.precision", "32-true", "trainer.precision was None, is 32-true"),
        ("trainer.gradient_clip_val", 2.0, "trainer.gradient_clip_val was 1.0, is 2.0"),
        ("data.num_workers", 3, "data.num_workers was 0, is 3"),
    ],
)
def test_what_may_change_is_told(key: str, value: object, expected: str, caplog: pytest.LogCaptureFixture) -> None:
    assert refuse_or_report_changes(BEFORE, changed(key, value), Path("c.ckpt")) == [expected]
    assert expected in caplog.text


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("seed_everything", 1, "seed_everything was 0, is 1"),
        ("model.encoder.init_args.d_model", 32, "d_model was 16, is 32"),
        ("model.objective.mlm.init_args.weight", 0.6, "model.objective.mlm.init_args.weight was 0.5, is 0.6"),
        ("model.objective.mlm", None, "the term mlm was removed"),
        ("model.objective.contrastive", {"class_path": "C"}, "the term contrastive was added"),
        ("trainer.accumulate_grad_batches", 2, "trainer.accumulate_grad_batches was 1, is 2"),
    ],
)
def test_what_may_not_change_is_refused_by_name(key: str, value: object, expected: str) -> None:
    with pytest.raises(InputError) as refused:
        refuse_or_report_changes(BEFORE, changed(key, value), Path("c.ckpt"))
    assert expected in str(refused.value)


@pytest.mark.parametrize("key", ["model.new_option", "model.encoder.init_args.stem", "new_section"])
def test_an_option_that_an_earlier_version_did_not_have_is_no_change(key: str) -> None:
    assert not refuse_or_report_changes(BEFORE, changed(key, 1), Path("c.ckpt"))


def test_the_recipe_before_a_change_is_kept_beside_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    for text, step in (("a: 1\n", 0), ("a: 1\n", 5), ("a: 2\n", 7)):
        keep_recipe(text, path, step)
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {
        "config.yaml": "a: 2\n",
        "config.until-step-00000007.yaml": "a: 1\n",
    }


def test_a_run_goes_on_with_what_changed_and_refuses_what_may_not(
    tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert fit(run, store) == 0
    resume = ["fit", f"--config={run}/config.yaml", "--resume=auto", "--trainer.max_steps=6"]
    before = (run / "config.yaml").read_text()
    for refused, expected in [
        (["--seed_everything=7"], "seed_everything was 0, is 7"),
        (["--model.objective.extra.class_path=orthrus.objectives.MaskedLanguageTerm"], "the term extra was added"),
        (["--trainer.accumulate_grad_batches=2"], "accumulate_grad_batches was 1, is 2"),
    ]:
        assert main([*resume, *refused]) == 2
        assert expected in capsys.readouterr().err
        assert (run / "config.yaml").read_text() == before
    assert main([*resume, "--model.learning_rate=0.5", "--model.encoder_decay=0.25"]) == 0
    (row,) = [row for row in metrics(run, 1) if row["step"] == "5" and row.get("train/lr")]
    assert float(row["train/lr"]) > 0.005
    assert "learning_rate: 0.5" in (run / "config.yaml").read_text()
    assert (run / "config.until-step-00000004.yaml").read_text() == before


def test_resuming_goes_by_the_step_inside_whatever_the_dates(tmp_path: Path, store: Path) -> None:
    import os

    run = tmp_path / "run"
    assert fit(run, store) == 0
    for number, name in enumerate(("step-00000004.ckpt", "step-00000002.ckpt")):  # as `cp -r` may leave them
        os.utime(run / "checkpoints" / name, (number, number))
    assert fit(run, store, "--resume=auto", "--trainer.max_steps=6") == 0
    assert [row["step"] for row in metrics(run, 1) if row.get("train/loss")] == ["4", "5"]
    assert (run / "checkpoints/last.ckpt").resolve().name == "step-00000006.ckpt"
