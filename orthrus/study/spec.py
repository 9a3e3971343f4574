"""A study as data: a YAML with the recipe that is fitted, the settings that vary between fits, and the probes.

.. code-block:: yaml

    fit: fit/codon                # the recipe of every fit: a file, or the name of a shipped one
    settings:                     # optional: values for every fit, by the recipe's dotted keys
      data.store: stores/corpus
    nucleotides: [1.0e7, 3.0e7]   # how long each fit trains, in padded nt; steps follow from data.token_budget
    warmup: 0.05                  # share of the steps (default)
    seeds: [0, 1]                 # of every combination (default: [0])
    axes:                         # what else varies: names, their levels, and the settings of each
      parameters:                 # whose encoders are counted, and give the x of a law
        small: {model.encoder.init_args.d_model: 64}
        large: {model.encoder.init_args.d_model: 256}
      pairs:
        isoforms: {data.ortholog_probability: 0.0}
        orthologs: {data.ortholog_probability: 0.5}
    probe:
      store: stores/corpus        # the labelled transcripts
      tasks: [probe/half_life]    # files, or the names of shipped ones
      readouts: [last.mean]       # optional: as of `orthrus embed`
      splits: 5                   # default 10

Paths are relative to the working folder, as in recipes.
"""

import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from orthrus.errors import InputError
from orthrus.probe.tasks import TaskSpec, read_task
from orthrus.recipes import find_recipe
from orthrus.spec_file import load_yaml, mapping

PARAMETERS: Literal["parameters"] = "parameters"
NUCLEOTIDES: Literal["nucleotides"] = "nucleotides"
_KEYS = ("fit", "settings", "nucleotides", "warmup", "seeds", "axes", "probe")
_PROBE_KEYS = ("store", "tasks", "readouts", "splits")
_SET_BY_STUDY = (
    "trainer.max_steps", "trainer.val_check_interval", "trainer.default_root_dir", "trainer.max_epochs",
    "model.warmup_steps", "seed_everything", "resume", "ckpt_path",
)  # fmt: skip

Settings = dict[str, Any]
"""Values by the dotted keys of the recipe."""


@dataclass(frozen=True)
class ProbeSpec:
    """The probes of every fit."""

    store: Path
    tasks: dict[str, Path]
    """The files of the tasks by name."""
    readouts: tuple[str, ...] = ()
    splits: int = 10


@dataclass(frozen=True)
class Fit:
    """One fit of the grid: its ``name`` (and folder), the level of each axis, and its arguments to `orthrus fit`."""

    name: str
    levels: dict[str, str]
    nucleotides: float
    seed: int
    args: tuple[str, ...]

    @property
    def group(self) -> dict[str, str]:
        """The levels of all axes except the number of parameters."""
        return {axis: level for axis, level in self.levels.items() if axis != PARAMETERS}


@dataclass(frozen=True)
class StudySpec:
    """The content of a study's YAML."""

    path: Path
    recipe: Path
    recipe_name: str
    """The recipe as the file names it."""
    nucleotides: tuple[float, ...]
    seeds: tuple[int, ...]
    axes: dict[str, dict[str, Settings]]
    probe: ProbeSpec
    settings: Settings = field(default_factory=dict)
    warmup: float = 0.05

    def fits(self) -> list[Fit]:
        """Every combination of levels, nucleotides and seeds, in the order of the file.

        Raises InputError if two have the same name, or the recipe does not set its token budget.
        """
        fits = list(self._fits())
        repeated = {fit.name for fit in fits if sum(other.name == fit.name for other in fits) > 1}
        if repeated:
            raise InputError(
                f"{self.path}: two fits are called {repeated.pop()!r}; give levels names that differ in letters or"
                " digits."
            )
        return fits

    def _fits(self) -> Iterator[Fit]:
        recipe = load_yaml(self.recipe, "recipe")
        for names in itertools.product(*self.axes.values()):
            levels = dict(zip(self.axes, names, strict=True))
            settings = dict(self.settings)
            for axis, level in levels.items():
                settings |= self.axes[axis][level]
            for nt, seed in itertools.product(self.nucleotides, self.seeds):
                steps = self._steps(nt, settings, recipe)
                name = "-".join([*map(_slug, names), f"{nt:.3g}nt".replace("+", ""), f"seed{seed}"])
                yield Fit(name, levels, nt, seed, tuple(self._args(settings, steps, seed)))

    def _steps(self, nucleotides: float, settings: Settings, recipe: Any) -> int:
        key = "data.token_budget"
        budget = settings.get(key, (recipe.get("data") or {}).get("token_budget"))
        if type(budget) is not int or budget < 1:
            raise InputError(
                f"{self.path}: neither settings nor {self.recipe} say `{key}`, the padded nt of a step, 1 or more, from"
                f" which the number of steps follows (found {budget!r}); add it."
            )
        return max(1, round(nucleotides / budget))

    def _args(self, settings: Settings, steps: int, seed: int) -> Iterator[str]:
        given = {
            **settings,
            "seed_everything": seed,
            "trainer.max_steps": steps,
            "trainer.val_check_interval": steps,
            "model.warmup_steps": max(1, round(self.warmup * steps)),
            "trainer.enable_progress_bar": False,
        }
        yield f"--config={self.recipe}"
        for key, value in given.items():
            yield f"--{key}={value if isinstance(value, str) else json.dumps(value)}"


