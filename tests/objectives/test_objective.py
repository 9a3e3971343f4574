import math
from functools import partial

import pytest
import torch

from orthrus.errors import InputError
from orthrus.objectives import (
    AnnotationTerm,
    ContrastiveTerm,
    DecoupledContrastiveLoss,
    Encoded,
    Linear,
    MaskedLanguageTerm,
    NextTokenTerm,
    Objective,
    SigmoidLoss,
)
from orthrus.objectives.pair_rows import PairLoss, PairRows


def read(objective: Objective, n_pairs: int = 4, length: int = 7, width: int = 8) -> Encoded:
    generator = torch.Generator().manual_seed(0)
    hidden_VLD = torch.randn(2 * n_pairs, length, width, generator=generator)
    targets_VL = torch.randint(0, 64, (2 * n_pairs, length), generator=generator, dtype=torch.uint8) & 0b111011
    kind_N = torch.tensor([0, 1, 2, 1])[:n_pairs]
    return Encoded(
        hidden_VLD.mean(1),
        objective.read(hidden_VLD, targets_VL, targets_VL.long() % 5 - 1),
        kind_N,
        torch.arange(n_pairs),
    )


def test_an_objective_is_the_weighted_sum_of_its_terms_logged_by_name() -> None:
    objective = Objective(
        {
            "contrastive": ContrastiveTerm(8, weight=0.3),
            "mlm": MaskedLanguageTerm(8, weight=0.6),
            "annotation": AnnotationTerm(8, weight=0.2),
        }
    )
    scores = objective(read(objective))
    torch.testing.assert_close(
        scores["loss"], 0.3 * scores["contrastive"] + 0.6 * scores["mlm"] + 0.2 * scores["annotation"]
    )
    assert list(scores) == [
        "loss", "contrastive", "mlm", "mlm_accuracy", "annotation", "annotation_cds", "annotation_splice"
    ]  # fmt: skip


def test_a_scheduled_weight_follows_the_step_and_ends_where_validation_weighs_it() -> None:
    objective = Objective({"mlm": MaskedLanguageTerm(8, weight=Linear(1.0, 0.5, steps=10))})
    encoded = read(objective)
    for step, weight in ((0, 1.0), (4, 0.8), (10, 0.5), (math.inf, 0.5)):
        scores = objective(encoded, step)
        assert scores["mlm_weight"].item() == pytest.approx(weight)
        torch.testing.assert_close(scores["loss"], weight * scores["mlm"])
    assert objective(encoded)["loss"] == objective(encoded, math.inf)["loss"]


def test_sums_of_parts_add_up() -> None:
    objective = Objective(
        {"mlm": MaskedLanguageTerm(8), "annotation": AnnotationTerm(8), "next": NextTokenTerm(8)}
    ).double()
    hidden = torch.randn(5, 7, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    targets = torch.randint(0, 5, (5, 7), dtype=torch.uint8)
    whole, first, second = (
        objective.read(hidden[r], targets[r], targets[r].long() - 1) for r in (slice(0, 5), slice(0, 2), slice(2, 5))
    )
    torch.testing.assert_close({name: first[name] + second[name] for name in whole}, whole)


def test_two_heads_by_kind_as_published() -> None:
    """Each head has a term of its own whose positive pairs are of its kinds; all rows are negatives in both."""
    objective = Objective(
        {
            "isoform": ContrastiveTerm(8, partial(DecoupledContrastiveLoss, ortholog_weight=0)),
            "ortholog": ContrastiveTerm(
                8, partial(DecoupledContrastiveLoss, self_weight=0, splice_weight=0, ortholog_weight=1)
            ),
        }
    )
    scores = objective(read(objective))
    torch.testing.assert_close(scores["loss"], scores["isoform"] + scores["ortholog"])
    assert not torch.equal(
        objective.get_parameter("terms.isoform.projector.layers.0.weight"),
        objective.get_parameter("terms.ortholog.projector.layers.0.weight"),
    )


def test_a_learned_temperature_is_logged() -> None:
    objective = Objective({"contrastive": ContrastiveTerm(8, partial(SigmoidLoss, temperature=0.25))})
    assert objective(read(objective))["contrastive_temperature"].item() == pytest.approx(0.25)


def test_contrastive_term_passes_kinds_and_families_to_its_loss() -> None:
    class Spy(PairLoss):
        def losses(self, rows: PairRows) -> torch.Tensor:
            self.rows = rows
            return rows.partners()

    spy = Spy(1, 2, 3)
    objective = Objective({"contrastive": ContrastiveTerm(8, loss=lambda: spy, d_hidden=16, d_out=5)})
    objective(read(objective)._replace(family_N=torch.tensor([1, 1, 2, 3])))
    assert spy.rows.own_2ND.shape == (2, 4, 5)
    assert spy.rows.weight_N.tolist() == [1, 2, 3, 2]
    assert spy.rows.family_NM[0].tolist() == [True, True, False, False]


def test_no_terms_and_unloggable_names_are_refused() -> None:
    with pytest.raises(InputError, match="at least one term"):
        Objective({})
    for name in ("loss", "a b", ""):
        with pytest.raises(InputError, match="cannot be called"):
            Objective({name: MaskedLanguageTerm(8)})
    with pytest.raises(InputError, match="must be 0 or more, got -1"):
        MaskedLanguageTerm(8, weight=-1)
