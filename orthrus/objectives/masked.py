"""What is predicted at single positions: hidden bases, and the annotation. P positions to predict.

Both give sums over positions rather than means: sums of the parts of a batch, and of the ranks, add up.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


def masked_base_sums(logits_P4: Tensor, base_P: Tensor) -> Tensor:
    """Masked language modelling (Devlin et al. 2019, arXiv 1810.04805) of bases, summed over positions, (2,).

        loss_p = -log softmax(logits_p)[base_p]

    ``base_P`` are base codes, 1 A, 2 C, 3 G, 4 T. The cross-entropies in nats, then the positions whose largest logit
    is the base's.
    """
    logits_P4, class_P = _single(logits_P4), base_P.long() - 1
    return torch.stack(
        [
            F.cross_entropy(logits_P4, class_P, reduction="sum"),
            (logits_P4.detach().argmax(dim=-1) == class_P).sum().to(logits_P4.dtype),
        ]
    )


def annotation_sums(logits_P2: Tensor, present_P2: Tensor) -> Tensor:
    """Binary cross-entropies in nats of the CDS and of the splice track, each summed over positions, (2,).

        loss_pk = -y_pk log sigmoid(logit_pk) - (1 - y_pk) log sigmoid(-logit_pk)

    ``present_P2`` (y) says where a codon begins and where an exon ends.
    """
    logits_P2 = _single(logits_P2)
    return F.binary_cross_entropy_with_logits(logits_P2, present_P2.to(logits_P2.dtype), reduction="none").sum(0)


def _single(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
