import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from orthrus.probe import metrics
from orthrus.probe.document import Mean

SCORES = st.lists(st.floats(-1, 1), min_size=2, max_size=20)


def test_regression_scores_by_their_definitions():
    generator = np.random.default_rng(0)
    truth = generator.standard_normal(50)
    predicted = truth + generator.standard_normal(50)
    found = metrics.regression_scores(truth, predicted)
    assert found["pearson_r"] == pytest.approx(np.corrcoef(truth, predicted)[0, 1])
    ranks = [stats.rankdata(values) for values in (truth, predicted)]
    assert found["spearman_r"] == pytest.approx(np.corrcoef(*ranks)[0, 1])
    residual, total = ((truth - predicted) ** 2).sum(), ((truth - truth.mean()) ** 2).sum()
    assert found["r2"] == pytest.approx(1 - residual / total)


@pytest.mark.filterwarnings("error")
def test_a_constant_prediction_correlates_with_nothing():
    found = metrics.regression_scores(np.arange(5.0), np.ones(5))
    assert (found["pearson_r"], found["spearman_r"]) == (0, 0)


@pytest.mark.filterwarnings("error")
def test_rows_of_one_value_score_nothing():
    assert np.isnan(list(metrics.regression_scores(np.ones(1), np.zeros(1)).values())).all()


def test_auroc_is_the_share_of_pairs_in_order():
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 2, (40, 2)).astype(float)
    scores = generator.integers(0, 6, (40, 2)).astype(float)  # with ties
    found = metrics.label_scores(truth, scores)
    for label in range(2):
        positive, negative = scores[truth[:, label] == 1, label], scores[truth[:, label] == 0, label]
        pairs = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
        assert found["auroc"][label] == pytest.approx(pairs.mean())


def test_labels_that_cannot_be_scored_are_nan():
    truth = np.array([[1, 1, 0], [1, 0, 1.0]])
    scores = np.array([[0.1, 0.9, np.nan], [0.2, 0.1, np.nan]])
    found = metrics.label_scores(truth, scores)
    assert np.isnan(found["auroc"]).tolist() == [True, False, True]
    assert found["auprc"][1] == 1


def test_interval_is_the_textbook_t_interval():
    scores = [0.61, 0.58, 0.65, 0.60]
    low, high = stats.t.interval(0.95, 3, np.mean(scores), stats.sem(scores))
    found = metrics.interval(scores)
    assert (found.mean, *found.interval95) == pytest.approx((np.mean(scores), low, high))


@given(SCORES)
def test_the_corrected_interval_is_the_wider_by_the_overlap_of_training_sets(scores):
    plain, corrected = metrics.interval(scores), metrics.corrected_interval(scores, test_to_train=15 / 70)
    factor = np.sqrt((1 / len(scores) + 15 / 70) * len(scores))
    assert corrected.mean == plain.mean
    assert np.ptp(corrected.interval95) == pytest.approx(factor * np.ptp(plain.interval95), abs=1e-12)


def test_one_seed_has_no_interval():
    assert metrics.interval([0.5]) == Mean(mean=0.5, interval95=None)


def test_p_value_is_below_five_percent_exactly_when_the_interval_leaves_zero_out():
    generator = np.random.default_rng(0)
    for _ in range(200):
        differences = generator.normal(generator.normal(0, 0.5), 1, 10)
        low, high = metrics.corrected_interval(differences, 0.2).interval95
        p_value = metrics.paired_p_value(differences, 0.2)
        assert (p_value < 0.05) == (low > 0 or high < 0)
    assert np.isnan(metrics.paired_p_value([0.1], 0.2))
    assert metrics.paired_p_value([0.0, 0.0], 0.2) == 1
