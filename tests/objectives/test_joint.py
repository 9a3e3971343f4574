import pytest
import torch
from torch import nn

from orthrus.objectives import ContrastiveObjective, JointObjective, MaskedLanguageObjective, Views
from orthrus.objectives.masked import masked_cross_entropy


def views(n_pairs: int = 4, length: int = 7, d_model: int = 8) -> Views:
    generator = torch.Generator().manual_seed(0)
    hidden_VLD = torch.randn(2 * n_pairs, length, d_model, generator=generator, requires_grad=True)
    return Views(
        hidden_VLD,
        hidden_VLD.mean(dim=1),
        torch.randint(0, 5, (2 * n_pairs, length), generator=generator, dtype=torch.uint8),
        torch.tensor([0, 1, 2, 1])[:n_pairs],
        torch.arange(n_pairs),
    )


def test_joint_is_the_weighted_sum_of_its_parts() -> None:
    scores = JointObjective(8, contrastive_weight=0.3, masked_weight=0.6)(views())
    torch.testing.assert_close(scores["loss"], 0.3 * scores["contrastive"] + 0.6 * scores["mlm"])
    assert set(scores) == {"loss", "contrastive", "retrieval_top1", "mlm", "mlm_accuracy"}


def test_masked_objective_reads_the_positions_to_predict_alone() -> None:
    objective, batch = MaskedLanguageObjective(8), views()
    scores = objective(batch)
    torch.testing.assert_close(scores["loss"], masked_cross_entropy(objective.head(batch.hidden_VLD), batch.targets_VL))
    scores["loss"].backward()  # type: ignore[no-untyped-call]
    gradient_VL = batch.hidden_VLD.grad.abs().sum(dim=-1)  # type: ignore[union-attr]
    assert torch.equal(gradient_VL > 0, batch.targets_VL > 0)


def test_without_targets_the_masked_loss_is_zero_and_finite() -> None:
    batch = views()._replace(targets_VL=torch.zeros(8, 7, dtype=torch.uint8))
    loss = MaskedLanguageObjective(8)(batch)["loss"]
    loss.backward()
    assert loss.item() == 0


def test_contrastive_objective_passes_kinds_and_families_to_its_loss() -> None:
    class Spy(nn.Module):
        def forward(self, *args: torch.Tensor) -> torch.Tensor:
            self.args = args
            return args[0].sum()

    spy, batch = Spy(), views()
    ContrastiveObjective(8, loss=spy, d_hidden=16, d_out=5)(batch)
    view0_ND, view1_ND, kind_N, family_N = spy.args
    assert view0_ND.shape == view1_ND.shape == (4, 5)
    assert kind_N is batch.pair_kind_N
    assert family_N is batch.family_N


@pytest.mark.parametrize("n_pairs", [2, 3])
def test_identical_views_retrieve_their_partners(n_pairs: int) -> None:
    batch = views(n_pairs)
    half = batch.representation_VD[:n_pairs]
    same = batch._replace(representation_VD=torch.cat([half, half]))
    assert ContrastiveObjective(8).eval()(same)["retrieval_top1"] == 1
