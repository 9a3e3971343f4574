"""CPU kernels of the selective scan and the causal convolution. float32, addresses and strides in, nothing allocated.

L positions, D channels, N states, K filter width. One call does one task: WIDTH channels of one batch row over all its
positions. Per position and state, an inner loop over those channels is what LLVM turns into vector instructions; the
running state (N, WIDTH) stays in the first-level cache. A stride is the distance in numbers from one position to the
next; the channels or states of a position lie side by side.

For the gradients, the forward scan keeps the state at every SPAN positions, and the backward scan recomputes
the SPAN states in between: D N L / SPAN numbers in memory instead of D N L.
"""

from typing import Any

import numpy as np

from orthrus.nn.scan.numba_math import add_to_sum, exp2, floats_at, kernel, local_floats, sigmoid, softplus

WIDTH = 64
SPAN = 32
MAX_STATES, MAX_FILTER = 64, 16
_STATES, _SPAN, _FILTER = MAX_STATES * WIDTH, SPAN * WIDTH, MAX_FILTER * WIDTH
_LOG2E, _LN2 = np.float32(1.4426950408889634), np.float32(0.6931471805599453)
_ZERO, _ONE = np.float32(0), np.float32(1)


@kernel
def scan_forward(
    n: Any,
    positions: Any,
    states: Any,
    u_at: Any,
    u_step: Any,
    delta_at: Any,
    delta_step: Any,
    A_at: Any,
    B_at: Any,
    B_step: Any,
    C_at: Any,
    C_step: Any,
    D_at: Any,
    bias_at: Any,
    z_at: Any,
    z_step: Any,
    y_at: Any,
    y_step: Any,
    kept_at: Any,
) -> None:
    """n channels, at most WIDTH; z_at = 0 without a gate, kept_at = 0 where no gradient will be wanted."""
    u, raw, A, B, C, skip, bias = (
        floats_at(u_at),
        floats_at(delta_at),
        floats_at(A_at),
        floats_at(B_at),
        floats_at(C_at),
        floats_at(D_at),
        floats_at(bias_at),
    )
    z, y, kept = floats_at(z_at), floats_at(y_at), floats_at(kept_at)
    h, rate = local_floats(_STATES), local_floats(_STATES)
    delta, inflow, readout = local_floats(WIDTH), local_floats(WIDTH), local_floats(WIDTH)
    for d in range(WIDTH):
        delta[d] = inflow[d] = readout[d] = _ZERO
    for s in range(states):
        for d in range(WIDTH):
            h[s * WIDTH + d] = rate[s * WIDTH + d] = _ZERO
        for d in range(n):
            rate[s * WIDTH + d] = A[d * states + s] * _LOG2E
    for t in range(positions):
        if kept_at != 0 and t % SPAN == 0:
            for i in range(states * WIDTH):
                kept[(t // SPAN) * states * WIDTH + i] = h[i]
        for d in range(n):
            delta[d] = softplus(raw[t * delta_step + d] + bias[d])
            inflow[d] = delta[d] * u[t * u_step + d]
            readout[d] = skip[d] * u[t * u_step + d]
        for s in range(states):
            b, c = B[t * B_step + s], C[t * C_step + s]
            for d in range(WIDTH):
                i = s * WIDTH + d
                h[i] = exp2(delta[d] * rate[i]) * h[i] + inflow[d] * b
                readout[d] += h[i] * c
        if z_at == 0:
            for d in range(n):
                y[t * y_step + d] = readout[d]
        else:
            for d in range(n):
                gate = z[t * z_step + d]
                y[t * y_step + d] = readout[d] * gate * sigmoid(gate)


@kernel
def scan_backward(
    n: Any,
    positions: Any,
    states: Any,
    u_at: Any,
    u_step: Any,
    delta_at: Any,
    delta_step: Any,
    A_at: Any,
    B_at: Any,
    B_step: Any,
    C_at: Any,
    C_step: Any,
    D_at: Any,
    bias_at: Any,
    z_at: Any,
    z_step: Any,
    dy_at: Any,
    dy_step: Any,
    kept_at: Any,
    work_at: Any,
    du_at: Any,
    ddelta_at: Any,
    dz_at: Any,
    out_step: Any,
    dA_at: Any,
    dD_at: Any,
    dbias_at: Any,
    dB_at: Any,
    dC_at: Any,
) -> None:
    """Gradients of ``scan_forward``: du, ddelta, dz (out_step apart), and this task's share of dA, dD, dbias, dB, dC.

    ``work_at``: room for (SPAN + 1) x N x 2 x WIDTH numbers. du, ddelta, dz, dB and dC are written, dA, dD and dbias
    too; the caller adds the shares of rows (dA, dD, dbias) or of channel blocks (dB, dC).
    """
    u, raw, A, B, C, skip, bias = (
        floats_at(u_at),
        floats_at(delta_at),
        floats_at(A_at),
        floats_at(B_at),
        floats_at(C_at),
        floats_at(D_at),
        floats_at(bias_at),
    )
    z, dy, kept, work = floats_at(z_at), floats_at(dy_at), floats_at(kept_at), floats_at(work_at)
    du, ddelta, dz, dA, dD, dbias = (
        floats_at(du_at),
        floats_at(ddelta_at),
        floats_at(dz_at),
        floats_at(dA_at),
        floats_at(dD_at),
        floats_at(dbias_at),
    )
    dB, dC = floats_at(dB_at), floats_at(dC_at)
    dh, rate, drate = local_floats(_STATES), local_floats(_STATES), local_floats(_STATES)
    delta, inflow, dreadout, readout = (
        local_floats(_SPAN),
        local_floats(_SPAN),
        local_floats(WIDTH),
        local_floats(WIDTH),
    )
    dinflow, dexponent, dskip, dbias_sum = (
        local_floats(WIDTH),
        local_floats(WIDTH),
        local_floats(WIDTH),
        local_floats(WIDTH),
    )
    block = states * 2 * WIDTH  # of one position in work: per state the state itself, then its decay into the next
    for d in range(WIDTH):
        dreadout[d] = readout[d] = dskip[d] = dbias_sum[d] = _ZERO
    for i in range(SPAN * WIDTH):
        delta[i] = inflow[i] = _ZERO
    for s in range(states):
        for d in range(WIDTH):
            dh[s * WIDTH + d] = rate[s * WIDTH + d] = drate[s * WIDTH + d] = _ZERO
        for d in range(n):
            rate[s * WIDTH + d] = A[d * states + s] * _LOG2E

    for span in range((positions - 1) // SPAN, -1, -1):
        first = span * SPAN
        last = min(first + SPAN, positions)
        for s in range(states):
            for d in range(WIDTH):
                work[s * 2 * WIDTH + d] = kept[(span * states + s) * WIDTH + d]
        for t in range(first, last):
            k = t - first
            for d in range(n):
                delta[k * WIDTH + d] = softplus(raw[t * delta_step + d] + bias[d])
                inflow[k * WIDTH + d] = delta[k * WIDTH + d] * u[t * u_step + d]
            for s in range(states):
                b = B[t * B_step + s]
                here = k * block + s * 2 * WIDTH
                for d in range(WIDTH):
                    decay = exp2(delta[k * WIDTH + d] * rate[s * WIDTH + d])
                    work[here + WIDTH + d] = decay
                    work[here + block + d] = decay * work[here + d] + inflow[k * WIDTH + d] * b
        for t in range(last - 1, first - 1, -1):
            k = t - first
            for d in range(n):
                dreadout[d] = dy[t * dy_step + d]
            if z_at != 0:
                for d in range(n):
                    readout[d] = skip[d] * u[t * u_step + d]
                for s in range(states):
                    c = C[t * C_step + s]
                    for d in range(WIDTH):
                        readout[d] += work[(k + 1) * block + s * 2 * WIDTH + d] * c
                for d in range(n):
                    gate = z[t * z_step + d]
                    share = sigmoid(gate)
                    dz[t * out_step + d] = dreadout[d] * readout[d] * share * (_ONE + gate * (_ONE - share))
                    dreadout[d] = dreadout[d] * gate * share
            for d in range(WIDTH):
                dinflow[d] = dexponent[d] = _ZERO
            for s in range(states):
                b, c = B[t * B_step + s], C[t * C_step + s]
                here = k * block + s * 2 * WIDTH
                db = dc = _ZERO
                for d in range(WIDTH):
                    i = s * WIDTH + d
                    dstate = dh[i] + c * dreadout[d]
                    dc = add_to_sum(dc, dreadout[d] * work[here + block + d])
                    db = add_to_sum(db, dstate * inflow[k * WIDTH + d])
                    dinflow[d] += dstate * b
                    back = dstate * work[here + WIDTH + d]
                    grown = back * work[here + d]
                    dexponent[d] += grown * rate[i]
                    drate[i] += grown * delta[k * WIDTH + d]
                    dh[i] = back
                dB[t * states + s] = db
                dC[t * states + s] = dc
            for d in range(n):
                u_td, x = u[t * u_step + d], raw[t * delta_step + d] + bias[d]
                dskip[d] += dreadout[d] * u_td
                du[t * out_step + d] = dinflow[d] * delta[k * WIDTH + d] + skip[d] * dreadout[d]
                dx = (dexponent[d] * _LN2 + dinflow[d] * u_td) * sigmoid(x)
                ddelta[t * out_step + d] = dx
                dbias_sum[d] += dx
    for d in range(n):
        dD[d] = dskip[d]
        dbias[d] = dbias_sum[d]
        for s in range(states):
            dA[d * states + s] = drate[s * WIDTH + d]


@kernel
def conv_forward(
    n: Any,
    positions: Any,
    width: Any,
    x_at: Any,
    x_step: Any,
    weight_at: Any,
    weight_step: Any,
    bias_at: Any,
    y_at: Any,
    y_step: Any,
) -> None:
    x, weight, bias, y = floats_at(x_at), floats_at(weight_at), floats_at(bias_at), floats_at(y_at)
    total = local_floats(WIDTH)
    for t in range(positions):
        for d in range(n):
            total[d] = bias[d]
        for k in range(max(0, width - 1 - t), width):
            for d in range(n):
                total[d] += weight[k * weight_step + d] * x[(t - width + 1 + k) * x_step + d]
        for d in range(n):
            y[t * y_step + d] = total[d] * sigmoid(total[d])


@kernel
def conv_backward(
    n: Any,
    positions: Any,
    width: Any,
    x_at: Any,
    x_step: Any,
    weight_at: Any,
    weight_step: Any,
    bias_at: Any,
    dy_at: Any,
    dy_step: Any,
    dx_at: Any,
    dx_step: Any,
    dweight_at: Any,
    dbias_at: Any,
) -> None:
    """Gradients of ``conv_forward``; dx is written, and this task's share of dweight (as weight) and dbias."""
    x, weight, bias, dy = floats_at(x_at), floats_at(weight_at), floats_at(bias_at), floats_at(dy_at)
    dx, dweight, dbias = floats_at(dx_at), floats_at(dweight_at), floats_at(dbias_at)
    total, dbias_sum = local_floats(WIDTH), local_floats(WIDTH)
    dweight_sum = local_floats(_FILTER)
    for d in range(n):
        dbias_sum[d] = _ZERO
    for i in range(width * WIDTH):
        dweight_sum[i] = _ZERO
    for t in range(positions):
        for d in range(n):
            total[d] = bias[d]
            dx[t * dx_step + d] = _ZERO
        first = max(0, width - 1 - t)
        for k in range(first, width):
            for d in range(n):
                total[d] += weight[k * weight_step + d] * x[(t - width + 1 + k) * x_step + d]
        for d in range(n):
            share = sigmoid(total[d])
            total[d] = dy[t * dy_step + d] * share * (_ONE + total[d] * (_ONE - share))
            dbias_sum[d] += total[d]
        for k in range(first, width):
            for d in range(n):
                source = t - width + 1 + k
                dweight_sum[k * WIDTH + d] += total[d] * x[source * x_step + d]
            for d in range(n):
                dx[(t - width + 1 + k) * dx_step + d] += weight[k * weight_step + d] * total[d]
    for d in range(n):
        dbias[d] = dbias_sum[d]
    for k in range(width):
        for d in range(n):
            dweight[k * weight_step + d] = dweight_sum[k * WIDTH + d]
