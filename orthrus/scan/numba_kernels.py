"""CPU kernels of the selective scan and the causal convolution, float32, on addresses and strides.

L positions, D channels, N states, K filter width. One call does one task: up to WIDTH channels of one batch row over
all its positions. For each position and state, LLVM turns the inner loop over WIDTH channels into vector instructions;
state, decay rates and the operands of a position are in local arrays, so that no loop has to check whether two arrays
overlap. Channels that a narrower task lacks stay 0. Nothing is allocated.

For the gradients, the forward scan keeps the state before every SPAN positions, and the backward scan recomputes
the states in between: D N L / SPAN numbers in memory instead of D N L.

A ``step`` is the distance in numbers from one position to the next, negative in a row that is read backwards from its
last position; the channels or states of a position lie side by side. An address of 0 means that there is no such
tensor.
"""

from typing import Any, NamedTuple

import numpy as np

from orthrus.scan.numba_math import (
    add_to_sum,
    copy_floats,
    exp2,
    floats_at,
    kernel,
    local_floats,
    part,
    prefetch,
    sigmoid,
    softplus,
    widest_vectors,
)

WIDTH, SPAN, MAX_STATES, MAX_FILTER = 64, 32, 64, 16
_STATES, _SPAN, _FILTER = MAX_STATES * WIDTH, SPAN * WIDTH, MAX_FILTER * WIDTH
_LOG2E, _LN2 = np.float32(1.4426950408889634), np.float32(0.6931471805599453)
_LINE, _AHEAD = 16, 8  # numbers in a cache line; positions to look ahead
_ZERO, _ONE = np.float32(0), np.float32(1)


class ScanTask(NamedTuple):
    """A scan's inputs from this task's first channel on: u, delta, z (L, n), A (n, N), B, C (L, N), D, bias (n)."""

    channels: int
    positions: int
    states: int
    u: int
    u_step: int
    delta: int
    delta_step: int
    A: int
    B: int
    B_step: int
    C: int
    C_step: int
    D: int
    bias: int
    z: int
    z_step: int


class ScanGradients(NamedTuple):
    """Where the gradients go: u, delta, z (L, n), and this task's share of A (n, N), D, bias (n), B, C (L, N).

    ``step`` is that of u, delta and z, ``state_step`` that of B and C.
    """

    u: int
    delta: int
    z: int
    step: int
    A: int
    D: int
    bias: int
    B: int
    C: int
    state_step: int


class ConvTask(NamedTuple):
    """The inputs of a convolution from this task's first channel on: x (L, n), weight (K, n), bias (n)."""

    channels: int
    positions: int
    width: int
    x: int
    x_step: int
    weight: int
    weight_step: int
    bias: int


@part
def _copy(target: Any, target_offset: Any, source: Any, source_offset: Any, n: Any) -> None:
    """Copy n numbers, at most WIDTH."""
    if n == WIDTH:
        copy_floats(target, target_offset, source, source_offset, WIDTH)
    else:
        copy_floats(target, target_offset, source, source_offset, n)


@part
def _load(local: Any, address: Any, offset: Any, n: Any) -> None:
    _copy(local, 0, floats_at(address), offset, n)


@part
def _expect(address: Any, offset: Any) -> None:
    """Prefetch WIDTH numbers that will be loaded soon; hardware does not predict steps this long."""
    for d in range(0, WIDTH, _LINE):
        prefetch(address + 4 * (offset + d))


@part
def _store(address: Any, offset: Any, local: Any, n: Any) -> None:
    _copy(floats_at(address), offset, local, 0, n)


@part
def _load_rates(rate: Any, task: Any) -> None:
    """A in units of 1 / log2(e), transposed to (N, WIDTH)."""
    A = floats_at(task.A)
    for d in range(task.channels):
        for s in range(task.states):
            rate[s * WIDTH + d] = A[d * task.states + s] * _LOG2E


