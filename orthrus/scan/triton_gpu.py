"""GPU backend in Triton, which ships with PyTorch: no compiler, no build. Forward and backward.

B batch rows, L positions (nt), D channels, N states; in kernels T positions of a chunk, K channels of a block.

A program holds one row's K channels with all their states and walks over L in chunks of T positions; inside a chunk
the recurrence is an associative scan over (decay, inflow), so that a chunk's positions are worked on together. The
state is float32 whatever the inputs are. Forward keeps the state before every chunk (B D N L / T numbers) and backward
recomputes the rest. A row that is read backwards is walked from its own last position to its first: ``at`` is where
position ``t`` of the walk lies in memory. dB and dC are sums over channel blocks, added atomically: their last bits
vary from run to run.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator, no-untyped-call"
# Kernels are in Triton's language, whose values have types of their own; torch.cuda.device_of is untyped.

from collections.abc import Callable
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from orthrus.scan.triton_conv import conv, new, rows_of

__all__ = ["conv", "scan"]

CHUNK, CHANNELS = 16, 8  # as much as fits the registers of sm_80 and sm_90, backward, without spilling


@triton.jit
def _then(decay0, inflow0, carried0, decay1, inflow1, carried1):
    """Steps 0, then steps 1: total decay, state from rest, and the part of it that the last step carried over."""
    return decay0 * decay1, inflow0 * decay1 + inflow1, inflow0 * decay1 + carried1


@triton.jit
def _then_back(decay0, inflow0, decay1, inflow1):
    return decay0 * decay1, inflow0 * decay1 + inflow1


@triton.jit
def _softplus(x):
    small = tl.exp(-tl.abs(x))
    # log1p: its series where 1 + small would lose the digits of small
    log1p = tl.where(small < 1e-4, small - 0.5 * small * small, tl.log(1 + small))
    return tl.maximum(x, 0) + log1p


@triton.jit
def _scan_forward(
    u_ptr, delta_ptr, A_ptr, B_ptr, C_ptr, D_ptr, bias_ptr, z_ptr, lengths_ptr, y_ptr, kept_ptr,
    u_row, u_step, delta_row, delta_step, B_row, B_step, C_row, C_step, z_row, z_step,
    positions, channels, states,
    T: tl.constexpr, K: tl.constexpr, N: tl.constexpr, GATED: tl.constexpr, KEEP: tl.constexpr, REVERSED: tl.constexpr,
):  # fmt: skip
    row, block = tl.program_id(0).to(tl.int64), tl.program_id(1)
    d, n, steps = block * K + tl.arange(0, K), tl.arange(0, N), tl.arange(0, T)
    own_d, own_n = d < channels, n < states
    A = tl.load(A_ptr + d[:, None] * states + n[None, :], mask=own_d[:, None] & own_n[None, :], other=0.0)
    skip = tl.load(D_ptr + d, mask=own_d, other=0.0)
    bias = tl.load(bias_ptr + d, mask=own_d, other=0.0)
    h = tl.zeros((K, N), dtype=tl.float32)
    length = tl.load(lengths_ptr + row) if REVERSED else positions
    chunks = tl.cdiv(positions, T)
    for chunk in range(tl.cdiv(length, T)):
        if KEEP:
            kept_at = ((row * chunks + chunk) * channels + d[:, None]) * states + n[None, :]
            tl.store(kept_ptr + kept_at, h, mask=own_d[:, None] & own_n[None, :])
        t = chunk * T + steps
        at = length - 1 - t if REVERSED else t
        own_t = t < length
        own_td, own_tn = own_t[:, None] & own_d[None, :], own_t[:, None] & own_n[None, :]
        u = tl.load(u_ptr + row * u_row + at[:, None] * u_step + d[None, :], mask=own_td, other=0.0).to(tl.float32)
        raw = tl.load(delta_ptr + row * delta_row + at[:, None] * delta_step + d[None, :], mask=own_td, other=0.0)
        delta = tl.where(own_td, _softplus(raw.to(tl.float32) + bias[None, :]), 0.0)
        b = tl.load(B_ptr + row * B_row + at[:, None] * B_step + n[None, :], mask=own_tn, other=0.0).to(tl.float32)
        c = tl.load(C_ptr + row * C_row + at[:, None] * C_step + n[None, :], mask=own_tn, other=0.0).to(tl.float32)
        decay = tl.exp(delta[:, :, None] * A[None, :, :])
        inflow = (delta * u)[:, :, None] * b[:, None, :]
        through, from_rest = tl.associative_scan((decay, inflow), 0, _then_back)
        state = through * h[None, :, :] + from_rest
        y = tl.sum(state * c[:, None, :], axis=2) + skip[None, :] * u
        if GATED:
            z = tl.load(z_ptr + row * z_row + at[:, None] * z_step + d[None, :], mask=own_td, other=0.0).to(tl.float32)
            y = y * z * tl.sigmoid(z)
        tl.store(
            y_ptr + (row * positions + at[:, None]) * channels + d[None, :], y.to(y_ptr.dtype.element_ty), mask=own_td
        )
        h = tl.sum(tl.where((steps == T - 1)[:, None, None], state, 0.0), axis=0)


@triton.jit
def _scan_backward(
    u_ptr, delta_ptr, A_ptr, B_ptr, C_ptr, D_ptr, bias_ptr, z_ptr, lengths_ptr, dy_ptr, kept_ptr,
    du_ptr, ddelta_ptr, dA_ptr, dB_ptr, dC_ptr, dD_ptr, dbias_ptr, dz_ptr,
    u_row, u_step, delta_row, delta_step, B_row, B_step, C_row, C_step, z_row, z_step, dy_row, dy_step,
    positions, channels, states,
    T: tl.constexpr, K: tl.constexpr, N: tl.constexpr, GATED: tl.constexpr, REVERSED: tl.constexpr,
):  # fmt: skip
    row, block = tl.program_id(0).to(tl.int64), tl.program_id(1)
    d, n, steps = block * K + tl.arange(0, K), tl.arange(0, N), tl.arange(0, T)
    own_d, own_n = d < channels, n < states
    own_dn = own_d[:, None] & own_n[None, :]
    A = tl.load(A_ptr + d[:, None] * states + n[None, :], mask=own_dn, other=0.0)
    skip = tl.load(D_ptr + d, mask=own_d, other=0.0)
    bias = tl.load(bias_ptr + d, mask=own_d, other=0.0)
    dA = tl.zeros((K, N), dtype=tl.float32)
    dskip = tl.zeros((K,), dtype=tl.float32)
    dbias = tl.zeros((K,), dtype=tl.float32)
    later = tl.zeros((K, N), dtype=tl.float32)  # gradient of the state at the first position of the next chunk
    length = tl.load(lengths_ptr + row) if REVERSED else positions
    chunks, own_chunks = tl.cdiv(positions, T), tl.cdiv(length, T)
    for back in range(own_chunks):
        chunk = own_chunks - 1 - back
        t = chunk * T + steps
        at = length - 1 - t if REVERSED else t
        next_at = at - 1 if REVERSED else at + 1
        own_t, next_t = t < length, t + 1 < length
        own_td, own_tn = own_t[:, None] & own_d[None, :], own_t[:, None] & own_n[None, :]
        next_td = next_t[:, None] & own_d[None, :]
        u = tl.load(u_ptr + row * u_row + at[:, None] * u_step + d[None, :], mask=own_td, other=0.0).to(tl.float32)
        delta_at = delta_ptr + row * delta_row + d[None, :]
        x = tl.load(delta_at + at[:, None] * delta_step, mask=own_td, other=0.0).to(tl.float32) + bias[None, :]
        next_x = tl.load(delta_at + next_at[:, None] * delta_step, mask=next_td, other=0.0)
        next_x = next_x.to(tl.float32) + bias[None, :]
        delta = tl.where(own_td, _softplus(x), 0.0)
        next_delta = tl.where(next_td, _softplus(next_x), 0.0)
        b = tl.load(B_ptr + row * B_row + at[:, None] * B_step + n[None, :], mask=own_tn, other=0.0).to(tl.float32)
        c = tl.load(C_ptr + row * C_row + at[:, None] * C_step + n[None, :], mask=own_tn, other=0.0).to(tl.float32)
        dy = tl.load(dy_ptr + row * dy_row + at[:, None] * dy_step + d[None, :], mask=own_td, other=0.0).to(tl.float32)
        h = tl.load(
            kept_ptr + ((row * chunks + chunk) * channels + d[:, None]) * states + n[None, :], mask=own_dn, other=0.0
        )
        decay = tl.exp(delta[:, :, None] * A[None, :, :])
        inflow = (delta * u)[:, :, None] * b[:, None, :]
        nothing = tl.zeros((T, K, N), dtype=tl.float32)
        through, from_rest, carried_from_rest = tl.associative_scan((decay, inflow, nothing), 0, _then)
        carried = through * h[None, :, :] + carried_from_rest  # decay times the state before: never a difference
        state = through * h[None, :, :] + from_rest
        out_at = (row * positions + at[:, None]) * channels + d[None, :]
        if GATED:
            z = tl.load(z_ptr + row * z_row + at[:, None] * z_step + d[None, :], mask=own_td, other=0.0).to(tl.float32)
            share = tl.sigmoid(z)
            readout = tl.sum(state * c[:, None, :], axis=2) + skip[None, :] * u
            dz = dy * readout * share * (1 + z * (1 - share))
            tl.store(dz_ptr + out_at, dz.to(dz_ptr.dtype.element_ty), mask=own_td)
            dy = dy * z * share
        # Backward the decay of a step acts on the step before it.
        next_decay = tl.exp(next_delta[:, :, None] * A[None, :, :])
        dreadout = dy[:, :, None] * c[:, None, :]
        back_through, back_from_rest = tl.associative_scan((next_decay, dreadout), 0, _then_back, reverse=True)
        dstate = back_through * later[None, :, :] + back_from_rest
        later = tl.sum(tl.where((steps == 0)[:, None, None], dstate, 0.0), axis=0)
        dinflow = tl.sum(dstate * b[:, None, :], axis=2)
        dexponent = dstate * carried
        dx = (tl.sum(dexponent * A[None, :, :], axis=2) + dinflow * u) * tl.sigmoid(x)
        dx = tl.where(own_td, dx, 0.0)
        du = dinflow * delta + skip[None, :] * dy
        tl.store(du_ptr + out_at, du.to(du_ptr.dtype.element_ty), mask=own_td)
        tl.store(ddelta_ptr + out_at, dx.to(ddelta_ptr.dtype.element_ty), mask=own_td)
        dB = tl.sum(dstate * (delta * u)[:, :, None], axis=1)
        dC = tl.sum(state * dy[:, :, None], axis=1)
        state_at = (row * positions + at[:, None]) * states + n[None, :]
        tl.atomic_add(dB_ptr + state_at, dB, mask=own_tn)
        tl.atomic_add(dC_ptr + state_at, dC, mask=own_tn)
        dA += tl.sum(dexponent * delta[:, :, None], axis=0)
        dskip += tl.sum(dy * u, axis=0)
        dbias += tl.sum(dx, axis=0)
    tl.store(dA_ptr + (row * channels + d[:, None]) * states + n[None, :], dA, mask=own_dn)
    tl.store(dD_ptr + row * channels + d, dskip, mask=own_d)
    tl.store(dbias_ptr + row * channels + d, dbias, mask=own_d)


def scan(
    u_BLD: Tensor,
    delta_BLD: Tensor,
    A_DN: Tensor,
    B_BLN: Tensor,
    C_BLN: Tensor,
    D_D: Tensor,
    delta_bias_D: Tensor,
    z_BLD: Tensor | None,
    reversed_B: Tensor | None = None,
) -> Tensor:
    wide = [rows_of(x) for x in (u_BLD, delta_BLD, B_BLN, C_BLN)]
    A, D, bias = (x.float().contiguous() for x in (A_DN, D_D, delta_bias_D))
    inputs = (*wide, A, D, bias, None if z_BLD is None else rows_of(z_BLD))
    keep = torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in inputs)
    lengths = None if reversed_B is None else reversed_B.to(u_BLD.device)
    with torch.cuda.device_of(u_BLD):  # Triton launches on the current device
        return _scan(keep, lengths, *inputs)


def _grid(u: Tensor) -> tuple[int, int]:
    return u.shape[0], triton.cdiv(u.shape[2], CHANNELS)


def _steps(*tensors: Tensor | None) -> list[int]:
    """Row and position strides of each tensor."""
    return [step for x in tensors for step in ((0, 0) if x is None else x.stride()[:2])]


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, keep: bool, lengths: Tensor | None, *inputs: Any) -> Tensor:
        u, delta, B, C, A, D, bias, z = inputs
        (rows, positions, channels), states = u.shape, A.shape[1]
        y = new(u, reversed=lengths is not None)
        kept = torch.empty(rows if keep else 0, triton.cdiv(positions, CHUNK), channels, states, device=u.device)
        _scan_forward[_grid(u)](
            u, delta, A, B, C, D, bias, z, lengths, y, kept, *_steps(u, delta, B, C, z), positions, channels, states,
            T=CHUNK, K=CHANNELS, N=triton.next_power_of_2(states), GATED=z is not None, KEEP=keep,
            REVERSED=lengths is not None,
        )  # fmt: skip
        ctx.save_for_backward(*inputs, kept, lengths)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        u, delta, B, C, A, D, bias, z, kept, lengths = ctx.saved_tensors
        dy = rows_of(dy)
        (rows, positions, channels), states = u.shape, A.shape[1]
        du, ddelta, dz = (None if x is None else new(x, reversed=lengths is not None) for x in (u, delta, z))
        dB, dC = (torch.zeros(rows, positions, states, device=u.device) for _ in range(2))
        dA = torch.empty(rows, channels, states, device=u.device)
        dD, dbias = (torch.empty(rows, channels, device=u.device) for _ in range(2))
        with torch.cuda.device_of(u):
            _scan_backward[_grid(u)](
                u, delta, A, B, C, D, bias, z, lengths, dy, kept, du, ddelta, dA, dB, dC, dD, dbias, dz,
                *_steps(u, delta, B, C, z, dy), positions, channels, states,
                T=CHUNK, K=CHANNELS, N=triton.next_power_of_2(states), GATED=z is not None,
                REVERSED=lengths is not None,
            )  # fmt: skip
        return None, None, du, ddelta, dB.to(B.dtype), dC.to(C.dtype), dA.sum(0), dD.sum(0), dbias.sum(0), dz


_scan: Callable[..., Tensor] = _Scan.apply
