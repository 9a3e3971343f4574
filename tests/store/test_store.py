import json
import os
import pickle
import stat
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthrus import TranscriptStore
from orthrus.errors import InputError
from orthrus.genome.codes import annotate, encode_bases
from orthrus.genome.findings import Tally
from orthrus.store import HOMOLOG_SCHEMA, ORTHOLOG_SCHEMA, ChunkWriter, StoreBuilder
from orthrus.store.ids import make_unique
from orthrus.store.layout import FILES
from tests.builders import build_store


def add(builder: StoreBuilder, name: str, sequence: str = "ACGTN", **more: object) -> None:
    cds = more.pop("cds", None)
    ends = more.pop("exon_ends", [])
    codes = annotate(encode_bases(sequence, name), cds, ends)
    row = {"gene_id": "G", "species": "human"} | more
    builder.add(codes, transcript_id=name, cds=cds, exon_ends=ends, **row)


def write(path: Path, *names: str, overwrite: bool = False, error: type[BaseException] | None = None) -> None:
    """A store of tiny transcripts; with ``error``, raised before it is finished."""
    with StoreBuilder(path, overwrite=overwrite) as builder:
        for name in names:
            add(builder, name)
        if error:
            raise error
        builder.finish()


def test_what_goes_in_comes_out(tmp_path: Path) -> None:
    with StoreBuilder(tmp_path / "s") as builder:
        add(builder, "A", "ACGTNACG", cds=(1, 7), exon_ends=[3, 8], gene_name="N", biotype="b", source="f")
        add(builder, "B", "T", species="mouse")
        builder.finish(meta={"created_by": "a test"})
    store = TranscriptStore.open(tmp_path / "s")
    assert len(store) == 2
    assert store.index_of("B") == 1
    assert store.sequence(0) == "ACGTNACG"
    assert store.tracks(0).tolist() == [
        [1, 0, 0, 0, 0, 1, 0, 0],
        [0, 1, 0, 0, 0, 0, 1, 0],
        [0, 0, 1, 0, 0, 0, 0, 1],
        [0, 0, 0, 1, 0, 0, 0, 0],
        [0, 1, 0, 0, 1, 0, 0, 0],
        [0, 0, 1, 0, 0, 0, 0, 1],
    ]
    assert store.tracks(1, 4).tolist() == [[0], [0], [0], [1]]
    assert store.lengths.tolist() == [8, 1]
    assert store.transcripts.to_pylist()[0] == {
        "transcript_id": "A",
        "gene_id": "G",
        "gene_known": True,
        "gene_name": "N",
        "species": "human",
        "biotype": "b",
        "family_id": "human:G",
        "length": 8,
        "cds_start": 1,
        "cds_end": 7,
        "exon_ends": [3, 8],
        "source": "f",
        "genetic_code": 1,
    }
    assert store.transcripts["cds_start"].to_pylist() == [1, -1]
    assert store.meta["created_by"] == "a test"
    assert store.meta["counts"]["transcripts"] == 2
    store.verify()
    with pytest.raises(ValueError, match="read-only"):
        store.codes(0)[0] = 1


def test_families_join_orthologs_and_unknown_genes_are_counted(tmp_path: Path) -> None:
    pairs = [("human", "G", "mouse", "M", "one2one"), ("human", "G", "mouse", "unknown", "one2one")]
    with StoreBuilder(tmp_path / "s") as builder:
        for name, gene, species in [("A", "G", "human"), ("B", "M", "mouse"), ("C", "G", "mouse")]:
            add(builder, name, gene_id=gene, species=species)
        builder.finish(pa.table([list(c) for c in zip(*pairs, strict=True)], names=ORTHOLOG_SCHEMA.names))
    store = TranscriptStore.open(tmp_path / "s")
    assert store.column("family_id") == ["human:G", "human:G", "mouse:G"]
    assert store.orthologs.num_rows == 1
    assert store.meta["counts"]["ortholog_gene_pairs_unknown_gene"] == 1


def test_homologs_join_families_but_are_no_pairs(tmp_path: Path) -> None:
    groups = [
        ("human", "A", "1"),
        ("human", "B", "1"),
        ("mouse", "B", "1"),
        ("mouse", "C", "2"),
        ("mouse", "Z", "2"),
        ("cat", "A", "2"),
    ]
    with StoreBuilder(tmp_path / "s") as builder:
        for species, gene in [("human", "A"), ("human", "B"), ("human", "C"), ("mouse", "C"), ("mouse", "B")]:
            add(builder, f"{species}.{gene}", gene_id=gene, species=species)
        builder.finish(homologs=pa.table([list(c) for c in zip(*groups, strict=True)], schema=HOMOLOG_SCHEMA))
    store = TranscriptStore.open(tmp_path / "s")
    assert store.column("family_id") == ["human:A", "human:A", "human:C", "mouse:C", "human:A"]
    assert store.orthologs.num_rows == 0
    assert store.meta["counts"]["homologs_unknown_gene"] == 1
    assert store.meta["warnings"] == [
        "1 rows of homologs whose gene is not in the store, ignored (for example mouse:Z)"
    ]


