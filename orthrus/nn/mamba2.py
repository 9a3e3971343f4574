"""The Mamba-2 mixer: state space duality (SSD) as chunked matrix products, causal or bidirectional.

B batch rows, L positions (nt), M model width, D inner channels (expand x M), H heads of P channels (D = H P),
N states, K chunks of Q positions.

With one decay a head, instead of one a channel and state, the scan becomes products within chunks (Q x Q, like
attention) and a short recurrence between them. It is fast where matrix products are fast and needs no kernel of its
own. Memory is linear in L: B H L Q numbers for the products within chunks.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from orthrus.errors import InputError
from orthrus.scan import causal_conv
from orthrus.scan.reverse import reverse_rows

CHUNK = 64


def ssd(x_BLHP: Tensor, delta_BLH: Tensor, A_H: Tensor, B_BLN: Tensor, C_BLN: Tensor, chunk: int = CHUNK) -> Tensor:
    """y (B, L, H, P), float32 at least: ``S_t = exp(delta_t A) S_(t-1) + delta_t x_t B_t``, ``y_t = S_t C_t``, S_0 = 0.

    Dao & Gu 2024, arXiv 2405.21060, section 6: S is a (P, N) matrix a head, B and C are shared by the heads.
    """
    positions = x_BLHP.shape[1]
    padding = -positions % chunk  # rows with delta = 0 do not change the state

    def chunked(v: Tensor) -> Tensor:
        padded = F.pad(v, (0, 0) * (v.ndim - 2) + (0, padding))
        return padded.reshape(len(v), -1, chunk, *v.shape[2:])

    precision = torch.promote_types(x_BLHP.dtype, torch.float32)
    x_BKQHP, delta_BKQH, B_BKQN, C_BKQN = (chunked(v.to(precision)) for v in (x_BLHP, delta_BLH, B_BLN, C_BLN))
    x_BKQHP = x_BKQHP * delta_BKQH[..., None]
    log_decay_BKHQ = (delta_BKQH * A_H).transpose(2, 3).cumsum(-1)  # from the chunk's start through each position

    # Within chunks: the contribution of position s to y at t >= s.
    log_between_BKHQQ = log_decay_BKHQ[..., :, None] - log_decay_BKHQ[..., None, :]
    future_QQ = torch.ones(chunk, chunk, dtype=torch.bool, device=x_BLHP.device).triu(1)
    decay_BKHQQ = log_between_BKHQQ.masked_fill(future_QQ, -torch.inf).exp()
    score_BKQQ = C_BKQN @ B_BKQN.transpose(-1, -2)
    x_BKHQP = x_BKQHP.transpose(2, 3)
    y_BKHQP = (score_BKQQ[:, :, None] * decay_BKHQQ) @ x_BKHQP

    # Between chunks: the end state of each chunk by itself, then the initial state of every chunk.
    to_end_BKHQ = (log_decay_BKHQ[..., -1:] - log_decay_BKHQ).exp()
    own_BKHPN = (x_BKHQP * to_end_BKHQ[..., None]).transpose(-1, -2) @ B_BKQN[:, :, None]
    through_BKH = log_decay_BKHQ[..., -1].exp()
    state_BHPN = torch.zeros_like(own_BKHPN[:, 0])
    starts = []
    for own_BHPN, through_BH in zip(own_BKHPN.unbind(1), through_BKH.unbind(1), strict=True):
        starts.append(state_BHPN)
        state_BHPN = through_BH[..., None, None] * state_BHPN + own_BHPN
    start_BKHPN = torch.stack(starts, dim=1)
    carried_BKHQP = C_BKQN[:, :, None] @ start_BKHPN.transpose(-1, -2)
    y_BKHQP = y_BKHQP + carried_BKHQP * log_decay_BKHQ.exp()[..., None]
    return y_BKHQP.transpose(2, 3).flatten(1, 2)[:, :positions]


class SSD(nn.Module):
    """One direction of a mixer: causal convolution of x, B and C, and the state space recurrence."""

    def __init__(self, d_inner: int, d_state: int, d_head: int, d_conv: int) -> None:
        super().__init__()
        n_heads = d_inner // d_head
        self.d_inner, self.d_state = d_inner, d_state
        width = d_inner + 2 * d_state
        self.conv1d = nn.Conv1d(width, width, d_conv, groups=width, padding=d_conv - 1)
        # Published initialisation: A uniform in 1 to 16, delta log-uniform between 0.001 and 0.1 at the start.
        self.A_log = nn.Parameter(torch.empty(n_heads).uniform_(1, 16).log())
        self.D = nn.Parameter(torch.ones(n_heads))
        delta = torch.exp(torch.empty(n_heads).uniform_(math.log(1e-3), math.log(1e-1)))
        self.dt_bias = nn.Parameter(delta + torch.log(-torch.expm1(-delta)))

    def scan(self, xBC_BLE: Tensor, dt_BLH: Tensor) -> Tensor:
        """The direction's output (B, L, D)."""
        conv_bias_E = self.conv1d.bias
        assert conv_bias_E is not None
        xBC_BLE = causal_conv(xBC_BLE, self.conv1d.weight.squeeze(1), conv_bias_E)
        x_BLD, B_BLN, C_BLN = torch.split(xBC_BLE, [self.d_inner, self.d_state, self.d_state], dim=-1)
        x_BLHP = x_BLD.reshape(*x_BLD.shape[:2], len(self.D), -1)
        delta_BLH = F.softplus(dt_BLH.float() + self.dt_bias)
        y_BLHP: Tensor = ssd(x_BLHP, delta_BLH, -self.A_log.float().exp(), B_BLN, C_BLN) + self.D[:, None] * x_BLHP
        return y_BLHP.flatten(-2).to(xBC_BLE.dtype)


