from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orthrus.errors import InputError
from orthrus.loading.pack import group, pack
from orthrus.loading.plan import BatchPlan, Planner
from orthrus.loading.views import CodingOnly, DropUtrs, Graft, Window, lengths
from orthrus.store import TranscriptStore
from orthrus.store.pairs import PairIndex

NAMES = ["like", "grafted", "long orthologs", "wide", "one family above all", "two families"]
PLANS = {
    "name": st.sampled_from(NAMES),
    "budget": st.integers(4000, 60_000),
    "world_size": st.integers(1, 5),
    "seed": st.integers(0, 5),
    "epoch": st.integers(0, 3),
}


def planner(store: TranscriptStore, budget: int = 4000, **options: Any) -> Planner:
    settings_: dict[str, Any] = {"ortholog_probability": 0.5, "seed": 3} | options
    return Planner(
        store,
        PairIndex(store),
        settings_.pop("bases", np.arange(len(store))),
        token_budget=budget,
        **settings_,
    )


def same(one: list[BatchPlan], other: list[BatchPlan]) -> bool:
    return len(one) == len(other) and all(
        a.seed == b.seed and all(np.array_equal(x, y) for x, y in zip(a[:-1], b[:-1], strict=True))
        for a, b in zip(one, other, strict=True)
    )


def positions(plan: BatchPlan) -> int:
    """Padded positions of both views."""
    return len(plan.parts_V42) * int(lengths(plan.parts_V42).max())