def test_an_error_or_interrupt_leaves_nothing(tmp_path: Path) -> None:
    for error in (RuntimeError, KeyboardInterrupt):
        with pytest.raises(error):
            write(tmp_path / "s", "A", error=error)
        assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="no transcript"):
        write(tmp_path / "s")
    assert not list(tmp_path.iterdir())


def test_a_failed_replacement_leaves_the_old_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = build_store(tmp_path / "s").path
    with pytest.raises(InputError, match="s exists; choose another --output or pass --overwrite"), StoreBuilder(path):
        pass
    with pytest.raises(RuntimeError):
        write(path, "A", overwrite=True, error=RuntimeError)
    rename = Path.rename

    def interrupted(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(path, "A", overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["s"]
    TranscriptStore.open(path).verify()


def test_overwriting_replaces_a_store_and_nothing_else(tmp_path: Path) -> None:
    path = build_store(tmp_path / "s").path
    write(path, "A", overwrite=True)
    assert len(TranscriptStore.open(path)) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["s"]
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    with (
        pytest.raises(InputError, match=r"exists and has no meta.json; .* it will not be replaced"),
        StoreBuilder(tmp_path / "precious", overwrite=True),
    ):
        pass


def test_a_store_is_readable_as_the_umask_says(tmp_path: Path) -> None:
    old = os.umask(0o022)
    try:
        path = build_store(tmp_path / "s").path
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o755


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such folder. Make one with `orthrus prepare`"):
        TranscriptStore.open(tmp_path / "none")
    with pytest.raises(InputError, match=r"it holds no meta.json"):
        TranscriptStore.open(tmp_path)
    store = build_store(tmp_path / "s")
    meta = store.path / "meta.json"
    document = json.loads(meta.read_text())
    meta.write_text(json.dumps(document | {"format_version": 99}))
    with pytest.raises(InputError, match=r"store format 99; this version of orthrus reads 3\.\s.*Prepare the store"):
        TranscriptStore.open(store.path)
    del document["files"]["renamed.parquet"]
    for broken in ("{", "[]", "{}", json.dumps(document)):
        meta.write_text(broken)
        with pytest.raises(InputError, match="prepare the store again"):
            TranscriptStore.open(store.path)


def test_damaged_files_are_told(tmp_path: Path) -> None:
    path = build_store(tmp_path / "s").path
    codes = path / "codes.u8"
    data = codes.read_bytes()
    codes.write_bytes(data[:-1])
    with pytest.raises(InputError, match=r"codes.u8 has [\d,]+ bytes, expected"):
        TranscriptStore.open(path)
    codes.write_bytes(bytes([data[0] ^ 1]) + data[1:])
    with pytest.raises(InputError, match=r"codes.u8 does not match its checksum"):
        TranscriptStore.open(path).verify()
    codes.unlink()
    with pytest.raises(InputError, match=r"codes.u8 is missing"):
        TranscriptStore.open(path)


def test_unknown_ids_name_near_ones(tmp_path: Path) -> None:
    store = build_store(tmp_path / "s")
    with pytest.raises(InputError, match=r"no transcript 'h1.9' in .*for example, h1.0, h1.1, h1.2"):
        store.index_of("h1.9")


def test_codes_are_mapped_not_read(tmp_path: Path) -> None:
    store = build_store(tmp_path / "s")
    view = store.codes(3)
    while view.base is not None and not isinstance(view, np.memmap):
        view = view.base
    assert isinstance(view, np.memmap)


def literal_arrays(store: TranscriptStore) -> dict[str, list[object]]:
    """What the arrays hold, read off the table row by row."""
    rows = store.transcripts.to_pylist()
    return {
        "lengths": [row["length"] for row in rows],
        "cds": [[row["cds_start"], row["cds_end"]] for row in rows],
        "family": [row["family_id"] for row in rows],
        "species": [row["species"] for row in rows],
        "ids": [row["transcript_id"] for row in rows],
    }


def test_arrays_say_what_the_table_says(tmp_path: Path) -> None:
    store = build_store(tmp_path / "s")
    assert literal_arrays(store) == {
        "lengths": store.lengths.tolist(),
        "cds": store.cds.tolist(),
        "family": [store.family_names[i].as_py() for i in store.family.tolist()],
        "species": [store.species_names[i] for i in store.species.tolist()],
        "ids": store.transcript_ids.to_pylist(),
    }
    assert [store.index_of(name) for name in store.column("transcript_id")] == list(range(len(store)))
    types = (store.lengths.dtype, store.cds.dtype, store.family.dtype, store.species.dtype)
    assert types == (np.int64, np.int32, np.int32, np.uint16)


def test_arrays_are_mapped_also_in_a_worker(tmp_path: Path) -> None:
    store = build_store(tmp_path / "s")
    assert len(pickle.dumps(store)) < 1000
    for opened in (store, pickle.loads(pickle.dumps(store))):
        for array in (opened.lengths, opened.cds, opened.family, opened.species, opened.array("members")):
            assert isinstance(array.base, np.memmap)
            assert not array.flags.writeable


IDS = st.lists(
    st.tuples(st.sampled_from(["human", "mouse"]), st.sampled_from(["A", "B", "mouse:A", "A_dup1", "mouse:A_dup1"])),
    min_size=1,
    max_size=12,
)


@given(IDS)
def test_ids_are_unique_and_the_first_of_a_name_keeps_it(rows: list[tuple[str, str]]) -> None:
    names = [name for _, name in rows]
    species = np.array([["human", "mouse"].index(kind) for kind, _ in rows])
    noted = Tally()
    ids = make_unique(pa.chunked_array([pa.array(names, pa.large_string())]), species, ["human", "mouse"], noted)
    new = ids.names.to_pylist()
    assert len(set(new)) == len(new)
    assert [new[i] for i in ids.order] == sorted(new)
    changed = [i for i in range(len(names)) if new[i] != names[i]]
    assert changed == [i for i in range(len(names)) if names[i] in names[:i]]
    assert sum(noted.counts.values()) == len(changed)
    for i in changed:
        own = species[names.index(names[i])] == species[i]
        assert new[i].startswith(f"{names[i]}_dup" if own else f"{rows[i][0]}:{names[i]}")


def test_ids_that_clash_are_renamed_and_noted(tmp_path: Path) -> None:
    with StoreBuilder(tmp_path / "s") as builder:
        for species in ("human", "human", "mouse", "cat", "cat"):
            add(builder, "A", species=species)
        builder.finish()
    store = TranscriptStore.open(tmp_path / "s")
    assert store.column("transcript_id") == ["A", "A_dup1", "mouse:A", "cat:A", "cat:A_dup1"]
    assert [row["count"] for row in store.table("noted").to_pylist()] == [1, 3]
    assert store.index_of("cat:A_dup1") == 4


def test_pairs_that_miss_a_gene_are_kept_apart(tmp_path: Path) -> None:
    pairs = [("human", "G", "mouse", "M", "one"), ("cat", "C", "human", "G", "one"), ("cat", "C", "human", "G", "one")]
    with StoreBuilder(tmp_path / "s") as builder:
        add(builder, "A")
        add(builder, "B", species="mouse", gene_id="M")
        builder.finish(pa.table([list(c) for c in zip(*pairs, strict=True)], names=ORTHOLOG_SCHEMA.names))
    store = TranscriptStore.open(tmp_path / "s")
    assert [tuple(row.values()) for row in store.orthologs.to_pylist()] == pairs[:1]
    assert [tuple(row.values()) for row in store.table("unmatched_orthologs").to_pylist()] == pairs[1:2]
    assert "cat:C" in store.meta["warnings"][0]


def test_many_rows_come_out_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are written in groups, whatever the sizes they come in."""
    monkeypatch.setattr("orthrus.store.builder._ROWS", 7)
    names = [f"T{i:03d}" for i in range(50)]
    chunk = ChunkWriter()
    with StoreBuilder(tmp_path / "s") as builder:
        for start, stop in [(0, 1), (1, 22), (22, 22), (22, 30)]:
            for name in names[start:stop]:
                chunk.add(encode_bases("ACGT", name), transcript_id=name, gene_id=name, species="x")
            builder.extend(chunk.take())
        for name in names[30:]:
            add(builder, name, "ACGT", gene_id=name, species="x")
        builder.finish()
    store = TranscriptStore.open(tmp_path / "s")
    assert store.column("transcript_id") == names
    assert store.column("family_id") == [f"x:{name}" for name in names]
    assert pq.ParquetFile(store.path / "transcripts.parquet").num_row_groups == 8


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_found_on_opening(name: str, tmp_path: Path) -> None:
    path = build_store(tmp_path / "s").path
    content = bytearray((path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name} does not match its checksum"):
        TranscriptStore.open(path)


def test_a_large_file_is_sampled_on_opening_and_compared_whole_on_verifying(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orthrus.store.layout._SAMPLE", 8)
    path = build_store(tmp_path / "s").path
    monkeypatch.setattr("orthrus.store.reader.SMALL", 1000)
    codes = path / "codes.u8"
    whole = codes.read_bytes()
    codes.write_bytes(bytes(len(whole)))  # as a copy that was cut short by the machine's end leaves it
    with pytest.raises(InputError, match=r"codes\.u8 does not match"):
        TranscriptStore.open(path)
    at = len(whole) // 30  # between the first two samples
    codes.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    with pytest.raises(InputError, match=r"codes\.u8 does not match"):
        TranscriptStore.open(path).verify()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("species", None), ("species", "human"), ("species", []), ("species", [1]), ("counts", []), ("warnings", 3),
        ("warnings", [3]), ("cds_frame", None), ("cds_frame", "x"), ("sources", 5), ("sources", [{"path": "x"}]),
    ],
)  # fmt: skip
def test_a_description_that_lacks_what_is_read_later_is_refused_on_opening(
    key: str, value: object, tmp_path: Path
) -> None:
    path = build_store(tmp_path / "s").path
    meta = json.loads((path / "meta.json").read_text())
    (path / "meta.json").write_text(json.dumps({**meta, key: value}))
    with pytest.raises(InputError, match=f"has no usable {key}"):
        TranscriptStore.open(path)
