"""The results of a study as typed data: the content of ``study.json``, gathered from the folders of its fits."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from orthrus.nn.encoder import MambaEncoder
from orthrus.probe.document import DOCUMENT_FILE, ProbeDocument, read_document
from orthrus.report.run_folder import read_curves
from orthrus.study.laws import fit_power_law
from orthrus.study.run import folder_of, is_done, probe_folder
from orthrus.study.spec import PARAMETERS, Fit, StudySpec

STUDY_FILE = "study.json"
FORMAT_VERSION: Literal[1] = 1
VALIDATION_LOSS = "validation loss"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TaskScores(_Part):
    """A probe's headline ``metric`` by feature set, and the embedding's on rows that pretraining saw or did not see."""

    metric: str
    chance: float
    scores: dict[str, float]
    by_pretraining: dict[str, float]


class FitResult(_Part):
    """A finished fit: its place in the grid, the parameters of its encoder, its last validation metrics, its probes."""

    name: str
    levels: dict[str, str]
    nucleotides: float
    seed: int
    parameters: int
    validation: dict[str, float]
    tasks: dict[str, TaskScores]

    def error(self, outcome: str) -> float | None:
        """The error for a law: the validation loss, or 1 minus a task's headline score; None if not above 0."""
        if outcome == VALIDATION_LOSS:
            value = self.validation.get("val/loss")
        else:
            scores = self.tasks[outcome].scores
            value = 1 - next(iter(scores.values()))
        return value if value is not None and value > 0 else None


class Law(_Part):
    """A power law of an ``outcome``'s error ``along`` parameters or nucleotides, over the fits of one ``group``."""

    outcome: str
    along: Literal["parameters", "nucleotides"]
    group: str
    scale: float
    exponent: float
    exponent95: tuple[float, float] | None
    floor: float
    n: int
    n_sizes: int


class StudyDocument(_Part):
    """The content of ``study.json``; ``missing`` names the fits that are not done."""

    format_version: Literal[1] = FORMAT_VERSION
    recipe: str
    axes: dict[str, list[str]]
    nucleotides: list[float]
    seeds: list[int]
    fits: list[FitResult]
    laws: list[Law]
    missing: list[str]

    @property
    def outcomes(self) -> list[str]:
        """The outcomes that laws are fitted to: each task, and the validation loss."""
        return [*(self.fits[0].tasks if self.fits else ()), VALIDATION_LOSS]


def gather(spec: StudySpec, output: Path) -> StudyDocument:
    """Read the finished fits of a study and fit the laws."""
    fits = spec.fits()
    done = [fit for fit in fits if is_done(fit, output, spec)]
    results = [_result(fit, output, spec) for fit in done]
    return StudyDocument(
        recipe=spec.recipe_name,
        axes={axis: list(levels) for axis, levels in spec.axes.items()},
        nucleotides=list(spec.nucleotides),
        seeds=list(spec.seeds),
        fits=results,
        laws=list(_laws(results)),
        missing=[fit.name for fit in fits if fit not in done],
    )


def _result(fit: Fit, output: Path, spec: StudySpec) -> FitResult:
    documents = {task: read_document(probe_folder(fit, output, task) / DOCUMENT_FILE) for task in spec.probe.tasks}
    curves = read_curves(folder_of(fit, output))
    config = next(iter(documents.values())).embeddings["encoder"]
    return FitResult(
        name=fit.name,
        levels=fit.levels,
        nucleotides=fit.nucleotides,
        seed=fit.seed,
        parameters=sum(each.numel() for each in MambaEncoder.from_config(config).parameters()),
        validation={name: float(series.iloc[-1]) for name, series in curves.items() if name.startswith("val/")},
        tasks={task: _scores(document) for task, document in documents.items()},
    )


def _scores(document: ProbeDocument) -> TaskScores:
    metric, ours = document.headline, document.subject
    return TaskScores(
        metric=metric,
        chance=document.chance[metric],
        scores={name: each.scores[metric].mean for name, each in document.feature_sets.items()},
        by_pretraining={name: part.feature_sets[ours][metric].mean for name, part in document.by_pretraining.items()},
    )


def group_of(fit: FitResult, along: str) -> str:
    """The name of a group of fits with one law: the levels of the other axes, and the other kind of size."""
    levels = [level for axis, level in fit.levels.items() if not (axis == along == PARAMETERS)]
    if along == PARAMETERS:
        levels.append(f"{fit.nucleotides:.3g} nt")
    return ", ".join(levels) or "all"


def size_of(fit: FitResult, along: str) -> float:
    """The parameters or the nucleotides of a fit."""
    return float(fit.parameters if along == PARAMETERS else fit.nucleotides)


_ALONG: tuple[Literal["parameters", "nucleotides"], ...] = ("parameters", "nucleotides")


def _laws(fits: Sequence[FitResult]) -> Iterator[Law]:
    outcomes = [*(fits[0].tasks if fits else ()), VALIDATION_LOSS]
    for outcome in outcomes:
        for along in _ALONG:
            for group in dict.fromkeys(group_of(fit, along) for fit in fits):
                of_group = [(size_of(f, along), f.error(outcome)) for f in fits if group_of(f, along) == group]
                known = np.array([(x, y) for x, y in of_group if y is not None], dtype=np.float64).reshape(-1, 2)
                law = fit_power_law(known[:, 0], known[:, 1])
                if law is not None:
                    yield Law(outcome=outcome, along=along, group=group, **vars(law))
