import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthrus.study.laws import fit_power_law


@given(st.floats(0.01, 1.5), st.floats(0.01, 100), st.integers(2, 4), st.floats(1, 1e9))
def test_the_law_of_points_on_a_line_is_found_exactly(exponent, scale, n_sizes, first):
    x = first * 10.0 ** np.arange(n_sizes)
    law = fit_power_law(x, scale * x**-exponent)
    assert law.exponent == pytest.approx(exponent, abs=1e-6)
    assert law(x) == pytest.approx(scale * x**-exponent, rel=1e-6)
    assert law.floor == 0
    assert (law.exponent95 is None) == (n_sizes == 2)


def test_a_floor_is_found_from_five_sizes_on():
    x = np.geomspace(1e6, 1e9, 7)
    law = fit_power_law(x, 0.3 + 50 * x**-0.4)
    assert (law.exponent, law.floor) == (pytest.approx(0.4, abs=1e-3), pytest.approx(0.3, abs=1e-3))
    assert law(x) == pytest.approx(0.3 + 50 * x**-0.4, rel=1e-4)
    assert fit_power_law(x[:4], 0.3 + 50 * x[:4] ** -0.4).floor == 0


@pytest.mark.parametrize("n_sizes", [3, 6])
def test_intervals_cover_the_exponent_as_often_as_they_say(n_sizes):
    generator = np.random.default_rng(0)
    x = np.repeat(np.geomspace(1e6, 1e8, n_sizes), 3)
    inside = 0
    for _ in range(100):
        floor = 0.3 if n_sizes > 4 else 0.0
        y = floor + 5 * x**-0.2 * np.exp(0.01 * generator.standard_normal(len(x)))
        low, high = fit_power_law(x, y).exponent95
        inside += low <= 0.2 <= high
    assert 0.87 <= inside / 100 <= 1


def test_one_size_has_no_law():
    assert fit_power_law(np.array([5.0, 5.0]), np.array([1.0, 2.0])) is None
