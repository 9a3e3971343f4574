import csv
import gzip
import itertools
import json

import numpy as np
import pytest
from Bio.SeqIO.FastaIO import SimpleFastaParser

from orthrus.embedding.file import Embeddings
from orthrus.errors import InputError
from orthrus.genome.codes import annotate, encode_bases
from orthrus.probe import rows as probe_rows
from orthrus.probe.document import (
    CODON,
    COMPOSITION,
    EMBEDDING_AND_CODON,
    KMER,
    LABEL_SHUFFLE,
    RANDOM_INIT,
    read_document,
)
from orthrus.probe.run import run_probe
from orthrus.probe.splits import SplitUnit, split_groups
from orthrus.probe.targets import Task
from orthrus.probe.tasks import TaskSpec
from orthrus.store import StoreBuilder, TranscriptStore

GENERATOR = np.random.default_rng(0)


def alike(embeddings, **changes):
    fields = {name: getattr(embeddings, name) for name in ("transcript_ids", "matrix", "metadata", "family_id")}
    return Embeddings(**(fields | changes))


@pytest.fixture
def probe(embeddings, write_labels, tmp_path):
    """Probes labels of the store's transcripts; keyword arguments replace the defaults."""

    def call(values, task="regression", **options):
        labels = write_labels(transcript_id=embeddings.transcript_ids, y=list(values))
        split = options.pop("split", SplitUnit.FAMILY)
        defaults = {"embeddings": embeddings, "output": tmp_path / "probe", "seeds": 3, "kmer_sizes": (3,)}
        return as_json(run_probe(spec=spec_of(labels, task, split=split), **(defaults | options)))

    return call


def as_json(document):
    """What metrics.json holds."""
    return json.loads(document.model_dump_json())


def spec_of(labels, task="regression", target="y", **options):
    return TaskSpec(labels, (target,), Task(task), **options)


def scores(metrics, metric, feature_set="embedding"):
    return metrics["feature_sets"][feature_set]["scores"][metric]


def of_family(store, width):
    """Random numbers (n, width) that the transcripts of a family share."""
    _, family = np.unique(store.column("family_id"), return_inverse=True)
    return GENERATOR.standard_normal((family.max() + 1, width))[family]


def test_a_target_the_vectors_hold_is_found_and_beats_the_controls(probe, embeddings, store, tmp_path):
    noise = alike(embeddings, matrix=GENERATOR.standard_normal((len(embeddings), 8)).astype(np.float32))
    metrics = probe(embeddings.matrix[:, 0], store=store, controls={RANDOM_INIT: noise})
    assert set(metrics["feature_sets"]) == {
        "embedding", EMBEDDING_AND_CODON, RANDOM_INIT, CODON, KMER, COMPOSITION, LABEL_SHUFFLE,
    }  # fmt: skip
    assert scores(metrics, "pearson_r")["mean"] > 0.95
    low, _ = metrics["differences"][RANDOM_INIT]["pearson_r"]["interval95"]
    assert low > 0.5
    assert metrics["missing_controls"] == {}
    written = sorted(path.name for path in (tmp_path / "probe").iterdir())
    assert written == ["bars.png", "head", "metrics.json", "scores.csv"]
    assert json.loads((tmp_path / "probe/metrics.json").read_text()) == metrics


@pytest.mark.parametrize(
    ("task", "make", "metric", "chance"),
    [
        ("regression", lambda n: GENERATOR.standard_normal(n), "pearson_r", 0),
        ("classification", lambda n: GENERATOR.choice(["a", "b"], n), "auroc", 0.5),
        ("classification", lambda n: GENERATOR.choice(["a", "b", "c"], n), "auroc", 0.5),
        ("multilabel", lambda n: ["".join(map(str, row)) for row in GENERATOR.integers(0, 2, (n, 3))], "auroc", 0.5),
    ],
    ids=["regression", "binary", "multiclass", "multilabel"],
)
def test_labels_without_meaning_score_chance(probe, embeddings, task, make, metric, chance):
    metrics = probe(make(len(embeddings)), task, seeds=6)
    assert metrics["chance"][metric] == chance
    assert scores(metrics, metric)["mean"] == pytest.approx(chance, abs=0.09)