def read_study(path: str | Path) -> StudySpec:
    """Read a study from a file or by the name of a shipped one.

    Raises InputError naming an unknown or missing key, an invalid value, or a missing file.
    """
    path = find_recipe(path)
    fields = mapping(load_yaml(path, "study"), str(path), _KEYS)
    for key in ("fit", "nucleotides", "probe"):
        if not fields.get(key):
            raise InputError(f"{path}: no `{key}`; expected at least fit, nucleotides and probe.")
    axes = fields.get("axes") or {}
    if not isinstance(axes, dict) or not all(isinstance(levels, dict) and levels for levels in axes.values()):
        raise InputError(f"{path}, axes: expected names, each with its levels by name and the settings of each.")
    for axis, levels in axes.items():
        if axis in (NUCLEOTIDES, "seed"):
            raise InputError(f"{path}, axes: {axis!r} is a key of the study itself, beside axes.")
        for level, settings in levels.items():
            _check_settings(settings, f"{path}, axes, {axis}, {level}")
    settings = fields.get("settings") or {}
    _check_settings(settings, f"{path}, settings")
    warmup = fields.get("warmup", 0.05)
    if not isinstance(warmup, int | float) or not 0 <= warmup < 1:
        raise InputError(f"{path}: warmup is {warmup!r}; expected a share of the steps, from 0 to less than 1.")
    return StudySpec(
        path=path,
        recipe=find_recipe(str(fields["fit"])),
        recipe_name=str(fields["fit"]),
        nucleotides=tuple(_numbers(fields["nucleotides"], f"{path}, nucleotides", float)),
        seeds=tuple(_numbers(fields.get("seeds", [0]), f"{path}, seeds", int)),
        axes={
            str(axis): {str(level): dict(each or {}) for level, each in levels.items()} for axis, levels in axes.items()
        },
        probe=_probe(fields["probe"], f"{path}, probe"),
        settings=settings,
        warmup=float(warmup),
    )


def _check_settings(settings: Any, where: str) -> None:
    if settings is not None and not isinstance(settings, dict):
        raise InputError(f"{where}: found {settings!r}; expected values by a recipe's dotted keys.")
    for key in settings or {}:
        if key in _SET_BY_STUDY:
            raise InputError(f"{where}: {key} is set by the study itself; say nucleotides, warmup or seeds instead.")


def _numbers(values: Any, where: str, kind: type[float] | type[int]) -> Iterator[Any]:
    for value in values if isinstance(values, list) else [values]:
        try:
            number = float(value)  # YAML reads 1e7 as text
        except (TypeError, ValueError):
            number = float("nan")
        if not 0 <= number < float("inf") or (kind is float and number == 0) or number != kind(number):
            raise InputError(
                f"{where}: found {value!r}; expected {'numbers of nt' if kind is float else 'whole numbers'}."
            )
        yield kind(number)


def _probe(given: Any, where: str) -> ProbeSpec:
    fields = mapping(given, where, _PROBE_KEYS)
    for key in ("store", "tasks"):
        if not fields.get(key):
            raise InputError(f"{where}: no `{key}`; expected store and tasks.")
    names = fields["tasks"] if isinstance(fields["tasks"], list) else [fields["tasks"]]
    files = [find_recipe(str(name)) for name in names]
    tasks = {file.stem: file for file in files}
    if len(tasks) < len(files):
        raise InputError(
            f"{where}: tasks are {', '.join(map(str, names))}, of which two have the same name; a task is called by its"
            " file, so give one of the files another name."
        )
    readouts = fields.get("readouts") or []
    splits = list(_numbers(fields.get("splits", 10), f"{where}, splits", int))
    if len(splits) != 1:
        raise InputError(f"{where}: splits is {fields['splits']!r}; expected one whole number.")
    return ProbeSpec(
        store=Path(str(fields["store"])),
        tasks=tasks,
        readouts=tuple(map(str, readouts if isinstance(readouts, list) else [readouts])),
        splits=splits[0],
    )


def check_tasks(spec: StudySpec) -> dict[str, TaskSpec]:
    """Read the tasks before hours of training; raises InputError if one cannot be read."""
    return {name: read_task(path) for name, path in spec.probe.tasks.items()}


def _slug(level: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", level)
