"""Measures of the geometry of embeddings: pure functions, not meant for gradients. N pairs or rows, D features."""

import torch
import torch.nn.functional as F
from torch import Tensor


def retrieval_top1(view0_ND: Tensor, view1_ND: Tensor, family_N: Tensor | None = None) -> Tensor:
    """Whether the nearest neighbour of row i of view 0 in view 1 is its partner, and vice versa, bool (2, N).

    Neighbours are compared by cosine; a tie is a miss, so collapsed embeddings retrieve nothing. Rows of i's family
    other than the partner are not candidates.
    """
    cosine_NN = F.normalize(view0_ND.float(), dim=-1) @ F.normalize(view1_ND.float(), dim=-1).T
    partner_N = cosine_NN.diagonal()
    no_rival_NN = torch.eye(len(cosine_NN), dtype=torch.bool, device=cosine_NN.device)
    if family_N is not None:
        no_rival_NN |= family_N[:, None] == family_N
    rival_NN = cosine_NN.masked_fill(no_rival_NN, -torch.inf)
    if len(cosine_NN) == 0:
        return torch.empty(2, 0, dtype=torch.bool, device=cosine_NN.device)
    return torch.stack([partner_N > rival_NN.amax(dim=1), partner_N > rival_NN.amax(dim=0)])


def alignment(view0_ND: Tensor, view1_ND: Tensor) -> Tensor:
    """Mean squared distance of partners on the unit sphere, 0 (perfect) to 4 (Wang & Isola 2020, arXiv 2005.10242)."""
    return (F.normalize(view0_ND.float(), dim=-1) - F.normalize(view1_ND.float(), dim=-1)).square().sum(-1).mean()


def uniformity(embedding_ND: Tensor) -> Tensor:
    """log mean exp(-2 |x - y|^2) over pairs of rows on the unit sphere, 0 when collapsed, lower when spread out.

    Wang & Isola 2020, arXiv 2005.10242, with t = 2. NaN for fewer than two rows.
    """
    squared_P = torch.pdist(F.normalize(embedding_ND.float(), dim=-1)).square()
    return (-2 * squared_P).exp().mean().log()


def effective_rank(embedding_ND: Tensor) -> Tensor:
    """exp of the entropy of the singular values as shares of their sum: 1 (collapsed) to min(N, D).

    Roy & Vetterli 2007, 'The effective rank: a measure of effective dimensionality'. The rows are not centred, so equal
    rows have rank 1. NaN if any entry is not finite.
    """
    if not embedding_ND.isfinite().all():
        return embedding_ND.new_tensor(float("nan"), dtype=torch.float32)
    share_K = F.normalize(torch.linalg.svdvals(embedding_ND.float()), p=1, dim=0)
    entropy: Tensor = torch.special.entr(share_K).sum()
    return entropy.exp()
