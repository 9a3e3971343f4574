"""The probe beside scikit-learn, on real labels of human mRNAs, in one run.

    ORTHRUS_SHARED=../shared python benchmarks/probe.py            # about 15 minutes on two cores
    ORTHRUS_SHARED=../shared python benchmarks/probe.py ridge go   # some of: ridge go shuffle controls

ridge     half-life, 12,571 x 512, ten seeds with the penalty chosen on validation rows; scikit-learn fits each penalty
go        84 GO terms, 15 k x 512; scikit-learn's MultiOutputClassifier(LogisticRegression) at one penalty, given to it
shuffle   shuffled labels of every task type against chance
controls  k-mers and an untrained encoder on half-life, the paper's ten folds; scikit-learn counts k-mers by itself

The 512 features are k-mer frequencies projected at random; times are wall-clock.
"""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multioutput import MultiOutputClassifier
from sklearn.preprocessing import StandardScaler

from orthrus import MambaEncoder, TranscriptStore
from orthrus.embedding.embed import embed
from orthrus.prepare import open_or_prepare
from orthrus.probe import linear, logistic, metrics
from orthrus.probe.controls import kmer_features
from orthrus.probe.labels import Labels, read_labels
from orthrus.probe.one_split import probe_features, probe_readouts, probe_shuffled
from orthrus.probe.splits import Split, group_rows, split_folds, split_groups
from orthrus.probe.targets import Target, Task, encode_target

SEEDS = 10
DATA = Path(os.environ.get("ORTHRUS_SHARED", "../shared")) / "data/human_mrna"


def timed(function: Callable[[], object]) -> tuple[object, float]:
    started = time.perf_counter()
    return function(), time.perf_counter() - started


def read(file: str, column: str, task: Task, store: TranscriptStore) -> tuple[Labels, Target, list[str], list[Split]]:
    labels = read_labels(DATA / file, column)
    known = set(store.column("transcript_id"))
    target = encode_target(labels, np.flatnonzero([name in known for name in labels.transcript_ids]), task)
    ids = [labels.transcript_ids[row] for row in target.rows]
    genes = group_rows(ids, [("gene_name", [labels.gene_name[row] for row in target.rows])])
    return labels, target, ids, [split_groups(genes, seed) for seed in range(SEEDS)]


def projected(store: TranscriptStore, ids: list[str]) -> np.ndarray:
    """512 features of real sequences: k-mer frequencies up to 4, standardised and projected at random."""
    matrix = kmer_features(store, ids, sizes=(4,)).matrix
    scaled = (matrix - matrix.mean(axis=0)) / (matrix.std(axis=0) + 1e-9)
    weights = np.random.default_rng(0).standard_normal((matrix.shape[1], 512)) / matrix.shape[1] ** 0.5
    return np.tanh(scaled @ weights).astype(np.float32)


def scaled_by_training(features: np.ndarray, split: Split) -> np.ndarray:
    return StandardScaler().fit(features[split.train].astype(np.float64)).transform(features.astype(np.float64))


def sklearn_ridge(features: np.ndarray, target: np.ndarray, split: Split) -> np.ndarray:
    """Test predictions of the penalty with the least squared error on validation rows."""
    scaled = scaled_by_training(features, split)
    models = [
        Ridge(alpha=penalty * len(split.train)).fit(scaled[split.train], target[split.train])
        for penalty in linear.RIDGE_PENALTIES
    ]
    error = [np.mean((model.predict(scaled[split.validation]) - target[split.validation]) ** 2) for model in models]
    return models[int(np.argmin(error))].predict(scaled[split.test])


def pearson(truth: np.ndarray, predicted: np.ndarray) -> float:
    return float(np.corrcoef(truth, predicted)[0, 1])


def ridge(store: TranscriptStore) -> None:
    _, target, ids, splits = read("halflife.tsv", "half_life_z", Task.REGRESSION, store)
    features = projected(store, ids)
    ours, seconds = timed(lambda: [probe_features(features, target, split).scores["pearson_r"] for split in splits])
    truth = target.values[:, 0]
    theirs, peer_seconds = timed(
        lambda: [pearson(truth[split.test], sklearn_ridge(features, truth, split)) for split in splits]
    )
    print(f"ridge, {features.shape[0]:,} x 512, {SEEDS} seeds, {len(linear.RIDGE_PENALTIES)} penalties")
    print(f"  orthrus       {seconds:7.1f} s   R {np.mean(ours):.4f}")
    print(f"  scikit-learn  {peer_seconds:7.1f} s   R {np.mean(theirs):.4f}   {peer_seconds / seconds:.1f}x")
    print(f"  largest difference of a seed's R: {np.abs(np.subtract(ours, theirs)).max():.1e}")


