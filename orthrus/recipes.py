"""Recipes by name: the files in ``conf/``, ``data/`` and ``slurm/`` of the repository, which ship with the package.

``fit/demo`` is ``conf/fit/demo.yaml``, ``probe/mrnabench/go-mf`` is ``conf/probe/mrnabench/go-mf.yaml``,
``data/sources`` is ``data/sources.yaml``, ``slurm/pretrain`` is ``slurm/pretrain.sbatch``. A wheel has the three
folders in ``orthrus/shipped``; in a clone they are beside the package.
"""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from orthrus.errors import InputError, did_you_mean
from orthrus.output import atomic_file

_PACKAGE = Path(__file__).parent
SHIPPED = next((path for path in (_PACKAGE / "shipped", _PACKAGE.parent) if (path / "conf").is_dir()), _PACKAGE)
"""The folder with ``conf``, ``data`` and ``slurm``."""

_SUFFIXES = (".yaml", ".sbatch")
_NEIGHBOUR = re.compile(r"\.\./\.\./(data/[\w./-]+)")  # a file that a recipe names relative to itself


def shipped() -> dict[str, Path]:
    """The paths of all shipped recipes, tasks and scripts by name.

    Examples:
        >>> {"fit/demo", "prepare/demo", "probe/demo_localization"} <= set(shipped())
        True
    """
    return {_name(path): path for path in _files() if path.suffix in _SUFFIXES}


def _files() -> list[Path]:
    paths = (path for folder in ("conf", "data", "slurm") for path in sorted((SHIPPED / folder).rglob("*")))
    return [path for path in paths if path.is_file()]


def _name(path: Path) -> str:
    return path.relative_to(SHIPPED).with_suffix("").as_posix().removeprefix("conf/")


def find_recipe(given: str | Path) -> Path:
    """The path that ``given`` stands for: itself if it exists, else the shipped recipe with that name.

    Raises InputError, with the nearest name, if it is neither.

    Examples:
        >>> find_recipe("fit/demo").name
        'demo.yaml'
    """
    path = Path(given)
    if path.exists() and not path.is_dir():
        return path
    name, recipes = path.as_posix(), shipped()
    if name in recipes:
        return recipes[name]
    raise InputError(
        f"{given} is neither a file nor the name of a shipped recipe{did_you_mean(name, recipes)}; check the path,"
        " or see `orthrus recipes`."
    )


def with_recipe_paths(args: Sequence[str]) -> list[str]:
    """Command-line arguments ``args`` with the recipe names after ``--config`` replaced by their paths."""
    found, is_config = list(args), False
    for i, arg in enumerate(args):
        if is_config and _is_name(arg):
            found[i] = str(find_recipe(arg))
        elif arg.startswith("--config=") and _is_name(arg.removeprefix("--config=")):
            found[i] = f"--config={find_recipe(arg.removeprefix('--config='))}"
        is_config = arg == "--config"
    return found


def _is_name(text: str) -> bool:
    """Whether ``text`` may be a name; LightningCLI accepts YAML on the command line too."""
    return re.fullmatch(r"[^{}:\n]+", text) is not None


def describe(path: Path) -> str:
    """The first sentence of the comment at the top of the file ``path``; empty without a comment."""
    comment: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("#!"):
            continue
        if not line.startswith("#") or line.startswith(("#  ", "#SBATCH")):
            break
        comment.append(line.lstrip("# "))
    return re.split(r"(?<=\.) ", " ".join(comment), maxsplit=1)[0].rstrip(".")


def copy_recipes(names: Sequence[str], output: Path, overwrite: bool = False) -> list[Path]:
    """Copy shipped files, and the demo data that they name, into ``output``; returns the paths of the copies.

    ``names`` may include folders, such as ``fit`` or ``data/demo``. The copies have the layout of the repository
    (``conf/fit/demo.yaml``), so that relative paths between them stay valid. Raises InputError for an unknown name, or
    for an existing copy that differs, unless ``overwrite``.
    """
    sources = dict.fromkeys(source for name in names for source in _sources(name))
    for source in list(sources):
        if source.suffix == ".yaml":
            named = _NEIGHBOUR.findall(source.read_text(encoding="utf-8"))
            sources |= dict.fromkeys(SHIPPED / name for name in named)
    copies = {source: output / source.relative_to(SHIPPED) for source in sources}
    for source, copy in copies.items():
        if copy.exists() and not overwrite and copy.read_bytes() != source.read_bytes():
            raise InputError(f"{copy} exists and differs; choose another --output or pass --overwrite to replace it")
    for source, copy in copies.items():
        if not copy.exists() or copy.read_bytes() != source.read_bytes():
            with atomic_file(copy) as scratch:
                shutil.copy(source, scratch)
    return list(copies.values())


def _sources(name: str) -> list[Path]:
    """The shipped file with this name, or those in the folder with this name."""
    files = [path for path in _files() if _name(path) == name or _name(path).startswith(f"{name}/")]
    if not files:
        raise InputError(f"no recipe {name!r}{did_you_mean(name, shipped())}; `orthrus recipes` shows their names.")
    return files
