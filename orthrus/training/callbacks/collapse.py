"""Monitors the collapse of embeddings to one point, or to few directions. N views, D features."""

import logging
import math
from typing import Any

import torch.nn.functional as F
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from orthrus.errors import InputError
from orthrus.objectives import Encoded
from orthrus.objectives.geometry import effective_rank
from orthrus.training.log import log_now

_log = logging.getLogger(__name__)


class CollapseMonitor(Callback):
    """Logs ``train/embedding_std`` and ``train/effective_rank`` of a batch's embeddings; warns when they collapse.

    The spread is the standard deviation of a feature over the views, on the unit sphere, times the root of D: 1 when
    views lie in all directions, 0 when they lie in one (Chen & He 2021, arXiv 2011.10566, figure 2). The rank is
    :func:`~orthrus.objectives.geometry.effective_rank` of the centred views.

    Args:
        every_n_steps: steps between measurements.
        min_std: warn below this spread.
        min_rank: warn below this effective rank.
    """

    def __init__(self, every_n_steps: int = 50, min_std: float = 0.01, min_rank: float = 1.5) -> None:
        bounds = (("every_n_steps", every_n_steps, 1), ("min_std", min_std, 0), ("min_rank", min_rank, 0))
        for name, value, least in bounds:
            if not value >= least:
                raise InputError(f"collapse.{name} is {value}; expected {least} or more")
        self.every_n_steps, self.min_std, self.min_rank = every_n_steps, min_std, min_rank
        self._representation_ND: Tensor | None = None
        self._warned = False

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Begin to record the input of the objective."""
        objective: Any = module.objective
        self._handle = objective.register_forward_pre_hook(self._keep)

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure the last batch of this rank."""
        if self._representation_ND is None or trainer.global_step % self.every_n_steps:
            return
        spread, rank = float(embedding_spread(self._representation_ND)), float(centred_rank(self._representation_ND))
        log_now(trainer, {"train/embedding_std": spread, "train/effective_rank": rank})
        collapsed = spread < self.min_std or rank < self.min_rank
        if collapsed and not self._warned:
            _log.warning(
                "embeddings collapse at step %d: spread %.3g (1 is even), effective rank %.3g of %d. Weigh the"
                " contrastive loss more, lower its temperature or the learning rate, or take more pairs a batch",
                trainer.global_step, spread, rank, self._representation_ND.shape[1],
            )  # fmt: skip
        self._warned = collapsed

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Stop recording."""
        self._handle.remove()

    def _keep(self, objective: nn.Module, args: tuple[Encoded, ...]) -> None:
        if objective.training:
            self._representation_ND = args[0].representation_VD.detach()


def embedding_spread(embedding_ND: Tensor) -> Tensor:
    """sqrt(D) x mean over features of the standard deviation over unit vectors: 1 even, 0 collapsed."""
    unit_ND = F.normalize(embedding_ND.float(), dim=-1)
    return unit_ND.std(dim=0, correction=0).mean() * math.sqrt(embedding_ND.shape[1])


def centred_rank(embedding_ND: Tensor) -> Tensor:
    """Effective rank of the embeddings after subtraction of their mean."""
    centred_ND = embedding_ND.float() - embedding_ND.float().mean(dim=0)
    rank: Tensor = effective_rank(centred_ND)
    return rank
