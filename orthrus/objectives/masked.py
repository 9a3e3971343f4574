"""Masked language modelling of bases: cross-entropy and accuracy at the positions to predict.

B batch rows, L positions. Targets are base codes: 1 A, 2 C, 3 G, 4 T where a base is to be predicted, 0 elsewhere.
"""

import torch.nn.functional as F
from torch import Tensor


def masked_cross_entropy(logits_BL4: Tensor, targets_BL: Tensor) -> Tensor:
    """Mean cross-entropy in nats over the positions to predict; 0, with zero gradients, when there is none."""
    classes_P = targets_BL.long().flatten() - 1
    total = F.cross_entropy(logits_BL4.flatten(0, 1).float(), classes_P, ignore_index=-1, reduction="sum")
    return total / (classes_P >= 0).sum().clamp(min=1)


def masked_accuracy(logits_BL4: Tensor, targets_BL: Tensor) -> Tensor:
    """Share of the positions to predict whose largest logit is the target's; NaN when there is none."""
    hit_BL = logits_BL4.argmax(dim=-1) + 1 == targets_BL
    return hit_BL[targets_BL > 0].float().mean()
