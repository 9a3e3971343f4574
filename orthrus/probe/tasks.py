"""A probe's task as data: a YAML that says which labels, how they are read, split and scored, and whose they are.

.. code-block:: yaml

    labels: ${ORTHRUS_SHARED}/data/human_mrna/halflife.tsv   # a table, or a Parquet data frame
    id: transcript_id          # column of ids (default); a data frame without it has row numbers
    target: half_life_z        # a column, or a list of columns
    task: regression           # or classification, multilabel
    metric: pearson_r          # the headline; default: the first of the task type
    split: family              # homology, chromosome, kmer-cluster, random, folds; default: family
    groups: homologs.tsv       # table of gene groups, for homology splits
    folds: saluki_fold         # column of given folds, for folds splits
    source: who made the labels, and where they are from
    licence: CC-BY-4.0
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orthrus.errors import InputError
from orthrus.probe.metrics import LABEL_METRICS, REGRESSION_METRICS
from orthrus.probe.splits import SplitUnit
from orthrus.probe.targets import Task
from orthrus.recipes import find_recipe
from orthrus.spec_file import find_file, load_yaml, mapping

_KEYS = ("name", "labels", "id", "target", "task", "metric", "split", "groups", "folds", "source", "licence")


@dataclass(frozen=True)
class TaskSpec:
    """What to predict and how: the content of a task's YAML, its paths found."""

    labels: Path
    targets: tuple[str, ...]
    task: Task
    name: str = ""
    id_column: str = "transcript_id"
    metric: str = ""
    split: SplitUnit = SplitUnit.FAMILY
    groups: Path | None = None
    folds: str | None = None
    source: str = ""
    licence: str = ""

    def __post_init__(self) -> None:
        metrics = metrics_of(self.task)
        object.__setattr__(self, "name", self.name or self.targets[0])
        object.__setattr__(self, "metric", self.metric or metrics[0])
        if self.metric not in metrics:
            raise InputError(f"metric {self.metric!r} does not go with {self.task.value}; expected {_or(metrics)}.")
        if self.split is SplitUnit.FOLDS and not self.folds:
            raise InputError("a split by folds needs the column that holds them: `folds` of the task, or --folds.")
        if self.split is SplitUnit.HOMOLOGY and self.groups is None:
            raise InputError(
                "a split by homology needs a table of gene groups: `groups` of the task, or --groups. Homologs that the"
                " store was prepared with are joined by a split by family."
            )


def metrics_of(task: Task) -> tuple[str, ...]:
    """The metrics that a task of this type is scored by, the usual headline first."""
    return REGRESSION_METRICS if task is Task.REGRESSION else LABEL_METRICS


def read_task(path: str | Path, **changes: Any) -> TaskSpec:
    """Read a task's file, or the shipped one of that name.

    ``changes`` (fields of TaskSpec that are not None) replace what it says. Raises InputError naming an unknown or
    missing key, with the nearest known one, a value that does not fit, or a file that is not there.
    """
    path = find_recipe(path)
    where = str(path)
    fields = mapping(load_yaml(path, "task"), where, _KEYS)
    for key in ("labels", "target", "task"):
        if not fields.get(key):
            raise InputError(f"{where}: no `{key}`; expected at least labels, target and task.")
    targets = fields["target"] if isinstance(fields["target"], list) else [fields["target"]]
    texts = {key: fields[key] for key in ("name", "id", "metric", "folds", "source", "licence") if key in fields}
    for key, value in [*texts.items(), *(("target", target) for target in targets)]:
        if not isinstance(value, str) or not value:
            raise InputError(f"{where}: {key} is {value!r}; expected a text.")
    folder = path.absolute().parent
    groups = find_file(fields["groups"], folder, f"{where}, groups").path if "groups" in fields else None
    values: dict[str, Any] = {
        "labels": find_file(fields["labels"], folder, f"{where}, labels").path,
        "targets": tuple(targets),
        "task": choice(Task, fields["task"], f"{where}: task"),
        "name": texts.get("name", path.stem),
        "id_column": texts.get("id", "transcript_id"),
        "metric": texts.get("metric", ""),
        "split": choice(SplitUnit, fields.get("split", SplitUnit.FAMILY.value), f"{where}: split"),
        "groups": groups,
        "folds": texts.get("folds"),
        "source": texts.get("source", ""),
        "licence": texts.get("licence", ""),
    }
    try:
        return TaskSpec(**values | {key: value for key, value in changes.items() if value is not None})
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def choice(kind: type[Any], value: object, where: str) -> Any:
    """The member of an enumeration with this value; raises InputError naming those there are."""
    try:
        return kind(value)
    except ValueError:
        raise InputError(f"{where} is {value!r}; expected {_or([each.value for each in kind])}.") from None


def _or(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
