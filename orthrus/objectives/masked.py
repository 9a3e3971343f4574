"""Losses at single positions, for bases, codons and the annotation. P positions, W words.

Both functions return sums over positions instead of means, because the sums of the parts of a batch, and of the ranks,
add up. Positions without a target are masked, not cut out of the tensors: only the device knows their number.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def cross_entropy_sums(logits_PW: Tensor, word_P: Tensor) -> Tensor:
    """Cross-entropy of the word at each position, one of W, and correct predictions, both summed over positions, (2,).

        loss_p = -log softmax(logits_p)[word_p]

    In masked language modelling (Devlin et al. 2019, arXiv 1810.04805) only hidden positions count; at others
    ``word_P`` is -1. Cross-entropies are in nats; a prediction is correct if the largest logit is that of the word.
    """
    logits_PW, word_P = _single(logits_PW).flatten(0, -2), word_P.long().flatten()
    return torch.stack(
        [
            F.cross_entropy(logits_PW, word_P, ignore_index=-1, reduction="sum"),
            (logits_PW.detach().argmax(dim=-1) == word_P).sum().to(logits_PW.dtype),
        ]
    )


def annotation_sums(logits_P2: Tensor, present_P2: Tensor, chosen_P: Tensor) -> Tensor:
    """Binary cross-entropies in nats of the CDS and of the splice track, each summed over positions, (2,).

        loss_pk = -y_pk log sigmoid(logit_pk) - (1 - y_pk) log sigmoid(-logit_pk)

    ``present_P2`` (y) marks where a codon begins and where an exon ends, ``chosen_P`` the positions to predict.
    """
    logits_P2 = _single(logits_P2)
    loss_P2 = F.binary_cross_entropy_with_logits(logits_P2, present_P2.to(logits_P2.dtype), reduction="none")
    return loss_P2.masked_fill(~chosen_P[..., None], 0).flatten(0, -2).sum(0)


def _single(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