def go(store: TranscriptStore) -> None:
    _, target, ids, splits = read("go_mf.tsv.gz", "go_terms", Task.MULTILABEL, store)
    features = projected(store, ids)
    n_labels = target.values.shape[1]
    print(f"GO molecular function, {features.shape[0]:,} x 512, {n_labels} labels")
    ours, seconds = timed(lambda: [probe_features(features, target, split) for split in splits])
    auprc = np.mean([seed.scores["auprc"] for seed in ours])
    print(f"  orthrus       {seconds:7.1f} s   AUPRC {auprc:.4f}   {SEEDS} seeds, 6 penalties, chosen for each label")
    split = splits[0]
    penalty = float(np.median(ours[0].penalties))

    def one_penalty() -> np.ndarray:
        axes = linear.principal_axes(features, split)
        return logistic.fit_logistic(axes, target.values, split, penalties=(penalty,)).scores_NT

    def peer() -> np.ndarray:
        scaled = scaled_by_training(features, split)
        model = MultiOutputClassifier(LogisticRegression(C=1 / (penalty * len(split.train)), max_iter=1000))
        model.fit(scaled[split.train], target.values[split.train])
        return np.stack([each.decision_function(scaled[split.test]) for each in model.estimators_], axis=1)

    truth = target.values[split.test]
    times = {}
    for name, solve in (("orthrus", one_penalty), ("scikit-learn", peer)):
        scores, took = timed(solve)
        times[name] = took
        auprc = np.nanmean(metrics.label_scores(truth, scores)["auprc"])
        print(f"  {name:12}  {took:7.1f} s   AUPRC {auprc:.4f}   1 seed, 1 penalty ({penalty:g})")
    n_penalties = len(logistic.LOGISTIC_PENALTIES)
    with_choice = n_penalties * times["scikit-learn"] / (seconds / SEEDS)
    print(f"  scikit-learn / orthrus: {times['scikit-learn'] / times['orthrus']:.1f}x at one penalty;")
    print(f"  {with_choice:.1f}x with the choice, scikit-learn's taken as {n_penalties} times its one penalty")


def shuffle(store: TranscriptStore) -> None:
    half_life = read("halflife.tsv", "half_life_z", Task.REGRESSION, store)
    localization = read("localization.tsv.gz", "dm3loc_label", Task.MULTILABEL, store)
    _, numbers, ids, splits = half_life
    thirds = np.searchsorted(np.quantile(numbers.values, [1 / 3, 2 / 3]), numbers.values[:, 0])
    classes = Target(Task.CLASSIFICATION, ("low", "middle", "high"), np.eye(3)[thirds], numbers.rows, {})
    binary = Target(Task.CLASSIFICATION, ("high",), (thirds[:, None] == 2).astype(float), numbers.rows, {})
    features = projected(store, ids)
    print(f"shuffled labels, {SEEDS} seeds (mean and 95 % interval)")
    tasks = (
        ("regression", numbers, features, splits), ("two classes", binary, features, splits),
        ("three classes", classes, features, splits),
        ("multilabel", localization[1], projected(store, localization[2]), localization[3]),
    )  # fmt: skip
    for name, target, matrix, of_task in tasks:
        metric = "pearson_r" if target.task is Task.REGRESSION else "auroc"
        true = np.mean([probe_features(matrix, target, split).scores[metric] for split in of_task])
        dealt = metrics.interval([probe_shuffled(matrix, target, split).scores[metric] for split in of_task])
        chance = metrics.chance([metric], 0)[metric]
        print(f"  {name:14} {metric:10} {dealt.mean:+.4f} [{dealt.low:+.4f}, {dealt.high:+.4f}]  chance {chance}"
              f"   (true labels {true:.3f})")  # fmt: skip


def controls(store: TranscriptStore) -> None:
    labels, target, ids, _ = read("halflife.tsv", "half_life_z", Task.REGRESSION, store)
    folds = [labels.column("saluki_fold")[row] for row in target.rows]
    splits = [split_folds(folds, seed) for seed in range(SEEDS)]
    truth = target.values[:, 0]
    torch.manual_seed(0)
    rows = [store.index_of(name) for name in ids]
    untrained = embed(MambaEncoder(6, 64, 1).eval(), store, rows, description="untrained encoder, 1 x 64")
    kmers = kmer_features(store, ids, sizes=(4,))
    counted = sklearn_kmers([store.sequence(i) for i in rows], kmers.matrix[:, :6])
    print(f"controls on half-life, {len(ids):,} mRNAs, the paper's ten folds (mean R and 95 % interval)")
    for name, ours, theirs in (("k-mers to 4", kmers.matrix, counted), ("random-init", untrained, untrained)):
        found = metrics.interval([probe_features(ours, target, split).scores["pearson_r"] for split in splits])
        peer = metrics.interval([pearson(truth[s.test], sklearn_ridge(theirs, truth, s)) for s in splits])
        within = "within" if peer.low <= found.mean <= peer.high else "OUTSIDE"
        print(f"  {name:12} orthrus {found.mean:.4f}   scikit-learn {peer.mean:.4f} [{peer.low:.4f}, {peer.high:.4f}]"
              f"   {within}")  # fmt: skip
    chosen = [probe_readouts(kmer_features(store, ids).all_readouts, target, split) for split in splits]
    print(f"  k-mers, k chosen on validation rows: {np.mean([seed.scores['pearson_r'] for seed in chosen]):.4f}"
          f" ({', '.join(seed.readout for seed in chosen)})")  # fmt: skip


def sklearn_kmers(sequences: list[str], beside: np.ndarray) -> np.ndarray:
    """Frequencies of the k-mers of 1 to 4 by scikit-learn's own counting, with the same lengths and counts beside."""
    parts = [beside]
    for k in range(1, 5):
        vectorizer = CountVectorizer(analyzer="char", ngram_range=(k, k), lowercase=False)
        counts = vectorizer.fit_transform(sequences)
        clean = [i for i, kmer in enumerate(vectorizer.get_feature_names_out()) if set(kmer) <= set("ACGT")]
        counts = counts[:, clean]
        parts.append((counts / np.maximum(counts.sum(axis=1), 1)).toarray())
    return np.hstack(parts).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {each.__name__: each for each in (ridge, go, shuffle, controls)}
    parser.add_argument("parts", nargs="*", choices=[*parts, []], default=list(parts), metavar="PART")
    options = parser.parse_args()
    print(f"{torch.get_num_threads()} threads, PyTorch {torch.__version__}")
    with open_or_prepare(DATA / "transcripts.fa.gz", coordinates=DATA / "transcripts.tsv.gz") as store:
        for name in options.parts:
            parts[name](store)


if __name__ == "__main__":
    main()
