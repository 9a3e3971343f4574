import numpy as np

from orthrus.probe.efficiency import limited
from orthrus.probe.splits import Split, group_rows, split_groups


def test_fewer_labels_are_among_more_and_test_rows_stay():
    genes = [f"G{i // 3}" for i in range(600)]
    groups = group_rows([str(i) for i in range(600)], [("gene_name", genes)])
    split = split_groups(groups, 3)
    few, more = limited(split, 60, groups), limited(split, 200, groups)
    assert set(few.train) < set(more.train) < set(split.train)
    assert set(few.validation) < set(more.validation) < set(split.validation)
    assert len(few.train) + len(few.validation) == 60
    np.testing.assert_array_equal(few.test, split.test)
    n_families = len({genes[row] for row in few.train})
    assert n_families <= len(few.train) / 3 + 1, "families are taken whole"


def test_a_handful_of_labels_still_leaves_something_on_each_side():
    split = Split(0, np.arange(100), np.arange(100, 120), np.arange(120, 140))
    few = limited(split, 3, None)
    assert len(few.train) >= 2
    assert len(few.validation) >= 1
