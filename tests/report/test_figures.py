import numpy as np
import vl_convert

from orthrus.charts import PALETTE, specification
from orthrus.report.figures import MAX_POINTS, Line, baseline, line_figure


def drawn(*lines, **options):
    figure = line_figure("Loss", "Lower is better.", lines, "nats", **options)
    spec = specification(figure.chart)
    (rows,) = spec["datasets"].values()
    return figure, spec, rows


def line(y, x=None, name="validation"):
    y = np.array(y, dtype=float)
    return Line(name, np.arange(len(y), dtype=float) * 10 if x is None else np.array(x, dtype=float), y)


def test_every_value_is_in_the_frame():
    _, spec, rows = drawn(line([3.0, -2.0, 1.0]), line([0.5, 0.5, 0.5], name="training"))
    low, high = spec["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert low < -2
    assert high > 3
    assert len(rows) == 6


def test_a_first_value_far_off_is_cut_off_and_named():
    figure, spec, _ = drawn(line([100.0, 2.0, 1.0]))
    assert figure.caption == "Lower is better. Beyond the frame: validation 100 at 0."
    assert spec["layer"][0]["encoding"]["y"]["scale"]["domain"][1] < 3


def test_long_curves_are_means_of_neighbours():
    _, _, rows = drawn(line(np.arange(10_000.0)))
    assert len(rows) == MAX_POINTS
    assert rows[0]["y"] == np.arange(50).mean()


def test_what_is_seen_is_said_in_words_too():
    figure, _, _ = drawn(line([3.0, 1.5]), baseline("chance", np.array([0.0, 10.0]), np.array([0.1, 0.1])))
    assert figure.description == "Loss by optimiser step: validation 3 to 1.5, chance 0.1 to 0.1"


def test_a_baseline_is_dashed_and_in_the_legend():
    _, spec, _ = drawn(line([3.0, 1.5]), baseline("chance", np.array([0.0, 10.0]), np.array([0.1, 0.1])))
    svg = vl_convert.vegalite_to_svg(spec | {"width": 300})
    assert "stroke-dasharray" in svg
    assert ">chance</text>" in svg
    assert PALETTE[0] in svg
