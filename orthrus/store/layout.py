"""The files of a store: their names, their columns, and how they are written and checked."""

import errno
import hashlib
import os
import shutil
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

FORMAT_VERSION = 3

_COPIED_AT_ONCE = 1 << 30  # bytes
_SAMPLES, _SAMPLE = 16, 1 << 16  # number of blocks in a sample, bytes of a block
SMALL = 1 << 22  # bytes; up to this size, opening a store compares the whole file with its checksum

_STRING = pa.string()

TRANSCRIPT_SCHEMA = pa.schema(
    [
        ("transcript_id", _STRING),
        ("gene_id", _STRING),
        ("gene_known", pa.bool_()),  # false: no source names the gene, and gene_id is the id of a transcript
        ("gene_name", _STRING),
        ("species", _STRING),
        ("biotype", _STRING),
        ("family_id", _STRING),
        ("length", pa.int32()),
        ("cds_start", pa.int32()),  # -1 without a CDS
        ("cds_end", pa.int32()),
        ("exon_ends", pa.list_(pa.int32())),  # empty: unknown
        ("source", _STRING),
        ("genetic_code", pa.int8()),  # NCBI's number of the table that translates the CDS
    ]
)
ROW_SCHEMA = pa.schema([column for column in TRANSCRIPT_SCHEMA if column.name != "family_id"])
"""The columns of a transcript before its family is known."""

ORTHOLOG_SCHEMA = pa.schema(
    [(name, _STRING) for name in ("species_a", "gene_id_a", "species_b", "gene_id_b", "homology_type")]
)
HOMOLOG_SCHEMA = pa.schema([(name, _STRING) for name in ("species", "gene_id", "group")])
RENAMED_SCHEMA = pa.schema([("row", pa.int64()), ("given_id", _STRING)])
FINDING_SCHEMA = pa.schema(
    [("source", _STRING), ("reason", _STRING), ("count", pa.int64()), ("examples", pa.list_(_STRING))]
)

TABLES = ("transcripts", "orthologs", "unmatched_orthologs", "homologs", "renamed", "dropped", "noted")
ARRAYS = (
    *("offsets", "lengths", "cds", "species", "family", "gene"),
    *("members", "first", "neighbours", "edge", "id_order"),
)
NAMES = ("transcript_ids", "family_names")

FILES = (
    "codes.u8",
    *(f"{name}.parquet" for name in TABLES),
    *(f"arrays/{name}.npy" for name in ARRAYS),
    *(f"arrays/{name}.arrow" for name in NAMES),
)


def write_names(path: Path, names: pa.Array) -> None:
    """Write strings as one Arrow record batch, which :func:`map_names` maps."""
    batch = pa.record_batch([names.cast(pa.large_string())], names=["name"])
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
        writer.write_batch(batch)


def map_names(path: Path) -> pa.LargeStringArray:
    """The strings of :func:`write_names`, memory-mapped."""
    return pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0).column(0)


def copy_bytes(source: Path, sink: BinaryIO) -> None:
    """Append a file to ``sink``, copied by the kernel if possible."""
    with source.open("rb", buffering=0) as stream:
        try:
            while os.copy_file_range(stream.fileno(), sink.fileno(), _COPIED_AT_ONCE):
                pass
        except (AttributeError, OSError) as error:  # not supported by this system or between these file systems
            if stream.seek(0, os.SEEK_CUR) or getattr(error, "errno", None) == errno.ENOSPC:
                raise
            shutil.copyfileobj(stream, sink)
    sink.seek(0, os.SEEK_END)


def sampled_sha256(path: Path) -> str:
    """Hex SHA-256 of the size of a file and of evenly spaced blocks, which detects cut files and zeroed parts."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as stream:
        for i in range(_SAMPLES):
            stream.seek(i * max(size - _SAMPLE, 0) // (_SAMPLES - 1))
            digest.update(stream.read(_SAMPLE))
    return digest.hexdigest()


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
