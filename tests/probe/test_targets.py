import gzip

import numpy as np
import pytest

from orthrus.errors import InputError
from orthrus.probe.labels import read_labels
from orthrus.probe.targets import Task, encode_target


def encode(path, task, target="y", **options):
    labels = read_labels(path, target)
    return encode_target(labels, np.arange(len(labels.transcript_ids)), task, **options)


def ids(n):
    return [f"T{i}" for i in range(n)]


def test_missing_values_are_dropped_and_counted(write_labels):
    path = write_labels(transcript_id=ids(7), y=["1", "", "NaN", "NA", " ", "null", "2.5"], gene_name=list("abcdefg"))
    labels = read_labels(path, "y")
    assert labels.transcript_ids == ("T0", "T6")
    assert (labels.n_rows, labels.n_missing) == (7, 5)
    assert labels.gene_name == ("a", "g")
    assert labels.lines == (2, 8)


@pytest.mark.parametrize("name", ["l.tsv", "l.tsv.gz"])
def test_gzip_crlf_byte_order_mark_and_blank_lines_are_read(tmp_path, name):
    text = "\ufefftranscript_id\ty\r\na\t1\r\n\r\nb\t2\r\n".encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    labels = read_labels(tmp_path / name, "y")
    assert labels.transcript_ids == ("a", "b")
    assert labels.lines == (2, 4)


UNREADABLE = {
    "other columns": (b"id\ty\na\t1\n", r"no column 'transcript_id'; it has 'id', 'y'"),
    "no target": (b"transcript_id\tz\na\t1\n", r"no column 'y'; it has 'transcript_id', 'z'"),
    "commas": (b"transcript_id,y\na,1\n", "separated by tabs"),
    "one field too many": (b"transcript_id\ty\na\t1\nb\t2\t3\n", "line 3"),
    "a field too many throughout": (b"transcript_id\ty\na\t1\t3\nb\t2\t3\n", "cannot be read"),
    "repeated id": (b"transcript_id\ty\na\t1\n\na\t2\n", "line 4: transcript_id 'a' occurs again"),
    "no id": (b"transcript_id\ty\na\t1\n\t2\n", "line 3: no transcript_id"),
    "no value": (b"transcript_id\ty\na\tNA\n", "no value in any of its 1 rows"),
    "empty": (b"", "cannot be read"),
    "not text": (bytes(range(256)), "cannot be read"),
}


@pytest.mark.parametrize(("content", "message"), UNREADABLE.values(), ids=UNREADABLE)
def test_unreadable_tables_are_named_errors(tmp_path, content, message):
    path = tmp_path / "labels.tsv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as error:
        read_labels(path, "y")
    assert str(path) in str(error.value)


def test_a_truncated_gzip_and_a_missing_file_are_errors(tmp_path):
    path = tmp_path / "l.tsv.gz"
    path.write_bytes(gzip.compress(b"transcript_id\ty\n" + b"".join(b"%d\t1\n" % i for i in range(9999)))[:500])
    with pytest.raises(InputError, match="is a truncated gzip file"):
        read_labels(path, "y")
    with pytest.raises(InputError, match="no labels file"):
        read_labels(tmp_path / "absent.tsv", "y")


def test_numbers_are_read_and_infinite_ones_dropped(write_labels):
    path = write_labels(transcript_id=ids(4), y=["1e-3", "-2", "inf", "4"])
    target = encode(path, Task.REGRESSION)
    np.testing.assert_array_equal(target.values[:, 0], [1e-3, -2, 4])
    assert target.rows.tolist() == [0, 1, 3]
    assert target.dropped == {"infinite values": "1 rows"}


def test_text_in_a_numeric_column_is_named_with_its_line(write_labels):
    path = write_labels(transcript_id=ids(3), y=["1", "", "high"])
    with pytest.raises(InputError, match=r"line 4: y is 'high', not a number \(1 such rows\)"):
        encode(path, Task.REGRESSION)


@pytest.mark.parametrize("task", list(Task))
def test_a_constant_target_is_an_error(write_labels, task):
    path = write_labels(transcript_id=ids(60), y=["1"] * 60)
    with pytest.raises(InputError, match=r"nothing to (learn|score)"):
        encode(path, task, min_positives=2)


def test_two_classes_are_one_column_of_the_second_name(write_labels):
    path = write_labels(transcript_id=ids(40), y=["yes", "no"] * 20)
    target = encode(path, Task.CLASSIFICATION)
    assert target.names == ("yes",)
    np.testing.assert_array_equal(target.values[:2, 0], [1, 0])


