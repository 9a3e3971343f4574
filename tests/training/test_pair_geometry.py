import pytest
import torch

from orthrus.objectives.geometry import alignment, effective_rank, uniformity
from orthrus.training import pair_geometry
from orthrus.training.pair_geometry import PairGeometry, retrieve


def make_pairs(n: int = 60) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    view0_ND = torch.randn(n, 5, generator=generator)
    return {
        "view0_ND": view0_ND,
        "view1_ND": view0_ND + 0.7 * torch.randn(n, 5, generator=generator),
        "length1_N": torch.randint(80, 140, (n,), generator=generator),
        "pair_kind_N": torch.randint(0, 3, (n,), generator=generator),
        "family_N": torch.randint(0, n // 3, (n,), generator=generator),
    }


def literal_hits(pairs: dict[str, torch.Tensor]) -> list[tuple[bool, int]]:
    """One row after another: is the partner nearer than every rival?"""
    found = []
    view0, view1 = pairs["view0_ND"].tolist(), pairs["view1_ND"].tolist()
    length, family = pairs["length1_N"].tolist(), pairs["family_N"].tolist()

    def cosine(a: list[float], b: list[float]) -> float:
        norm = sum(x * x for x in a) ** 0.5 * sum(x * x for x in b) ** 0.5
        return sum(x * y for x, y in zip(a, b, strict=True)) / norm

    for i in range(len(view0)):
        rivals = [
            j for j in range(len(view1)) if family[j] != family[i] and abs(length[j] - length[i]) <= 0.1 * length[i]
        ]
        mine = cosine(view0[i], view1[i])
        found.append((all(mine > cosine(view0[i], view1[j]) for j in rivals), len(rivals) + 1))
    return found


@pytest.mark.parametrize("block", [7, 1024])
def test_retrieval_agrees_with_a_literal_search(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_geometry, "_BLOCK", block)
    pairs = make_pairs()
    hit_M, candidates_M = retrieve(pairs["view0_ND"], pairs["view1_ND"], pairs["length1_N"], pairs["family_N"])
    literal = literal_hits(pairs)
    assert list(zip(hit_M.tolist(), candidates_M.tolist(), strict=True)) == literal
    assert 0 < sum(hit for hit, _ in literal) < len(literal)  # the case is neither trivial nor hopeless


def test_measures_do_not_depend_on_how_pairs_were_batched() -> None:
    pairs = make_pairs()
    whole, parts = PairGeometry(), PairGeometry()
    whole.update(**pairs)
    for start in range(0, 60, 13):
        parts.update(**{name: rows[start : start + 13] for name, rows in pairs.items()})
    for name, value in whole.compute().items():
        torch.testing.assert_close(parts.compute()[name], value)


def test_measures_by_kind_are_those_of_the_pairs_of_that_kind() -> None:
    pairs = make_pairs()
    geometry = PairGeometry()
    geometry.update(**pairs)
    measures = geometry.compute()
    splice = pairs["pair_kind_N"] == 1
    found = literal_hits(pairs)
    literal = torch.tensor([hit for hit, _ in found]).float()
    chance = torch.tensor([1 / candidates for _, candidates in found])
    assert measures["retrieval_top1_splice"] == literal[splice].mean()
    torch.testing.assert_close(measures["retrieval_chance_splice"], chance[splice].mean())
    torch.testing.assert_close(
        measures["alignment_splice"], alignment(pairs["view0_ND"][splice], pairs["view1_ND"][splice])
    )
    torch.testing.assert_close(measures["uniformity"], uniformity(pairs["view0_ND"]))
    torch.testing.assert_close(measures["effective_rank"], effective_rank(pairs["view0_ND"]))


def test_a_kind_that_is_absent_is_not_reported() -> None:
    pairs = make_pairs()
    pairs["pair_kind_N"] = torch.ones(60, dtype=torch.long)
    geometry = PairGeometry()
    geometry.update(**pairs)
    assert "retrieval_top1_ortholog" not in geometry.compute()


def test_collapsed_embeddings_retrieve_nothing() -> None:
    geometry = PairGeometry()
    geometry.update(**make_pairs() | {"view0_ND": torch.ones(60, 5), "view1_ND": torch.ones(60, 5)})
    assert geometry.compute()["retrieval_top1"] < 0.05