def test_a_label_that_families_share_scores_chance_unless_families_straddle(probe, embeddings, store, monkeypatch):
    """The vectors name the family, so a random value of each family is predictable exactly where a family leaks."""
    vectors = alike(embeddings, matrix=of_family(store, 200).astype(np.float32))
    values = of_family(store, 1)[:, 0]
    honest = probe(values, embeddings=vectors, seeds=6)
    assert abs(scores(honest, "pearson_r")["mean"]) < 0.2

    def every_row_for_itself(ids, keys):
        return original(ids, [("row", list(ids))])

    original = probe_rows.group_rows
    monkeypatch.setattr(probe_rows, "group_rows", every_row_for_itself)
    leaking = probe(values, embeddings=vectors, seeds=6, overwrite=True)
    assert scores(leaking, "pearson_r")["mean"] > 0.6


def test_no_gene_or_family_of_a_test_row_is_in_training(probe, embeddings, store, monkeypatch):
    seen = []

    def spy(groups, seed):
        seen.append(split_groups(groups, seed))
        return seen[-1]

    monkeypatch.setattr("orthrus.probe.rows.split_groups", spy)
    probe(embeddings.matrix[:, 0], store=store)
    assert len(seen) == 3
    for column in ("family_id", "gene_name"):
        names = np.array(store.column(column))
        for split in seen:
            assert not set(names[split.test]) & (set(names[split.train]) | set(names[split.validation]))


def test_all_feature_sets_are_probed_on_the_same_rows(probe, embeddings, store):
    half = alike(embeddings, transcript_ids=embeddings.transcript_ids[::2], matrix=embeddings.matrix[::2])
    metrics = probe(embeddings.matrix[:, 0], store=store, controls={RANDOM_INIT: half})
    n = len(half)
    assert metrics["counts"] == {
        "labels": len(embeddings), "dropped_missing_value": 0, "dropped_repeated_row": 0,
        "in_embedding": len(embeddings), "in_random-init": n,
        "in_store": len(embeddings), "matched": n, "unmatched": len(embeddings) - n, "rows": n, "groups": 150,
    }  # fmt: skip
    assert scores(metrics, "pearson_r") == scores(metrics, "pearson_r", RANDOM_INIT), (
        "the same vectors, rows and splits"
    )


def test_a_control_is_made_for_the_rows_alone_and_only_for_usable_input(probe, embeddings, store):
    asked = []

    def make(ids):
        asked.append(list(ids))
        return Embeddings(tuple(reversed(ids)), np.ones((len(ids), 2), np.float32))

    with pytest.raises(InputError, match="nothing to learn"):
        probe(np.ones(len(embeddings)), controls={RANDOM_INIT: make})
    assert asked == []
    metrics = probe(["", *embeddings.matrix[1:, 0]], controls={RANDOM_INIT: make})
    assert asked == [list(embeddings.transcript_ids[1:])]
    assert metrics["feature_sets"][RANDOM_INIT]["n_features"] == 2


def test_the_readout_of_least_validation_loss_is_used_and_reported(probe, embeddings):
    noise = GENERATOR.standard_normal((len(embeddings), 9)).astype(np.float32)
    both = alike(embeddings, matrix=noise, readout="noise", readouts={"good": embeddings.matrix})
    chosen, alone = probe(embeddings.matrix[:, 0], embeddings=both), probe(embeddings.matrix[:, 0], overwrite=True)
    found = chosen["feature_sets"]["embedding"]
    assert found["readout_per_seed"] == ["good"] * 3
    assert found["readouts"] == {"noise": 9, "good": 16}
    assert found["n_features"] == 16
    assert scores(chosen, "pearson_r")["per_seed"] == scores(alone, "pearson_r")["per_seed"]


