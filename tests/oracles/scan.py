"""The selective scan and the causal convolution, literally: one number at a time, as their equations read."""

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def selective_scan(
    u: Array, delta: Array, A: Array, B: Array, C: Array, D: Array, bias: Array, z: Array | None
) -> Array:
    rows, positions, channels = u.shape
    y = np.zeros(u.shape)
    for b in range(rows):
        for d in range(channels):
            h = [0.0] * A.shape[1]
            for t in range(positions):
                step = math.log1p(math.exp(delta[b, t, d] + bias[d]))
                h = [math.exp(step * A[d, n]) * h[n] + step * B[b, t, n] * u[b, t, d] for n in range(A.shape[1])]
                y[b, t, d] = sum(C[b, t, n] * h[n] for n in range(A.shape[1])) + D[d] * u[b, t, d]
                if z is not None:
                    y[b, t, d] *= z[b, t, d] / (1 + math.exp(-z[b, t, d]))
    return y


def causal_conv(x: Array, weight: Array, bias: Array) -> Array:
    rows, positions, channels = x.shape
    width = weight.shape[1]
    y = np.zeros(x.shape)
    for b in range(rows):
        for d in range(channels):
            for t in range(positions):
                total = bias[d] + sum(
                    weight[d, k] * x[b, t - width + 1 + k, d] for k in range(width) if t - width + 1 + k >= 0
                )
                y[b, t, d] = total / (1 + math.exp(-total))
    return y
