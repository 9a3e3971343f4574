from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from orthrus.errors import InputError
from orthrus.recipes import SHIPPED
from orthrus.study.spec import check_tasks, read_study
from orthrus.training.cli import OrthrusCLI

RECIPES = sorted((SHIPPED / "conf" / "study").glob("*.yaml"))


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(**changes):
        fields = {"fit": "fit/demo", "nucleotides": [2e5], "probe": {"store": "s", "tasks": "probe/demo_localization"}}
        path = tmp_path / "study.yaml"
        path.write_text(
            yaml.safe_dump({k: v for k, v in {**fields, **changes}.items() if v is not None}, sort_keys=False)
        )
        return path

    return call


def settings(fit):
    return dict(arg.removeprefix("--").split("=", 1) for arg in fit.args)


def test_fits_are_every_combination_with_the_steps_that_nucleotides_take(write):
    axes = {"parameters": {"16": {"model.encoder.init_args.d_model": 16}, "32": {}}, "pairs": {"a b": {}, "c": {}}}
    study = read_study(write(axes=axes, nucleotides=[1e5, "1e6"], seeds=[3, 4], settings={"data.token_budget": 10_000}))
    fits = study.fits()
    assert len(fits) == len({fit.name for fit in fits}) == 2 * 2 * 2 * 2
    assert fits[0].name == "16-a_b-1e05nt-seed3"
    assert fits[0].levels == {"parameters": "16", "pairs": "a b"}
    first = settings(fits[0])
    assert (first["trainer.max_steps"], first["model.warmup_steps"], first["seed_everything"]) == ("10", "1", "3")
    assert first["model.encoder.init_args.d_model"] == "16"
    assert {settings(fit)["trainer.max_steps"] for fit in fits} == {"10", "100"}
    assert "model.encoder.init_args.d_model" not in settings(fits[-1])


def test_the_token_budget_of_the_recipe_counts_unless_settings_say_another(write):
    (fit,) = read_study(write(nucleotides=983040)).fits()
    assert settings(fit)["trainer.max_steps"] == "10"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fit": None}, "no `fit`"),
        ({"fit": "fit/dmeo"}, "did you mean 'fit/demo'"),
        ({"nucleotides": [-1]}, "nucleotides: found -1; expected numbers of nt"),
        ({"nucleotides": ["many"]}, "found 'many'"),
        ({"seeds": [0.5]}, "seeds: found 0.5; expected whole numbers"),
        ({"warmup": 1}, "warmup is 1"),
        ({"axes": {"parameters": ["a"]}}, "axes: expected names"),
        ({"axes": {"nucleotides": {"a": {}}}}, "'nucleotides' is a key of the study itself"),
        ({"axes": {"size": {"a": {"trainer.max_steps": 3}}}}, "axes, size, a: trainer.max_steps is set by the study"),
        ({"settings": {"seed_everything": 3}}, "settings: seed_everything is set by the study"),
        ({"settings": 3}, "settings: found 3"),
        ({"probes": {}}, "unknown key 'probes' .did you mean 'probe'"),
        ({"probe": {"store": "s"}}, "probe: no `tasks`"),
        ({"probe": {"store": "s", "tasks": "probe/none"}}, "neither a file nor the name"),
        ({"probe": {"store": "s", "tasks": ["probe/half_life"] * 2}}, "two have the same name"),
    ],
)
def test_what_cannot_be_meant_is_refused(write, changes, message):
    with pytest.raises(InputError, match=message):
        read_study(write(**changes))


def test_levels_that_would_share_a_folder_are_refused(write):
    with pytest.raises(InputError, match="two fits are called 'a_b-2e05nt-seed0'"):
        read_study(write(axes={"x": {"a b": {}, "a/b": {}}})).fits()


def test_a_recipe_without_a_token_budget_is_refused(write, tmp_path):
    (tmp_path / "fit.yaml").write_text("trainer: {}\n")
    with pytest.raises(InputError, match=r"`data\.token_budget`"):
        read_study(write(fit="fit.yaml")).fits()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_every_shipped_study_names_tasks_and_settings_that_there_are(recipe, monkeypatch):
    """Each fit's arguments are parsed as `orthrus fit` parses them, without building what they say."""
    monkeypatch.setenv("ORTHRUS_SHARED", str(Path.cwd().parent / "shared"))
    monkeypatch.setattr("orthrus.training.cli.OrthrusCLI.instantiate_classes", lambda self: None)
    monkeypatch.setattr("orthrus.training.cli.OrthrusCLI._run_subcommand", lambda self, name: None)
    study = read_study(recipe)
    by_levels = {tuple(fit.levels.items()): fit for fit in study.fits()}
    fits = list(by_levels.values())
    for fit in fits[:: max(1, len(fits) // 3)]:
        cli = OrthrusCLI(["fit", *fit.args], ExitStack())
        assert cli.config.fit.trainer.max_steps >= 1


def test_the_tasks_of_a_study_are_read_before_it_trains(write, tmp_path):
    (tmp_path / "task.yaml").write_text("labels: gone.tsv\ntarget: y\ntask: regression\n")
    study = read_study(write(probe={"store": "s", "tasks": "task.yaml"}))
    with pytest.raises(InputError, match=r"gone\.tsv does not exist"):
        check_tasks(study)
