"""Objectives: what is minimised, given two encoded views of each pair.

V = 2N views of N pairs (rows 0..N-1 view 0, rows N..2N-1 view 1), L positions, D features. An objective owns its heads
and returns named scalars, of which ``loss`` is the one to minimise and the others are to be logged.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn

from orthrus.nn.heads import MaskedLanguageHead, Projector
from orthrus.objectives.contrastive import DecoupledContrastiveLoss
from orthrus.objectives.geometry import retrieval_top1
from orthrus.objectives.masked import masked_accuracy, masked_cross_entropy


class Views(NamedTuple):
    """A batch of pairs, encoded."""

    hidden_VLD: Tensor
    representation_VD: Tensor
    targets_VL: Tensor
    """uint8: the base (1..4) to predict, 0 elsewhere."""
    pair_kind_N: Tensor
    """int64: 0 self, 1 splice, 2 ortholog."""
    family_N: Tensor


class Objective(nn.Module, ABC):
    """Heads and loss of a training signal, built for an encoder of width ``d_model``."""

    @abstractmethod
    def forward(self, views: Views) -> dict[str, Tensor]:
        """Named scalars; ``loss`` is minimised."""


class ContrastiveObjective(Objective):
    """Partners close and other families apart, after the published projector; ``loss``, ``retrieval_top1``.

    Args:
        d_model: width of the encoder.
        loss: called as :class:`~orthrus.objectives.contrastive.DecoupledContrastiveLoss`, the default, is.
        d_hidden: width of the projector's two hidden layers.
        d_out: width of the space in which views are compared.
    """

    def __init__(
        self,
        d_model: int,
        loss: nn.Module | None = None,
        d_hidden: int = 512,
        d_out: int = 128,
    ) -> None:
        super().__init__()
        self.projector = Projector(d_model, d_hidden, d_out)
        self.loss = DecoupledContrastiveLoss() if loss is None else loss

    def forward(self, views: Views) -> dict[str, Tensor]:
        """Contrastive loss, and how often a view's nearest view of the other side is its partner."""
        view0_ND, view1_ND = self.projector(views.representation_VD).chunk(2)
        hits = retrieval_top1(view0_ND.detach(), view1_ND.detach(), views.family_N)
        return {
            "loss": self.loss(view0_ND, view1_ND, views.pair_kind_N, views.family_N),
            "retrieval_top1": hits.float().mean(),
        }


class MaskedLanguageObjective(Objective):
    """The base at masked positions from the hidden state there (masked language modelling); ``loss``, ``accuracy``."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.head = MaskedLanguageHead(d_model)

    def forward(self, views: Views) -> dict[str, Tensor]:
        """Cross-entropy (nats) and accuracy over the positions to predict."""
        chosen_VL = views.targets_VL > 0
        logits_P4 = self.head(views.hidden_VLD[chosen_VL])[None]
        targets_P = views.targets_VL[chosen_VL][None]
        return {
            "loss": masked_cross_entropy(logits_P4, targets_P),
            "accuracy": masked_accuracy(logits_P4.detach(), targets_P),
        }


class JointObjective(Objective):
    """A weighted sum of the contrastive and the masked language objective; 0.05 to 0.95 was best as published.

    Logs ``contrastive``, ``retrieval_top1``, ``mlm`` and ``mlm_accuracy`` beside ``loss``.
    """

    def __init__(
        self,
        d_model: int,
        contrastive: Callable[[int], Objective] = ContrastiveObjective,
        masked: Callable[[int], Objective] = MaskedLanguageObjective,
        contrastive_weight: float = 0.05,
        masked_weight: float = 0.95,
    ) -> None:
        super().__init__()
        self.contrastive, self.masked = contrastive(d_model), masked(d_model)
        self.contrastive_weight, self.masked_weight = contrastive_weight, masked_weight

    def forward(self, views: Views) -> dict[str, Tensor]:
        """The weighted sum and its parts."""
        contrastive, masked = self.contrastive(views), self.masked(views)
        return {
            "loss": self.contrastive_weight * contrastive["loss"] + self.masked_weight * masked["loss"],
            "contrastive": contrastive["loss"],
            "retrieval_top1": contrastive["retrieval_top1"],
            "mlm": masked["loss"],
            "mlm_accuracy": masked["accuracy"],
        }