def test_several_classes_are_one_hot_and_rare_ones_dropped(write_labels):
    path = write_labels(transcript_id=ids(33), y=["a", "b", "c"] * 10 + ["rare"] * 3)
    target = encode(path, Task.CLASSIFICATION)
    assert target.names == ("a", "b", "c")
    assert target.values.shape == (30, 3)
    assert (target.values.sum(axis=1) == 1).all()
    assert target.dropped == {"class rare": "3 rows, fewer than 10"}


def test_a_number_is_no_class(write_labels):
    path = write_labels(transcript_id=ids(200), y=[i / 7 for i in range(200)])
    with pytest.raises(InputError, match=r"200 distinct values.*--task regression"):
        encode(path, Task.CLASSIFICATION)


def test_bits_are_named_from_one_and_constant_ones_dropped_by_name(write_labels):
    path = write_labels(transcript_id=ids(40), y=["0101", "0110"] * 20)
    target = encode(path, Task.MULTILABEL)
    assert target.names == ("bit 3", "bit 4")
    np.testing.assert_array_equal(target.values[:2], [[0, 1], [1, 0]])
    assert target.dropped == {"bit 1": "constant, in no row", "bit 2": "constant, in every row"}


def test_a_bit_with_two_positives_is_dropped_by_name(write_labels):
    path = write_labels(transcript_id=ids(40), y=["10"] * 2 + ["01"] * 19 + ["00"] * 19)
    target = encode(path, Task.MULTILABEL)
    assert target.names == ("bit 2",)
    assert target.dropped["bit 1"] == "2 of 40 rows, fewer than 10 with or without it"


def test_bit_strings_of_two_lengths_are_an_error_with_both_lines(write_labels):
    path = write_labels(transcript_id=ids(3), y=["010", "110", "11"])
    with pytest.raises(InputError, match=r"line 4: y has 2 bits \('11'\), line 2 has 3"):
        encode(path, Task.MULTILABEL)


@pytest.mark.parametrize("values", [["0,1", "1, 0,"], ["False,True", "true,false"], ["0.0,1.0", "1,0"]])
def test_lists_of_yes_and_no_are_bits_and_no_terms(write_labels, values):
    target = encode(write_labels(transcript_id=ids(40), y=values * 20), Task.MULTILABEL)
    assert target.names == ("bit 1", "bit 2")
    np.testing.assert_array_equal(target.values[:2], [[0, 1], [1, 0]])


def test_lists_of_bits_of_two_lengths_are_an_error(write_labels):
    with pytest.raises(InputError, match=r"line 3: y has 1 bits \('1'\), line 2 has 2"):
        encode(write_labels(transcript_id=ids(2), y=["1,0", "1"]), Task.MULTILABEL)


def test_a_column_of_true_and_false_is_one_label(write_labels):
    target = encode(write_labels(transcript_id=ids(40), y=["True", "False"] * 20), Task.MULTILABEL)
    assert target.names == ("bit 1",)


def test_terms_separated_by_semicolons_are_refused_with_what_to_write(write_labels):
    path = write_labels(transcript_id=ids(3), y=["cytosol", "nucleus;cytosol", "nucleus"])
    with pytest.raises(InputError, match=r"line 3: y is 'nucleus;cytosol'; .* write 'nucleus,cytosol' \(1 such rows\)"):
        encode(path, Task.MULTILABEL)


def test_terms_need_enough_rows_with_and_without_them(write_labels):
    terms = ["GO:1,GO:2", "GO:1, GO:3", "GO:1,GO:2,"] * 4
    path = write_labels(transcript_id=ids(12), y=terms)
    target = encode(path, Task.MULTILABEL, min_positives=4)
    assert target.names == ("GO:2", "GO:3")  # GO:1 is in every row
    np.testing.assert_array_equal(target.values[:3], [[1, 0], [0, 1], [1, 0]])
    assert target.dropped == {"terms": "1 of 3, fewer than 4 rows with or without them"}


def test_labels_are_counted_among_the_chosen_rows_alone(write_labels):
    path = write_labels(transcript_id=ids(60), y=["1"] * 20 + ["0"] * 40)
    labels = read_labels(path, "y")
    with pytest.raises(InputError, match="at least 10 rows with it"):
        encode_target(labels, np.arange(12, 60), Task.MULTILABEL)


@pytest.mark.parametrize("value", ["1e300", "-2e154"])
def test_numbers_whose_squares_overflow_are_refused_with_their_line(write_labels, value):
    path = write_labels(transcript_id=ids(3), y=["1", "2", value])
    with pytest.raises(
        InputError, match=rf"line 4: y is {value}, beyond ±1e\+100.* \(1 such values\); take logarithms"
    ):
        encode(path, Task.REGRESSION)


def test_numbers_that_hardly_differ_are_constant(write_labels):
    with pytest.raises(InputError, match="nothing to learn"):
        encode(write_labels(transcript_id=ids(3), y=["0", "1e-200", "3e-300"]), Task.REGRESSION)
