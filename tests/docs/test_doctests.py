"""The examples in docstrings give what they show, in a working folder as `make demo` leaves it."""

import doctest
import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import orthrus
from orthrus.embedding.file import of_store, write_embeddings
from orthrus.probe.run import run_probe
from orthrus.probe.tasks import read_task
from orthrus.store import TranscriptStore
from tests.docs.conftest import REPOSITORY

PACKAGE = Path(orthrus.__file__).parent
FINDER = doctest.DocTestFinder(exclude_empty=True)


def modules_with_examples() -> list[str]:
    names = [each.name for each in pkgutil.walk_packages([str(PACKAGE)], "orthrus.")]
    paths = {name: PACKAGE.parent / name.replace(".", "/") for name in names}
    files = {name: path / "__init__.py" if path.is_dir() else path.with_suffix(".py") for name, path in paths.items()}
    return sorted(name for name, file in files.items() if ">>> " in file.read_text(encoding="utf-8"))


def examples_of(module: ModuleType) -> list[doctest.DocTest]:
    return [test for test in FINDER.find(module) if test.examples]


@pytest.fixture(scope="session")
def working_folder(demo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's folder with all of its data, and with embeddings and a probe, of random vectors."""
    folder = tmp_path_factory.mktemp("examples")
    (folder / "data").symlink_to(REPOSITORY / "data")
    (folder / "stores").mkdir()
    (folder / "stores/demo").symlink_to(demo / "stores/demo")
    run = folder / "runs/demo"
    run.mkdir(parents=True)
    (run / "checkpoints").symlink_to(demo / "runs/demo/checkpoints")
    store = TranscriptStore.open(folder / "stores/demo")
    vectors = np.random.default_rng(0).normal(size=(len(store), 4)).astype(np.float32)
    embeddings = of_store(store, vectors)
    write_embeddings(embeddings, run / "embeddings.parquet")
    run_probe(embeddings, read_task("probe/demo_localization"), run / "probe/localization", seeds=1)
    return folder


@pytest.mark.parametrize("name", modules_with_examples())
def test_examples_give_what_they_show(name: str, working_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(working_folder)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    examples = examples_of(importlib.import_module(name))
    assert examples
    for test in examples:
        runner.run(test)
    assert runner.summarize(verbose=False).failed == 0
