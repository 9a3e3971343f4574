from dataclasses import replace

import numpy as np
import pytest
import torch

from orthrus.probe import lbfgs, linear, logistic
from orthrus.probe.splits import Split
from tests.oracles import probe as oracle

RNG = np.random.default_rng()


@pytest.fixture(autouse=True)
def _same_numbers_whatever_runs_first():
    RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state


def random_split(n_rows: int) -> Split:
    order = RNG.permutation(n_rows)
    cuts = [int(0.7 * n_rows), int(0.85 * n_rows)]
    return Split(0, *(np.sort(part) for part in np.split(order, cuts)))


def sides(split: Split) -> tuple[np.ndarray, ...]:
    return split.train, split.validation, split.test


def correlated_features(n_rows: int, n_features: int) -> np.ndarray:
    hidden = RNG.standard_normal((n_rows, 6))
    noise = RNG.standard_normal((n_rows, n_features))
    return (hidden @ RNG.standard_normal((6, n_features)) * 3 + noise + 5).astype(np.float32)


@pytest.mark.parametrize(("n_rows", "n_features"), [(300, 20), (90, 120)], ids=["primal", "dual"])
def test_ridge_equals_scikit_learn_with_its_penalty_chosen_alike(n_rows, n_features):
    features, split = correlated_features(n_rows, n_features), random_split(n_rows)
    weights = RNG.standard_normal((n_features, 2)) * [1, 0]
    targets = features @ weights + RNG.standard_normal((n_rows, 2)) * 5
    fit = linear.fit_ridge(linear.principal_axes(features, split), targets, split)
    for column in range(2):
        expected, penalty = oracle.ridge_test_predictions(
            features, targets[:, column], sides(split), linear.RIDGE_PENALTIES
        )
        assert fit.penalties[column] == penalty
        np.testing.assert_allclose(fit.scores_NT[:, column], expected, rtol=1e-4, atol=1e-4)
    assert fit.penalties[0] < fit.penalties[1], "noise deserves the stronger penalty"


