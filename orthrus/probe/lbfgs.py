"""L-BFGS on many independent convex problems at once: P problems of M parameters, as rows of a tensor."""

from collections.abc import Callable

import torch
from torch import Tensor

MAX_ITERATIONS = 2000
HISTORY = 10
STANDING = 3


def minimise(
    evaluate: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    start_PM: Tensor,
    inverse_curvature_PM: Tensor,
    tolerance: float,
) -> Tensor:
    """Minima (P, M) of P independent, strictly convex functions of M parameters, by L-BFGS with backtracking.

    ``evaluate(params_AM, problems_A)`` returns values (A,) and gradients (A, M) of the problems with those numbers.
    ``inverse_curvature_PM`` is the initial diagonal of the inverse Hessian. A problem is done when the root of gradient
    x inverse Hessian x gradient is at most ``tolerance``, or when its value has not changed, to rounding, for three
    steps. Finished problems leave the batch once they are a quarter of it. Raises RuntimeError after MAX_ITERATIONS.
    """
    result_PM = start_PM.clone()
    problems = torch.arange(len(start_PM))
    params, inverse = start_PM, inverse_curvature_PM
    value, gradient = evaluate(params, problems)
    stood_still = torch.zeros(len(start_PM), dtype=torch.int64)
    history: list[tuple[Tensor, Tensor]] = []
    for _ in range(MAX_ITERATIONS):
        direction = -_times_inverse_hessian(gradient, inverse, history)
        slope = (gradient * direction).sum(dim=1)
        active = (-slope > tolerance**2) & (stood_still < STANDING)
        if not active.any():
            result_PM[problems] = params
            return result_PM
        if active.sum() <= 0.75 * len(active):
            result_PM[problems] = params
            problems, params, inverse = problems[active], params[active], inverse[active]
            value, gradient, direction, slope = value[active], gradient[active], direction[active], slope[active]
            stood_still = stood_still[active]
            history = [(step[active], change[active]) for step, change in history]
            active = active[active]
        direction *= active[:, None]
        new_params, new_value, new_gradient = _backtrack(evaluate, problems, params, value, slope, direction)
        stood_still = torch.where(value - new_value > _rounding(value), 0, stood_still + 1)
        history = [*history, (new_params - params, new_gradient - gradient)][-HISTORY:]
        params, value, gradient = new_params, new_value, new_gradient
    raise RuntimeError(
        f"logistic regression: {int(active.sum())} problems have not converged in {MAX_ITERATIONS} steps"
    )


def _backtrack(
    evaluate: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    problems: Tensor,
    params: Tensor,
    value: Tensor,
    slope: Tensor,
    direction: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:
    """Parameters, values and gradients after a step along ``direction``, halved until the value falls enough."""
    new_params = params + direction
    new_value, new_gradient = evaluate(new_params, problems)
    scale = torch.ones_like(value)
    for _ in range(30):
        # The last term accepts a step whose gain is below the rounding of the value.
        failed = ~(new_value <= value + 1e-4 * scale * slope + _rounding(value))
        if not failed.any():
            break
        scale[failed] /= 2
        new_params[failed] = params[failed] + scale[failed, None] * direction[failed]
        new_value[failed], new_gradient[failed] = evaluate(new_params[failed], problems[failed])
    return new_params, new_value, new_gradient


def _rounding(value: Tensor) -> Tensor:
    return 4 * torch.finfo(value.dtype).eps * value.abs()


def _times_inverse_hessian(gradient: Tensor, inverse: Tensor, history: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The two-loop recursion of L-BFGS (Nocedal and Wright, Numerical Optimization, algorithm 7.4), row by row."""
    vector = gradient.clone()
    passed = []
    for step, change in reversed(history):
        along = (step * change).sum(dim=1, keepdim=True)
        inverse_along = torch.where(along > 1e-300, 1 / along, 0.0)  # 0: a problem that did not move
        weight = (step * vector).sum(dim=1, keepdim=True) * inverse_along
        vector -= weight * change
        passed.append((step, change, inverse_along, weight))
    vector *= inverse
    if history:
        step, change = history[-1]
        along = (step * change).sum(dim=1, keepdim=True)
        length = (change**2 * inverse).sum(dim=1, keepdim=True)
        vector *= torch.where(along > 1e-300, along / length, 1.0)
    for step, change, inverse_along, weight in reversed(passed):
        vector += step * (weight - (change * vector).sum(dim=1, keepdim=True) * inverse_along)
    return vector
