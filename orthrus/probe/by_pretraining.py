"""Separate scores on test rows that pretraining saw (transductive) and on those that it did not see (inductive).

The linear model of a probe never saw the families of its test rows, but the encoder may have been pretrained on them,
without labels, and may then embed them better. The models are those of the whole probe; only the scored rows differ. M
rows, N of them in a split's test side, T targets.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from orthrus.probe.document import CODON, EMBEDDING_AND_CODON, LABEL_SHUFFLE, PartOfTest, PartScore
from orthrus.probe.leaks import Seen
from orthrus.probe.metrics import SeedScores, corrected_interval, interval, score
from orthrus.probe.rows import ProbeRows
from orthrus.probe.splits import Groups

LEAST_ROWS = 20  # of the part in the test side of one split, for a score

Scores = dict[str, dict[str, list[float]]]
"""One score a split by feature set and metric, NaN where the part cannot be scored."""


def seen_families(seen: Seen, families: Groups | None) -> NDArray[np.bool_]:
    """Whether pretraining saw any part of the family of each of M rows, bool (M,)."""
    found: NDArray[np.bool_] = np.logical_or.reduce(list(seen.values()))
    if families is None:
        return found
    return np.isin(families.of_row, families.of_row[found])


def by_pretraining(
    results: Mapping[str, Sequence[Sequence[SeedScores]]], rows: ProbeRows, seen: Seen | None, metrics: Sequence[str]
) -> dict[str, PartOfTest]:
    """``transductive`` and ``inductive`` scores of every feature set but the shuffled labels.

    ``results`` are by feature set, member and split. Empty if ``seen`` is None, or if one of the two parts has fewer
    than 20 test rows in every split.
    """
    if seen is None:
        return {}
    seen_M = seen_families(seen, rows.families)
    parts = {"transductive": seen_M, "inductive": ~seen_M}
    found = {name: _part(results, rows, chosen_M, metrics) for name, chosen_M in parts.items()}
    return {name: part for name, part in found.items() if part is not None} if all(found.values()) else {}


def _part(
    results: Mapping[str, Sequence[Sequence[SeedScores]]],
    rows: ProbeRows,
    chosen_M: NDArray[np.bool_],
    metrics: Sequence[str],
) -> PartOfTest | None:
    counts = [int(chosen_M[split.test].sum()) for split in rows.splits]
    scores: Scores = {}
    for name, members in results.items():
        if name == LABEL_SHUFFLE:
            continue
        by_member = [[_score(seed, rows, i, chosen_M) for i, seed in enumerate(member)] for member in members]
        scores[name] = {
            metric: np.mean([[seed.get(metric, np.nan) for seed in member] for member in by_member], axis=0).tolist()
            for metric in metrics
        }
    ours = next(iter(scores))
    if not np.isfinite(scores[ours][metrics[0]]).any():
        return None
    ratio = float(np.mean([n / len(split.train) for n, split in zip(counts, rows.splits, strict=True)]))
    others = [name for name in scores if name not in (ours, EMBEDDING_AND_CODON)]
    both = EMBEDDING_AND_CODON in scores and CODON in scores
    return PartOfTest(
        rows_per_seed=counts,
        feature_sets={name: {m: _summary(each[m]) for m in metrics} for name, each in scores.items()},
        differences={name: {m: _difference(scores, ours, name, m, ratio) for m in metrics} for name in others},
        added={m: _difference(scores, EMBEDDING_AND_CODON, CODON, m, ratio) for m in metrics} if both else {},
    )


def _score(seed: SeedScores, rows: ProbeRows, number: int, chosen_M: NDArray[np.bool_]) -> dict[str, float]:
    """Metrics of the chosen test rows of a split, means over the targets that they can score; empty without any."""
    test = rows.splits[number].test
    chosen_N = chosen_M[test]
    if chosen_N.sum() < LEAST_ROWS:
        return {}
    of_label = score(rows.target.task, rows.target.values[test[chosen_N]], seed.predicted_NT[chosen_N])
    finite = {metric: values[np.isfinite(values)] for metric, values in of_label.items()}
    return {metric: float(values.mean()) for metric, values in finite.items() if len(values)}


def _difference(scores: Scores, one: str, other: str, metric: str, test_to_train: float) -> PartScore:
    differences = [a - b for a, b in zip(scores[one][metric], scores[other][metric], strict=True)]
    return _summary(differences, test_to_train)


def _summary(per_seed: Sequence[float], test_to_train: float | None = None) -> PartScore:
    finite = [value for value in per_seed if np.isfinite(value)]
    found = interval(finite) if test_to_train is None else corrected_interval(finite, test_to_train)
    return PartScore(
        mean=found.mean,
        interval95=found.interval95,
        per_seed=[value if np.isfinite(value) else None for value in per_seed],
    )
