import numpy as np
import pytest

from orthrus.embedding.file import Embeddings
from orthrus.errors import InputError
from orthrus.genome.codes import annotate
from orthrus.probe.groups import Relations, read_groups, unit_keys
from orthrus.probe.labels import read_labels
from orthrus.probe.splits import SplitUnit, group_rows, split_folds, split_groups
from orthrus.store import StoreBuilder, TranscriptStore


def related(path, embeddings=None, store=None):
    labels = read_labels(path, "y")
    ids = labels.transcript_ids
    embeddings = embeddings or Embeddings(ids, np.zeros((len(ids), 1), np.float32))
    transcripts = store.transcripts if store is not None else embeddings.transcripts
    return Relations(labels, np.arange(len(ids)), transcripts, store)


def groups_of(unit, known, table=None):
    groups = group_rows(known.transcript_ids, unit_keys(unit, known, table))
    return {frozenset(np.array(known.transcript_ids)[groups.of_row == i]) for i in range(len(groups))}


def sets(*names):
    return {frozenset(name) for name in names}


def test_homology_joins_genes_by_a_table_and_a_gene_without_a_group_stays_whole(write_labels, tmp_path):
    path = write_labels(transcript_id=list("abcde"), y=[1, 2, 3, 4, 5], gene_name=["A", "A", "B", "C", "C"])
    table = tmp_path / "groups.csv"
    table.write_text("gene_name,gene_group\nA,7\nB,7\nX,9\n")
    known = related(path)
    assert groups_of(SplitUnit.FAMILY, known) == sets("ab", "c", "de")
    assert groups_of(SplitUnit.HOMOLOGY, known, table) == sets("abc", "de")


def test_a_gene_of_two_groups_joins_both(write_labels, tmp_path):
    path = write_labels(transcript_id=list("abc"), y=[1, 2, 3], gene_name=["A", "B", "C"])
    table = tmp_path / "groups.tsv"
    table.write_text("gene_id\tgroup\nA\t1\nB\t1\nB\t2\nC\t2\n")
    assert groups_of(SplitUnit.HOMOLOGY, related(path), table) == sets("abc")


def test_an_mmseqs2_clustering_of_transcripts_is_a_table_of_groups(write_labels, tmp_path):
    path = write_labels(transcript_id=list("abc"), y=[1, 2, 3], gene_name=["A", "B", "C"])
    table = tmp_path / "result_cluster.tsv"
    table.write_text("a\ta\na\tc\nb\tb\n")
    assert dict(read_groups(table)) == {"a": ["a"], "c": ["a"], "b": ["b"]}
    assert groups_of(SplitUnit.HOMOLOGY, related(path), table) == sets("ac", "b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gene\tx\ty\nA\t1\t2\n", "has the columns 'gene', 'x', 'y'"),
        ("gene_id\tgroup\nQ\t1\n", "none of the 2 labelled"),
    ],
)
def test_a_table_that_does_not_fit_is_an_error(write_labels, tmp_path, text, message):
    path = write_labels(transcript_id=list("ab"), y=[1, 2], gene_name=["A", "B"])
    (tmp_path / "g.tsv").write_text(text)
    with pytest.raises(InputError, match=message):
        groups_of(SplitUnit.HOMOLOGY, related(path), tmp_path / "g.tsv")


def test_a_row_without_a_chromosome_goes_with_its_gene(write_labels):
    path = write_labels(
        transcript_id=list("abcdefg"), y=range(7), gene_name=["A", "A", "B", "C", "C", "D", "E"],
        chromosome=["chr1", "", "1", "", "", "2", ""],
    )  # fmt: skip
    assert groups_of(SplitUnit.CHROMOSOME, related(path)) == sets("abc", "de", "f", "g")


def test_chromosomes_and_folds_need_their_column_and_clusters_sequences(write_labels):
    known = related(write_labels(transcript_id=list("ab"), y=[1, 2], gene_name=["A", "B"]))
    with pytest.raises(InputError, match="no column 'chromosome'"):
        unit_keys(SplitUnit.CHROMOSOME, known, None)
    with pytest.raises(InputError, match="give --store"):
        unit_keys(SplitUnit.KMER_CLUSTER, known, None)


def test_random_rows_are_groups_by_themselves(write_labels):
    known = related(write_labels(transcript_id=list("ab"), y=[1, 2], gene_name=["A", "A"]))
    assert groups_of(SplitUnit.RANDOM, known) == sets("a", "b")


def test_sequences_that_contain_each_other_are_one_cluster_and_genes_stay_whole(write_labels, tmp_path):
    generator = np.random.default_rng(0)
    sequences = [generator.integers(1, 5, 400).astype(np.uint8) for _ in range(5)]
    sequences[3] = sequences[0][50:350]
    genes = ["A", "B", "C", "D", "B"]
    with StoreBuilder(tmp_path / "s") as builder:
        for name, codes, gene in zip("abcde", sequences, genes, strict=True):
            builder.add(annotate(codes, None, ()), transcript_id=name, gene_id=gene, gene_name=gene, species="x")
        builder.finish()
    path = write_labels(transcript_id=list("abcde"), y=range(5))
    known = related(path, store=TranscriptStore.open(tmp_path / "s"))
    assert groups_of(SplitUnit.KMER_CLUSTER, known) == sets("ad", "be", "c")


def test_given_folds_are_test_sides_once_each():
    folds = [str(i % 10 + 1) for i in range(40)]
    splits = [split_folds(folds, seed) for seed in range(10)]
    assert sorted(np.concatenate([split.test for split in splits])) == list(range(40))
    assert set(np.array(folds)[splits[9].test]) == {"10"}, "10 is the last fold, not the second"
    for split in splits:
        assert sorted(np.concatenate([split.train, split.validation, split.test])) == list(range(40))
    with pytest.raises(InputError, match=r"2 fold\(s\) among 4"):
        split_folds(["1", "2", "1", "2"], 0)


def test_few_chromosomes_still_give_three_sides(write_labels):
    path = write_labels(transcript_id=list("abcd"), y=range(4), chromosome=["1", "1", "2", "3"])
    known = related(path)
    split = split_groups(group_rows(known.transcript_ids, unit_keys(SplitUnit.CHROMOSOME, known, None)), 0)
    assert all(len(side) for side in (split.train, split.validation, split.test))