def test_training_seeds_of_an_encoder_are_averaged_and_their_spread_reported(probe, embeddings):
    noisy = alike(embeddings, matrix=embeddings.matrix + GENERATOR.standard_normal(embeddings.matrix.shape) * 2)
    noisy = alike(noisy, matrix=noisy.matrix.astype(np.float32))
    target = embeddings.matrix[:, 0]
    singly = [scores(probe(target, embeddings=each, overwrite=True), "r2")["mean"] for each in (embeddings, noisy)]
    together = probe(target, embeddings=[embeddings, noisy], overwrite=True)
    assert scores(together, "r2")["mean"] == pytest.approx(np.mean(singly))
    by_encoder = together["feature_sets"]["embedding"]["by_encoder"]["r2"]
    assert by_encoder["per_encoder"] == pytest.approx(singly)
    assert by_encoder["interval95"][1] - by_encoder["interval95"][0] > abs(singly[0] - singly[1])
    assert together["counts"]["in_embedding 2"] == len(embeddings)


def test_another_embedding_is_compared_on_the_same_splits(probe, embeddings):
    noise = alike(embeddings, matrix=GENERATOR.standard_normal(embeddings.matrix.shape).astype(np.float32))
    metrics = probe(embeddings.matrix[:, 0], compare={"theirs": noise, "same": embeddings}, seeds=5)
    theirs, same = (metrics["differences"][name]["pearson_r"] for name in ("theirs", "same"))
    assert theirs["p_value"] < 0.001
    assert theirs["interval95_families"][0] > 0.5
    assert (same["mean"], same["p_value"], same["interval95_families"]) == (0, 1, [0, 0])
    with pytest.raises(InputError, match="'k-mer' is the name"):
        probe(embeddings.matrix[:, 0], compare={KMER: noise}, overwrite=True)


def test_label_efficiency_rises_with_labels_and_ends_at_the_whole(probe, embeddings):
    metrics = probe(embeddings.matrix[:, 0], label_counts=[30, 100, 5000])
    curve = metrics["label_efficiency"]
    assert curve["labels"][:2] == [30, 100]
    assert len(curve["labels"]) == 3, "5000 are more than there are"
    mean = curve["feature_sets"]["embedding"]["mean"]
    assert mean[0] < mean[1] < mean[2]
    assert mean[2] == pytest.approx(scores(metrics, "pearson_r")["mean"], abs=0.01)


def test_every_split_of_a_curve_chooses_its_own_readout(probe, embeddings):
    """With all labels the curve is the table, although readouts of noise leave each split another best one."""
    noise = {f"r{i}": GENERATOR.standard_normal((len(embeddings), 4)).astype(np.float32) for i in range(8)}
    several = alike(embeddings, matrix=noise.pop("r0"), readout="r0", readouts=noise)
    values = GENERATOR.standard_normal(len(embeddings))
    metrics = probe(values, embeddings=several, split=SplitUnit.RANDOM, label_counts=[50], seeds=5)
    assert len(set(metrics["feature_sets"]["embedding"]["readout_per_seed"])) > 1
    curve = metrics["label_efficiency"]["feature_sets"]["embedding"]["per_seed"]
    assert curve[-1] == pytest.approx(scores(metrics, "pearson_r")["per_seed"])


@pytest.mark.parametrize("kind", ["regression", "classification", "two classes", "multilabel"])
def test_shuffled_labels_score_chance_where_true_ones_are_found(probe, embeddings, kind):
    bits = (embeddings.matrix[:, :4] > 0).astype(int)
    values, task = {
        "regression": (embeddings.matrix[:, 0], "regression"),
        "classification": (bits @ [1, 2, 0, 0], "classification"),
        "two classes": (bits[:, 0], "classification"),
        "multilabel": (["".join(map(str, row)) for row in bits], "multilabel"),
    }[kind]
    metrics = probe(values, task, seeds=5)
    metric = metrics["metrics"][0]
    assert scores(metrics, metric)["mean"] > metrics["chance"][metric] + 0.3
    assert scores(metrics, metric, LABEL_SHUFFLE)["mean"] == pytest.approx(metrics["chance"][metric], abs=0.08)


