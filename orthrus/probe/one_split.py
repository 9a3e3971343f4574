"""One feature set on one split: fit on training rows, choose on validation rows, score on test rows."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from orthrus.errors import InputError
from orthrus.probe import linear, logistic
from orthrus.probe.metrics import Floats, SeedScores, score
from orthrus.probe.splits import Split
from orthrus.probe.targets import Target, Task

MAX_PERMUTATIONS, PERMUTATIONS_OF_NUMBERS = 10, 20
EMBEDDING_WEIGHTS = (1.0, 0.3, 0.1, 0.03)


def probe_features(features_MD: NDArray[np.float32], target: Target, split: Split) -> SeedScores:
    """Fit on the training rows, choose the penalty on the validation rows, score on the test rows of one split.

    Raises InputError if no target or label has two values among the test rows.
    """
    with linear.threads_for(features_MD.size):
        fit = fit_features(features_MD, target, split)
    return seed_scores(target, split, fit.scores_NT, fit.validation_loss, fit.penalties)


def seed_scores(
    target: Target,
    split: Split,
    predicted_NT: Floats,
    validation_loss: float,
    penalties: tuple[float, ...] = (),
) -> SeedScores:
    """Scores of predictions for the test rows of one split; raises InputError if they can score nothing."""
    of_label = score(target.task, target.values[split.test], predicted_NT)
    scored = np.isfinite(next(iter(of_label.values())))
    if not scored.any():
        raise InputError(
            f"seed {split.seed}: no target or label has two values among the {len(split.test):,} test rows; give more"
            " labelled transcripts."
        )
    return SeedScores(
        scores={metric: float(values[scored].mean()) for metric, values in of_label.items()},
        of_label=of_label if len(scored) > 1 or target.task is not Task.REGRESSION else {},
        penalties=penalties,
        predicted_NT=predicted_NT,
        validation_loss=validation_loss,
    )


def probe_readouts(readouts: Mapping[str, NDArray[np.float32]], target: Target, split: Split) -> SeedScores:
    """:func:`probe_features` of the readout with the smallest validation loss."""
    probed = [replace(probe_features(matrix, target, split), readout=name) for name, matrix in readouts.items()]
    return min(probed, key=lambda each: each.validation_loss)


def probe_beside(
    readouts: Mapping[str, NDArray[np.float32]], control_MC: NDArray[np.float32], target: Target, split: Split
) -> SeedScores:
    """:func:`probe_features` of one of the ``readouts`` concatenated with a control's features.

    After standardisation, a block of many features outweighs one of few. Therefore the embedding's features are
    multiplied by one of :data:`EMBEDDING_WEIGHTS`, which gives them a penalty of their own. The readout and weight
    whose ridge regression has the smallest squared error on validation rows are chosen, also for labels and classes,
    where ridge costs a hundredth of the logistic regression that then scores.
    """
    best: tuple[float, str, linear.Axes] | None = None
    with linear.threads_for(control_MC.size):
        for name, matrix in readouts.items():
            both = np.hstack([matrix, control_MC])
            for weight in EMBEDDING_WEIGHTS:
                weight_D = np.repeat([weight, 1.0], [matrix.shape[1], control_MC.shape[1]])
                axes = linear.principal_axes(both, split, weight_D)
                loss = linear.fit_ridge(axes, target.values, split).validation_loss
                if best is None or loss < best[0]:
                    best = loss, weighted(name, weight), axes
        assert best is not None
        fit = fit_on_axes(best[2], target, split)
    scores = seed_scores(target, split, fit.scores_NT, fit.validation_loss, fit.penalties)
    return replace(scores, readout=best[1])


def weighted(readout: str, weight: float) -> str:
    """The name of a readout that is combined with a control at this weight."""
    return f"{readout} × {weight:g}"


def fit_features(features_MD: NDArray[np.float32], target: Target, split: Split) -> linear.Fit:
    """The linear model of the task: ridge, logistic for each label, or multinomial for several classes."""
    return fit_on_axes(linear.principal_axes(features_MD, split), target, split)


def fit_on_axes(axes: linear.Axes, target: Target, split: Split) -> linear.Fit:
    """:func:`fit_features` of features in principal axes."""
    if target.task is Task.REGRESSION:
        return linear.fit_ridge(axes, target.values, split)
    several_classes = target.task is Task.CLASSIFICATION and target.values.shape[1] > 1
    return (logistic.fit_softmax if several_classes else logistic.fit_logistic)(axes, target.values, split)


def probe_shuffled(features_MD: NDArray[np.float32], target: Target, split: Split) -> SeedScores:
    """:func:`probe_features` with labels permuted among training and validation rows; scores above chance show a leak.

    One permutation is a noisy measure of chance: a model of shuffled labels leans on the features' largest directions,
    and these correlate with the true labels one way or the other. So permutations are repeated: of numbers 20 times,
    as further targets of one regression; of others until there are 2,000 predictions, at most ten times.
    """
    rows = np.concatenate([split.train, split.validation])
    generator = np.random.default_rng(split.seed)
    numbers = target.task is Task.REGRESSION
    enough = min(MAX_PERMUTATIONS, 1 + 2000 // (len(split.test) * target.values.shape[1]))
    permuted = []
    for _ in range(PERMUTATIONS_OF_NUMBERS if numbers else enough):
        values = target.values.copy()
        values[rows] = values[generator.permutation(rows)]
        permuted.append(values)
    targets = [np.hstack(permuted)] if numbers else permuted
    probed = [probe_features(features_MD, replace(target, values=values), split) for values in targets]
    scores = {metric: float(np.mean([each.scores[metric] for each in probed])) for metric in probed[0].scores}
    return replace(
        probed[0], scores=scores, predicted_NT=np.hstack([each.predicted_NT for each in probed]), of_label={}
    )
