import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from orthrus.families import family_names, split_of


@given(st.integers(1, 12), st.data())
def test_families_are_what_walking_the_edges_reaches(n: int, data: st.DataObject) -> None:
    edges = data.draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=15))
    species = [data.draw(st.sampled_from(["human", "mouse", "cat"])) for _ in range(n)]
    genes = [f"g{i:02d}" for i in range(n)]
    reached = [{i} for i in range(n)]
    for _ in range(n):  # a slow fixed point
        for a, b in edges:
            for i in range(n):
                if reached[i] & {a, b}:
                    reached[i] |= {a, b}
    names = family_names(species, genes, np.array(edges, dtype=np.int64).reshape(-1, 2), ["human", "mouse", "cat"])
    for i in range(n):
        assert {j for j in range(n) if names[j] == names[i]} == reached[i]
        first = min(reached[i], key=lambda j: (["human", "mouse", "cat"].index(species[j]), genes[j]))
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
