import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orthrus.errors import InputError
from orthrus.probe.labels import holds_sequences, read_labels
from orthrus.probe.targets import Task, encode_target


def write_frame(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


def test_a_row_that_repeats_another_is_dropped_and_counted_and_one_that_contradicts_it_refused(tmp_path):
    path = tmp_path / "l.tsv"
    path.write_text("transcript_id\ty\na\t1\nb\t2\na\t1\n")
    labels = read_labels(path, "y")
    assert (labels.transcript_ids, labels.n_rows, labels.n_repeated) == (("a", "b"), 3, 1)
    path.write_text("transcript_id\ty\na\t1\nb\t2\na\t3\n")
    with pytest.raises(InputError, match=r"line 4: transcript_id 'a' occurs again with other values \(1 such rows\)"):
        read_labels(path, "y")


def test_other_columns_are_kept_and_a_missing_one_is_named(tmp_path):
    path = tmp_path / "l.tsv"
    path.write_text("id\ty\tfold\tgene\na\t1\t3\tG\nb\tNA\t4\tH\n")
    labels = read_labels(path, "y", "id")
    assert labels.column("fold") == ("3",)
    assert labels.gene_name == ("G",)
    with pytest.raises(InputError, match=r"no column 'folds'; beside the target it has 'fold', 'gene'"):
        labels.column("folds")


def test_missing_values_are_missing_in_every_column(tmp_path):
    path = tmp_path / "l.tsv"
    path.write_text("transcript_id\ty\tgene\tchromosome\tfold\na\t1\tNA\t nan\tnull\nb\t2\tG\tchr1\tN/A\n")
    columns = read_labels(path, "y").columns
    assert columns == {"gene": ("", "G"), "chromosome": ("", "chr1"), "fold": ("", "")}
    path.write_text("transcript_id\ty\na\t1\nNA\t2\n")
    with pytest.raises(InputError, match="line 3: no transcript_id"):
        read_labels(path, "y")


def test_a_column_that_occurs_twice_is_refused(tmp_path):
    (tmp_path / "l.tsv").write_text("transcript_id\tvalue\tvalue\na\t1\t2\n")
    with pytest.raises(InputError, match="has the column 'value' twice; expected it once"):
        read_labels(tmp_path / "l.tsv", "value")


def test_several_columns_need_a_value_in_each(tmp_path):
    path = tmp_path / "l.tsv"
    path.write_text("transcript_id\tu\tv\na\t1\t2\nb\t\t3\nc\t4\t-inf\nd\t5\t6\n")
    labels = read_labels(path, ["u", "v"])
    assert (labels.transcript_ids, labels.n_missing, labels.name) == (("a", "c", "d"), 1, "u and 1 more")
    target = encode_target(labels, np.arange(3), Task.REGRESSION)
    np.testing.assert_array_equal(target.values, [[1, 2], [5, 6]])
    assert target.rows.tolist() == [0, 2]
    assert target.dropped == {"infinite values": "1 rows"}


def test_several_columns_of_zero_and_one_are_labels_by_name(tmp_path):
    path = write_frame(tmp_path / "f.parquet", id=[*range(20)], a=[True, False] * 10, b=[0.0, 1.0] * 10, c=[0, 0] * 10)
    target = encode_target(read_labels(path, ["a", "b", "c"], "id"), np.arange(20), Task.MULTILABEL)
    assert target.names == ("a", "b")
    np.testing.assert_array_equal(target.values[:2], [[1, 0], [0, 1]])
    assert target.dropped == {"c": "constant, in no row"}


def test_a_column_of_other_numbers_is_no_label_and_is_named_with_its_row(tmp_path):
    path = write_frame(tmp_path / "f.parquet", id=[*"xyz"], a=[0, 1, 1], b=[0, 1, 2])
    with pytest.raises(InputError, match=r"f.parquet, row 2: b is '2'; expected 0 or 1"):
        encode_target(read_labels(path, ["a", "b"], "id"), np.arange(3), Task.MULTILABEL)


def test_a_frame_without_ids_is_numbered_and_lists_are_bits(tmp_path):
    path = write_frame(
        tmp_path / "f.parquet", gene=["A", "B", "B"], target=[[0.0, 1.0], None, [1.0, 1.0]], sequence=["A"] * 3
    )
    labels = read_labels(path, "target")
    assert labels.transcript_ids == ("0", "2")
    assert labels.values == (("01", "11"),)
    assert labels.gene_name == ("A", "B")
    assert "sequence" not in labels.columns


def test_lists_of_other_numbers_and_files_that_are_no_frame_are_errors(tmp_path):
    path = write_frame(tmp_path / "f.parquet", target=[[0.0, 1.0], [0.5, 1.0]])
    with pytest.raises(InputError, match="row 1: target holds more than 0 and 1"):
        read_labels(path, "target")
    (tmp_path / "g.parquet").write_text("no")
    with pytest.raises(InputError, match="not a readable Parquet"):
        read_labels(tmp_path / "g.parquet", "target")


def test_a_classification_of_several_columns_is_an_error(tmp_path):
    path = write_frame(tmp_path / "f.parquet", id=[*"xyz"], a=[0, 1, 1], b=[0, 1, 1])
    with pytest.raises(InputError, match="a classification has one target column, not 2"):
        encode_target(read_labels(path, ["a", "b"], "id"), np.arange(3), Task.CLASSIFICATION)


def test_an_id_column_of_another_name_is_asked_for_not_replaced_by_row_numbers(tmp_path):
    frame = write_frame(tmp_path / "f.parquet", name=["a", "b"], y=[1.0, 2.0])
    table = tmp_path / "l.tsv"
    table.write_text("name\ty\n a \t1\nb\t2\n")
    for path in (frame, table):
        with pytest.raises(InputError, match=r"no column 'transcript_id'; it has 'name', 'y'; say which .* --id"):
            read_labels(path, "y")
        assert read_labels(path, "y", "name").transcript_ids == ("a", "b")
    with pytest.raises(InputError, match=r"no column 'z'; it has 'name', 'y'\.$"):
        read_labels(table, "z", "name")


def test_only_a_frame_with_sequences_gives_its_own_store(tmp_path):
    assert holds_sequences(write_frame(tmp_path / "f.parquet", sequence=["A"], y=[1.0]))
    assert not holds_sequences(write_frame(tmp_path / "g.parquet", transcript_id=["a"], y=[1.0]))
    assert not holds_sequences(tmp_path / "l.tsv")
