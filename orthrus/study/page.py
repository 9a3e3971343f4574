"""The page of a study: errors against size with their laws, the laws' exponents, and the scores of every fit."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from orthrus.charts import PALETTE, SOFT
from orthrus.output import atomic_file, write_text
from orthrus.probe.document import CODON, EMBEDDING, EMBEDDING_AND_CODON, KMER, RANDOM_INIT
from orthrus.probe.metrics import TITLES
from orthrus.report.figures import Figure
from orthrus.report.html import render_page
from orthrus.study.document import (
    STUDY_FILE,
    VALIDATION_LOSS,
    FitResult,
    Law,
    StudyDocument,
    group_of,
    size_of,
)
from orthrus.study.laws import PowerLaw
from orthrus.study.spec import NUCLEOTIDES, PARAMETERS

PAGE_FILE, TABLE_FILE = "study.html", "study.csv"
_BASELINES = (RANDOM_INIT, KMER, CODON)
_SHOWN_SETS = (EMBEDDING, EMBEDDING_AND_CODON, *_BASELINES)
_AXIS_TITLES = {PARAMETERS: "parameters of the encoder", NUCLEOTIDES: "nt trained on"}
_CURVE_POINTS = 40


def write_study(document: StudyDocument, output: Path) -> list[Path]:
    """Write ``study.html``, ``study.json`` and ``study.csv`` into the folder of the study and return their paths."""
    paths = [output / name for name in (PAGE_FILE, STUDY_FILE, TABLE_FILE)]
    page = render_page(
        "orthrus.study",
        "study.html.jinja",
        name=output.resolve().name,
        document=document,
        figures=list(figures(document)),
        laws=[(law, _interval(law)) for law in document.laws],
        tasks=list(document.fits[0].tasks) if document.fits else [],
        titles={
            task: TITLES[scores.metric] for task, scores in (document.fits[0].tasks if document.fits else {}).items()
        },
        sets=_SHOWN_SETS,
    )
    write_text(page, paths[0])
    write_text(document.model_dump_json(indent=2) + "\n", paths[1])
    with atomic_file(paths[2]) as scratch:
        pd.DataFrame(list(table_rows(document))).to_csv(scratch, index=False)
    return paths


def table_rows(document: StudyDocument) -> Iterator[dict[str, Any]]:
    """One row a fit, task and feature set."""
    for fit in document.fits:
        for task, found in fit.tasks.items():
            for name, score in found.scores.items():
                yield {
                    "fit": fit.name,
                    **fit.levels,
                    "nucleotides": fit.nucleotides,
                    "seed": fit.seed,
                    "encoder_parameters": fit.parameters,
                    "validation_loss": fit.validation.get("val/loss"),
                    "task": task,
                    "metric": found.metric,
                    "feature_set": name,
                    "score": score,
                    **(found.by_pretraining if name == EMBEDDING else {}),
                }


def figures(document: StudyDocument) -> Iterator[Figure]:
    """Yield error against parameters and against nucleotides for each outcome with two sizes or more."""
    for outcome in document.outcomes:
        for along in (PARAMETERS, NUCLEOTIDES):
            fits = [fit for fit in document.fits if fit.error(outcome) is not None]
            if len({size_of(fit, along) for fit in fits}) > 1:
                laws = [law for law in document.laws if (law.outcome, law.along) == (outcome, along)]
                yield _figure(outcome, along, fits, laws)


def _figure(outcome: str, along: str, fits: list[FitResult], laws: list[Law]) -> Figure:
    groups = list(dict.fromkeys(group_of(fit, along) for fit in fits))
    points = pd.DataFrame(
        {
            "group": [group_of(fit, along) for fit in fits],
            "size": [size_of(fit, along) for fit in fits],
            "error": [fit.error(outcome) for fit in fits],
            "fit": [fit.name for fit in fits],
        }
    )
    curves = pd.DataFrame([row for law in laws for row in _curve(law, points)], columns=["group", "size", "error"])
    metric = None if outcome == VALIDATION_LOSS else TITLES[fits[0].tasks[outcome].metric]
    unit = outcome if metric is None else f"1 − {metric}"
    x = (
        alt.X("size:Q", title=_AXIS_TITLES[along])
        .scale(type="log", nice=False, padding=12)
        .axis(format="~s", grid=False)
    )
    baselines = pd.DataFrame(list(_baselines(outcome, fits)), columns=["control", "error"])
    ticks = _ticks([*points["error"], *baselines["error"]])
    y = alt.Y("error:Q", title=unit).scale(type="log", nice=False, zero=False, padding=12)
    y = y.axis(values=ticks, format="~g") if ticks else y.axis(tickCount=5)
    colour = alt.Color("group:N").scale(domain=groups, range=[PALETTE[i % len(PALETTE)] for i in range(len(groups))])
    hover = [alt.Tooltip(f"{name}:N") for name in ("fit", "group")]
    hover += [alt.Tooltip("size:Q", format=",.4g"), alt.Tooltip("error:Q", format=".4f")]
    layers = [
        alt.Chart(curves).mark_line(strokeWidth=2).encode(x=x, y=y, color=colour),
        alt.Chart(points).mark_circle(size=52, opacity=0.9).encode(x=x, y=y, color=colour, tooltip=hover),
    ]
    if len(baselines):
        rules = alt.Chart(baselines).encode(y=y)
        layers.append(rules.mark_rule(color=SOFT, strokeDash=[3, 4]))
        layers.append(rules.mark_text(align="left", x=4, dy=-5, color=SOFT, fontSize=10).encode(text="control:N"))
    described = "; ".join(f"{law.group}: exponent {_interval(law)}" for law in laws)
    caption = f"{outcome} by {_AXIS_TITLES[along]}, a point a fit, a line a power law; lower is better."
    return Figure(
        f"{outcome} by {along}", caption, f"{caption} {described}",
        alt.layer(*layers).properties(height=230, width="container"),
    )  # fmt: skip


def _ticks(values: Sequence[float]) -> list[float]:
    """Round numbers over a range of less than a decade, where a logarithmic axis may have no tick; else none."""
    low, high = min(values), max(values)
    if high >= 10 * low:
        return []
    step = 10.0 ** np.floor(np.log10((high - low) / 4 or low))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (factor * step) <= 8)
    return [float(f"{n * step:.6g}") for n in range(int(np.ceil(low / step)), int(high / step) + 1)]


def _curve(law: Law, points: pd.DataFrame) -> Iterator[tuple[str, float, float]]:
    sizes = points["size"][points["group"] == law.group]
    law_of = PowerLaw(law.scale, law.exponent, law.floor, law.exponent95, law.n, law.n_sizes)
    x = np.geomspace(float(sizes.min()), float(sizes.max()), _CURVE_POINTS)
    yield from ((law.group, float(a), float(b)) for a, b in zip(x, law_of(x), strict=True))


def _baselines(outcome: str, fits: list[FitResult]) -> Iterator[tuple[str, float]]:
    """The mean errors of the controls over the fits, which training does not change.

    An untrained encoder is one of them only where all fits have one size, which it depends on.
    """
    if outcome == VALIDATION_LOSS:
        return
    one_size = len({fit.parameters for fit in fits}) == 1
    for name in (name for name in _BASELINES if name != RANDOM_INIT or one_size):
        scores = [fit.tasks[outcome].scores[name] for fit in fits if name in fit.tasks[outcome].scores]
        if scores:
            yield name, 1 - float(np.mean(scores))


def _interval(law: Law) -> str:
    exponent = f"{law.exponent:.3f}".replace("-", "−")
    if law.exponent95 is None:
        return exponent
    low, high = (f"{end:.3f}".replace("-", "−") for end in law.exponent95)
    return f"{exponent} ({low} to {high})"
