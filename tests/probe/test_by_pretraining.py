import numpy as np
import pytest
from scipy import stats

from orthrus.probe.by_pretraining import LEAST_ROWS, by_pretraining, seen_families
from orthrus.probe.document import CODON, EMBEDDING, EMBEDDING_AND_CODON, LABEL_SHUFFLE
from orthrus.probe.metrics import SeedScores
from orthrus.probe.rows import ProbeRows
from orthrus.probe.splits import Groups, Split
from orthrus.probe.targets import Target, Task

GENERATOR = np.random.default_rng(0)
N = 300


def rows_of(values, task=Task.REGRESSION, n_splits=3):
    target = Target(task, tuple(map(str, range(values.shape[1]))), values, np.arange(N), {})
    splits = []
    for seed in range(n_splits):
        order = np.random.default_rng(seed).permutation(N)
        splits.append(Split(seed, np.sort(order[:150]), np.sort(order[150:200]), np.sort(order[200:])))
    return ProbeRows(list(map(str, range(N))), target, splits, None, None, [], {})


def predictions(rows, noise, names):
    """Predictions of each set and split: the truth with so much noise."""
    return {
        name: [
            [
                SeedScores({}, {}, (), rows.target.values[s.test] + noise * GENERATOR.standard_normal((100, 1)), 0.0)
                for s in rows.splits
            ]
        ]
        for name in names
    }


def test_each_part_is_scored_on_its_own_rows_and_differences_are_paired():
    rows = rows_of(GENERATOR.standard_normal((N, 1)))
    results = predictions(rows, 0.5, [EMBEDDING, EMBEDDING_AND_CODON, CODON, LABEL_SHUFFLE])
    seen = {"transcript": np.arange(N) % 3 == 0, "gene": np.zeros(N, bool)}
    parts = by_pretraining(results, rows, seen, ["pearson_r"])
    assert set(parts) == {"transductive", "inductive"}
    for name, chosen in (("transductive", seen["transcript"]), ("inductive", ~seen["transcript"])):
        part = parts[name]
        assert part.rows_per_seed == [int(chosen[split.test].sum()) for split in rows.splits]
        assert set(part.feature_sets) == {EMBEDDING, EMBEDDING_AND_CODON, CODON}
        expected = {
            of: [
                stats.pearsonr(rows.target.values[s.test][chosen[s.test], 0], seed.predicted_NT[chosen[s.test], 0])[0]
                for s, seed in zip(rows.splits, results[of][0], strict=True)
            ]
            for of in part.feature_sets
        }
        for of, per_seed in expected.items():
            assert part.feature_sets[of]["pearson_r"].per_seed == pytest.approx(per_seed)
        minus = np.subtract(expected[EMBEDDING], expected[CODON])
        assert part.differences[CODON]["pearson_r"].per_seed == pytest.approx(minus.tolist())
        added = np.subtract(expected[EMBEDDING_AND_CODON], expected[CODON])
        assert part.added["pearson_r"].mean == pytest.approx(added.mean())


def test_a_family_is_seen_if_any_of_its_rows_is():
    seen = {"transcript": np.array([True, False, False, False]), "sequence": np.array([False, False, False, True])}
    families = Groups(np.array([0, 0, 1, 2]), ("a", "b", "c"))
    assert seen_families(seen, families).tolist() == [True, True, False, True]
    assert seen_families(seen, None).tolist() == [True, False, False, True]


@pytest.mark.parametrize("n_seen", [0, LEAST_ROWS - 1, N])
def test_nothing_is_split_where_one_part_is_hardly_there(n_seen):
    rows = rows_of(GENERATOR.standard_normal((N, 1)))
    results = predictions(rows, 0.5, [EMBEDDING])
    assert by_pretraining(results, rows, {"transcript": np.arange(N) < n_seen}, ["r2"]) == {}
    assert by_pretraining(results, rows, None, ["r2"]) == {}


def test_a_split_whose_part_has_one_value_alone_is_left_out_of_the_mean():
    values = (GENERATOR.random((N, 1)) < 0.5).astype(float)
    rows = rows_of(values, Task.MULTILABEL, n_splits=2)
    seen = np.zeros(N, bool)
    seen[rows.splits[0].test[:40]] = True
    values[seen & np.isin(np.arange(N), rows.splits[1].test)] = 1.0
    rest = np.setdiff1d(np.flatnonzero(seen), rows.splits[1].test)
    values[rest[::2]], values[rest[1::2]] = 0.0, 1.0
    part = by_pretraining(predictions(rows, 0.5, [EMBEDDING]), rows, {"transcript": seen}, ["auroc"])["transductive"]
    scores = part.feature_sets[EMBEDDING]["auroc"]
    assert scores.per_seed[1] is None
    assert scores.mean == scores.per_seed[0]
    assert scores.interval95 is None
