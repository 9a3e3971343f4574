"""mRNA FASTA with a table of coordinates: spliced sequences, and the positions of CDS and exons in them.

Required columns of the table: ``transcript_id``, ``cds_start``, ``cds_end`` (empty or -1: no CDS), and ``gene_name`` or
``gene_id`` (either replaces the other where that is missing). Optional columns: ``length`` (default: the length of the
sequence), ``species`` (overrides the species of the spec), ``exon_ends`` (comma-separated; empty: unknown), ``biotype``
(default: `protein_coding` with a CDS, `non_coding` without). Coordinates are 0-based, half-open, on the mature mRNA.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from orthrus.errors import InputError
from orthrus.genome.sequence import read_fasta
from orthrus.genome.tables import read_tsv


@dataclass(frozen=True)
class Coordinates:
    """T rows of a coordinate table. CDS bounds are -1 without a CDS; ``exon_ends[t]`` is empty where unknown.

    Without ``gene_known`` the row names no gene, and ``gene_id`` is the transcript's.
    """

    transcript_id: list[str]
    gene_id: list[str]
    gene_known: NDArray[np.bool_]  # (T,)
    gene_name: list[str]
    species: list[str]
    biotype: list[str]
    length: NDArray[np.int64]  # (T,)
    cds_start: NDArray[np.int64]
    cds_end: NDArray[np.int64]
    exon_ends: list[NDArray[np.int32]]


def read_coordinates(path: Path, species: str, fasta: Path) -> Coordinates:
    """Read the coordinate table of a FASTA.

    ``fasta`` is read only where the table does not give the lengths. Raises InputError naming the line of a value that
    does not fit.
    """
    table = read_tsv(
        path,
        required=("transcript_id", "cds_start", "cds_end"),
        optional=("length", "gene_id", "gene_name", "species", "biotype", "exon_ends"),
    )
    columns = table.column_names
    if "gene_id" not in columns and "gene_name" not in columns:
        raise InputError(f"{path} has neither a column 'gene_id' nor 'gene_name'; expected one, to group isoforms.")
    missing = pa.nulls(len(table), pa.string())

    def text(name: str) -> pa.ChunkedArray:
        return pc.if_else(pc.equal(table[name], ""), None, table[name]) if name in columns else missing

    gene_id, gene_name = text("gene_id"), text("gene_name")
    numbers = {name: _numbers(table[name], name, path) for name in ("cds_start", "cds_end")}
    exon_ends = _exon_ends(text("exon_ends"), path)
    stated = text("length")
    length = _numbers(pc.fill_null(stated, ""), "length", path)
    if stated.null_count:
        found = {name: len(sequence) for name, sequence in read_fasta(fasta)}
        unread = np.array(
            [max(int(end), *ends[-1:], 1) for end, ends in zip(numbers["cds_end"], exon_ends, strict=True)]
        )
        names = table["transcript_id"].to_pylist()
        known = [found.get(name, n) for name, n in zip(names, unread.tolist(), strict=True)]
        length = np.where(np.asarray(pc.is_null(stated)), known, length)
    coding = pa.array(numbers["cds_start"] >= 0)
    rows = Coordinates(
        transcript_id=table["transcript_id"].to_pylist(),
        gene_id=pc.coalesce(gene_id, gene_name, table["transcript_id"]).to_pylist(),
        gene_known=np.asarray(pc.or_(pc.is_valid(gene_id), pc.is_valid(gene_name))),
        gene_name=pc.coalesce(gene_name, "").to_pylist(),
        species=pc.coalesce(text("species"), species).to_pylist(),
        biotype=pc.coalesce(text("biotype"), pc.if_else(coding, "protein_coding", "non_coding")).to_pylist(),
        length=length,
        **numbers,
        exon_ends=exon_ends,
    )
    _check(rows, path)
    return rows


def _numbers(column: pa.ChunkedArray, name: str, path: Path) -> NDArray[np.int64]:
    """Whole numbers, -1 where empty."""
    column = pc.if_else(pc.equal(column, ""), "-1", column)
    good = pc.match_substring_regex(column, r"^-?\d{1,9}$")
    if not pc.all(good).as_py():
        row = pc.index(good, False).as_py()
        raise InputError(f"{_line(path, row)}: {name} is {column[row].as_py()[:30]!r}; expected a whole number.")
    numbers: NDArray[np.int64] = pc.cast(column, pa.int64()).to_numpy()
    return numbers


def _exon_ends(column: pa.ChunkedArray, path: Path) -> list[NDArray[np.int32]]:
    good = pc.fill_null(pc.match_substring_regex(column, r"^\d{1,9}(,\d{1,9})*,?$"), True)
    if not pc.all(good).as_py():
        row = pc.index(good, False).as_py()
        raise InputError(
            f"{_line(path, row)}: exon_ends is {column[row].as_py()[:30]!r}; expected numbers joined by commas."
        )
    return [np.array(text.rstrip(",").split(",") if text else [], dtype=np.int32) for text in column.to_pylist()]


def _check(rows: Coordinates, path: Path) -> None:
    seen: set[str] = set()
    for t, (name, length, start, end) in enumerate(
        zip(rows.transcript_id, rows.length.tolist(), rows.cds_start.tolist(), rows.cds_end.tolist(), strict=True)
    ):
        ends, fault = rows.exon_ends[t], ""
        if not name or name in seen:
            fault = f"transcript_id {name!r} occurs again; give each row its own" if name else "no transcript_id"
        elif length < 1:
            fault = f"length is {length}; expected 1 or more"
        elif (start, end) != (-1, -1) and not 0 <= start < end <= length:
            fault = f"CDS {start}-{end} of {name} does not lie in its {length} nt; expected 0 <= start < end <= length"
        elif len(ends) and (ends[-1] != length or ends[0] < 1 or (np.diff(ends) < 1).any()):
            fault = f"exon_ends of {name} do not ascend from 1 to its length, {length}"
        if fault:
            raise InputError(f"{_line(path, t)}: {fault}.")
        seen.add(name)


def _line(path: Path, row: int) -> str:
    return f"{path}, line {row + 2}"