def test_given_folds_are_each_tested_once(embeddings, write_labels, store, tmp_path):
    folds = [name.split(".")[0][-1] for name in embeddings.transcript_ids]
    labels = write_labels(transcript_id=embeddings.transcript_ids, y=embeddings.matrix[:, 0], fold=folds)
    spec = spec_of(labels, split=SplitUnit.FOLDS, folds="fold")
    metrics = as_json(run_probe(embeddings, spec, tmp_path / "probe", store=store))
    assert sum(metrics["rows_by_seed"]["test"]) == len(embeddings)
    assert metrics["grouped_by"] == ["fold"]
    assert metrics["seeds"] == list(range(10))
    with pytest.raises(InputError, match=r"seeds is 11, but fold of .* has 10 folds"):
        run_probe(embeddings, spec, tmp_path / "probe", store=store, seeds=11, overwrite=True)


def test_random_rows_leak_and_the_report_says_so(probe, embeddings, store):
    labels = embeddings.matrix[:, 0]
    honest = probe(labels, store=store)["leaks"]["training"]
    leaking = probe(labels, store=store, split=SplitUnit.RANDOM, overwrite=True)["leaks"]["training"]
    assert honest["family or gene"]["rows"] == 0
    assert leaking["family or gene"]["share"] > 0.7


def test_order_of_the_labels_does_not_matter(embeddings, write_labels, tmp_path):
    order = GENERATOR.permutation(len(embeddings))
    found = []
    for name, rows in (("a", np.arange(len(embeddings))), ("b", order)):
        ids = [embeddings.transcript_ids[row] for row in rows]
        labels = write_labels(transcript_id=ids, y=embeddings.matrix[rows, 0])
        found.append(as_json(run_probe(embeddings, spec_of(labels), tmp_path / name, seeds=2)))
    first, second = (scores(metrics, "pearson_r")["per_seed"] for metrics in found)
    assert first == pytest.approx(second, abs=1e-8)


def test_without_a_store_gene_names_group_and_missing_controls_are_named(embeddings, write_labels, store, tmp_path):
    labels = write_labels(
        transcript_id=embeddings.transcript_ids, y=embeddings.matrix[:, 0], gene_name=store.column("gene_name")
    )
    alone = alike(embeddings, family_id=None)
    metrics = as_json(run_probe(alone, spec_of(labels), tmp_path / "probe", seeds=2))
    assert metrics["grouped_by"] == ["gene_name"]
    assert metrics["missing_controls"] == dict.fromkeys(
        [CODON, KMER, COMPOSITION, RANDOM_INIT], "needs --store, for the transcripts' sequences"
    )


def test_embeddings_own_families_group_without_a_store(probe, embeddings):
    metrics = probe(embeddings.matrix[:, 0])
    assert metrics["grouped_by"] == ["family_id"]
    assert metrics["counts"]["groups"] == 150


def test_a_given_reason_for_a_missing_control_is_kept(probe, embeddings, store, capsys):
    metrics = probe(embeddings.matrix[:, 0], store=store, missing_controls={RANDOM_INIT: "no configuration"})
    assert metrics["missing_controls"] == {RANDOM_INIT: "no configuration"}
    printed = " ".join(capsys.readouterr().out.split())
    assert "Control random-init is missing: no configuration." in printed
    assert "Pearson R" in printed


def test_metrics_name_what_was_left_out_and_how_it_was_fitted(probe, embeddings):
    bits = ["".join(map(str, row)) for row in GENERATOR.integers(0, 2, (len(embeddings), 2))]
    metrics = probe(["", *(f"{bit}1" for bit in bits[1:])], "multilabel")
    assert metrics["counts"]["dropped_missing_value"] == 1
    assert metrics["dropped"] == {"bit 3": "constant, in every row"}
    fitted = metrics["feature_sets"]["embedding"]
    assert fitted["n_features"] == 16
    assert [len(penalties) for penalties in fitted["penalties_per_seed"]] == [2, 2, 2]
    assert set(fitted["per_label"]) == {"bit 1", "bit 2"}
    assert metrics["embeddings"]["encoder"] == {"d_model": 16}
    assert (
        sum(metrics["rows_by_seed"][side][0] for side in ("train", "validation", "test")) == metrics["counts"]["rows"]
    )


