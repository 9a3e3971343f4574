"""Monitors the collapse of embeddings and projections to one point, or to few directions. N views, D features."""

import logging
import math
from functools import partial
from typing import Any

import torch.nn.functional as F
from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from orthrus.errors import InputError
from orthrus.loading.lightning_internals import within_a_step
from orthrus.objectives import ContrastiveTerm, Encoded
from orthrus.objectives.geometry import effective_rank
from orthrus.training.log import log_now

_log = logging.getLogger(__name__)


class CollapseMonitor(Callback):
    """Logs the spread and rank of a batch's embeddings, and the spread of what contrastive terms compare; warns.

    The spread is the standard deviation of a feature over the views, on the unit sphere, times the root of D: 1 when
    views lie in all directions, 0 when they lie in one (Chen & He 2021, arXiv 2011.10566, figure 2). That of embeddings
    is ``train/embedding_std``, and that of the projections of a term ``train/contrastive_std``, by the term's name. The
    rank, ``train/effective_rank``, is :func:`~orthrus.objectives.geometry.effective_rank` of the centred embeddings.

    Projections have a bound of their own: those of a term that learns lie in all directions, while sound embeddings of
    an encoder that predicts bases may share most of theirs.

    Args:
        every_n_steps: steps between measurements.
        min_std: warn below this spread of embeddings.
        min_rank: warn below this effective rank of embeddings.
        min_projection_std: warn below this spread of projections; 0.1 is a mean cosine of 0.99 between transcripts.
    """

    def __init__(
        self, every_n_steps: int = 50, min_std: float = 0.01, min_rank: float = 1.5, min_projection_std: float = 0.1
    ) -> None:
        for name, value, least in (
            ("every_n_steps", every_n_steps, 1), ("min_std", min_std, 0), ("min_rank", min_rank, 0),
            ("min_projection_std", min_projection_std, 0),
        ):  # fmt: skip
            if not value >= least:
                raise InputError(f"collapse.{name} is {value}; expected {least} or more")
        self.every_n_steps, self.min_std, self.min_rank = every_n_steps, min_std, min_rank
        self.min_projection_std = min_projection_std
        self._embedding_ND: Tensor | None = None
        self._projection_ND: dict[str, Tensor] = {}
        self._warned: set[str] = set()

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Begin to record the input of the objective and what its projectors make of it."""
        objective: Any = module.objective
        self._handles = [objective.register_forward_pre_hook(self._keep)]
        for name, term in objective.terms.items():
            if isinstance(term, ContrastiveTerm):
                self._handles.append(term.projector.register_forward_hook(partial(self._keep_projection, name)))

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Measure the last batch of this rank."""
        if self._embedding_ND is None or trainer.global_step % self.every_n_steps or within_a_step(trainer):
            return
        spread, rank = float(embedding_spread(self._embedding_ND)), float(centred_rank(self._embedding_ND))
        spreads = {name: float(embedding_spread(views_ND)) for name, views_ND in self._projection_ND.items()}
        of_terms = {f"train/{name}_std": value for name, value in spreads.items()}
        log_now(trainer, {"train/embedding_std": spread, "train/effective_rank": rank, **of_terms})
        collapsed = {
            f"projections of {name}": f"spread {value:.3g} (1 is even)"
            for name, value in spreads.items()
            if value < self.min_projection_std
        }
        if spread < self.min_std or rank < self.min_rank:
            width = self._embedding_ND.shape[1]
            collapsed["embeddings"] = f"spread {spread:.3g} (1 is even), effective rank {rank:.3g} of {width}"
        for what, measured in collapsed.items():
            if what not in self._warned:
                _log.warning(
                    "%s collapse at step %d: %s. Weigh the contrastive loss more, lower its temperature or the learning"
                    " rate, or take more pairs a batch",
                    what, trainer.global_step, measured,
                )  # fmt: skip
        self._warned = set(collapsed)

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Stop recording."""
        for handle in self._handles:
            handle.remove()

    def _keep(self, objective: nn.Module, args: tuple[Encoded, ...]) -> None:
        if objective.training:
            self._embedding_ND = args[0].representation_VD.detach()

    def _keep_projection(self, name: str, projector: nn.Module, args: tuple[Tensor, ...], views_ND: Tensor) -> None:
        if projector.training:
            self._projection_ND[name] = views_ND.detach()


def embedding_spread(embedding_ND: Tensor) -> Tensor:
    """sqrt(D) x mean over features of the standard deviation over unit vectors: 1 even, 0 collapsed."""
    unit_ND = F.normalize(embedding_ND.float(), dim=-1)
    return unit_ND.std(dim=0, correction=0).mean() * math.sqrt(embedding_ND.shape[1])


def centred_rank(embedding_ND: Tensor) -> Tensor:
    """Effective rank of the embeddings after subtraction of their mean."""
    centred_ND = embedding_ND.float() - embedding_ND.float().mean(dim=0)
    rank: Tensor = effective_rank(centred_ND)
    return rank
