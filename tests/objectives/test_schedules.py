import math

import pytest

from orthrus.errors import InputError
from orthrus.objectives import Constant, Linear, Schedule, WarmUp


@pytest.mark.parametrize(
    ("schedule", "weights"),
    [
        (Constant(0.3), {0: 0.3, 7: 0.3, math.inf: 0.3}),
        (Linear(1.0, 0.5, steps=10), {0: 1.0, 1: 0.95, 5: 0.75, 10: 0.5, 11: 0.5, math.inf: 0.5}),
        (Linear(0.0, 1.0, steps=4, begin=10), {0: 0.0, 10: 0.0, 11: 0.25, 14: 1.0, math.inf: 1.0}),
        (WarmUp(0.8, steps=4), {0: 0.0, 1: 0.2, 4: 0.8, 99: 0.8, math.inf: 0.8}),
    ],
)
def test_weight_by_step(schedule: Schedule, weights: dict[float, float]) -> None:
    assert {step: schedule(step) for step in weights} == pytest.approx(weights)


def test_bad_weights_and_steps_are_refused() -> None:
    for value in (-0.1, math.nan, math.inf):
        with pytest.raises(InputError, match="must be 0 or more, got"):
            Constant(value)
        with pytest.raises(InputError, match="must be 0 or more, got"):
            Linear(0.0, value, steps=3)
    with pytest.raises(InputError, match="steps must be at least 1, got 0"):
        WarmUp(1.0, steps=0)
