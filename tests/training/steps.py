"""A small model and batches whose gradients tests compare: in float64, with all that can go wrong across ranks."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from orthrus.loading import PairBatch
from orthrus.nn.encoder import MambaEncoder
from orthrus.objectives import (
    AnnotationTerm,
    ContrastiveTerm,
    DecoupledContrastiveLoss,
    InfoNCELoss,
    MaskedLanguageTerm,
    MultiPositiveLoss,
    NextTokenTerm,
    SigmoidLoss,
    Term,
    WarmUp,
)
from orthrus.training.module import Pretraining

Terms = dict[str, Callable[[int], Term]]
contrastive = partial(ContrastiveTerm, d_hidden=32, d_out=8)
OBJECTIVES: dict[str, Terms] = {
    "decoupled": {"contrastive": contrastive},
    "nt_xent": {"contrastive": partial(contrastive, loss=InfoNCELoss)},
    "info_nce": {"contrastive": partial(contrastive, loss=partial(InfoNCELoss, within_view=False))},
    "sigmoid": {"contrastive": partial(contrastive, loss=partial(SigmoidLoss, bias=-1.0))},
    "multi_positive": {"contrastive": partial(contrastive, loss=MultiPositiveLoss)},
    "two_heads": {
        "isoform": partial(contrastive, loss=partial(DecoupledContrastiveLoss, ortholog_weight=0)),
        "ortholog": partial(contrastive, loss=partial(DecoupledContrastiveLoss, self_weight=0, splice_weight=0)),
    },
    "mlm": {"mlm": MaskedLanguageTerm},
    "next_token": {"next": NextTokenTerm, "contrastive": partial(contrastive, memory=6)},
    "joint": {
        "contrastive": partial(contrastive, weight=0.3),
        "mlm": partial(MaskedLanguageTerm, weight=0.6),
        "annotation": partial(AnnotationTerm, weight=WarmUp(0.2, steps=10)),
    },
}
STEP = 4


def build(objective: str, chunk_rows: int | None = None, bidirectional: bool = True) -> Pretraining:
    """The same weights at every call."""
    torch.manual_seed(0)
    encoder = MambaEncoder(6, d_model=4, n_layers=1, bidirectional=bidirectional)
    module = Pretraining(encoder, OBJECTIVES[objective], chunk_rows=chunk_rows).double()
    torch.nn.init.normal_(encoder.embedding.bias)  # a position without any track is normalised too
    return module


def batch(pairs: int, length: int = 9) -> PairBatch:
    """Pairs of three kinds in few families; the first third of the pairs has no targets at all."""
    generator = torch.Generator().manual_seed(1)
    lengths_V = torch.randint(4, length + 1, (2 * pairs,), generator=generator)
    codes_VL = torch.randint(0, 32, (2 * pairs, length), generator=generator, dtype=torch.uint8)
    targets_VL = torch.randint(0, 5, (2 * pairs, length), generator=generator, dtype=torch.uint8)
    targets_VL += 8 * torch.randint(0, 8, (2 * pairs, length), generator=generator, dtype=torch.uint8)
    own_VL = torch.arange(length) < lengths_V[:, None]
    without_V = torch.arange(2 * pairs) % pairs < pairs // 3
    return PairBatch(
        codes_VL * own_VL,
        targets_VL * own_VL * ~without_V[:, None],
        lengths_V,
        torch.arange(pairs) % 3,
        torch.arange(pairs) % 4,
    )


def part(whole: PairBatch, first: int, last: int) -> PairBatch:
    """Pairs ``first`` to ``last`` of a batch."""
    pairs = len(whole.pair_kind_N)
    rows = torch.cat([torch.arange(first, last), torch.arange(first, last) + pairs])
    views = (whole.codes_VL[rows], whole.targets_VL[rows], whole.lengths_V[rows])
    return PairBatch(*views, whole.pair_kind_N[first:last], whole.family_N[first:last])


def gradients(module: Pretraining, batch: PairBatch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Scores and every parameter's gradient, in one process."""
    scores = module.objective(module(batch), STEP)
    module.zero_grad()
    scores["loss"].backward()
    grads = {name: p.grad.clone() for name, p in module.named_parameters() if p.grad is not None}
    assert len(grads) == len(list(module.parameters()))
    return {name: value.detach() for name, value in scores.items()}, grads
