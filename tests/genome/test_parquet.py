"""Parquet files of users: what they hold, or one clear error before memory is full."""

import resource
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orthrus import InputError
from orthrus.embedding.file import read_embeddings
from orthrus.genome import files
from orthrus.genome.mrna_frames import read_frame
from orthrus.genome.parquet import read_columns
from orthrus.probe.labels import read_labels

N = 4000
IDS = [str(i) for i in range(N)]
ZEROS = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(N * 200, np.float32)), 200).cast(pa.list_(pa.float32()))
COLUMNS = {
    "embedding": ZEROS,  # one value and a count, for each of its row groups
    "value": pa.array(["0" * 1000] * N),  # one text and its number in every row
    "sequence": pa.array(["A" * 1000] * N),
}
READ = {
    "embedding": read_embeddings,
    "value": lambda path: read_labels(path, "value"),
    "sequence": lambda path: list(read_frame(path)),
}


@pytest.mark.parametrize("dictionary", [True, False], ids=["values counted", "compressed"])
@pytest.mark.parametrize("name", COLUMNS)
def test_what_expands_beyond_all_proportion_is_refused(
    name: str, dictionary: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.parquet"
    pq.write_table(
        pa.table({"transcript_id": IDS, name: COLUMNS[name]}),
        path,
        N // 4,
        compression="zstd",
        use_dictionary=dictionary,
    )
    assert path.stat().st_size < 40_000
    READ[name](path)
    monkeypatch.setattr(files, "HARMLESS", 1 << 20)
    monkeypatch.setattr(files, "MAX_RATIO", 20)
    with pytest.raises(InputError, match=r"bomb\.parquet \(.* bytes\) expands to more than 1,048,576 bytes"):
        READ[name](path)


def test_what_a_file_declares_is_compared_before_memory_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.parquet"
    width = 100_000
    zeros = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(20 * width, np.float32)), width)
    group = pa.table({"transcript_id": pa.array(["a"] * 20), "embedding": zeros.cast(pa.list_(pa.float32()))})
    with pq.ParquetWriter(path, group.schema, compression="zstd") as writer:
        for _ in range(12):  # 96 MB
            writer.write_table(group)
    monkeypatch.setattr(files, "HARMLESS", 1 << 20)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="expands to more than"):
        read_embeddings(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


def test_columns_come_whole_and_in_order(tmp_path: Path) -> None:
    table = pa.table({"a": range(2500), "b": [str(i) for i in range(2500)], "a.b": [0.5] * 2500})
    pq.write_table(table, tmp_path / "t.parquet", 700)
    assert read_columns(tmp_path / "t.parquet", ["b", "a"]).equals(table.select(["b", "a"]))
    pq.write_table(table.slice(0, 0), tmp_path / "none.parquet")
    assert read_columns(tmp_path / "none.parquet", ["a"]).num_rows == 0
