"""The task of a probe as a YAML: the labels, how they are read, split and scored, and their source.

.. code-block:: yaml

    labels: ${ORTHRUS_SHARED}/data/human_mrna/halflife.tsv   # a table, or a Parquet data frame
    id: transcript_id          # column of ids (default); a data frame without it has row numbers
    target: half_life_z        # a column, or a list of columns
    task: regression           # or classification, multilabel
    metric: pearson_r          # the headline; default: the first of the task type
    split: family              # homology, chromosome, kmer-cluster, random, folds; default: family
    groups: homologs.tsv       # table of gene groups, for homology splits
    folds: saluki_fold         # column of given folds, for folds splits
    source: who made the labels, and where they are published
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
    """What to predict and how: the content of a task's YAML, with its paths resolved.

    Args:
        labels: table or data frame of labels.
        targets: the columns to predict.
        task: regression, classification or multilabel.
        name: name of the task; by default the first target.
        id_column: column of transcript ids.
        metric: the headline metric; by default the first of the task type.
        split: the unit that is never divided between the sides of a split.
        groups: table of gene groups, for splits by homology.
        folds: column of given folds, for splits by folds.
        source: the origin of the labels.
        licence: the licence of the labels.
    """

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
            raise InputError(f"metric {self.metric!r} does not fit {self.task.value}; expected {_or(metrics)}.")
        if self.split is SplitUnit.FOLDS and not self.folds:
            raise InputError("a split by folds needs the column that holds them: `folds` of the task, or --folds.")
        if self.split is SplitUnit.HOMOLOGY and self.groups is None:
            raise InputError(
                "a split by homology needs a table of gene groups: `groups` of the task, or --groups. A split by family"
                " joins the homologs that the store was prepared with."
            )


def metrics_of(task: Task) -> tuple[str, ...]:
    """The metrics of a ``task`` type, the usual headline first."""
    return REGRESSION_METRICS if task is Task.REGRESSION else LABEL_METRICS


def read_task(path: str | Path, **changes: Any) -> TaskSpec:
    """Read the YAML of a task.

    Args:
        path: the file, or the name of a shipped task.
        changes: fields of TaskSpec that replace those of the file; None changes nothing.

    Raises:
        InputError: naming an unknown key and the nearest known one, a missing key, a value that does not fit, or a
            missing file.

    Examples:
        >>> spec = read_task("probe/demo_localization")
        >>> spec.targets, spec.task.value, spec.metric, spec.split.value
        (('localization',), 'multilabel', 'auprc', 'family')
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
    """The member of the enumeration ``kind`` with this ``value``; raises InputError naming ``where`` the value is."""
    try:
        return kind(value)
    except ValueError:
        raise InputError(f"{where} is {value!r}; expected {_or([each.value for each in kind])}.") from None


def _or(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
