"""What `pip install` gives: sdist and wheel, and a wheel used in a fresh environment, far from the clone."""

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
REPOSITORY = Path(__file__).parents[2]


def run(*command, cwd, env=None):
    done = subprocess.run([*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder with the sdist, and the wheel that is built from that sdist."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, REPOSITORY, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def elsewhere(built, tmp_path_factory):
    """A folder to work in, and how to call ``orthrus`` of the wheel there; dependencies are this environment's."""
    home = tmp_path_factory.mktemp("away")
    venv = home / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=home)
    python = venv / "bin/python"
    run(
        sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index",
        next(built.glob("*.whl")), cwd=home,
    )  # fmt: skip
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home).strip())
    others = [path for path in sys.path if path.endswith("site-packages")] or [sysconfig.get_path("purelib")]
    (site / "dependencies.pth").write_text("\n".join(others))
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHONPATH", "ORTHRUS"))}
    work = home / "work"
    work.mkdir()

    def orthrus(*args):
        return run(venv / "bin/orthrus", *args, cwd=work, env=env)

    where = run(python, "-c", "import orthrus; print(orthrus.__file__)", cwd=work, env=env)
    assert Path(where.strip()).is_relative_to(site), "the wheel is what is imported"
    return work, orthrus


def test_the_wheel_holds_recipes_data_scripts_and_package_data(built):
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    package = {f"orthrus/{path.relative_to(REPOSITORY / 'orthrus')}" for path in (REPOSITORY / "orthrus").rglob("*")
               if path.is_file() and "__pycache__" not in path.parts}  # fmt: skip
    recipes = {f"orthrus/shipped/{path.relative_to(REPOSITORY)}" for folder in ("conf", "data", "slurm")
               for path in (REPOSITORY / folder).rglob("*") if path.is_file()}  # fmt: skip
    assert package | recipes <= names
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"orthrus"}


def test_the_sdist_holds_what_its_tests_need(built, tmp_path):
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        archive.extractall(tmp_path, filter="data")
    (tree,) = tmp_path.iterdir()
    env = {**os.environ, "PYTHONPATH": str(tree)}
    assert "passed" in run(
        sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
        "tests/test_recipes.py", "tests/prepare/test_examples.py", cwd=tree, env=env,
    )  # fmt: skip
    collected = run(sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", cwd=tree, env=env)
    assert "error" not in collected.splitlines()[-1]


def test_a_wheel_trains_embeds_and_probes_far_from_the_clone(elsewhere):
    work, orthrus = elsewhere
    orthrus("prepare", "--config", "prepare/demo", "--output", "stores/demo")
    orthrus(
        "fit", "--config", "fit/demo", "--trainer.max_steps", "2", "--trainer.val_check_interval", "2",
        "--model.encoder.init_args.d_model", "16", "--model.encoder.init_args.n_layers", "1",
        "--model.warmup_steps", "1", "--data.token_budget", "16384", "--trainer.limit_val_batches", "1",
    )  # fmt: skip
    orthrus(
        "embed", "--checkpoint", "runs/demo/checkpoints/last.ckpt", "--input", "stores/demo",
        "--output", "runs/demo/embeddings.parquet",
    )  # fmt: skip
    orthrus(
        "probe", "--task", "probe/demo_localization", "--embeddings", "runs/demo/embeddings.parquet",
        "--output", "runs/demo/probe", "--seeds", "2",
    )  # fmt: skip
    assert json.loads((work / "runs/demo/probe/metrics.json").read_text())["target"] == "demo_localization"
    assert "page:" in orthrus("report", "runs/demo")


def test_a_wheel_shows_its_sources_and_copies_its_recipes(elsewhere):
    work, orthrus = elsewhere
    assert "gencode-human" in orthrus("download")
    assert "slurm/pretrain" in orthrus("recipes")
    orthrus("recipes", "slurm", "fit/published")
    assert (work / "slurm/pretrain.sbatch").is_file()
    assert (work / "conf/fit/published.yaml").is_file()
