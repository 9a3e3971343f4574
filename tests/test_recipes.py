import pytest

from orthrus.cli import main
from orthrus.errors import InputError
from orthrus.prepare import load_spec
from orthrus.probe.tasks import read_task
from orthrus.recipes import SHIPPED, copy_recipes, describe, find_recipe, shipped, with_recipe_paths


def test_a_name_is_the_shipped_file_and_a_path_that_exists_wins(tmp_path, monkeypatch):
    assert find_recipe("fit/demo") == SHIPPED / "conf/fit/demo.yaml"
    assert find_recipe("data/sources") == SHIPPED / "data/sources.yaml"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fit").mkdir()
    (tmp_path / "fit/demo").write_text("mine")
    assert find_recipe("fit/demo").read_text() == "mine"


def test_a_name_that_is_nearly_one_is_answered_with_the_nearest():
    with pytest.raises(InputError, match=r"fit/dmeo is neither .* \(did you mean 'fit/demo'\?\)"):
        find_recipe("fit/dmeo")


def test_names_after_config_become_paths_and_yaml_stays():
    demo = str(SHIPPED / "conf/fit/demo.yaml")
    args = ["fit", "--config", "fit/demo", "--config={a: 1}", "--config=fit/demo", "--data.store", "fit/demo"]
    assert with_recipe_paths(args) == [
        "fit", "--config", demo, "--config={a: 1}", f"--config={demo}", "--data.store", "fit/demo",
    ]  # fmt: skip


def test_specs_and_tasks_are_read_by_name_wherever_one_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(load_spec("prepare/demo").sources) == 2
    assert read_task("probe/demo_localization").labels.is_file()


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_file_opens_with_what_it_is(name):
    assert len(describe(shipped()[name])) > 10


def test_copies_keep_the_layout_and_bring_the_data_that_they_name(tmp_path, capsys):
    assert main(["recipes", "prepare/demo", "slurm", "--output", str(tmp_path)]) == 0
    assert len(load_spec(tmp_path / "conf/prepare/demo.yaml").sources) == 2, "its relative paths hold"
    assert (tmp_path / "slurm/pretrain.sbatch").read_bytes() == (SHIPPED / "slurm/pretrain.sbatch").read_bytes()
    assert str(tmp_path / "data/demo/human_short.fa.gz") in capsys.readouterr().out


def test_a_copy_that_was_edited_is_kept(tmp_path):
    (edited,) = copy_recipes(["fit/demo"], tmp_path)
    edited.write_text("mine")
    with pytest.raises(InputError, match="exists and differs"):
        copy_recipes(["fit"], tmp_path)
    assert [path.name for path in edited.parent.iterdir()] == ["demo.yaml"]
    copy_recipes(["fit"], tmp_path, overwrite=True)
    assert edited.read_text() != "mine"


@pytest.mark.parametrize("name", ["fit/nothing", "..", "../conf", "/etc", "orthrus", ""])
def test_what_is_no_recipe_is_not_copied(name, tmp_path):
    with pytest.raises(InputError, match="no recipe"):
        copy_recipes([name], tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_command_shows_every_name(capsys):
    assert main(["recipes"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in shipped())
