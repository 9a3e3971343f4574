from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthrus.report import svg

FINITE = st.floats(-1e6, 1e6).map(lambda x: round(x, 4))
EVIL = '<script>alert("x")</script>&'


def line(name="val", x=(0, 10, 20), y=(3.0, 2.0, 1.0), style="c0"):
    return svg.Line(name, np.array(x, float), np.array(y, float), style)


def numbers(drawing, tag, attribute):
    root = ElementTree.fromstring(drawing)
    return [float(each.attrib[attribute]) for each in root.iter() if each.tag == tag and attribute in each.attrib]


@given(FINITE, FINITE)
def test_ticks_are_few_within_range_and_evenly_spaced(a, b):
    low, high = min(a, b), max(a, b)
    ticks = svg.nice_ticks(low, high)
    assert 1 <= len(ticks) <= 6
    margin = 1e-6 * max(abs(low), abs(high), 1)
    assert all(low - margin <= tick <= high + margin for tick in ticks)
    if len(ticks) > 2:
        np.testing.assert_allclose(np.diff(ticks), ticks[1] - ticks[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.25, "0.25"), (-0.07, "−0.07"), (1500, "1.5k"), (-2e6, "−2M"), (12, "12")]
)
def test_short_numbers(value, text):
    assert svg.short(value) == text


@given(st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=30))
def test_lines_stay_in_the_frame_whatever_their_values(points):
    x, y = zip(*sorted(points), strict=True)
    root = ElementTree.fromstring(svg.line_chart([line(x=x, y=y)], "a chart"))
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    places = [tuple(map(float, place.split(","))) for place in root.find("polyline").attrib["points"].split()]
    assert len(places) == len(points)
    assert all(0 <= a <= width and 0 <= b <= height for a, b in places)


def test_higher_values_are_drawn_higher():
    places = numbers(svg.line_chart([line(y=(1.0, 3.0, 2.0))], "a chart"), "circle", "cy")
    assert places[1] < places[2] < places[0]


def test_a_first_value_far_off_is_clipped_and_named():
    drawing = svg.line_chart([line(y=(100.0, 2.0, 1.0))], "a chart")
    assert "↑ val 100 at step 0" in drawing
    places = numbers(drawing, "circle", "cy")
    assert places[2] - places[1] > 50, "the rest fills the frame"


def test_end_labels_do_not_overlap():
    root = ElementTree.fromstring(svg.line_chart([line(f"l{i}", y=(3.0, 2.0, 1.0)) for i in range(3)], "a chart"))
    heights = sorted(float(text.attrib["y"]) for text in root.iter("text") if "end" in text.attrib["class"].split())
    assert np.diff(heights).min() >= 13


def test_bars_run_from_chance_to_the_mean():
    bars = [svg.Bar("a", 0.8, (0.7, 0.9), [0.75, 0.85], "c0"), svg.Bar("below", 0.4, None, [], "grey")]
    drawing = svg.bar_chart(bars, 0.5, "bars")
    chance = numbers(drawing, "line", "x1")[-1]
    (left, below), (width, below_width) = numbers(drawing, "rect", "x"), numbers(drawing, "rect", "width")
    assert left == pytest.approx(chance, abs=0.1)
    assert below + below_width == pytest.approx(chance, abs=0.11)
    assert width == pytest.approx(3 * below_width, rel=0.01)


def test_map_holds_every_point_once_and_labels_apart():
    generator = np.random.default_rng(0)
    clouds = [svg.Cloud(generator.standard_normal((20, 2)), f"c{i}", f"GENE{i}") for i in range(8)]
    root = ElementTree.fromstring(svg.point_map(clouds, "map"))
    assert sum(path.attrib["d"].count("M") for path in root.iter("path")) == 160
    labels = [(float(text.attrib["x"]), float(text.attrib["y"])) for text in root.iter("text")]
    for i, (x, y) in enumerate(labels):
        assert all(abs(x - a) >= 64 or abs(y - b) >= 12.9 for a, b in labels[:i])


def test_a_map_of_one_point_is_drawn():
    assert "M220.0 220.0h0" in svg.point_map([svg.Cloud(np.ones((1, 2)), "c0")], "map")


def test_names_are_escaped():
    drawings = [
        svg.line_chart([line(EVIL)], EVIL),
        svg.bar_chart([svg.Bar(EVIL, 1, None, [1], "c0")], 0, EVIL),
        svg.point_map([svg.Cloud(np.eye(2), "c0", EVIL)], EVIL),
    ]
    for drawing in drawings:
        assert "<script" not in drawing
        assert ElementTree.fromstring(drawing).attrib["aria-label"] == EVIL