class Mamba2(SSD):
    """Mamba-2 (Dao & Gu 2024, arXiv 2405.21060), bidirectional like :class:`~orthrus.nn.mamba.Mamba`.

    A bidirectional mixer shares in_proj (with it the gate, B, C and delta before the convolution) and out_proj;
    ``reverse`` holds the other direction's own convolution, A, D and bias of delta. The gated norm is an RMSNorm.

    ``forward(hidden_BLM, lengths_B)`` -> (B, L, M). Raises InputError if the heads do not divide the inner channels.
    """

    def __init__(
        self,
        d_model: int,
        bidirectional: bool = False,
        d_state: int = 64,
        d_conv: int = 4,
        expand: int = 2,
        d_head: int = 64,
    ) -> None:
        d_inner = expand * d_model
        if d_inner % d_head:
            raise InputError(f"heads of {d_head} channels do not divide the {d_inner} inner channels: change d_head")
        super().__init__(d_inner, d_state, d_head, d_conv)
        self.config = {"d_state": d_state, "d_conv": d_conv, "expand": expand, "d_head": d_head}
        self.sizes = [d_inner, d_inner + 2 * d_state, d_inner // d_head]
        self.in_proj = nn.Linear(d_model, sum(self.sizes), bias=False)
        self.norm = nn.RMSNorm(d_inner, eps=1e-5)
        self.out_proj = nn.Linear(d_inner, d_model, bias=False)
        self.reverse = SSD(d_inner, d_state, d_head, d_conv) if bidirectional else None

    def forward(self, hidden_BLM: Tensor, lengths_B: Tensor) -> Tensor:
        z_BLD, xBC_BLE, dt_BLH = torch.split(self.in_proj(hidden_BLM), self.sizes, dim=-1)
        y_BLD = self.scan(xBC_BLE, dt_BLH)
        if self.reverse is not None:
            mirrored_BLD = self.reverse.scan(reverse_rows(xBC_BLE, lengths_B), reverse_rows(dt_BLH, lengths_B))
            y_BLD = y_BLD + reverse_rows(mirrored_BLD, lengths_B)
        out_BLM: Tensor = self.out_proj(self.norm(y_BLD * F.silu(z_BLD)))
        return out_BLM
