from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orthrus.errors import InputError
from orthrus.loading.plan import BatchPlan, Planner, pack
from orthrus.pairs import PairIndex
from tests.builders import build_store


def make_planner(path: Path, **options: object) -> Planner:
    store = build_store(path / "store", n_genes=40)
    cds = np.stack([store.transcripts[c].to_numpy() for c in ("cds_start", "cds_end")], axis=1)
    settings_ = {"token_budget": 4000, "ortholog_probability": 0.5, "graft_probability": 0.5, "seed": 3} | options
    return Planner(PairIndex(store), store.lengths, cds, np.arange(len(store)), **settings_)  # type: ignore[arg-type]


def same(one: list[BatchPlan], other: list[BatchPlan]) -> bool:
    return len(one) == len(other) and all(
        a.seed == b.seed and np.array_equal(a.base_P, b.base_P) and np.array_equal(a.partner_P, b.partner_P)
        for a, b in zip(one, other, strict=True)
    )


def test_an_epoch_passes_each_base_once(tmp_path: Path) -> None:
    planner = make_planner(tmp_path)
    bases = np.concatenate([plan.base_P for plan in planner.batches(0)])
    assert len(np.unique(bases)) == len(bases)
    assert len(bases) >= len(planner.bases) - 1  # a lone pair at the end has no negatives


def test_a_plan_follows_from_seed_and_epoch(tmp_path: Path) -> None:
    planner = make_planner(tmp_path)
    assert same(planner.batches(5), planner.batches(5))
    assert not same(planner.batches(5), planner.batches(6))


def test_ranks_share_batches_take_as_many_steps_and_meet_no_pair_twice(tmp_path: Path) -> None:
    planner = make_planner(tmp_path)
    ranks = [planner.batches(1, rank, 3) for rank in range(3)]
    assert len({len(plans) for plans in ranks}) == 1
    for step in zip(*ranks, strict=True):
        assert all(len(plan.base_P) >= 2 for plan in step)
        assert len({plan.seed for plan in step}) == 3
        lengths = np.concatenate([planner.lengths[plan.base_P] for plan in step])
        assert lengths.max() <= 1.6 * lengths.min()  # one bucket: like lengths
    bases = np.concatenate([plan.base_P for plans in ranks for plan in plans])
    assert len(np.unique(bases)) == len(bases)


def test_batches_hold_a_family_once_and_obey_the_budget(tmp_path: Path) -> None:
    planner = make_planner(tmp_path, graft_probability=0.0)
    for plan in planner.batches(2):
        family = planner.index.family[plan.base_P]
        assert len(np.unique(family)) == len(family)
        longest = np.maximum(planner.lengths[plan.base_P], planner.lengths[plan.partner_P]).max()
        assert 2 * len(plan.base_P) * longest <= planner.token_budget


def test_a_budget_too_small_for_two_pairs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"token budget of 100 cannot hold two pairs .* raise data.token_budget"):
        make_planner(tmp_path, token_budget=100).batches(0)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 6)), min_size=1, max_size=120),
    st.integers(1, 3),
)
def test_packing_never_exceeds_the_budget_or_repeats_a_family(pairs: list[tuple[int, int]], world_size: int) -> None:
    length_P = np.array([length for length, _ in pairs], dtype=np.int64)
    family_P = np.array([family for _, family in pairs], dtype=np.int64)
    batch_P = pack(length_P, family_P, 200, world_size)
    for batch in range(batch_P.max() + 1):
        members = batch_P == batch
        rows = -(-members.sum() // world_size)
        assert 2 * rows * length_P[members].max() <= 200
        assert len(np.unique(family_P[members])) == members.sum()
