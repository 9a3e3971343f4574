"""Weights that change during training: pure functions of the trainer's global step, without state to save.

A resumed run therefore has the weights of an uninterrupted one. At step infinity a schedule has its final value;
validation uses this weight, so that its loss does not change with the weights alone.
"""

from abc import ABC, abstractmethod

from orthrus.errors import InputError


class Schedule(ABC):
    """A weight that depends on the optimiser step."""

    @abstractmethod
    def __call__(self, step: float) -> float:
        """The weight of step 0, 1, ..., inf."""


class Constant(Schedule):
    """The same weight at every step; a plain number in a recipe means this."""

    def __init__(self, value: float) -> None:
        self.value = _weight("value", value)

    def __call__(self, step: float) -> float:
        return self.value


class Linear(Schedule):
    """From ``start`` to ``end`` in ``steps`` steps from step ``begin``; constant before and after."""

    def __init__(self, start: float, end: float, steps: int, begin: int = 0) -> None:
        self.start, self.end, self.begin = _weight("start", start), _weight("end", end), begin
        if steps < 1:
            raise InputError(f"a schedule's steps must be at least 1, got {steps}")
        self.steps = steps

    def __call__(self, step: float) -> float:
        done = min(max((step - self.begin) / self.steps, 0.0), 1.0)
        return self.start + done * (self.end - self.start)


class WarmUp(Linear):
    """From 0 at the first step to ``value`` after ``steps`` steps, then constant."""

    def __init__(self, value: float, steps: int) -> None:
        super().__init__(0.0, value, steps)


def _weight(name: str, value: float) -> float:
    if not 0 <= value < float("inf"):
        raise InputError(f"a weight's {name} must be 0 or more, got {value}")
    return value
