"""Parameter groups of AdamW, and the schedule of the learning rate."""

import math
from typing import Any

import torch
from torch import nn

_NO_DECAY = ("A_log", "D")  # of the state-space model: decay would make its time scales equal


def parameter_groups(
    encoder: nn.Module, heads: nn.Module, encoder_decay: float, head_decay: float
) -> list[dict[str, Any]]:
    """AdamW groups: encoder weights, head weights, and parameters without decay.

    ``A_log``, ``D``, biases, norms and embeddings do not decay.
    """
    decayed: dict[str, list[nn.Parameter]] = {"encoder": [], "heads": []}
    free: list[nn.Parameter] = []
    for part, module in (("encoder", encoder), ("heads", heads)):
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad:
                continue
            exempt = parameter.ndim < 2 or name.split(".")[-1] in _NO_DECAY or name.startswith("embedding.")
            (free if exempt else decayed[part]).append(parameter)
    groups = [
        {"name": "encoder", "params": decayed["encoder"], "weight_decay": encoder_decay},
        {"name": "heads", "params": decayed["heads"], "weight_decay": head_decay},
        {"name": "no_decay", "params": free, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def warmup_decay(
    optimizer: torch.optim.Optimizer, warmup_steps: int, total_steps: int, decay_share: float | None = None
) -> torch.optim.lr_scheduler.LambdaLR:
    """Linear from 0 to the full rate over ``warmup_steps``, and down to 0 at ``total_steps``.

    Down by half a cosine; or, with ``decay_share``, level until that share of all steps is left and then down by
    1 - sqrt(progress), which leaves the length of a run open until it decays (Hägele et al. 2024, arXiv 2405.18392).
    """

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        falling = total_steps - warmup_steps
        if decay_share is not None:
            falling = min(falling, round(decay_share * total_steps))
        progress = min(1.0, max(0.0, 1 - (total_steps - step) / max(1, falling)))
        return 0.5 * (1 + math.cos(math.pi * progress)) if decay_share is None else 1 - math.sqrt(progress)

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