@pytest.mark.parametrize(("n_rows", "n_features"), [(300, 12), (100, 130)], ids=["primal", "dual"])
@pytest.mark.parametrize("penalty", [1e-4, 1e-2, 1.0])
def test_logistic_equals_scikit_learn(n_rows, n_features, penalty):
    features, split = correlated_features(n_rows, n_features), random_split(n_rows)
    score = features @ RNG.standard_normal((n_features, 2)) + RNG.standard_normal((n_rows, 2)) * 3
    rare = np.diag(np.quantile(score, [0.5, 0.93], axis=0))
    labels = (score > rare).astype(np.float64)  # an even and a rare label
    fit = logistic.fit_logistic(linear.principal_axes(features, split), labels, split, penalties=(penalty,))
    for column in range(2):
        expected = oracle.logistic_test_scores(features, labels[:, column], sides(split), penalty)
        np.testing.assert_allclose(fit.scores_NT[:, column], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("penalty", [1e-4, 1e-2, 1.0])
def test_softmax_equals_scikit_learn(penalty):
    features, split = correlated_features(200, 8), random_split(200)
    score = features @ RNG.standard_normal((8, 4))
    classes = (score - score.mean(axis=0)).argmax(axis=1)
    fit = logistic.fit_softmax(linear.principal_axes(features, split), np.eye(4)[classes], split, penalties=(penalty,))
    expected = oracle.logistic_test_scores(features, classes, sides(split), penalty)
    np.testing.assert_allclose(fit.scores_NT, expected, rtol=1e-4, atol=1e-4)


def test_each_label_gets_the_penalty_with_its_least_validation_log_loss():
    features, split = correlated_features(300, 40), random_split(300)
    labels = (features @ RNG.standard_normal((40, 3)) / 20 + RNG.standard_normal((300, 3)) > 0).astype(np.float64)
    axes = linear.principal_axes(features, split)
    on_validation = replace(axes, test_NR=axes.validation_NR)
    as_test = Split(0, split.train, split.validation, split.validation)
    truth = torch.from_numpy(labels[split.validation])
    losses = []
    for penalty in logistic.LOGISTIC_PENALTIES:
        scores = torch.from_numpy(logistic.fit_logistic(on_validation, labels, as_test, penalties=(penalty,)).scores_NT)
        losses.append(torch.nn.functional.binary_cross_entropy_with_logits(scores, truth, reduction="none").mean(0))
    best = torch.stack(losses).argmin(dim=0)
    expected = tuple(logistic.LOGISTIC_PENALTIES[i] for i in best)
    assert logistic.fit_logistic(axes, labels, split).penalties == expected


@pytest.mark.parametrize("fit_name", ["fit_ridge", "fit_logistic", "fit_softmax"])
def test_predictions_and_penalty_never_see_test_targets(fit_name):
    features, split = correlated_features(200, 30), random_split(200)
    targets = np.eye(3)[RNG.integers(0, 3, 200)]
    altered = targets.copy()
    altered[split.test] = 1 - altered[split.test]
    axes, fit = (
        linear.principal_axes(features, split),
        getattr(linear if fit_name == "fit_ridge" else logistic, fit_name),
    )
    first, second = fit(axes, targets, split), fit(axes, altered, split)
    np.testing.assert_array_equal(first.scores_NT, second.scores_NT)
    assert first.penalties == second.penalties


def test_standardisation_uses_training_rows_alone():
    features, split = correlated_features(200, 30), random_split(200)
    axes = linear.principal_axes(features, split)
    altered = features.copy()
    altered[np.concatenate([split.validation, split.test])] *= 100
    again = linear.principal_axes(altered, split)
    torch.testing.assert_close(axes.train_NR, again.train_NR, rtol=0, atol=0)
    assert not torch.allclose(axes.test_NR, again.test_NR)
    assert torch.allclose(axes.train_NR.mean(dim=0), torch.zeros(()).double(), atol=1e-9)
    assert axes.train_NR.var(dim=0, correction=0).sum() == pytest.approx(30)


def test_features_constant_in_training_are_ignored():
    features, split = correlated_features(200, 10), random_split(200)
    with_constant = np.hstack([features, np.full((200, 1), 7.1, np.float32), np.zeros((200, 1), np.float32)])
    with_constant[split.test[0], -1] = 1e6
    targets = features[:, :1].astype(np.float64)
    plain = linear.fit_ridge(linear.principal_axes(features, split), targets, split)
    padded = linear.fit_ridge(linear.principal_axes(with_constant, split), targets, split)
    np.testing.assert_allclose(padded.scores_NT, plain.scores_NT, atol=1e-8)


def test_features_without_any_variance_predict_the_mean():
    split = random_split(60)
    axes = linear.principal_axes(np.ones((60, 4), np.float32), split)
    targets = RNG.standard_normal((60, 1))
    fit = linear.fit_ridge(axes, targets, split)
    np.testing.assert_allclose(fit.scores_NT, targets[split.train].mean(), atol=1e-9)
    assert np.isfinite(logistic.fit_logistic(axes, (targets > 0).astype(np.float64), split).scores_NT).all()


def test_a_label_with_one_class_in_training_is_not_scored():
    features, split = correlated_features(200, 10), random_split(200)
    labels = np.zeros((200, 2))
    labels[:, 0] = RNG.integers(0, 2, 200)
    labels[split.test, 1] = 1
    fit = logistic.fit_logistic(linear.principal_axes(features, split), labels, split)
    assert np.isfinite(fit.scores_NT[:, 0]).all()
    assert np.isnan(fit.scores_NT[:, 1]).all()
    assert np.isnan(fit.penalties[1])


def test_separable_labels_converge_under_the_weakest_penalty():
    features, split = correlated_features(200, 10), random_split(200)
    labels = (features[:, :1] > np.median(features[:, :1])).astype(np.float64)
    axes = linear.principal_axes(features, split)
    fit = logistic.fit_logistic(axes, labels, split, penalties=(1e-6,))
    assert np.isfinite(fit.scores_NT).all()


def test_a_label_that_all_but_one_of_few_rows_have_converges():
    """The weakest penalty leaves values so small that their rounding stops the descent, the gradient not yet nought."""
    for _ in range(20):
        scales = np.logspace(0, -3, 64)
        features = (RNG.standard_normal((45, 64)) * scales @ RNG.standard_normal((64, 64))).astype(np.float32)
        split = Split(0, np.arange(25), np.arange(25, 35), np.arange(35, 45))
        labels = np.ones((45, 1))
        labels[RNG.choice(45, 3)] = labels[RNG.integers(25)] = 0
        fit = logistic.fit_logistic(linear.principal_axes(features, split), labels, split)
        assert np.isfinite(fit.scores_NT).all()


def test_classes_with_more_features_than_rows_converge():
    rng = np.random.default_rng(3)
    features = rng.standard_normal((102, 90)).astype(np.float32)
    classes = np.eye(3)[rng.integers(0, 3, 102)]
    split = Split(0, np.arange(62), np.arange(62, 82), np.arange(82, 102))
    fit = logistic.fit_softmax(linear.principal_axes(features, split), classes, split)
    assert np.isfinite(fit.scores_NT).all()


def test_minimise_finds_the_minima_of_quadratics_of_any_curvature():
    curvature = torch.logspace(-3, 3, 8, dtype=torch.float64).repeat(5, 1)
    goal = torch.randn(5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def evaluate(params, problems):
        away = params - goal[problems]
        return 0.5 * (curvature[problems] * away**2).sum(dim=1), curvature[problems] * away

    found = lbfgs.minimise(
        evaluate, torch.zeros(5, 8, dtype=torch.float64), torch.ones(5, 8, dtype=torch.float64), 1e-7
    )
    torch.testing.assert_close(found, goal, rtol=0, atol=1e-3)
