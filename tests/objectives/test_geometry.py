import math

import pytest
import torch
import torch.nn.functional as F

from orthrus.objectives.geometry import alignment, effective_rank, retrieval_top1, uniformity


def test_retrieval_finds_partners_in_both_directions() -> None:
    view0 = torch.eye(3)
    view1 = torch.tensor([[1.0, 0, 0], [0.6, 0.5, 0], [0, 0, 1]])
    assert retrieval_top1(view0, view1).tolist() == [[True, True, True], [True, False, True]]


def test_retrieval_ignores_other_rows_of_the_family() -> None:
    view0 = torch.eye(3)
    view1 = torch.tensor([[1.0, 0, 0], [0.6, 0.5, 0], [0, 0, 1]])
    assert retrieval_top1(view0, view1, torch.tensor([7, 7, 2])).all()


def test_collapsed_embeddings_retrieve_nothing() -> None:
    assert not retrieval_top1(torch.ones(5, 2), torch.ones(5, 2)).any()


def test_retrieval_of_nothing() -> None:
    assert retrieval_top1(torch.empty(0, 2), torch.empty(0, 2)).shape == (2, 0)


def test_alignment_is_0_for_partners_that_agree_and_4_for_opposites() -> None:
    views = torch.randn(6, 3)
    assert alignment(views, 2 * views).item() == pytest.approx(0, abs=1e-6)
    assert alignment(views, -views).item() == pytest.approx(4, abs=1e-5)


def test_uniformity_is_the_mean_over_pairs() -> None:
    rows = F.normalize(torch.randn(5, 3), dim=-1)
    pairs = [math.exp(-2 * float((rows[i] - rows[j]).square().sum())) for i in range(5) for j in range(i)]
    assert uniformity(3 * rows).item() == pytest.approx(math.log(sum(pairs) / len(pairs)), abs=1e-5)
    assert uniformity(torch.ones(4, 2)).item() == pytest.approx(0)


def test_effective_rank_counts_directions() -> None:
    assert effective_rank(torch.ones(6, 4)).item() == pytest.approx(1, abs=1e-3)
    assert effective_rank(torch.eye(4)).item() == pytest.approx(4, abs=1e-4)
    two_to_one = torch.diag(torch.tensor([2.0, 1.0]))
    assert effective_rank(two_to_one).item() == pytest.approx(3 / 2 ** (2 / 3), abs=1e-4)


def test_the_effective_rank_of_what_is_not_finite_is_nan() -> None:
    embedding_ND = torch.randn(8, 4)
    embedding_ND[3, 2] = float("nan")
    assert effective_rank(embedding_ND).isnan()
