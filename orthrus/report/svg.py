"""Small SVG charts for the report, drawn by hand: crisp, light, and coloured by the page's style sheet.

Each returns an ``<svg>`` about as wide in its own units as it is shown, in columns or on a phone, so text stays
readable. Colours are classes (``c0`` .. ``c9``, ``grey``), so that light and dark pages share one drawing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

CHART_WIDTH = 360
MAP_WIDTH = 440

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """A drawing with its title, caption and legend (class, name)."""

    title: str
    caption: str
    drawing: Markup
    legend: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Line:
    """A series of ``x`` and ``y``; few points are drawn with markers; ``style`` is its CSS class."""

    name: str
    x: Floats
    y: Floats
    style: str


@dataclass(frozen=True)
class Bar:
    """A score with its interval (None: no interval), the scores it is a mean of, and its CSS class."""

    name: str
    mean: float
    interval: tuple[float, float] | None
    points: Sequence[float]
    style: str


@dataclass(frozen=True)
class Cloud:
    """Points (n, 2) of one kind, under one CSS class; ``label`` is written at their middle if not empty."""

    points: Floats
    style: str
    label: str = ""


def nice_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """About ``count`` round numbers within [low, high]."""
    if not high > low:
        return [low]
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) + 0.0 for i in range(first, math.floor(high / step + 1e-9) + 1)]


def short(value: float) -> str:
    """A number as an axis shows it: 0.25, 12, 1.5k, 3M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}".replace("-", "−")
    return f"{value:.3g}".replace("-", "−")


