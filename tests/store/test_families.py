import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from orthrus.store.families import join_families, split_of, star_edges


@given(st.integers(1, 12), st.data())
def test_families_are_what_walking_the_edges_reaches(n: int, data: st.DataObject) -> None:
    edges = data.draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=15))
    order = ["human", "mouse", "cat"]
    species = [data.draw(st.sampled_from(order)) for _ in range(n)]
    genes = [f"g{i:02d}" for i in range(n)]
    reached = [{i} for i in range(n)]
    for _ in range(n):  # a slow fixed point
        for a, b in edges:
            for i in range(n):
                if reached[i] & {a, b}:
                    reached[i] |= {a, b}
    families = join_families(
        np.array([order.index(name) for name in species]),
        order,
        pa.array(genes),
        np.array(edges, dtype=np.int64).reshape(-1, 2),
    )
    names = families.names.take(pa.array(families.number)).to_pylist()
    for i in range(n):
        assert {j for j in range(n) if names[j] == names[i]} == reached[i]
        first = min(reached[i], key=lambda j: (order.index(species[j]), genes[j]))
        assert names[i] == f"{species[first]}:{genes[first]}"


def test_splits_stay_when_data_is_added_and_have_their_share() -> None:
    names = [f"human:G{i}" for i in range(4000)]
    sides = split_of(names, val=0.1, test=0.2)
    assert np.array_equal(split_of([*names[::-1], "new"], val=0.1, test=0.2)[:-1][::-1], sides)
    share = {side: float((sides == side).mean()) for side in ("train", "val", "test")}
    assert abs(share["val"] - 0.1) < 0.02
    assert abs(share["test"] - 0.2) < 0.02
    assert (split_of(names, val=0.1, test=0.2, salt="other") != sides).any()
    assert set(split_of(names, val=0, test=0).tolist()) == {"train"}


@given(st.lists(st.tuples(st.integers(0, 6), st.sampled_from("abc")), max_size=12))
def test_groups_join_their_members_and_nothing_else(members: list[tuple[int, str]]) -> None:
    genes = np.array([gene for gene, _ in members], dtype=np.int64)
    edges = star_edges(genes, pa.chunked_array([pa.array([group for _, group in members], pa.string())]))
    pairs = [(a, b) for a, g in members for b, h in members if g == h]
    together, linked = (
        join_families(np.zeros(7, dtype=np.int64), ["x"], pa.array(list("0123456")), np.array(some).reshape(-1, 2))
        for some in (np.array(pairs, dtype=np.int64), edges)
    )
    assert together.names.equals(linked.names)
    assert together.number.tolist() == linked.number.tolist()
    assert len(edges) < max(len(members), 1)
