import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orthrus.embedding.file import Embeddings, read_embeddings
from orthrus.errors import InputError

IDS = ["a", "b", "c"]


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.float32()), pa.large_list(pa.float64()), pa.list_(pa.float16(), 2), pa.list_(pa.int8())]
)
def test_reads_any_list_of_numbers(write_parquet, kind):
    vectors = pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.int8())).cast(kind)
    path = write_parquet(transcript_id=IDS, embedding=vectors)
    found = read_embeddings(path)
    assert found.transcript_ids == ("a", "b", "c")
    assert found.matrix.dtype == np.float32
    np.testing.assert_array_equal(found.matrix, [[1, 2], [3, 4], [5, 6]])
    assert found.family_id is None


def test_reads_columns_beside_the_vectors_and_metadata(write_parquet):
    path = write_parquet(
        b'{"encoder": {"d_model": 2}}', transcript_id=IDS, embedding=[[1.0, 2.0]] * 3, species=["human", "mouse", None],
        family_id=["F", "F", "G"], gene_id=["x", "y", "z"],
    )  # fmt: skip
    found = read_embeddings(path)
    assert found.species == ("human", "mouse", None)
    assert found.family_id == ("F", "F", "G")
    assert found.metadata == {"file": str(path), "encoder": {"d_model": 2}}


def test_rows_of_gives_minus_one_for_the_absent():
    found = Embeddings(("a", "b"), np.zeros((2, 1), np.float32))
    assert found.rows_of(["b", "x", "a"]).tolist() == [1, -1, 0]


BAD_COLUMNS = {
    "id missing": ({"id": IDS, "embedding": [[1.0]] * 3}, "no column 'transcript_id'; it has id, embedding"),
    "vector missing": ({"transcript_id": IDS, "vector": [[1.0]] * 3}, "no column 'embedding'"),
    "duplicate": ({"transcript_id": ["a", "b", "a"], "embedding": [[1.0]] * 3}, "1 transcript ids occur more .* a;"),
    "null id": ({"transcript_id": ["a", None, "c"], "embedding": [[1.0]] * 3}, "1 rows have no transcript_id"),
    "ragged": ({"transcript_id": IDS, "embedding": [[1.0, 2], [1.0], [1.0, 2]]}, "2 for a, 1 for b"),
    "null vector": ({"transcript_id": IDS, "embedding": [[1.0], None, [1.0]]}, "1 for a, 0 for b"),
    "null number": ({"transcript_id": IDS, "embedding": [[1.0], [1.0], [None]]}, "not finite, for example that of c"),
    "NaN": ({"transcript_id": IDS, "embedding": [[1.0], [float("nan")], [1.0]]}, "1 of 3 vectors .* that of b"),
    "infinite": ({"transcript_id": IDS, "embedding": [[1.0], [1.0], [float("inf")]]}, "not finite"),
    "too large for float32": ({"transcript_id": IDS, "embedding": [[1.0], [1.0], [1e300]]}, "not finite"),
    "scalar": ({"transcript_id": IDS, "embedding": [1.0, 2.0, 3.0]}, "of type double; expected a list of float32"),
    "text": ({"transcript_id": IDS, "embedding": [["1"], ["2"], ["3"]]}, "of type list.*string.*; expected a list"),
    "no width": ({"transcript_id": IDS, "embedding": pa.array([[], [], []], pa.list_(pa.float32()))}, "are empty"),
    "no rows": (
        {"transcript_id": pa.array([], pa.string()), "embedding": pa.array([], pa.list_(pa.float32()))}, "holds no",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("columns", "message"), BAD_COLUMNS.values(), ids=BAD_COLUMNS)
@pytest.mark.filterwarnings("error")
def test_unusable_columns_are_named(write_parquet, columns, message):
    path = write_parquet(**columns)
    with pytest.raises(InputError, match=message) as error:
        read_embeddings(path)
    assert str(path) in str(error.value)


def test_a_missing_file_and_one_that_is_no_parquet_are_errors(tmp_path):
    with pytest.raises(InputError, match=r"no embeddings file .*orthrus embed"):
        read_embeddings(tmp_path / "absent.parquet")
    (tmp_path / "text.parquet").write_text("transcript_id\tembedding\n")
    with pytest.raises(InputError, match="not a readable Parquet file") as error:
        read_embeddings(tmp_path / "text.parquet")
    assert "\n" not in str(error.value)


def test_a_truncated_file_is_an_error(write_parquet):
    path: Path = write_parquet(transcript_id=IDS, embedding=[[1.0]] * 3)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match="not a readable Parquet file"):
        read_embeddings(path)


def test_metadata_that_is_no_json_is_an_error(write_parquet):
    path = write_parquet(b"{", transcript_id=IDS, embedding=[[1.0]] * 3)
    with pytest.raises(InputError, match=re.escape("'orthrus' metadata is not JSON")):
        read_embeddings(path)


def test_further_columns_of_vectors_are_readouts(write_parquet):
    path = write_parquet(
        b'{"readout": "last.mean"}',
        transcript_id=IDS,
        embedding=[[1.0]] * 3,
        **{"embedding.last.max": [[2.0, 3.0]] * 3},
    )
    found = read_embeddings(path)
    assert {name: matrix.shape for name, matrix in found.all_readouts.items()} == {
        "last.mean": (3, 1), "last.max": (3, 2),
    }  # fmt: skip
    assert found.with_readout("last.max").all_readouts.keys() == {"last.max"}
    with pytest.raises(InputError, match=r"no readout 'max'.*last.mean, last.max"):
        found.with_readout("max")


def test_metadata_that_is_a_list_is_refused(tmp_path: Path) -> None:
    table = pa.table({"transcript_id": ["a"], "embedding": [[1.0]]}).replace_schema_metadata({b"orthrus": b"[1]"})
    pq.write_table(table, tmp_path / "e.parquet")
    with pytest.raises(InputError, match="expected keys and values"):
        read_embeddings(tmp_path / "e.parquet")
