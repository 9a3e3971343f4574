"""Output that appears whole or not at all: tables and folders are made beside their place and renamed."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv

from orthrus.errors import InputError


def refuse_output(path: Path, overwrite: bool, suffixes: tuple[str, ...] = (".parquet", ".tsv")) -> None:
    """Raises InputError if a table cannot go to ``path``: it exists, or its suffix names no format."""
    if path.suffix not in suffixes:
        raise InputError(f"output {path} ends in {path.suffix!r}; expected {' or '.join(suffixes)}")
    if path.exists() and not overwrite:
        raise InputError(f"{path} exists; choose another --output or pass --overwrite to replace it")


def write_table(table: pa.Table, path: Path) -> None:
    """Write ``table`` as Parquet or, by the suffix ``.tsv``, as tab-separated text with empty fields for null."""
    with atomic_file(path) as scratch:
        if path.suffix == ".tsv":
            csv.write_csv(table, scratch, csv.WriteOptions(delimiter="\t", quoting_style="none", quoting_header="none"))
        else:
            pq.write_table(table, scratch, compression="zstd")


def write_text(text: str, path: Path) -> None:
    """Write a text file."""
    with atomic_file(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.partial")
    try:
        yield scratch
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def refuse_folder(path: Path, marker: str, overwrite: bool) -> None:
    """Raises InputError if a folder cannot go to ``path``: only one that holds a ``marker`` file is ever replaced."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not (path / marker).is_file():
        raise InputError(f"{path} exists and has no {marker}; choose another --output, it will not be replaced")
    if not overwrite:
        raise InputError(f"{path} exists; choose another --output or pass --overwrite to replace it")


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """An empty folder that takes the place of ``path`` when the context ends well, and is gone otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent))
    try:
        folder = partial / "new"
        folder.mkdir()
        yield folder
        if path.exists():
            path.rename(partial / "old")
        folder.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