def test_scores_file_repeats_the_metrics(probe, embeddings, store, tmp_path):
    metrics = probe(embeddings.matrix[:, 0], store=store)
    lines = [line.split(",") for line in (tmp_path / "probe/scores.csv").read_text().splitlines()]
    assert lines[0] == ["feature_set", "seed", "metric", "score"]
    assert len(lines) == 1 + 6 * 3 * 3
    assert float(lines[1][3]) == pytest.approx(scores(metrics, "pearson_r")["per_seed"][0], abs=1e-6)


def test_ids_that_do_not_match_are_an_error_that_shows_both(embeddings, write_labels, tmp_path, store):
    labels = write_labels(transcript_id=["NM_1", "NM_2"], y=[1, 2], gene_name=["a", "b"])
    with pytest.raises(InputError, match=r"none of the 2 labelled .* it has 375, for example h0\.0.*NM_1, NM_2"):
        run_probe(embeddings, spec_of(labels), tmp_path / "probe", store=store)
    assert not (tmp_path / "probe").exists()


@pytest.mark.parametrize("n", [9, 24])
def test_what_few_rows_score_can_be_read_again_or_is_refused(embeddings, write_labels, tmp_path, n):
    labels = write_labels(transcript_id=embeddings.transcript_ids[:n], y=embeddings.matrix[:n, 0])
    spec = spec_of(labels, split=SplitUnit.RANDOM, metric="r2")
    if n == 9:  # one row to test on
        with pytest.raises(InputError, match="no target or label has two values among the 1 test rows"):
            run_probe(embeddings, spec, tmp_path / "probe")
        return
    run_probe(embeddings, spec, tmp_path / "probe")
    found = read_document(tmp_path / "probe" / "metrics.json").feature_sets["embedding"].scores["r2"]
    assert found.interval95_families[0] > -1e6


def test_chance_of_auprc_is_the_prevalence_of_the_labels_that_are_scored(probe, embeddings):
    common = GENERATOR.integers(0, 2, len(embeddings))
    rare = np.isin(np.arange(len(embeddings)), np.arange(0, 360, 36)).astype(int)
    metrics = probe([f"{a}{b}" for a, b in zip(common, rare, strict=True)], "multilabel", seeds=8)
    unscored = metrics["feature_sets"]["embedding"]["labels_not_scored_per_seed"]
    assert 0 < sum(unscored) < 8
    of_all = (common.mean() + rare.mean()) / 2
    assert metrics["chance"]["auprc"] > of_all + 0.01


def test_ids_that_half_match_are_counted(embeddings, write_labels, tmp_path, store, capsys):
    ids = [*embeddings.transcript_ids, *(f"NM_{i}" for i in range(25))]
    labels = write_labels(transcript_id=ids, y=GENERATOR.standard_normal(400))
    metrics = as_json(run_probe(embeddings, spec_of(labels), tmp_path / "probe", store=store, seeds=2))
    assert (metrics["counts"]["matched"], metrics["counts"]["unmatched"]) == (375, 25)
    assert "375 of 400 labelled transcripts" in capsys.readouterr().err.replace("\n", " ")


def test_many_dropped_labels_are_a_few_lines(probe, embeddings, capsys):
    classes = GENERATOR.choice(["a", "b"], len(embeddings)).tolist()
    classes[:9] = [f"rare{i}" for i in range(9)]
    assert len(probe(classes, "classification")["dropped"]) == 9
    warnings = [line for line in capsys.readouterr().err.splitlines() if "dropped" in line]
    assert len(warnings) == 5
    assert "5 more dropped, all named in metrics.json" in warnings[-1]


