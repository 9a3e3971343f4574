"""The training objective: named terms over pairs and over positions, and their weights."""

from orthrus.objectives.contrastive import DecoupledContrastiveLoss, InfoNCELoss, MultiPositiveLoss, SigmoidLoss
from orthrus.objectives.objective import (
    AnnotationTerm,
    ContrastiveTerm,
    Encoded,
    MaskedLanguageTerm,
    NextTokenTerm,
    Objective,
    PositionTerm,
    Term,
)
from orthrus.objectives.schedules import Constant, Linear, Schedule, WarmUp

__all__ = [
    "AnnotationTerm",
    "Constant",
    "ContrastiveTerm",
    "DecoupledContrastiveLoss",
    "Encoded",
    "InfoNCELoss",
    "Linear",
    "MaskedLanguageTerm",
    "MultiPositiveLoss",
    "NextTokenTerm",
    "Objective",
    "PositionTerm",
    "Schedule",
    "SigmoidLoss",
    "Term",
    "WarmUp",
]
