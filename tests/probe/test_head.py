import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orthrus.embedding.file import Embeddings
from orthrus.errors import InputError
from orthrus.probe.head import Head, fit_head, load_head
from orthrus.probe.one_split import fit_features
from orthrus.probe.splits import Split
from orthrus.probe.targets import Target, Task

N, D = 400, 12
SHA = "a" * 64


def split(seed=0, n=N):
    order = np.random.default_rng(seed).permutation(n)
    return Split(seed, *(np.sort(part) for part in np.split(order, [int(0.6 * n), int(0.75 * n)])))


def target_of(task, features):
    generator = np.random.default_rng(1)
    standard = (features[:, :3] - features[:, :3].mean(axis=0)) / features[:, :3].std(axis=0)
    noisy = standard + 0.5 * generator.standard_normal((len(features), 3))
    if task is Task.REGRESSION:
        return Target(task, ("y",), 2 + 0.3 * noisy[:, :1].astype(np.float64), np.arange(len(features)), {})
    if task is Task.MULTILABEL:
        return Target(task, ("a", "b", "c"), (noisy > 0).astype(np.float64), np.arange(len(features)), {})
    one_hot = np.eye(3)[noisy.argmax(axis=1)]
    return Target(task, ("a", "b", "c"), one_hot, np.arange(len(features)), {})


def head_of(task, features, sides=None, **options):
    defaults = {"readout": "last.mean", "metadata": {"checkpoint": "c.ckpt", "checkpoint_sha256": SHA}}
    target = target_of(task, features)
    return fit_head(features, target, sides or split(n=len(features)), **(defaults | options), name="t", unit="family")


@pytest.fixture(scope="module")
def features():
    scales = np.logspace(-2, 3, D)
    return (np.random.default_rng(0).standard_normal((N, D)) * scales + 5 * scales).astype(np.float32) / scales[0]


@pytest.mark.parametrize("task", list(Task))
def test_a_saved_head_predicts_what_its_split_was_scored_by(features, tmp_path, task):
    features = features.copy()
    features[:, 5] = 3.0  # constant: no head reads it
    head = head_of(task, features)
    head.save(tmp_path / "head")
    found = load_head(tmp_path / "head").predict(features[split().test])
    fit = fit_features(features, target_of(task, features), split())
    scores = fit.scores_NT
    expected = {
        Task.REGRESSION: scores,
        Task.MULTILABEL: 1 / (1 + np.exp(-scores)),
        Task.CLASSIFICATION: np.exp(scores),
    }[task]
    np.testing.assert_allclose(found.values, expected, rtol=1e-6, atol=1e-9)
    assert head.description.scores
    assert head.description.rows["test"] == len(split().test)
    assert (found.low is None) == (task is not Task.REGRESSION)


def test_percentiles_are_shares_of_the_held_out_predictions(features):
    head = head_of(Task.REGRESSION, features)
    held_out = head.predict(features[split().test])
    below = (held_out.values[:, 0] < held_out.values[:, :1]).mean(axis=1) * 100
    np.testing.assert_allclose(held_out.percentile[:, 0], below, atol=1.0)
    assert head.predict(features[:1] * 1e6).percentile[0, 0] in (0, 100)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.5, 0.8, 0.9]))
def test_the_interval_is_the_conformal_quantile_of_held_out_errors(seed, level):
    features = np.random.default_rng(seed).standard_normal((120, 4)).astype(np.float32)
    sides = split(seed, 120)
    head = head_of(Task.REGRESSION, features, sides)
    found = head.predict(features[sides.test], level)
    truth = target_of(Task.REGRESSION, features).values[sides.test]
    inside = np.abs(truth - found.values) <= (found.high - found.low) / 2 + 1e-12
    n = len(sides.test)
    assert inside.sum() == int(np.ceil((n + 1) * level)), "the rank of the error that is the half-width"


def test_intervals_cover_new_rows_as_often_as_they_say():
    features = np.random.default_rng(3).standard_normal((4000, 6)).astype(np.float32)
    target = target_of(Task.REGRESSION, features)
    head = head_of(Task.REGRESSION, features, split(0, 1000))
    found = head.predict(features[1000:], 0.8)
    covered = (found.low <= target.values[1000:]) & (target.values[1000:] <= found.high)
    assert covered.mean() == pytest.approx(0.8, abs=0.06)
    assert np.isinf(head.predict(features[:2], 0.9999).high).all(), "150 errors cannot tell the 10,000th part"


def test_a_head_reads_its_own_models_vectors_alone(features):
    head = head_of(Task.REGRESSION, features)

    def made_by(metadata, readout="last.mean"):
        return Embeddings(tuple(map(str, range(N))), features, metadata, readout=readout)

    assert head.vectors_of(made_by({"checkpoint_sha256": SHA})) is not None
    for other in ({"checkpoint_sha256": "b" * 64}, {}):
        with pytest.raises(InputError, match=r"fitted to c\.ckpt \(aaaaaaaaaaaa…\), not to"):
            head.vectors_of(made_by(other))
    with pytest.raises(InputError, match=r"no readout 'last\.mean'"):
        head.vectors_of(made_by({"checkpoint_sha256": SHA}, readout="last.max"))
    with pytest.raises(InputError, match="vectors of an unknown model"):
        head_of(Task.REGRESSION, features, metadata={}).check_model(None)
    with pytest.raises(InputError, match=r"vectors of shape \(400, 11\).*reads 12 features"):
        head.predict(features[:, 1:])
    with pytest.raises(InputError, match="level is 1"):
        head.predict(features, 1)


def test_a_label_of_one_value_in_training_is_left_out_of_the_head(features):
    target = target_of(Task.MULTILABEL, features)
    target.values[split().train, 1] = 0
    head = fit_head(features, target, split(), readout="r", metadata={}, name="t", unit="family")
    assert head.description.target_names == ["a", "c"]
    assert head.predict(features).values.shape == (N, 2)
    assert head.description.penalties[1] is None


@pytest.mark.parametrize("damage", ["no folder", "no weights", "version", "cut", "array"])
def test_what_is_no_head_is_refused(features, tmp_path, damage):
    folder = tmp_path / "head"
    if damage != "no folder":
        head_of(Task.REGRESSION, features).save(folder)
    weights, description = folder / "head.safetensors", folder / "head.json"
    if damage == "no weights":
        weights.unlink()
    elif damage == "version":
        description.write_text(json.dumps(json.loads(description.read_text()) | {"format_version": 0}))
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "array":
        from safetensors.numpy import load_file, save_file

        save_file({name: value for name, value in load_file(weights).items() if name != "weight_DT"}, weights)
    with pytest.raises(InputError, match="has no head of version 1"):
        load_head(folder)


def test_a_probe_leaves_the_head_of_its_first_split(embeddings, store, write_labels, tmp_path):
    from orthrus.probe.run import run_probe
    from orthrus.probe.tasks import TaskSpec

    labels = write_labels(transcript_id=embeddings.transcript_ids, y=list(embeddings.matrix[:, 0]))
    document = run_probe(embeddings, TaskSpec(labels, ("y",), Task.REGRESSION), tmp_path / "probe", seeds=2)
    head: Head = load_head(tmp_path / "probe" / "head")
    scores = document.feature_sets["embedding"].scores
    assert head.description.scores == pytest.approx({metric: each.per_seed[0] for metric, each in scores.items()})
    assert (head.description.readout, head.description.seed, head.description.split) == ("embedding", 0, "family")
