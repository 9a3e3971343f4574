"""Batch normalisation over the rows of all ranks, on any device. N rows of this rank, R ranks, D features."""

import torch
from torch import Tensor, nn

from orthrus.nn.ranks import gather_rows, world_size


class BatchNorm(nn.BatchNorm1d):
    """BatchNorm1d (Ioffe & Szegedy 2015, arXiv 1502.03167), (N, D) -> (N, D), with the moments of all ranks' rows.

    A drop-in for ``nn.BatchNorm1d``: same parameters, buffers and state dict, same values in one process. Under
    torch.distributed the moments, and the gradients through them, are those of one process with all rows, even if ranks
    hold different numbers of rows or none; torch's SyncBatchNorm does this on GPUs only. Every rank's mean, squared
    deviations and count are gathered (2 D + 1 numbers) and pooled as by Chan et al. (1979), which is accurate in
    float32, unlike a difference of large sums. Moments are float32 under autocast.

    A single row over all ranks is normalised to 0; without any row the running moments do not change.
    """

    def forward(self, x_ND: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x_ND)
        rows_ND = x_ND.to(torch.promote_types(x_ND.dtype, torch.float32))
        count = len(rows_ND)
        own_mean_D = rows_ND.sum(0) / max(count, 1)
        own_square_D = (rows_ND - own_mean_D).square().sum(0)
        own = torch.cat([own_mean_D, own_square_D, own_mean_D.new_full((1,), count)])
        moments_RS = gather_rows(own[None], [1] * world_size())
        mean_RD, square_RD, count_R1 = torch.split(moments_RS, [self.num_features, self.num_features, 1], dim=1)
        total = count_R1.sum().clamp(min=1)
        mean_D = (count_R1 * mean_RD).sum(0) / total
        variance_D = (square_RD + count_R1 * (mean_RD - mean_D).square()).sum(0) / total
        self._track(mean_D.detach(), variance_D.detach(), count_R1.sum())
        normed_ND = (rows_ND - mean_D) * (variance_D + self.eps).rsqrt()
        out_ND: Tensor = (normed_ND * self.weight + self.bias).to(x_ND.dtype)
        return out_ND

    @torch.no_grad()
    def _track(self, mean_D: Tensor, variance_D: Tensor, count: Tensor) -> None:
        """Update the running moments, with the unbiased variance as in torch."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        momentum = (self.momentum or 0.0) * (count > 0).to(count.dtype)
        self.num_batches_tracked += count > 0
        self.running_mean.lerp_(mean_D.to(self.running_mean.dtype), momentum)
        self.running_var.lerp_((variance_D * count / (count - 1).clamp(min=1)).to(self.running_var.dtype), momentum)