@pytest.mark.parametrize(("overwrite", "message"), [(False, "pass --overwrite"), (True, None)])
def test_an_earlier_probe_is_replaced_only_when_told_to(probe, embeddings, store, tmp_path, overwrite, message):
    before = probe(embeddings.matrix[:, 0], store=store)
    if message:
        with pytest.raises(InputError, match=message):
            probe(embeddings.matrix[:, 1], store=store, overwrite=overwrite)
        assert json.loads((tmp_path / "probe/metrics.json").read_text()) == before
    else:
        after = probe(embeddings.matrix[:, 1], store=store, overwrite=overwrite)
        assert json.loads((tmp_path / "probe/metrics.json").read_text()) == after != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["labels.tsv", "probe"]


def test_a_folder_that_is_no_probe_is_never_replaced(probe, embeddings, store, tmp_path):
    (tmp_path / "probe").mkdir()
    (tmp_path / "probe/thesis.tex").write_text("x")
    with pytest.raises(InputError, match=r"has no metrics\.json"):
        probe(embeddings.matrix[:, 0], store=store, overwrite=True)
    assert (tmp_path / "probe/thesis.tex").read_text() == "x"


def test_nothing_is_left_when_a_probe_breaks_while_writing(probe, embeddings, store, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("orthrus.probe.result.draw_bars", interrupted)
    with pytest.raises(KeyboardInterrupt):
        probe(embeddings.matrix[:, 0], store=store)
    assert [path.name for path in tmp_path.iterdir()] == ["labels.tsv"]


def test_too_few_families_and_no_seeds_are_errors(embeddings, write_labels, tmp_path, store):
    labels = write_labels(transcript_id=["h0.0", "h0.1", "m0", "h1.0"], y=[1, 2, 3, 4])
    with pytest.raises(InputError, match="2 group"):
        run_probe(embeddings, spec_of(labels), tmp_path / "probe", store=store)
    with pytest.raises(InputError, match="seeds is 0"):
        run_probe(embeddings, spec_of(labels), tmp_path / "probe", store=store, seeds=0)


@pytest.mark.shared
def test_composition_predicts_real_half_lives(shared, tmp_path):
    """Real labels and sequences of 2,500 mRNAs: the k-mer control reaches an R of 0.5 to 0.65, a constant none."""
    store = human_mrna_store(shared / "data/human_mrna", tmp_path / "store", n_transcripts=2500)
    constant = Embeddings(tuple(store.column("transcript_id")), np.ones((len(store), 1), np.float32))
    labels = shared / "data/human_mrna/halflife.tsv"
    spec = spec_of(labels, target="half_life_z")
    metrics = as_json(run_probe(constant, spec, tmp_path / "probe", store=store, seeds=3))
    assert 0.5 < scores(metrics, "pearson_r", KMER)["mean"] < 0.65
    assert scores(metrics, "pearson_r")["mean"] == 0


def human_mrna_store(folder, path, n_transcripts):
    with gzip.open(folder / "transcripts.tsv.gz", "rt") as stream:
        rows = {row["transcript_id"]: row for row in csv.DictReader(stream, delimiter="\t")}
    with gzip.open(folder / "transcripts.fa.gz", "rt") as stream, StoreBuilder(path) as builder:
        for record in itertools.islice(SimpleFastaParser(stream), n_transcripts):
            row = rows[record[0].split()[0]]
            cds = (int(row["cds_start"]), int(row["cds_end"])) if row["cds_start"] else None
            ends = [int(end) for end in row["exon_ends"].split(",") if end]
            codes = annotate(encode_bases(record[1], row["transcript_id"]), cds, ends)
            builder.add(
                codes, transcript_id=row["transcript_id"], gene_id=row["gene_name"], gene_name=row["gene_name"],
                species="human", cds=cds, exon_ends=ends,
            )  # fmt: skip
        builder.finish()
    return TranscriptStore.open(path)
