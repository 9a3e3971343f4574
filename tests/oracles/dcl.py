"""The decoupled contrastive loss (arXiv 2110.06848), literally: loops over rows, one process, no masks.

The mean is over the first ``anchors`` pairs, by default all; the others are there to be compared with.
"""

import torch
from torch import Tensor

WEIGHTS = (1.0, 1.0, 0.8)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return (a @ b) / (a.norm() * b.norm())


def dcl(
    view0: Tensor,
    view1: Tensor,
    kind: list[int] | None = None,
    family: list[int] | None = None,
    temperature: float = 0.1,
    anchors: int | None = None,
) -> Tensor:
    pairs, anchors = len(view0), len(view0) if anchors is None else anchors
    total = view0.new_zeros(())
    for own, other in ((view0, view1), (view1, view0)):
        for i in range(anchors):
            weight = 1.0 if kind is None else WEIGHTS[kind[i]]
            total = total - weight * cosine(own[i], other[i]) / temperature
            negatives = [j for j in range(pairs) if j != i and (family is None or family[i] != family[j])]
            for view in (own, other):
                if negatives:
                    total = (
                        total
                        + torch.stack([torch.exp(cosine(own[i], view[j]) / temperature) for j in negatives]).sum().log()
                    )
    return total / (2 * anchors)
