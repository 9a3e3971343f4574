"""Parameter groups of AdamW, and a schedule of warm-up and cosine."""

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


def warmup_cosine(
    optimizer: torch.optim.Optimizer, warmup_steps: int, total_steps: int
) -> torch.optim.lr_scheduler.LambdaLR:
    """Linear from 0 to the full rate over ``warmup_steps``, then half a cosine to 0 at ``total_steps``."""

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
