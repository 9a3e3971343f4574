"""Supervised baselines, to be trained from scratch on the labels that a pretrained encoder is fine-tuned on.

Both turn tracks (B, C, L) into one vector a transcript (B, D) with ``represent``, like an encoder. Padding on the right
has no effect: every step sets the positions beyond a row's length to zero, as convolutions do beyond the ends.

B batch rows, C tracks, L positions (nt, fewer after pooling), D width.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from orthrus.nn.pooling import mean_pool
from orthrus.scan.reverse import reverse_rows


class Saluki(nn.Module):
    """A CNN-GRU after Saluki (Agarwal and Kelley, Genome Biology 23:245, 2022): 0.15 M parameters.

    A convolution, then ``n_blocks`` of norm, ReLU, convolution, dropout and max-pooling by 2, then a GRU from the 3'
    end to the 5' end, whose last state is the representation. As published: 6 tracks, 64 filters of width 5, 6 blocks,
    dropout 0.3. Differences: convolutions keep the length (zeros beyond the ends) where the published ones shorten it,
    and the dense head is the one of fine-tuning.
    """

    def __init__(
        self, n_tracks: int = 6, d_model: int = 64, n_blocks: int = 6, kernel_size: int = 5, dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.n_tracks, self.d_model = n_tracks, d_model
        self.stem = nn.Conv1d(n_tracks, d_model, kernel_size, padding="same", bias=False)
        self.norms = nn.ModuleList(nn.LayerNorm(d_model) for _ in range(n_blocks + 1))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(d_model, d_model, kernel_size, padding="same") for _ in range(n_blocks)
        )
        self.dropout = nn.Dropout(dropout)
        self.gru = nn.GRU(d_model, d_model, batch_first=True)

    def represent(self, tracks_BCL: Tensor, lengths_B: Tensor) -> Tensor:
        """One vector a transcript (B, D)."""
        hidden_BDL = self.stem(_own(tracks_BCL.to(self.stem.weight.dtype), lengths_B))
        for norm, convolution in zip(self.norms, self.convolutions, strict=False):
            hidden_BDL = convolution(_own(F.relu(_normed(norm, hidden_BDL)), lengths_B))
            hidden_BDL, lengths_B = _pooled(self.dropout(hidden_BDL), lengths_B)
        hidden_BLD = F.relu(_normed(self.norms[-1], hidden_BDL)).transpose(1, 2)
        states_BLD, _ = self.gru(reverse_rows(hidden_BLD, lengths_B))
        last_B = lengths_B.to(states_BLD.device) - 1
        state_BD: Tensor = states_BLD[torch.arange(len(last_B), device=states_BLD.device), last_B]
        return state_BD


class DilatedResNet(nn.Module):
    """Residual convolutions of doubling dilation, as in Basenji2 (Kelley, PLoS Comput Biol 16:e1008050, 2020).

    A convolution, then ``n_blocks`` of norm, ReLU, dilated convolution (1, 2, 4, ...), norm, ReLU, pointwise
    convolution, dropout, added to the block's input; the mean over the row's own positions is the representation. With
    8 blocks of width 3 a position sees 255 nt to either side, and the network has 0.14 M parameters.
    """

    def __init__(
        self, n_tracks: int = 6, d_model: int = 64, n_blocks: int = 8, kernel_size: int = 3, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.n_tracks, self.d_model = n_tracks, d_model
        self.stem = nn.Conv1d(n_tracks, d_model, 5, padding="same")
        self.blocks = nn.ModuleList(_DilatedBlock(d_model, kernel_size, 2**i, dropout) for i in range(n_blocks))
        self.norm = nn.LayerNorm(d_model)

    def represent(self, tracks_BCL: Tensor, lengths_B: Tensor) -> Tensor:
        """One vector a transcript (B, D)."""
        hidden_BDL = self.stem(_own(tracks_BCL.to(self.stem.weight.dtype), lengths_B))
        for block in self.blocks:
            hidden_BDL = block(hidden_BDL, lengths_B)
        return mean_pool(_normed(self.norm, hidden_BDL).transpose(1, 2), lengths_B)


class _DilatedBlock(nn.Module):
    def __init__(self, d_model: int, kernel_size: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(d_model), nn.LayerNorm(d_model)])
        self.dilated = nn.Conv1d(d_model, d_model, kernel_size, padding="same", dilation=dilation)
        self.pointwise = nn.Conv1d(d_model, d_model, 1)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden_BDL: Tensor, lengths_B: Tensor) -> Tensor:
        inner_BDL = self.dilated(_own(F.relu(_normed(self.norms[0], hidden_BDL)), lengths_B))
        inner_BDL = self.pointwise(F.relu(_normed(self.norms[1], inner_BDL)))
        out_BDL: Tensor = hidden_BDL + self.dropout(inner_BDL)
        return out_BDL


def _normed(norm: nn.Module, hidden_BDL: Tensor) -> Tensor:
    normed_BDL: Tensor = norm(hidden_BDL.transpose(1, 2)).transpose(1, 2)
    return normed_BDL


def _own(x_BCL: Tensor, lengths_B: Tensor) -> Tensor:
    """Set the positions beyond each row's length to zero."""
    position_L = torch.arange(x_BCL.shape[2], device=x_BCL.device)
    return x_BCL.masked_fill((position_L >= lengths_B.to(x_BCL.device)[:, None])[:, None], 0)


def _pooled(hidden_BDL: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
    """The maximum of every two positions of a row (an odd last one is kept), and the new lengths."""
    position_L = torch.arange(hidden_BDL.shape[2], device=hidden_BDL.device)
    beyond_B1L = (position_L >= lengths_B.to(hidden_BDL.device)[:, None])[:, None]
    pooled_BDL = F.max_pool1d(hidden_BDL.masked_fill(beyond_B1L, -torch.inf), 2, ceil_mode=True)
    shorter_B = (lengths_B + 1) // 2
    return _own(pooled_BDL, shorter_B), shorter_B
