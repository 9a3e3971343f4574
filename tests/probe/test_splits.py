import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orthrus.errors import InputError
from orthrus.probe.splits import Split, group_rows, split_groups

NAMES = st.sampled_from(["", "A", "B", "C", "D", "E", "F", "nan"])


def sides(split: Split) -> list[np.ndarray]:
    return [split.train, split.validation, split.test]


@st.composite
def keyed_rows(draw):
    n = draw(st.integers(1, 40))
    column = st.lists(NAMES | st.none(), min_size=n, max_size=n)
    return [f"T{i}" for i in range(n)], draw(column), draw(column)


@given(keyed_rows())
def test_rows_that_share_a_family_or_a_gene_are_one_group(rows):
    ids, families, genes = rows
    groups = group_rows(ids, [("family_id", families), ("gene_name", genes)])
    for column in (families, genes):
        for i, a in enumerate(column):
            for j, b in enumerate(column):
                if a == b and a not in ("", None, "nan"):
                    assert groups.of_row[i] == groups.of_row[j]


@given(keyed_rows())
def test_groups_join_nothing_else(rows):
    """Literal oracle: grow each row's group by shared keys until it stands still."""
    ids, families, genes = rows
    groups = group_rows(ids, [("family_id", families), ("gene_name", genes)])
    for start in range(len(ids)):
        reached = {start}
        while True:
            known = [{column[i] for i in reached} - {"", None, "nan"} for column in (families, genes)]
            grown = reached | {
                i
                for i in range(len(ids))
                if any(column[i] in keys for column, keys in zip((families, genes), known, strict=True))
            }
            if grown == reached:
                break
            reached = grown
        assert reached == set(np.flatnonzero(groups.of_row == groups.of_row[start]))


@settings(max_examples=60)
@given(keyed_rows(), st.integers(0, 99))
def test_no_group_straddles_and_every_row_is_used_once(rows, seed):
    ids, families, genes = rows
    groups = group_rows(ids, [("family_id", families), ("gene_name", genes)])
    if len(groups) < 3:
        with pytest.raises(InputError, match="needs at least 3"):
            split_groups(groups, seed)
        return
    split = split_groups(groups, seed)
    assert sorted(np.concatenate(sides(split))) == list(range(len(ids)))
    seen = [set(groups.of_row[rows_of_side]) for rows_of_side in sides(split)]
    assert all(seen)
    assert sum(map(len, seen)) == len(groups)


def test_sides_are_about_70_15_15_percent_of_the_rows():
    sizes = np.random.default_rng(0).geometric(0.3, 500)
    genes = np.repeat([f"G{i}" for i in range(500)], sizes)
    groups = group_rows([f"T{i}" for i in range(len(genes))], [("gene_name", list(genes))])
    for seed in range(10):
        shares = [len(side) / len(genes) for side in sides(split_groups(groups, seed))]
        np.testing.assert_allclose(shares, [0.70, 0.15, 0.15], atol=0.015)


def test_split_depends_on_the_seed_and_not_on_the_order_of_rows():
    ids = [f"T{i}" for i in range(200)]
    genes = [f"G{i // 3}" for i in range(200)]
    shuffled = np.random.default_rng(1).permutation(200)

    def test_ids(order, seed):
        names = [ids[i] for i in order]
        split = split_groups(group_rows(names, [("gene_name", [genes[i] for i in order])]), seed)
        return {names[row] for row in split.test}

    assert test_ids(range(200), 0) == test_ids(shuffled, 0)
    assert test_ids(range(200), 0) != test_ids(range(200), 1)


def test_labels_gene_joins_a_row_to_the_family_of_its_gene():
    """A transcript that the store does not place still goes with its gene's family."""
    groups = group_rows(["a", "b", "c"], [("family_id", ["F1", None, "F2"]), ("gene_name", ["ACTB", "ACTB", "TP53"])])
    assert groups.of_row[0] == groups.of_row[1] != groups.of_row[2]


def test_nothing_to_group_by_is_an_error():
    with pytest.raises(InputError, match=r"give --store.*gene_name"):
        group_rows(["a", "b"], [])