@dataclass(frozen=True)
class _Scale:
    """Numbers in [low, high] to places between start and end; beyond, clipped to the nearer one."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (min(max(float(value), self.low), self.high) - self.low) / ((self.high - self.low) or 1)
        return round(self.start + share * (self.end - self.start), 1)


def line_chart(lines: Sequence[Line], description: str, x_label: str = "steps", log_x: bool = False) -> Markup:
    """Lines over steps, each named at its end. A first value far off the rest is clipped at the frame and named.

    With ``log_x``, ticks are at 1, 10, 100 ... and three times these.
    """
    height, left, right, top, bottom = 236, 40, CHART_WIDTH - 114, 20, 208
    low, high, clipped = _y_range(lines)
    first, last = min(line.x.min() for line in lines), max(line.x.max() for line in lines)
    scaled = (math.log10 if log_x else float)(first), (math.log10 if log_x else float)(last)
    x_scale = _Scale(scaled[0], scaled[1], left, right)
    y_of = _Scale(low, high, bottom, top)

    def x_of(x: float) -> float:
        return x_scale(math.log10(x) if log_x else x)

    unit = x_label.removesuffix("s")
    parts = []
    for tick in nice_ticks(low, high):
        parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y_of(tick)}" y2="{y_of(tick)}"/>')
        parts.append(f'<text class="tick" x="{left - 8}" y="{y_of(tick) + 4}" text-anchor="end">{short(tick)}</text>')
    for tick in _log_ticks(first, last) if log_x else nice_ticks(first, last):
        parts.append(_x_tick(x_of(tick), height, tick))
    parts.append(f'<text class="tick" x="{right + 10}" y="{height - 8}">{escape(x_label)}</text>')
    for line in lines:
        places = [(x_of(x), y_of(y)) for x, y in zip(line.x, line.y, strict=True)]
        parts.append(f'<polyline class="line {line.style}" points="{" ".join(f"{x},{y}" for x, y in places)}"/>')
        if len(places) <= 24:
            parts += [
                f'<circle class="dot {line.style}" cx="{x}" cy="{y}" r="3">'
                f"<title>{escape(line.name)}, {escape(unit)} {step:g}: {value:.4g}</title></circle>"
                for (x, y), step, value in zip(places, line.x, line.y, strict=True)
            ]
    heights = _apart([y_of(line.y[-1]) for line in lines], 14, bottom - 2)
    for line, at in zip(lines, heights, strict=True):
        parts.append(
            f'<text class="end {line.style}" x="{right + 10}" y="{at + 4}">{escape(line.name)}'
            f' <tspan class="value">{short(float(line.y[-1]))}</tspan></text>'
        )
    if clipped:
        parts.append(f'<text class="tick" x="{left}" y="{top - 8}">{escape(clipped)}</text>')
    return _svg(CHART_WIDTH, height, description, parts)


def _log_ticks(first: float, last: float) -> list[float]:
    powers = range(math.floor(math.log10(first)), math.ceil(math.log10(last)) + 1)
    return [x for power in powers for x in (10.0**power, 3 * 10.0**power) if first <= x <= last]


def _x_tick(x: float, height: float, value: float) -> str:
    return f'<text class="tick" x="{x}" y="{height - 8}" text-anchor="middle">{short(value)}</text>'


def _y_range(lines: Sequence[Line]) -> tuple[float, float, str]:
    later = np.concatenate([line.y[line.x > line.x.min()] for line in lines])
    values = np.concatenate([line.y for line in lines])
    low, high, clipped = float(values.min()), float(values.max()), ""
    if len(later) and high - later.max() > (np.ptp(later) or np.inf):
        high = float(later.max() + 0.15 * np.ptp(later))
        first = max(lines, key=lambda line: float(line.y[0]))
        clipped = f"↑ {first.name} {short(float(first.y[0]))} at step {first.x[0]:g}"
    margin = 0.06 * ((high - low) or abs(high) or 1)
    return low - margin, high + margin, clipped


def _apart(heights: Sequence[float], least: float, lowest: float = math.inf) -> list[float]:
    """The heights moved down, and then up from ``lowest``, as little as keeps any two ``least`` apart, order kept."""
    placed = list(heights)
    order = sorted(range(len(placed)), key=lambda i: heights[i])
    previous = -math.inf
    for i in order:
        placed[i] = previous = max(placed[i], previous + least)
    following = lowest + least
    for i in reversed(order):
        placed[i] = following = min(placed[i], following - least)
    return placed


def bar_chart(bars: Sequence[Bar], chance: float, description: str) -> Markup:
    """Horizontal bars from chance to the mean, with 95 % interval, seeds as dots and the mean written out."""
    row, top, left, right = 46, 8, 140, CHART_WIDTH - 52
    bottom = top + row * len(bars)
    height = bottom + 28
    values = [chance, *(x for bar in bars for x in (bar.mean, *bar.points, *(bar.interval or ())))]
    x_of = _Scale(min(values), max(values), left, right)
    parts = []
    for tick in nice_ticks(x_of.low, x_of.high):
        parts.append(f'<line class="grid" x1="{x_of(tick)}" x2="{x_of(tick)}" y1="{top}" y2="{bottom}"/>')
        parts.append(_x_tick(x_of(tick), height, tick))
    for i, bar in enumerate(bars):
        y = top + row * (i + 0.5)
        x0, x1 = sorted((x_of(chance), x_of(bar.mean)))
        low, high = map(x_of, bar.interval or (bar.mean, bar.mean))
        parts += [
            f'<rect class="bar {bar.style}" x="{x0}" y="{y - 10}" width="{x1 - x0:.1f}" height="20" rx="2"/>',
            *(f'<circle class="seed" cx="{x_of(point)}" cy="{y + 15}" r="1.8"/>' for point in bar.points),
            f'<path class="whisker" d="M{low} {y}H{high}M{low} {y - 4}v8M{high} {y - 4}v8"/>',
            f'<text class="name" x="{left - 10}" y="{y + 4}" text-anchor="end">{escape(bar.name)}</text>',
            f'<text class="mean" x="{max(x1, high) + 8:.1f}" y="{y + 4}">{bar.mean:.3f}</text>',
        ]
    parts.append(f'<line class="chance" x1="{x_of(chance)}" x2="{x_of(chance)}" y1="{top}" y2="{bottom}"/>')
    return _svg(CHART_WIDTH, height, description, parts)


def point_map(clouds: Sequence[Cloud], description: str) -> Markup:
    """A square map of points, later clouds on top; each cloud is one path, so thousands of points stay small."""
    size, margin = MAP_WIDTH, 14
    everything = np.concatenate([cloud.points for cloud in clouds])
    low, span = everything.min(axis=0), max(float(np.ptp(everything, axis=0).max()), 1e-12)
    offset = (size - 2 * margin) * (1 - np.ptp(everything, axis=0) / span) / 2 + margin
    scaled = [(cloud.points - low) / span * (size - 2 * margin) + offset for cloud in clouds]
    parts = []
    for cloud, points in zip(clouds, scaled, strict=True):
        path = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in points)
        parts.append(f'<path class="points {cloud.style}" d="{path}"/>')
    labelled = [(cloud, _most_central(points)) for cloud, points in zip(clouds, scaled, strict=True) if cloud.label]
    placed: list[tuple[float, float]] = []
    for cloud, (x, y) in sorted(labelled, key=lambda each: each[1][1]):
        x, y = min(max(x, 40), size - 40), max(y - 8, 12)
        while any(abs(x - other_x) < 64 and abs(y - other_y) < 13 for other_x, other_y in placed):
            y += 2
        placed.append((x, y))
        parts.append(
            f'<text class="cloud {cloud.style}" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">'
            f"{escape(cloud.label)}</text>"
        )
    return _svg(size, size, description, parts)


def _most_central(points: Floats) -> tuple[float, float]:
    """The point nearest to most others: it lies in a cloud's main part, where a mean may lie between parts."""
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    x, y = points[np.median(distances, axis=1).argmin()]
    return float(x), float(y)


def _svg(width: float, height: float, description: str, parts: Sequence[str]) -> Markup:
    box = f'viewBox="0 0 {width} {height}" role="img" aria-label="{escape(description)}"'
    return Markup(f"<svg {box}>{''.join(parts)}</svg>")
