"""Rows of a GTF or GFF3 file, in columns, through pyarrow's CSV reader.

The file is read in blocks of 16 MB, of which only the rows and attributes that make transcripts are kept. Against
pyranges in one run: ``benchmarks/annotation.py``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from orthrus.errors import InputError
from orthrus.genome.attributes import GFF3, Dialect, attribute, dialect_of, gene_number
from orthrus.genome.files import open_bytes
from orthrus.genome.gxf_faults import COLUMNS, MAX_POSITION, STRANDS, first_fault

_BLOCK = 16 << 20

PART_TYPES = ("exon", "CDS", "stop_codon")
EXON, CDS, STOP_CODON = range(3)

_TRANSCRIPT_TYPES_GTF = ("transcript", "mRNA")
_NO_NODES_GFF3 = (
    *("exon", "CDS", "stop_codon", "start_codon", "five_prime_UTR", "three_prime_UTR", "UTR", "intron"),
    *("match", "cDNA_match", "biological_region", "stop_codon_redefined_as_selenocysteine"),
)

_SCAFFOLDS = ("scaffold", "supercontig")
_UNPLACED = ("Unknown", "Un")

_TEXT = pa.dictionary(pa.int32(), pa.string())
_PLACE = ("contig", "strand", "start", "end", "row")


@dataclass(frozen=True)
class GxfRows:
    """The rows that make transcripts; coordinates 0-based, half-open, strand +1, -1 or 0, ``row`` orders the file.

    ``parts``: exon, CDS and stop_codon rows; ``kind`` says which, ``key`` names the transcript (null: it has none),
    ``cds_id`` the protein. ``nodes``: rows of transcripts, genes and whatever else may be a parent, with their
    attributes. ``witnesses``: for each key a first part, as a node, for files without transcript rows.
    ``chromosomes``: what the file's rows of whole contigs say each is (:func:`_contigs`).
    """

    parts: pa.Table
    nodes: pa.Table
    witnesses: pa.Table
    chromosomes: dict[str, str]
    dialect: Dialect


def read_rows(path: Path, dialect: Dialect | None = None) -> GxfRows:
    """Read a GTF or GFF3 file, plain, gzip or bgzip, CRLF or LF; the two are told apart by their attributes.

    Raises InputError, naming the line, if it cannot be read.
    """
    tables: dict[str, list[pa.Table]] = {"parts": [], "nodes": [], "witnesses": []}
    chromosomes: dict[str, str] = {}
    n_rows = 0
    with open_bytes(path) as stream:
        for block in _blocks(stream, path):
            table = _parse(block, path)
            if not len(table):
                continue
            dialect = dialect or dialect_of(table["attributes"][0].as_py(), path)
            table = table.append_column("row", pa.array(np.arange(n_rows, n_rows + len(table))))
            n_rows += len(table)
            parts, witnesses = _parts(table, dialect)
            tables["parts"].append(parts)
            tables["witnesses"].append(witnesses)
            tables["nodes"].append(_nodes(table, dialect))
            chromosomes |= _contigs(table)
    if dialect is None or not n_rows:
        raise InputError(f"{path} has no annotation rows; expected a GTF or GFF3 file with exon rows.")
    whole = {name: pa.concat_tables(some).unify_dictionaries().combine_chunks() for name, some in tables.items()}
    return GxfRows(**whole, chromosomes=chromosomes, dialect=dialect)


def _blocks(stream: BinaryIO, path: Path) -> Iterator[bytes]:
    """The stream in blocks of whole lines, up to the sequences that a GFF3 may carry at its end."""
    rest = b""
    while chunk := stream.read(_BLOCK):
        head, newline, rest = (rest + chunk).rpartition(b"\n")
        if len(rest) > _BLOCK:
            raise first_fault(path) or InputError(f"{path} has no line breaks; expected a GTF or GFF3 file.")
        block = head + newline
        fasta = 0 if block.startswith(b"##FASTA") else block.find(b"\n##FASTA") + 1
        if fasta or block.startswith(b"##FASTA"):
            yield block[:fasta]
            return
        yield block
    yield rest


def _parse(block: bytes, path: Path) -> pa.Table:
    """The rows of a block: contig, source, type, start, end, strand, attributes."""
    if not block.strip():
        return pa.table({})
    kept = [name for name in COLUMNS if name not in ("score", "frame")]
    types = {name: pa.int64() if name in ("start", "end") else _TEXT for name in kept}
    try:
        block.decode()  # quick, and the row handler below must not meet what is no text
        table = csv.read_csv(
            pa.BufferReader(block),
            csv.ReadOptions(column_names=COLUMNS, block_size=_BLOCK // 4),
            csv.ParseOptions(
                delimiter="\t",
                quote_char=False,
                double_quote=False,
                invalid_row_handler=lambda row: "skip" if row.text.startswith("#") else "error",
            ),
            csv.ConvertOptions(column_types=types | {"attributes": pa.string()}, include_columns=kept, null_values=[]),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        rows = b"\n".join(line for line in block.split(b"\n") if not line.startswith(b"#"))
        if len(rows) < len(block):  # a comment with tabs in it may look like a row
            return _parse(rows, path)
        raise first_fault(path) or InputError(
            f"{path} cannot be read as GTF or GFF3 ({' '.join(str(error).split())})."
        ) from None
    table = table.filter(pc.invert(pc.starts_with(table["contig"].cast(pa.string()), "#")))
    sound = pc.and_(pc.greater_equal(table["start"], 1), pc.greater_equal(table["end"], table["start"]))
    sound = pc.and_(sound, pc.less(table["end"], MAX_POSITION))
    known_strand = pc.is_in(table["strand"].cast(pa.string()), pa.array(STRANDS))
    if not pc.all(pc.and_(sound, known_strand), min_count=0).as_py():
        raise first_fault(path) or AssertionError("a bad row that the line-by-line check does not see")
    sign = pc.subtract(
        pc.equal(table["strand"].cast(pa.string()), "+").cast(pa.int8()),
        pc.equal(table["strand"].cast(pa.string()), "-").cast(pa.int8()),
    )
    return table.set_column(table.column_names.index("strand"), "strand", sign).set_column(
        table.column_names.index("start"), "start", pc.subtract(table["start"], 1)
    )


def _parts(table: pa.Table, dialect: Dialect) -> tuple[pa.Table, pa.Table]:
    """The exon, CDS and stop_codon rows, one for each transcript that they name, and the first one of each."""
    kind = pc.index_in(table["type"].cast(pa.string()), pa.array(PART_TYPES))
    table = table.append_column("kind", kind.cast(pa.int8())).filter(pc.is_valid(kind))
    is_coding = pc.not_equal(table["kind"], EXON).combine_chunks()
    coding = table.filter(is_coding)
    protein = attribute(coding["attributes"], dialect, "protein_id")
    key = attribute(table["attributes"], dialect, dialect.parent)
    if dialect is GFF3:
        own_id = pc.if_else(
            pc.equal(coding["kind"].combine_chunks(), CDS), attribute(coding["attributes"], dialect, "ID"), None
        )
        protein = pc.coalesce(protein, own_id)
        key = pc.coalesce(key, _scattered(own_id, is_coding))
    table = table.append_column("key", key).append_column("cds_id", _scattered(protein, is_coding))
    if dialect is GFF3 and pc.any(pc.match_substring(key, ",")).as_py():
        parents = pc.split_pattern(pc.fill_null(key, ""), ",")
        table = table.take(pc.list_parent_indices(parents))
        parent = pc.list_flatten(parents)
        table = table.set_column(table.column_names.index("key"), "key", pc.if_else(pc.equal(parent, ""), None, parent))
    codes = table["key"].combine_chunks().dictionary_encode().indices.drop_null().to_numpy()
    named = table.filter(pc.is_valid(table["key"]))
    witnesses = named.take(pa.array(np.unique(codes, return_index=True)[1]))
    return (
        table.select(["key", "cds_id", "kind", *_PLACE]),
        _with_attributes(witnesses, dialect, witnesses["key"], pa.nulls(len(witnesses), pa.string())),
    )


def _scattered(values: pa.StringArray, mask: pa.BooleanArray) -> pa.StringArray:
    """``values`` in the places that ``mask`` marks, null elsewhere."""
    return pc.replace_with_mask(pa.nulls(len(mask), pa.string()), mask, values)


def _nodes(table: pa.Table, dialect: Dialect) -> pa.Table:
    """The rows that may be transcripts or their genes."""
    types = table["type"].cast(pa.string())
    if dialect is GFF3:
        table = table.filter(pc.invert(pc.is_in(types, pa.array(_NO_NODES_GFF3))))
        key = attribute(table["attributes"], dialect, "ID")
        parent = pc.replace_substring_regex(attribute(table["attributes"], dialect, "Parent"), ",.*", "")
    else:
        table = table.filter(pc.is_in(types, pa.array(_TRANSCRIPT_TYPES_GTF)))
        key = attribute(table["attributes"], dialect, "transcript_id")
        parent = pa.nulls(len(table), pa.string())
    nodes = _with_attributes(table, dialect, key, parent)
    return nodes.filter(pc.is_valid(nodes["key"]))


def _with_attributes(table: pa.Table, dialect: Dialect, key: pa.Array, parent: pa.Array) -> pa.Table:
    """``table`` with what its attributes say of a transcript or gene."""
    attributes = table["attributes"]
    absent = pa.nulls(len(table), pa.string())
    columns = {
        "key": key,
        "parent": parent,
        "transcript_id": attribute(attributes, dialect, "transcript_id"),
        "gene_id": pc.coalesce(
            attribute(attributes, dialect, "gene_id"), gene_number(attributes) if dialect is GFF3 else absent
        ),
        "gene_name": attribute(attributes, dialect, "gene_name", "gene"),
        "name": attribute(attributes, dialect, "Name") if dialect is GFF3 else absent,
        "biotype": attribute(attributes, dialect, "transcript_type", "transcript_biotype", "biotype"),
        "gene_biotype": attribute(attributes, dialect, "gene_type", "gene_biotype"),
    }
    return pa.table(columns | {name: table[name] for name in ("type", "source", *_PLACE)})


def _contigs(table: pa.Table) -> dict[str, str]:
    """What the rows of whole contigs say that each is: a chromosome's or its own name, "" if it is a scaffold.

    NCBI's are of the type ``region`` and say ``genome=chromosome;chromosome=2``; of a scaffold that belongs to
    chromosome 2 ``genome=genomic;chromosome=2``, and of others ``chromosome=Unknown``. Ensembl's are of the type
    ``chromosome`` or ``scaffold``.
    """
    kinds = table["type"].cast(pa.string())
    rows = table.filter(pc.is_in(kinds, pa.array(["region", "chromosome", *_SCAFFOLDS])))
    names = {}
    for contig, kind, text in zip(*(rows[name].to_pylist() for name in ("contig", "type", "attributes")), strict=True):
        fields = dict(field.strip().partition("=")[::2] for field in text.split(";"))
        genome, chromosome = fields.get("genome"), fields.get("chromosome")
        if kind in _SCAFFOLDS or genome == "genomic" or chromosome in _UNPLACED:
            names[contig] = ""
        elif genome == "mitochondrion":
            names[contig] = "MT"
        elif kind == "chromosome" or genome or chromosome:  # a chromosome, a chloroplast, a plasmid
            names[contig] = chromosome or contig
    return names
