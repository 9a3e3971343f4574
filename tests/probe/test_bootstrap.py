import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, r2_score, roc_auc_score

from orthrus.probe.bootstrap import family_counts, label_resamples, regression_resamples


def repeated(counts, *arrays):
    return [np.repeat(array, counts, axis=0) for array in arrays]


def test_a_resample_scores_as_rows_repeated_by_their_counts():
    generator = np.random.default_rng(0)
    truth = generator.standard_normal((60, 2))
    predicted = truth + generator.standard_normal((60, 2))
    family = generator.integers(0, 25, 60)
    counts = family_counts(25, 2)[:6, family]
    found = regression_resamples(truth, predicted, counts)
    for b, row in enumerate(counts):
        y, p = repeated(row, truth, predicted)
        assert found["pearson_r"][b] == pytest.approx(np.mean([stats.pearsonr(y[:, i], p[:, i])[0] for i in (0, 1)]))
        assert found["r2"][b] == pytest.approx(np.mean([r2_score(y[:, i], p[:, i]) for i in (0, 1)]))


def test_spearman_of_the_whole_is_that_of_one_count_each():
    generator = np.random.default_rng(1)
    truth, predicted = generator.standard_normal((2, 40, 1))
    found = regression_resamples(truth, predicted, np.ones((1, 40), np.int16))["spearman_r"][0]
    assert found == pytest.approx(stats.spearmanr(truth[:, 0], predicted[:, 0]).statistic)


def test_areas_equal_scikit_learns_with_ties_and_weights():
    generator = np.random.default_rng(2)
    truth = (generator.random((80, 3)) < 0.3).astype(float)
    scores = np.round(truth + generator.standard_normal((80, 3)), 1)
    counts = family_counts(80, 3)[:5]
    found = label_resamples(truth, scores, counts)
    for b, row in enumerate(counts):
        weighted = [(truth[:, i], scores[:, i]) for i in range(3)]
        for metric, score in (("auroc", roc_auc_score), ("auprc", average_precision_score)):
            expected = np.mean([score(y, s, sample_weight=row) for y, s in weighted])
            assert found[metric][b] == pytest.approx(expected), metric


def test_labels_that_a_resample_cannot_score_are_left_out():
    truth = np.array([[1.0, 1], [0, 0], [0, 1], [0, 0]])
    scores = np.array([[1.0, 1], [0, 0], [0, 2], [0, 0]])
    counts = np.array([[0, 2, 1, 1], [0, 2, 0, 2]], dtype=np.int16)
    found = label_resamples(truth, scores, counts)["auroc"]
    assert found[0] == 1
    assert np.isnan(found[1])


@pytest.mark.filterwarnings("error")
def test_a_resample_of_rows_that_are_all_alike_scores_nothing():
    truth = np.array([[7e5], [7e5], [7e5 + 1], [7e5 + 3]])
    counts = np.array([[0, 0, 0, 0], [2, 1, 0, 0], [0, 0, 0, 4], [0, 0, 1, 1]], dtype=np.int16)
    predicted = truth + np.array([[0.0], [1], [0.5], [0.2]])
    for values in regression_resamples(truth, predicted, counts).values():
        assert np.isnan(values).tolist() == [True, True, True, False]
        assert -1 <= values[3] <= 1


def test_families_are_drawn_whole_and_as_many_as_there_are():
    counts = family_counts(30, 1)
    assert (counts.sum(axis=1) == 30).all()
    assert len(counts) > len(family_counts(30, 84))
    assert counts.mean(axis=0) == pytest.approx(np.ones(30), abs=0.2)