@kernel
def scan_forward(task: Any, y: Any, y_step: Any, kept: Any) -> None:
    """Writes y (L, n) and, where its address is not 0, kept (L / SPAN, N, WIDTH)."""
    widest_vectors()
    n, states = task.channels, task.states
    B, C, kept_states = floats_at(task.B), floats_at(task.C), floats_at(kept)
    h, rate = local_floats(_STATES), local_floats(_STATES)
    u, raw, gate, skip, bias = (
        local_floats(WIDTH), local_floats(WIDTH), local_floats(WIDTH), local_floats(WIDTH), local_floats(WIDTH)
    )  # fmt: skip
    delta, inflow, readout = local_floats(WIDTH), local_floats(WIDTH), local_floats(WIDTH)
    _load_rates(rate, task)
    _load(skip, task.D, 0, n)
    _load(bias, task.bias, 0, n)
    for t in range(task.positions):
        if kept != 0 and t % SPAN == 0:
            for i in range(states * WIDTH):
                kept_states[(t // SPAN) * states * WIDTH + i] = h[i]
        _expect(task.u, (t + _AHEAD) * task.u_step)
        _expect(task.delta, (t + _AHEAD) * task.delta_step)
        if task.z != 0:
            _expect(task.z, (t + _AHEAD) * task.z_step)
        _expect(y, (t + _AHEAD) * y_step)
        _load(u, task.u, t * task.u_step, n)
        _load(raw, task.delta, t * task.delta_step, n)
        for d in range(WIDTH):
            delta[d] = softplus(raw[d] + bias[d])
            inflow[d] = delta[d] * u[d]
            readout[d] = skip[d] * u[d]
        for s in range(states):
            b, c = B[t * task.B_step + s], C[t * task.C_step + s]
            for d in range(WIDTH):
                i = s * WIDTH + d
                h[i] = exp2(delta[d] * rate[i]) * h[i] + inflow[d] * b
                readout[d] += h[i] * c
        if task.z != 0:
            _load(gate, task.z, t * task.z_step, n)
            for d in range(WIDTH):
                readout[d] = readout[d] * gate[d] * sigmoid(gate[d])
        _store(y, t * y_step, readout, n)


@kernel
def scan_backward(task: Any, dy: Any, dy_step: Any, kept: Any, work: Any, out: Any) -> None:
    """Writes the gradients; ``work`` has room for N x (SPAN + 1) x 2 x WIDTH numbers.

    The caller adds the shares of rows (dA, dD, dbias) or of channel blocks (dB, dC).
    """
    widest_vectors()
    n, states = task.channels, task.states
    B, C, dB, dC, dA = floats_at(task.B), floats_at(task.C), floats_at(out.B), floats_at(out.C), floats_at(out.A)
    kept_states, span = floats_at(kept), floats_at(work)
    dh, rate, drate = local_floats(_STATES), local_floats(_STATES), local_floats(_STATES)
    delta, inflow, readout = local_floats(_SPAN), local_floats(_SPAN), local_floats(_SPAN)
    u, raw, gate, skip, bias = (
        local_floats(WIDTH), local_floats(WIDTH), local_floats(WIDTH), local_floats(WIDTH), local_floats(WIDTH)
    )  # fmt: skip
    grad, dinflow, dexponent, du, draw, dgate, dskip, dbias = (
        local_floats(WIDTH), local_floats(WIDTH), local_floats(WIDTH), local_floats(WIDTH), local_floats(WIDTH),
        local_floats(WIDTH), local_floats(WIDTH), local_floats(WIDTH),
    )  # fmt: skip
    _load_rates(rate, task)
    _load(skip, task.D, 0, n)
    _load(bias, task.bias, 0, n)
    # span, per state and position: the state before the position, then its decay there. Time goes fastest, so that
    # the compiler knows the distance from one state to the next.
    state_stride = (SPAN + 1) * 2 * WIDTH
    for block in range((task.positions - 1) // SPAN, -1, -1):
        first, last = block * SPAN, min(block * SPAN + SPAN, task.positions)
        for s in range(states):
            for d in range(WIDTH):
                span[s * state_stride + d] = kept_states[(block * states + s) * WIDTH + d]
        for t in range(first, last):
            k = (t - first) * WIDTH
            _load(u, task.u, t * task.u_step, n)
            _load(raw, task.delta, t * task.delta_step, n)
            for d in range(WIDTH):
                delta[k + d] = softplus(raw[d] + bias[d])
                inflow[k + d] = delta[k + d] * u[d]
                readout[k + d] = skip[d] * u[d]
            for s in range(states):
                b, c = B[t * task.B_step + s], C[t * task.C_step + s]
                here = s * state_stride + 2 * k
                for d in range(WIDTH):
                    decay = exp2(delta[k + d] * rate[s * WIDTH + d])
                    state = decay * span[here + d] + inflow[k + d] * b
                    span[here + WIDTH + d] = decay
                    span[here + 2 * WIDTH + d] = state
                    readout[k + d] += state * c
        for t in range(last - 1, first - 1, -1):
            k = (t - first) * WIDTH
            _expect(task.u, (t - SPAN) * task.u_step)  # for the span to come
            _expect(task.delta, (t - SPAN) * task.delta_step)
            _expect(out.u, (t - _AHEAD) * out.step)
            _expect(out.delta, (t - _AHEAD) * out.step)
            _expect(dy, (t - _AHEAD) * dy_step)
            if task.z != 0:
                _expect(out.z, (t - _AHEAD) * out.step)
                _expect(task.z, (t - _AHEAD) * task.z_step)
            _load(u, task.u, t * task.u_step, n)
            _load(raw, task.delta, t * task.delta_step, n)
            _load(grad, dy, t * dy_step, n)
            if task.z != 0:
                _load(gate, task.z, t * task.z_step, n)
                for d in range(WIDTH):
                    share = sigmoid(gate[d])
                    dgate[d] = grad[d] * readout[k + d] * share * (_ONE + gate[d] * (_ONE - share))
                    grad[d] = grad[d] * gate[d] * share
                _store(out.z, t * out.step, dgate, n)
            for d in range(WIDTH):
                dinflow[d] = dexponent[d] = _ZERO
            for s in range(states):
                b, c = B[t * task.B_step + s], C[t * task.C_step + s]
                here = s * state_stride + 2 * k
                db = dc = _ZERO
                for d in range(WIDTH):
                    i = s * WIDTH + d
                    dstate = dh[i] + c * grad[d]
                    dc = add_to_sum(dc, grad[d] * span[here + 2 * WIDTH + d])
                    db = add_to_sum(db, dstate * inflow[k + d])
                    dinflow[d] += dstate * b
                    carried = dstate * span[here + WIDTH + d]
                    grown = carried * span[here + d]
                    dexponent[d] += grown * rate[i]
                    drate[i] += grown * delta[k + d]
                    dh[i] = carried
                dB[t * out.state_step + s] = db
                dC[t * out.state_step + s] = dc
            for d in range(WIDTH):
                du[d] = dinflow[d] * delta[k + d] + skip[d] * grad[d]
                draw[d] = (dexponent[d] * _LN2 + dinflow[d] * u[d]) * sigmoid(raw[d] + bias[d])
                dskip[d] += grad[d] * u[d]
                dbias[d] += draw[d]
            _store(out.u, t * out.step, du, n)
            _store(out.delta, t * out.step, draw, n)
    _store(out.D, 0, dskip, n)
    _store(out.bias, 0, dbias, n)
    for d in range(n):
        for s in range(states):
            dA[d * states + s] = drate[s * WIDTH + d]


@part
def _load_taps(taps: Any, task: Any) -> None:
    for k in range(task.width):
        _copy(taps, k * WIDTH, floats_at(task.weight), k * task.weight_step, task.channels)


@part
def _convolve(total: Any, x: Any, taps: Any, bias: Any, task: Any, t: Any) -> None:
    """The convolution at position t, into total."""
    for d in range(WIDTH):
        total[d] = bias[d]
    for k in range(max(0, task.width - 1 - t), task.width):
        _load(x, task.x, (t - task.width + 1 + k) * task.x_step, task.channels)
        for d in range(WIDTH):
            total[d] += taps[k * WIDTH + d] * x[d]


@kernel
def conv_forward(task: Any, y: Any, y_step: Any) -> None:
    """Writes y (L, n)."""
    widest_vectors()
    taps, x, bias, total = local_floats(_FILTER), local_floats(WIDTH), local_floats(WIDTH), local_floats(WIDTH)
    _load_taps(taps, task)
    _load(bias, task.bias, 0, task.channels)
    for t in range(task.positions):
        _expect(task.x, (t + _AHEAD) * task.x_step)
        _expect(y, (t + _AHEAD) * y_step)
        _convolve(total, x, taps, bias, task, t)
        for d in range(WIDTH):
            total[d] = total[d] * sigmoid(total[d])
        _store(y, t * y_step, total, task.channels)


@kernel
def conv_backward(task: Any, dy: Any, dy_step: Any, dx: Any, dx_step: Any, dweight: Any, dbias: Any) -> None:
    """Writes dx (L, n) and this task's share of dweight (laid out as weight) and dbias; the caller adds the rows'."""
    widest_vectors()
    n, width = task.channels, task.width
    taps, dtaps = local_floats(_FILTER), local_floats(_FILTER)
    x, bias, total = local_floats(WIDTH), local_floats(WIDTH), local_floats(WIDTH)
    grad, earlier, bias_sum = local_floats(WIDTH), local_floats(WIDTH), local_floats(WIDTH)
    _load_taps(taps, task)
    _load(bias, task.bias, 0, n)
    for t in range(task.positions):
        _expect(task.x, (t + _AHEAD) * task.x_step)
        _expect(dy, (t + _AHEAD) * dy_step)
        _expect(dx, (t + _AHEAD) * dx_step)
        _convolve(total, x, taps, bias, task, t)
        _load(grad, dy, t * dy_step, n)
        for d in range(WIDTH):
            share = sigmoid(total[d])
            grad[d] = grad[d] * share * (_ONE + total[d] * (_ONE - share))
            bias_sum[d] += grad[d]
            earlier[d] = _ZERO
        _store(dx, t * dx_step, earlier, n)
        for k in range(max(0, width - 1 - t), width):
            at = t - width + 1 + k
            _load(x, task.x, at * task.x_step, n)
            _load(earlier, dx, at * dx_step, n)
            for d in range(WIDTH):
                dtaps[k * WIDTH + d] += grad[d] * x[d]
                earlier[d] += grad[d] * taps[k * WIDTH + d]
            _store(dx, at * dx_step, earlier, n)
    _store(dbias, 0, bias_sum, n)
    for k in range(width):
        _copy(floats_at(dweight), k * task.weight_step, dtaps, k * WIDTH, n)
