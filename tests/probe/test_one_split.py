from dataclasses import replace

import numpy as np
import pytest

from orthrus.probe.linear import RIDGE_PENALTIES
from orthrus.probe.one_split import (
    EMBEDDING_WEIGHTS,
    probe_beside,
    probe_features,
    probe_readouts,
    probe_shuffled,
)
from orthrus.probe.splits import Split
from orthrus.probe.targets import Target, Task
from tests.oracles.probe import weighted_ridge_test_predictions

N = 600
SIDES = (np.arange(0, 360), np.arange(360, 460), np.arange(460, 600))
SPLIT = Split(0, *SIDES)


def case(task=Task.REGRESSION):
    """Five numbers that anyone can count say most of the label, one of an embedding's says the rest."""
    generator = np.random.default_rng(0)
    control = generator.standard_normal((N, 5)).astype(np.float32)
    embedding = generator.standard_normal((N, 200)).astype(np.float32)
    y = control.sum(axis=1) + embedding[:, 0] + 0.5 * generator.standard_normal(N)
    values = y if task is Task.REGRESSION else (np.stack([y > 0, y > 2], axis=1)).astype(float)
    return control, embedding, Target(task, ("a", "b")[: values.ndim], values.reshape(N, -1), np.arange(N), {})


def test_the_embeddings_weight_beside_a_control_is_that_of_least_validation_error():
    control, embedding, target = case()
    embedding = embedding[:, :30]
    found = probe_beside({"noise": embedding[:, 1:], "e": embedding}, control, target, SPLIT)
    blocks, weights = [embedding, control], [(weight, 1.0) for weight in EMBEDDING_WEIGHTS]
    expected = weighted_ridge_test_predictions(blocks, weights, target.values[:, 0], SIDES, RIDGE_PENALTIES)
    np.testing.assert_allclose(found.predicted_NT[:, 0], expected, rtol=1e-6, atol=1e-6)
    assert found.readout.startswith("e × ")


@pytest.mark.parametrize(("task", "metric"), [(Task.REGRESSION, "pearson_r"), (Task.MULTILABEL, "auroc")])
def test_many_numbers_that_say_nothing_do_not_drown_the_control(task, metric):
    control, embedding, target = case(task)
    alone = probe_features(control, target, SPLIT).scores[metric]
    plain = probe_features(np.hstack([embedding[:, 1:], control]), target, SPLIT).scores[metric]
    beside = probe_beside({"e": embedding[:, 1:]}, control, target, SPLIT).scores[metric]
    assert beside > alone - 0.01
    assert beside > plain
    assert probe_readouts({"e": embedding[:, 1:]}, target, SPLIT).scores[metric] < alone


def test_shuffled_numbers_are_fitted_together_as_one_by_one() -> None:
    """Features whose largest direction goes with the labels: one permutation scores it by luck, twenty little."""
    generator = np.random.default_rng(3)
    features = generator.standard_normal((300, 5)).astype(np.float32)
    values = (features[:, :1] + generator.standard_normal((300, 1))).astype(np.float64)
    target = Target(Task.REGRESSION, ("y",), values, np.arange(300), {})
    split = Split(7, np.arange(180), np.arange(180, 230), np.arange(230, 300))
    found = probe_shuffled(features, target, split)
    again, one_by_one = np.random.default_rng(7), []
    for _ in range(20):
        shuffled = values.copy()
        shuffled[:230] = values[again.permutation(np.arange(230))]
        one_by_one.append(probe_features(features, replace(target, values=shuffled), split))
    assert found.scores["pearson_r"] == pytest.approx(np.mean([each.scores["pearson_r"] for each in one_by_one]))
    np.testing.assert_allclose(found.predicted_NT, np.hstack([each.predicted_NT for each in one_by_one]), atol=1e-9)
