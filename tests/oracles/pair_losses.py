"""Losses over pairs, literally: one process, loops over rows and positives as the equations read, no masks.

The mean is over the first ``anchors`` pairs, by default all; the others are there to be compared with.
"""

import torch
from torch import Tensor

from tests.oracles.dcl import WEIGHTS, cosine


def _weights(pairs: int, kind: list[int] | None) -> list[float]:
    return [1.0] * pairs if kind is None else [WEIGHTS[k] for k in kind]


def _families(pairs: int, family: list[int] | None) -> list[int]:
    return list(range(pairs)) if family is None else family


def info_nce(
    view0: Tensor,
    view1: Tensor,
    kind: list[int] | None = None,
    family: list[int] | None = None,
    temperature: float = 0.1,
    within_view: bool = True,
    anchors: int | None = None,
) -> Tensor:
    pairs, anchors = len(view0), len(view0) if anchors is None else anchors
    weight, families = _weights(pairs, kind), _families(pairs, family)
    total = view0.new_zeros(())
    for own, other in ((view0, view1), (view1, view0)):
        for i in range(anchors):
            positive = torch.exp(cosine(own[i], other[i]) / temperature)
            denominator = positive
            for j in range(pairs):
                if families[j] != families[i]:
                    denominator = denominator + torch.exp(cosine(own[i], other[j]) / temperature)
                    if within_view:
                        denominator = denominator + torch.exp(cosine(own[i], own[j]) / temperature)
            total = total - weight[i] * torch.log(positive / denominator)
    return total / (2 * anchors)


def sigmoid(
    view0: Tensor,
    view1: Tensor,
    kind: list[int] | None = None,
    family: list[int] | None = None,
    scale: float | Tensor = 10.0,
    bias: float | Tensor = -10.0,
    anchors: int | None = None,
) -> Tensor:
    pairs, anchors = len(view0), len(view0) if anchors is None else anchors
    weight, families = _weights(pairs, kind), _families(pairs, family)
    total = view0.new_zeros(())
    for i in range(anchors):
        for j in range(pairs):
            logit = scale * cosine(view0[i], view1[j]) + bias
            if i == j:
                total = total - weight[i] * torch.log(1 / (1 + torch.exp(-logit)))
            elif families[i] != families[j]:
                total = total - torch.log(1 / (1 + torch.exp(logit)))
    return total / anchors


def multi_positive(
    view0: Tensor,
    view1: Tensor,
    kind: list[int] | None = None,
    family: list[int] | None = None,
    temperature: float = 0.1,
    anchors: int | None = None,
) -> Tensor:
    pairs, anchors = len(view0), len(view0) if anchors is None else anchors
    weight, families = _weights(pairs, kind), _families(pairs, family)
    rows = [(view[i], i) for view in (view0, view1) for i in range(pairs)]
    total = view0.new_zeros(())
    for a, (anchor, i) in enumerate(rows):
        if i >= anchors:
            continue
        similarity = [torch.exp(cosine(anchor, row) / temperature) for row, _ in rows]
        positives = [p for p, (_, j) in enumerate(rows) if p != a and families[j] == families[i]]
        negatives = [n for n, (_, j) in enumerate(rows) if families[j] != families[i]]
        for p in positives:
            denominator = similarity[p] + sum(similarity[n] for n in negatives)
            total = total - weight[rows[p][1]] * torch.log(similarity[p] / denominator) / len(positives)
    return total / (2 * anchors)