def test_windows_let_a_budget_be_smaller_than_the_longest_transcripts(stores: dict[str, TranscriptStore]) -> None:
    store = stores["wide"]
    budget = 4 * int(store.lengths.max()) - 1
    with pytest.raises(InputError, match=r"make orthrus\.loading\.Window the last of data\.rearrangements"):
        planner(store, budget)
    plans = list(planner(store, budget, rearrangements=[Graft(), Window(budget // 4)]).epoch(0))
    assert plans
    assert all(positions(plan) <= budget for plan in plans)


@settings(max_examples=60)
@given(**PLANS)
def test_every_plan_keeps_its_promises(
    stores: dict[str, TranscriptStore], name: str, budget: int, world_size: int, seed: int, epoch: int
) -> None:
    store = stores[name]
    options = {
        "world_size": world_size,
        "seed": seed,
        "rearrangements": [Graft(whole=0.3), CodingOnly(0.2), DropUtrs()],
    }
    ranks = [planner(store, budget, rank=rank, **options) for rank in range(world_size)]
    plans = [list(rank.epoch(epoch)) for rank in ranks]
    assert same(plans[0], list(planner(store, budget, **options).epoch(epoch)))  # deterministic

    assert len({len(of_rank) for of_rank in plans}) == 1  # as many steps
    assert plans[0]
    seen = np.concatenate([plan.base_N for of_rank in plans for plan in of_rank])
    assert len(np.unique(seen)) == len(seen)  # no base twice in an epoch
    for step in zip(*plans, strict=True):
        assert all(len(plan.base_N) for plan in step)
        assert max(len(plan.base_N) for plan in step) - min(len(plan.base_N) for plan in step) <= 1
        assert len(np.unique(np.concatenate([plan.family_N for plan in step]))) >= 2  # there are negatives
        assert len({plan.seed for plan in step}) == world_size
        for plan in step:
            assert positions(plan) <= budget
            np.testing.assert_array_equal(plan.family_N, store.family[plan.base_N])
            np.testing.assert_array_equal(plan.family_N, store.family[plan.partner_N])


@settings(max_examples=20)
@given(budget=st.integers(4000, 20_000), world_size=st.integers(1, 4), seed=st.integers(0, 9))
def test_with_enough_families_a_batch_of_all_ranks_holds_none_twice_and_few_are_left_out(
    stores: dict[str, TranscriptStore], budget: int, world_size: int, seed: int
) -> None:
    store = stores["wide"]
    plans = [list(planner(store, budget, rank=r, world_size=world_size, seed=seed).epoch(0)) for r in range(world_size)]
    steps = [np.concatenate([plan.family_N for plan in step]) for step in zip(*plans, strict=True)]
    assert sum(len(np.unique(family)) < len(family) for family in steps) <= 1  # what is left at the end of an epoch
    assert sum(map(len, steps)) >= len(store) - 2 * max(2, world_size)


def test_ranks_share_a_bucket_of_lengths(stores: dict[str, TranscriptStore]) -> None:
    plans = [list(planner(stores["wide"], rank=rank, world_size=3).epoch(0)) for rank in range(3)]
    spans = []
    for step in zip(*plans, strict=True):
        nt = np.concatenate([lengths(plan.parts_V42) for plan in step])
        spans.append(nt.max() / nt.min())
    everything = stores["wide"].lengths
    assert np.median(spans) < 1.2 < everything.max() / everything.min()


def test_epochs_and_seeds_differ(stores: dict[str, TranscriptStore]) -> None:
    one, other = planner(stores["wide"]), planner(stores["wide"], seed=4)
    assert not same(one.window(0, 0), one.window(1, 0))
    assert not same(one.window(0, 0), other.window(0, 0))


def test_an_epoch_in_several_windows_passes_each_base_once(
    stores: dict[str, TranscriptStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orthrus.loading.plan._STEPS_A_WINDOW", 8)
    plan = planner(stores["wide"])
    assert plan.n_windows > 3
    windows = [plan.window(0, window) for window in range(plan.n_windows)]
    bases = np.concatenate([batch.base_N for window in windows for batch in window])
    assert len(np.unique(bases)) == len(bases) > len(plan.bases) - 2 * plan.n_windows
    assert len({batch.seed for window in windows for batch in window}) == sum(map(len, windows))
    assert same(windows[2], planner(stores["wide"]).window(0, 2))  # a window needs none before it


@settings(max_examples=30)
@given(**PLANS)
def test_single_views_are_one_side_of_a_pair_each_within_the_budget(
    stores: dict[str, TranscriptStore], name: str, budget: int, world_size: int, seed: int, epoch: int
) -> None:
    store = stores[name]
    options: dict[str, Any] = {"world_size": world_size, "seed": seed, "rearrangements": [Graft(whole=0.3)], "views": 1}
    plans = list(planner(store, budget, **options).epoch(epoch))
    assert plans
    for plan in plans:
        assert len(plan.parts_V42) == len(plan.base_N)
        assert positions(plan) <= budget
        begins_VN2 = np.stack([store.offsets[plan.base_N], store.offsets[plan.partner_N]], axis=1)
        ends_VN2 = np.stack([store.offsets[plan.base_N + 1], store.offsets[plan.partner_N + 1]], axis=1)
        kept = (plan.parts_V42[:, 1, 0, None] >= begins_VN2) & (plan.parts_V42[:, 1, 1, None] <= ends_VN2)
        assert kept.any(axis=1).all()


def test_both_sides_of_pairs_are_drawn_as_single_views(stores: dict[str, TranscriptStore]) -> None:
    store = stores["wide"]
    plans = [plan for epoch in range(3) for plan in planner(store, views=1).epoch(epoch)]
    apart = [plan.base_N != plan.partner_N for plan in plans]
    first = [
        plan.parts_V42[other, 0, 0] == store.offsets[plan.base_N[other]]
        for plan, other in zip(plans, apart, strict=True)
    ]
    assert 0.3 < np.concatenate(first).mean() < 0.7


def test_no_rearrangement_makes_a_view_longer_than_the_longest_transcript(stores: dict[str, TranscriptStore]) -> None:
    store = stores["long orthologs"]
    plan = planner(store, rearrangements=[Graft(whole=1.0)])
    views = np.concatenate([lengths(batch.parts_V42) for epoch in range(5) for batch in plan.epoch(epoch)])
    assert views.max() <= store.lengths.max()
    assert set(views) - set(store.lengths)  # grafts are made where they fit


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("like", {"budget": 100}, r"budget of 100 cannot hold two pairs .* raise data.token_budget to at least 7"),
        (
            "like",
            {"budget": 100, "views": 1},
            r"two pairs of \d+ nt \(2 views\): raise data.token_budget to at least 3",
        ),
        (
            "two families",
            {"world_size": 6},
            r"5 transcripts of 2 families .* at least 6 of 2 families are needed for 6",
        ),
        ("two families", {"bases": np.arange(3)}, r"3 transcripts of 1 families .* at least 2 of 2 families"),
        ("two families", {"bases": np.arange(0)}, r"0 transcripts of 0 families"),
    ],
)
def test_what_can_make_no_batch_is_refused(
    stores: dict[str, TranscriptStore], name: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        planner(stores[name], **options)


PAIRS = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 6)), min_size=1, max_size=200)


def columns(pairs: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    length_P = np.array([length for length, _ in pairs], dtype=np.int64)
    return length_P, np.array([family for _, family in pairs], dtype=np.int64)


@settings(max_examples=60)
@given(PAIRS, st.integers(1, 3))
def test_packing_never_exceeds_the_budget_or_repeats_a_family(pairs: list[tuple[int, int]], world_size: int) -> None:
    length_P, family_P = columns(pairs)
    batch_P = pack(length_P, family_P, 100, world_size)
    for batch in range(batch_P.max() + 1):
        members = batch_P == batch
        assert -(-members.sum() // world_size) * length_P[members].max() <= 100
        assert len(np.unique(family_P[members])) == members.sum()


@settings(max_examples=60)
@given(PAIRS, st.integers(1, 3))
def test_packing_is_first_fit(pairs: list[tuple[int, int]], world_size: int) -> None:
    """No pair could have joined a batch begun earlier, while the packer keeps few enough open."""
    length_P, family_P = columns(pairs[:60])
    batch_P = pack(length_P, family_P, 100, world_size)
    for p, batch in enumerate(batch_P):
        for earlier in range(batch):
            members = np.flatnonzero(batch_P[:p] == earlier)
            rows = len(members) // world_size + 1
            fits = rows * max(length_P[members].max(), length_P[p]) <= 100
            assert not fits or family_P[p] in family_P[members]


@settings(max_examples=60)
@given(PAIRS, st.integers(1, 5), st.booleans())
def test_pairs_are_left_out_only_where_they_make_no_batch(
    pairs: list[tuple[int, int]], world_size: int, own_families: bool
) -> None:
    length_P, family_P = columns(sorted(pairs, reverse=True))
    if own_families:
        family_P = np.arange(len(pairs))
    groups = group(length_P, family_P, 100 if world_size < 3 else 200, world_size)
    placed = np.concatenate([*groups, []]).astype(int)
    assert len(np.unique(placed)) == len(placed)
    left = np.setdiff1d(np.arange(len(pairs)), placed)
    for members in groups:
        assert len(members) >= max(2, world_size)
        assert len(np.unique(family_P[members])) >= 2
    if own_families:
        assert len(left) < max(2, world_size)
