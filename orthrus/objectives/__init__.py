"""What is minimised: contrastive, masked language modelling, and both."""

from orthrus.objectives.contrastive import DecoupledContrastiveLoss
from orthrus.objectives.joint import (
    ContrastiveObjective,
    JointObjective,
    MaskedLanguageObjective,
    Objective,
    Views,
)

__all__ = [
    "ContrastiveObjective",
    "DecoupledContrastiveLoss",
    "JointObjective",
    "MaskedLanguageObjective",
    "Objective",
    "Views",
]
