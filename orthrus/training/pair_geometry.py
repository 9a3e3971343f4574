"""The geometry of pairs in the embedding of a whole validation set. M pairs of all ranks, D features."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric

from orthrus.objectives.geometry import alignment, effective_rank, uniformity
from orthrus.store.pairs import PairKind

LENGTH_WINDOW = 0.1
_BLOCK = 1024  # rows of the similarity matrix at a time
_UNIFORMITY_ROWS = 2048  # pairwise distances of more rows would dominate a validation pass


class PairGeometry(Metric):
    """Retrieval, alignment, uniformity and effective rank of the pairs seen since the last reset, over all ranks.

    ``compute()`` gives, over all pairs and by kind (``_splice``, ``_ortholog``, ``_self``):

    - ``retrieval_top1``: the share of first views whose nearest second view by cosine, among those of other families
      whose length is within 10 % of the partner's, is their partner. Length does not reveal partners, and the number of
      candidates depends only on the validation set, not on batches or ranks;
    - ``retrieval_chance``: the expected value for a random choice, the mean of 1 / candidates;
    - ``alignment``: mean squared distance of partners on the unit sphere;

    and over the first views ``uniformity`` (Wang & Isola 2020) and ``effective_rank`` (Roy & Vetterli 2007).
    """

    full_state_update = False
    view0: list[Tensor]
    view1: list[Tensor]
    length1: list[Tensor]
    kind: list[Tensor]
    family: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        for name in ("view0", "view1", "length1", "kind", "family"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(
        self, view0_ND: Tensor, view1_ND: Tensor, length1_N: Tensor, pair_kind_N: Tensor, family_N: Tensor
    ) -> None:
        """Add N pairs; ``length1_N`` has the lengths of the second views, nt."""
        self.view0.append(view0_ND.float())
        self.view1.append(view1_ND.float())
        self.length1.append(length1_N)
        self.kind.append(pair_kind_N)
        self.family.append(family_N)

    def compute(self) -> dict[str, Tensor]:
        """The measures by name."""
        view0_MD, view1_MD, length1_M, kind_M, family_M = (
            state if isinstance(state, Tensor) else torch.cat(state)
            for state in (self.view0, self.view1, self.length1, self.kind, self.family)
        )
        hit_M, candidates_M = retrieve(view0_MD, view1_MD, length1_M, family_M)
        stride = -(-len(view0_MD) // _UNIFORMITY_ROWS)
        measures = {
            "retrieval_top1": hit_M.float().mean(),
            "retrieval_chance": (1 / candidates_M).mean(),
            "alignment": alignment(view0_MD, view1_MD),
            "uniformity": uniformity(view0_MD[::stride]),
            "effective_rank": effective_rank(view0_MD),
        }
        for kind in PairKind:
            chosen_M = kind_M == kind
            if chosen_M.any():
                measures[f"retrieval_top1_{kind.label}"] = hit_M[chosen_M].float().mean()
                measures[f"retrieval_chance_{kind.label}"] = (1 / candidates_M[chosen_M]).mean()
                measures[f"alignment_{kind.label}"] = alignment(view0_MD[chosen_M], view1_MD[chosen_M])
        return measures


def retrieve(view0_MD: Tensor, view1_MD: Tensor, length1_M: Tensor, family_M: Tensor) -> tuple[Tensor, Tensor]:
    """Whether each first view's nearest second view of similar length is its partner, (M,), and how many candidates.

    A tie is a miss, so collapsed embeddings retrieve nothing.
    """
    query_MD, key_MD = F.normalize(view0_MD, dim=-1), F.normalize(view1_MD, dim=-1)
    hits, candidates = [], []
    for start in range(0, len(query_MD), _BLOCK):
        block = slice(start, start + _BLOCK)
        cosine_BM = query_MD[block] @ key_MD.T
        partner_B = cosine_BM.diagonal(start)
        near_BM = (length1_M[block, None] - length1_M).abs() <= LENGTH_WINDOW * length1_M[block, None]
        rival_BM = near_BM & (family_M[block, None] != family_M)
        hits.append(partner_B > cosine_BM.masked_fill(~rival_BM, -torch.inf).amax(dim=1))
        candidates.append(rival_BM.sum(dim=1) + 1)
    return torch.cat(hits), torch.cat(candidates)
