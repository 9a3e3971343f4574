"""Label-efficiency curves: the same splits and test rows with 30, 100, 300, ... labels to learn from.

A number of labels includes the validation rows, on which the penalty is chosen. Training and validation rows shrink in
proportion, by whole families in an order that depends on the seed, so that a smaller number is a subset of a larger
one.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from orthrus.probe import linear
from orthrus.probe.document import Curve, LabelEfficiency
from orthrus.probe.metrics import chance, interval, score
from orthrus.probe.one_split import fit_features
from orthrus.probe.rows import ProbeRows
from orthrus.probe.splits import Groups, Split
from orthrus.probe.targets import Target

Readouts = Mapping[str, NDArray[np.float32]]

SIZES = (30, 100, 300, 1000, 3000, 10_000)


def limited(split: Split, n_labels: int, families: Groups | None) -> Split:
    """The split with ``n_labels`` training and validation rows in total and all test rows."""
    generator = np.random.default_rng(split.seed)
    share = n_labels / (len(split.train) + len(split.validation))
    sides = []
    for rows, least in ((split.train, 2), (split.validation, 1)):
        family = families.of_row[rows] if families is not None else np.arange(len(rows))
        _, number = np.unique(family, return_inverse=True)
        order = np.argsort(generator.permutation(number.max() + 1)[number], kind="stable")
        sides.append(np.sort(rows[order[: max(least, round(share * len(rows)))]]))
    return Split(split.seed, sides[0], sides[1], split.test)


def label_efficiency(
    feature_sets: Mapping[str, Readouts], rows: ProbeRows, metric: str, sizes: Sequence[int]
) -> LabelEfficiency | None:
    """Mean score and interval over seeds of each feature set at each number of labels, up to all; None without sizes.

    ``feature_sets`` are readouts by name; each limited split chooses among a set's readouts on its own validation rows.
    A label with only one value in the few rows scores chance, so that every number is a mean over the same labels.
    """
    if not sizes:
        return None
    most = min(len(split.train) + len(split.validation) for split in rows.splits)
    sizes = [*sorted(size for size in set(sizes) if size < most), most]
    splits = [[limited(split, size, rows.families) for split in rows.splits] for size in sizes]
    curves = {}
    for name, readouts in feature_sets.items():
        points = [[_score(readouts, rows.target, split, metric) for split in of_size] for of_size in splits]
        intervals = [interval(scores) for scores in points]
        curves[name] = Curve(
            per_seed=points, mean=[each.mean for each in intervals], interval95=[each.interval95 for each in intervals]
        )
    return LabelEfficiency(metric=metric, labels=sizes, feature_sets=curves)


def _score(readouts: Readouts, target: Target, split: Split, metric: str) -> float:
    with linear.threads_for(len(split.train) * max(features.shape[1] for features in readouts.values())):
        fits = [fit_features(features, target, split) for features in readouts.values()]
    predicted_NT = min(fits, key=lambda fit: fit.validation_loss).scores_NT
    truth_NT = target.values[split.test]
    scored = np.ptp(truth_NT, axis=0) > 0
    values = score(target.task, truth_NT, predicted_NT)[metric][scored]
    by_chance = np.array([chance([metric], float(truth.mean()))[metric] for truth in truth_NT.T[scored]])
    return float(np.where(np.isfinite(values), values, by_chance).mean())
