"""Summary of a probe over its seeds: means, intervals of three kinds, and paired differences.

Over seeds: a t-interval, the variation of the mean with the splits of these labels. Over families: a bootstrap of test
families, the variation with the genes. Over encoders, if several training seeds were probed: a t-interval of their
means, the variation with the training run. Differences are paired by split, and their intervals and p-values account
for the overlap of training sets (Nadeau and Bengio, Machine Learning 52, 2003).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from orthrus.probe.bootstrap import Counts, family_counts, label_resamples, mean_of_known, regression_resamples
from orthrus.probe.by_pretraining import by_pretraining
from orthrus.probe.document import (
    CODON,
    EMBEDDING_AND_CODON,
    LABEL_SHUFFLE,
    Bootstrap,
    Difference,
    EncoderSpread,
    FeatureSet,
    Score,
)
from orthrus.probe.leaks import Seen
from orthrus.probe.metrics import Floats, SeedScores, chance, corrected_interval, interval, paired_p_value
from orthrus.probe.rows import ProbeRows
from orthrus.probe.targets import Task
from orthrus.probe.tasks import metrics_of

Results = Mapping[str, Sequence[Sequence[SeedScores]]]
"""Scores by feature set, member (training seed of the encoder) and split."""


def summarise(
    results: Results,
    widths: Mapping[str, Mapping[str, int]],
    rows: ProbeRows,
    headline: str,
    seen: Seen | None = None,
) -> dict[str, Any]:
    """The fields of a :class:`~orthrus.probe.document.ProbeDocument` on the scores of the feature sets.

    ``widths`` are the numbers of features of each set's readouts by name. ``headline`` is the first metric. ``seen`` is
    what pretraining shares with the rows. Differences are the first set minus each other one except the shuffled
    labels, and ``embedding + codon control`` minus ``codon``.
    """
    names = [headline, *(metric for metric in metrics_of(rows.target.task) if metric != headline)]
    resamples = _resamples(results, rows)
    ours = next(iter(results))
    by_set = {
        name: {m: np.mean([[s.scores[m] for s in member] for member in members], axis=0).tolist() for m in names}
        for name, members in results.items()
    }
    test_to_train = float(np.mean([len(split.test) / len(split.train) for split in rows.splits]))

    def differences(one: str, other: str) -> dict[str, Difference]:
        return {
            m: _difference(by_set[one][m], by_set[other][m], resamples[one][m] - resamples[other][m], test_to_train)
            for m in names
        }

    others = [name for name in results if name not in (ours, LABEL_SHUFFLE, EMBEDDING_AND_CODON)]
    return {
        "metrics": names,
        "chance": dict(chance(names, _prevalence(results[ours][0], rows))),
        "seeds": [split.seed for split in rows.splits],
        "rows_by_seed": {
            side: [len(getattr(split, side)) for split in rows.splits] for side in ("train", "validation", "test")
        },
        "bootstrap": Bootstrap(
            unit="row" if rows.families is None else "family", samples=len(next(iter(resamples[ours].values())))
        ),
        "feature_sets": {
            name: FeatureSet(
                n_features=_width(members[0], widths.get(name, widths[ours])),
                scores={m: _summary(by_set[name][m], resamples[name][m]) for m in names},
                penalties_per_seed=[[_or_none(each) for each in seed.penalties] for seed in members[0]],
                **_chosen_readouts(members, widths.get(name, {})),
                by_encoder=_by_encoder(members, names),
                **_by_label(members[0], rows.target.names, names),
            )
            for name, members in results.items()
        },
        "differences": {name: differences(ours, name) for name in others},
        "added": differences(EMBEDDING_AND_CODON, CODON) if EMBEDDING_AND_CODON in results else {},
        "by_pretraining": by_pretraining(results, rows, seen, names),
    }


def _prevalence(seeds: Sequence[SeedScores], rows: ProbeRows) -> float:
    """Mean share of positives of the labels that a split scores, mean over splits."""
    scored = [np.isfinite(seed.predicted_NT).all(axis=0) for seed in seeds]
    truths = [rows.target.values[split.test] for split in rows.splits]
    return float(
        np.mean([t[:, known & (np.ptp(t, axis=0) > 0)].mean() for t, known in zip(truths, scored, strict=True)])
    )


def _resamples(results: Results, rows: ProbeRows) -> dict[str, dict[str, Floats]]:
    """Mean of each metric over members and seeds in each resample of families, (B,), for every feature set."""
    family_of_row = np.arange(len(rows.transcript_ids)) if rows.families is None else rows.families.of_row
    counts_BF = family_counts(int(family_of_row.max()) + 1, rows.target.values.shape[1])
    score = regression_resamples if rows.target.task is Task.REGRESSION else label_resamples
    found: dict[str, dict[str, list[Floats]]] = {name: {} for name in results}
    for i, split in enumerate(rows.splits):
        counts_BN: Counts = counts_BF[:, family_of_row[split.test]]
        for name, members in results.items():
            for member in members:
                predicted_NT = member[i].predicted_NT
                truth_NT = rows.target.values[split.test]
                truth_NT = np.tile(truth_NT, predicted_NT.shape[1] // truth_NT.shape[1])  # of permuted labels
                for metric, values in score(truth_NT, predicted_NT, counts_BN).items():
                    found[name].setdefault(metric, []).append(values)
    return {name: {m: mean_of_known(values) for m, values in each.items()} for name, each in found.items()}


def _summary(per_seed: Sequence[float], resamples_B: Floats) -> Score:
    found = interval(per_seed)
    return Score(
        per_seed=list(per_seed),
        mean=found.mean,
        interval95=found.interval95,
        interval95_families=_percentiles(resamples_B),
    )


def _difference(
    ours: Sequence[float], theirs: Sequence[float], resamples_B: Floats, test_to_train: float
) -> Difference:
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    found = corrected_interval(differences, test_to_train)
    return Difference(
        per_seed=differences,
        mean=found.mean,
        interval95=found.interval95,
        p_value=_or_none(paired_p_value(differences, test_to_train)),
        interval95_families=_percentiles(resamples_B),
    )


def _percentiles(resamples_B: Floats) -> tuple[float, float] | None:
    finite = resamples_B[np.isfinite(resamples_B)]
    if not len(finite):
        return None
    low, high = np.quantile(finite, [0.025, 0.975]).tolist()
    return low, high


def _width(seeds: Sequence[SeedScores], widths: Mapping[str, int]) -> int:
    """The number of features of the readout that most seeds chose."""
    chosen, _ = Counter(seed.readout for seed in seeds).most_common(1)[0]
    return widths.get(chosen, next(iter(widths.values())))


def _chosen_readouts(members: Sequence[Sequence[SeedScores]], widths: Mapping[str, int]) -> dict[str, Any]:
    """The readout that each seed chose, if there are several."""
    if len(widths) < 2:
        return {}
    return {"readouts": dict(widths), "readout_per_seed": [seed.readout for seed in members[0]]}


def _by_encoder(members: Sequence[Sequence[SeedScores]], names: Sequence[str]) -> dict[str, EncoderSpread]:
    if len(members) < 2:
        return {}
    means = {metric: [float(np.mean([s.scores[metric] for s in member])) for member in members] for metric in names}
    spread = {metric: interval(each) for metric, each in means.items()}
    return {m: EncoderSpread(per_encoder=means[m], mean=spread[m].mean, interval95=spread[m].interval95) for m in names}


def _by_label(seeds: Sequence[SeedScores], labels: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    if not seeds[0].of_label:
        return {}
    stacked = {metric: np.array([seed.of_label[metric] for seed in seeds]) for metric in names}
    return {
        "labels_not_scored_per_seed": (~np.isfinite(stacked[names[0]])).sum(axis=1).tolist(),
        "per_label": {
            name: {metric: _mean_or_none(stacked[metric][:, i]) for metric in names} for i, name in enumerate(labels)
        },
    }


def _mean_or_none(scores: Floats) -> float | None:
    finite = scores[np.isfinite(scores)]
    return float(finite.mean()) if len(finite) else None


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value
