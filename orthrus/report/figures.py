"""Figures of the page, each with a title, a sentence of explanation and a chart; and line charts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from orthrus.charts import PALETTE, SOFT

Floats = NDArray[np.float64]
MAX_POINTS = 200
HEIGHT = 190


@dataclass(frozen=True)
class Figure:
    """A chart with its title and caption; ``description`` is the text for readers who cannot see it."""

    title: str
    caption: str
    description: str
    chart: Any


@dataclass(frozen=True)
class Line:
    """A series of ``x`` and ``y``, both (N,); ``colour`` is a hex colour; a baseline is dashed."""

    name: str
    x: Floats
    y: Floats
    colour: str = PALETTE[0]
    dashed: bool = False


def line_figure(title: str, caption: str, lines: Sequence[Line], unit: str, x_title: str = "optimiser step",
                log_x: bool = False) -> Figure:  # fmt: skip
    """Lines over steps, of at most 200 points each; longer series are averaged over neighbours.

    A first value far from the rest is clipped at the frame, and the caption states it. ``unit`` is the title of the y
    axis.
    """
    lines = [Line(line.name, *_thinned(line.x, line.y), line.colour, line.dashed) for line in lines]
    low, high, clipped = _y_range(lines)
    rows = [
        {"line": line.name, "x": float(x), "y": float(y)} for line in lines for x, y in zip(line.x, line.y, strict=True)
    ]
    few = len(rows) <= 24 * len(lines)
    names = [line.name for line in lines]
    base = alt.Chart(pd.DataFrame(rows)).encode(
        x=alt.X("x:Q", title=x_title).scale(type="log" if log_x else "linear", nice=False)
        .axis(grid=False, format="~s"),
        y=alt.Y("y:Q", title=unit).scale(domain=[low, high], nice=False).axis(tickCount=4),
        color=alt.Color("line:N")
        .scale(domain=names, range=[line.colour for line in lines])
        .legend(symbolType="stroke", columns=alt.expr("max(1, floor(width / 110))")),
    )  # fmt: skip
    drawn = base.mark_line(clip=True, strokeWidth=2, strokeCap="round").encode(
        strokeDash=alt.StrokeDash("line:N").scale(
            domain=names, range=[[3, 4] if line.dashed else [1, 0] for line in lines]
        )
    )
    points = base.mark_circle(clip=True, size=36, opacity=1 if few else 0).encode(
        tooltip=[alt.Tooltip("line:N", title="series"), alt.Tooltip("x:Q", title=x_title, format=","),
                 alt.Tooltip("y:Q", title=unit, format=".4g")]
    )  # fmt: skip
    ends = ", ".join(f"{line.name} {line.y[0]:.4g} to {line.y[-1]:.4g}" for line in lines)
    chart = alt.layer(drawn, points).properties(height=HEIGHT, width="container")
    return Figure(title, f"{caption} {clipped}".strip(), f"{title} by {x_title}: {ends}", chart)


def baseline(name: str, x: Floats, y: Floats) -> Line:
    """A grey dashed line."""
    return Line(name, x, y, SOFT, dashed=True)


def _thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    if len(x) <= MAX_POINTS:
        return x, y
    parts = np.array_split(np.arange(len(x)), MAX_POINTS)
    return np.array([x[part].mean() for part in parts]), np.array([y[part].mean() for part in parts])


def _y_range(lines: Sequence[Line]) -> tuple[float, float, str]:
    later = np.concatenate([line.y[line.x > line.x.min()] for line in lines])
    values = np.concatenate([line.y for line in lines])
    low, high, clipped = float(values.min()), float(values.max()), ""
    if len(later) and high - later.max() > (np.ptp(later) or np.inf):
        high = float(later.max() + 0.15 * np.ptp(later))
        first = max(lines, key=lambda line: float(line.y[0]))
        clipped = f"Beyond the frame: {first.name} {first.y[0]:.4g} at {first.x[0]:g}."
    margin = 0.06 * ((high - low) or abs(high) or 1)
    return low - margin, high + margin, clipped
