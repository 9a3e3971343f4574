"""Rows of a GTF or GFF3 file, in columns, through pyarrow's CSV reader.

The file is read in blocks of 16 MB, and only the rows and attributes that make transcripts are kept.
``benchmarks/annotation.py`` compares it with pyranges.
"""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from orthrus.errors import InputError
from orthrus.genome.files import open_bytes
from orthrus.genome.genetic_code import TABLES
from orthrus.genome.gxf.attributes import GFF3, Dialect, attribute, bare_id, gene_number, unescaped
from orthrus.genome.gxf.lines import (
    BLOCK,
    COLUMNS,
    MAX_POSITION,
    STRANDS,
    blocks,
    dialect_of_file,
    first_fault,
    is_cut,
    truncated,
)
from orthrus.genome.reading_frame import phases

EXON, CDS, STOP_CODON, UTR = range(4)
_KINDS = {
    **{"exon": EXON, "CDS": CDS, "stop_codon": STOP_CODON},
    **dict.fromkeys(("five_prime_UTR", "three_prime_UTR", "five_prime_utr", "three_prime_utr", "UTR"), UTR),
    **dict.fromkeys(("5UTR", "3UTR", "5'UTR", "3'UTR", "5'-UTR", "3'-UTR", "utr", "utr5", "utr3", "UTR5", "UTR3"), UTR),
}
_KIND_OF_TYPE = pa.array(list(_KINDS.values()), pa.int8())

_TRANSCRIPT_TYPES_GTF = ("transcript", "mRNA")
_NO_NODES_GFF3 = (
    *(*_KINDS, "start_codon", "intron", "stop_codon_redefined_as_selenocysteine"),
    *("match", "cDNA_match", "biological_region"),
    *("region", "chromosome", "contig", "supercontig", "scaffold", "plasmid"),
)

_SCAFFOLDS = ("scaffold", "supercontig")
_UNPLACED = ("Unknown", "Un")

_SEQUENCE_REGION = re.compile(rb"^#[#!]\s*sequence-region\s+(\S+)\s+\d+\s+(\d+)", re.MULTILINE)

_AT_ONCE = 2  # blocks that are read at the same time
_TAIL = 1 << 16  # bytes at the end of a file that hold its last two lines

_TEXT = pa.dictionary(pa.int32(), pa.string())
_PLACE = ("contig", "strand", "start", "end", "row")


@dataclass(frozen=True)
class GxfRows:
    """The rows that make transcripts: coordinates 0-based, half-open; strand +1, -1 or 0; ``row``, the file's order.

    Args:
        parts: exon, CDS, stop_codon and UTR rows; ``kind`` gives the type, ``key`` the transcript (null: none),
            ``gene_id`` the gene (GTF only), ``cds_id`` the protein, ``phase`` column 8 of a CDS row, -1 where it is
            unknown (:mod:`orthrus.genome.reading_frame`).
        nodes: rows of transcripts, genes and other features that may be parents, with their attributes.
        witnesses: the first part of each key, as a node, for files without transcript rows.
        gene_rows: the ids of the genes that have a row of their own (GTF only; in GFF3 they are nodes).
        contigs: what the file states on whole contigs.
        dialect: GTF or GFF3.
    """

    parts: pa.Table
    nodes: pa.Table
    witnesses: pa.Table
    gene_rows: pa.ChunkedArray
    contigs: "Contigs"
    dialect: Dialect


@dataclass
class Contigs:
    """What a file states on whole contigs.

    ``chromosomes``: the chromosome of each contig, "" for a scaffold; ``circular``: the circular contigs; ``ends``: the
    least length of each (nt); ``genetic_codes``: NCBI's number of the table that translates its coding sequences.
    """

    chromosomes: dict[str, str] = field(default_factory=dict)
    circular: set[str] = field(default_factory=set)
    ends: dict[str, int] = field(default_factory=dict)
    genetic_codes: dict[str, int] = field(default_factory=dict)

    def read(self, block: bytes, table: pa.Table, dialect: Dialect) -> None:
        """Record the statements of a block of lines, whose rows are in ``table``; rare ones are searched for first."""
        if dialect is GFF3 and b"sequence-region" in block:
            for contig, end in _SEQUENCE_REGION.findall(block):
                self._reach(unquote(contig.decode()), int(end))
        if b"transl_table" in block:
            coding = table.filter(pc.match_substring(table["attributes"], "transl_table"))
            numbers = attribute(coding["attributes"], dialect, "transl_table").to_pylist()
            for contig, number in dict.fromkeys(zip(coding["contig"].to_pylist(), numbers, strict=True)):
                if number in map(str, TABLES):
                    self.genetic_codes.setdefault(contig, int(number))
        if b"ircular" in block:
            circular = pc.match_substring_regex(table["attributes"], r"(?i)\bis_circular[= ]\"?true")
            self.circular.update(table.filter(circular)["contig"].to_pylist())
        self._read_rows(table)

    def update(self, later: "Contigs") -> None:
        """Add the statements of a later part of the file."""
        self.chromosomes |= {c: name for c, name in later.chromosomes.items() if name or c not in self.chromosomes}
        self.circular |= later.circular
        self.genetic_codes |= later.genetic_codes | self.genetic_codes
        for contig, end in later.ends.items():
            self._reach(contig, end)

    def _reach(self, contig: str, end: int) -> None:
        self.ends[contig] = max(end, self.ends.get(contig, 0))

    def _read_rows(self, table: pa.Table) -> None:
        """Record the chromosome of each contig (its name, or "" for a scaffold) and where the contig ends.

        NCBI's rows have the type ``region`` and the attributes ``genome=chromosome;chromosome=2``; a scaffold of
        chromosome 2 has ``genome=genomic;chromosome=2``, other scaffolds have ``chromosome=Unknown``. Ensembl's rows
        have the type ``chromosome`` or ``scaffold``; other files have rows of the scaffolds that a chromosome is made
        of, which lie in it.
        """
        kinds = table["type"].cast(pa.string())
        rows = table.filter(pc.is_in(kinds, pa.array(["region", "chromosome", *_SCAFFOLDS])))
        columns = (rows[name].to_pylist() for name in ("contig", "type", "start", "end", "attributes"))
        for contig, kind, start, end, text in zip(*columns, strict=True):
            if start == 0:
                self._reach(contig, end)
            elif kind in _SCAFFOLDS:
                continue
            fields = dict(each.strip().partition("=")[::2] for each in text.split(";"))
            genome, chromosome = fields.get("genome"), fields.get("chromosome")
            if kind in _SCAFFOLDS or genome == "genomic" or chromosome in _UNPLACED:
                self.chromosomes.setdefault(contig, "")
            elif genome == "mitochondrion":
                self.chromosomes[contig] = "MT"
            elif kind == "chromosome" or genome or chromosome:  # a chromosome, a chloroplast, a plasmid
                self.chromosomes[contig] = chromosome or contig


def read_rows(path: Path, dialect: Dialect | None = None) -> GxfRows:
    """Read a GTF or GFF3 file, plain, gzip or bgzip, CRLF or LF; the attributes show which of the two it is.

    Raises InputError, naming the line, if it cannot be read or breaks off in its last line.
    """
    dialect = dialect or dialect_of_file(path)
    tables: dict[str, list[pa.Table]] = {"parts": [], "nodes": [], "witnesses": [], "gene_rows": []}
    contigs = Contigs()
    last_row, tail = -1, b""
    with open_bytes(path) as stream, ThreadPoolExecutor(_AT_ONCE) as pool:  # Arrow lets go of the interpreter's lock
        for block, read in _in_order(pool, partial(_read_block, path=path, dialect=dialect), blocks(stream, path)):
            if read is not None:
                for name, table in read.tables.items():
                    tables[name].append(table)
                contigs.update(read.contigs)
                last_row = read.last_row
                tail = (tail + block[-_TAIL:])[-_TAIL:]
    if dialect is None or last_row < 0:
        fault = first_fault(path)
        raise fault or InputError(f"{path} has no annotation rows; expected a GTF or GFF3 file with exon rows.")
    whole = {name: pa.concat_tables(some).unify_dictionaries().combine_chunks() for name, some in tables.items()}
    gene_rows = whole.pop("gene_rows")["gene_id"]
    rows = GxfRows(**whole, gene_rows=gene_rows, contigs=contigs, dialect=dialect)
    before, last = [b"", *tail.splitlines(keepends=True)][-2:]
    is_open = not last.endswith(b"\n") and not last.startswith(b"#")
    if is_open and (is_cut(last, before, dialect) or _lacks_parent(rows, last_row)):
        raise truncated(path)
    return rows


class _Read(NamedTuple):
    """What a block of lines holds."""

    tables: dict[str, pa.Table]
    contigs: Contigs
    last_row: int


def _read_block(numbered: tuple[int, bytes], path: Path, dialect: Dialect | None) -> _Read | None:
    """Read a block of lines, whose rows are numbered by block and within it; None of one without rows."""
    number, block = numbered
    table = parse_rows(block, path, dialect)
    if not len(table):
        return None
    if dialect is None:
        raise InputError(
            f'{path}: attributes {table["attributes"][0].as_py()[:60]!r} are neither GTF (gene_id "X";) nor'
            " GFF3 (ID=X); expected one of them."
        )
    contigs = Contigs()
    contigs.read(block, table, dialect)
    first = number << 32
    table = table.append_column("row", pa.array(np.arange(first, first + len(table))))
    parts, witnesses = _parts(table, dialect)
    tables = {"parts": parts, "witnesses": witnesses, "nodes": _nodes(table, dialect)}
    return _Read(tables | {"gene_rows": _gene_rows(table, dialect)}, contigs, first + len(table) - 1)


def _in_order(
    pool: ThreadPoolExecutor, read: Callable[[tuple[int, bytes]], _Read | None], blocks: Iterable[bytes]
) -> Iterator[tuple[bytes, _Read | None]]:
    """Each block with what is read of it, a few of them at once."""
    pending: deque[tuple[bytes, Future[_Read | None]]] = deque()
    for numbered in enumerate(blocks):
        pending.append((numbered[1], pool.submit(read, numbered)))
        if len(pending) > _AT_ONCE:
            block, future = pending.popleft()
            yield block, future.result()
    for block, future in pending:
        yield block, future.result()


def parse_rows(block: bytes, path: Path, dialect: Dialect | None) -> pa.Table:
    """The rows of a block: contig, source, type, start, end, strand, frame, attributes."""
    if not block.strip():
        return pa.table({})
    kept = [name for name in COLUMNS if name != "score"]
    types = {name: pa.int64() if name in ("start", "end") else _TEXT for name in kept}
    try:
        block.decode()  # fast, and the row handler below must not receive bytes that are not text
        table = csv.read_csv(
            pa.BufferReader(block),
            csv.ReadOptions(column_names=COLUMNS, block_size=BLOCK // 4),
            csv.ParseOptions(
                delimiter="\t",
                quote_char=False,
                double_quote=False,
                invalid_row_handler=lambda row: "skip" if not row.text.strip() or row.text[0] == "#" else "error",
            ),
            csv.ConvertOptions(column_types=types | {"attributes": pa.string()}, include_columns=kept, null_values=[]),
        )
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        rows = b"\n".join(line for line in block.split(b"\n") if not line.startswith(b"#"))
        if len(rows) < len(block):  # a comment with tabs in it may look like a row
            return parse_rows(rows, path, dialect)
        raise first_fault(path) or InputError(
            f"{path} cannot be read as GTF or GFF3 ({' '.join(str(error).split())})."
        ) from None
    table = table.filter(pc.invert(pc.starts_with(table["contig"].cast(pa.string()), "#")))
    sound = pc.and_(pc.greater_equal(table["start"], 1), pc.greater_equal(table["end"], table["start"]))
    sound = pc.and_(sound, pc.less_equal(table["end"], MAX_POSITION))
    known_strand = pc.is_in(table["strand"].cast(pa.string()), pa.array(list(STRANDS)))
    if not pc.all(pc.and_(sound, known_strand), min_count=0).as_py():
        raise first_fault(path) or AssertionError("a bad row that the line-by-line check does not see")
    sign = pc.subtract(
        pc.equal(table["strand"].cast(pa.string()), "+").cast(pa.int8()),
        pc.equal(table["strand"].cast(pa.string()), "-").cast(pa.int8()),
    )
    columns = {"strand": sign, "start": pc.subtract(table["start"], 1)}
    if dialect is GFF3:
        columns["contig"] = pa.chunked_array([unescaped(chunk) for chunk in table["contig"].chunks], _TEXT)
    for name, column in columns.items():
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def _parts(table: pa.Table, dialect: Dialect) -> tuple[pa.Table, pa.Table]:
    """The exon, CDS, stop_codon and UTR rows, one for each transcript that they name, and the first row of each."""
    type_number = pc.index_in(table["type"].cast(pa.string()), pa.array(list(_KINDS)))
    kind = _KIND_OF_TYPE.take(type_number.combine_chunks())
    table = table.append_column("kind", kind).filter(pc.is_valid(kind))
    is_coding = pc.is_in(table["kind"], pa.array([CDS, STOP_CODON], pa.int8())).combine_chunks()
    is_cds = np.asarray(pc.equal(table["kind"], CDS))
    coding = table.filter(is_coding)
    protein = attribute(coding["attributes"], dialect, "protein_id")
    key = attribute(table["attributes"], dialect, dialect.parent)
    gene = pa.nulls(len(table), pa.string())
    if dialect is GFF3:
        own_id = pc.if_else(
            pc.equal(coding["kind"].combine_chunks(), CDS), attribute(coding["attributes"], dialect, "ID"), None
        )
        protein = pc.coalesce(protein, own_id)
        key = pc.coalesce(key, _scattered(own_id, is_coding))
    else:
        gene = attribute(table["attributes"], dialect, "gene_id")
    columns = {
        "key": key,
        "gene_id": gene.dictionary_encode(),
        "cds_id": _scattered(protein, is_coding),
        "phase": np.where(is_cds, phases(table["frame"]), -1).astype(np.int8),
    }
    for name, column in columns.items():
        table = table.append_column(name, pa.array(column) if isinstance(column, np.ndarray) else column)
    if dialect is GFF3:
        table = _one_of_each_parent(table)
    codes = table["key"].combine_chunks().dictionary_encode().indices.drop_null().to_numpy()
    named = table.filter(pc.is_valid(table["key"]))
    witnesses = named.take(pa.array(np.unique(codes, return_index=True)[1]))
    return (
        table.select([*columns, "kind", *_PLACE]),
        _with_attributes(witnesses, dialect, witnesses["key"], pa.nulls(len(witnesses), pa.string())),
    )


def _one_of_each_parent(table: pa.Table) -> pa.Table:
    """Rows of GFF3, repeated for each of their parents, with keys unescaped after they are split at commas."""
    key = table["key"].combine_chunks()
    if pc.any(pc.match_substring(key, ",")).as_py():
        parents = pc.split_pattern(pc.fill_null(key, ""), ",")
        table = table.take(pc.list_parent_indices(parents))
        key = pc.list_flatten(parents)
        key = pc.if_else(pc.equal(key, ""), None, key)
    return table.set_column(table.column_names.index("key"), "key", unescaped(key))


def _scattered(values: pa.StringArray, mask: pa.BooleanArray) -> pa.StringArray:
    """``values`` at the places that ``mask`` marks, null elsewhere."""
    return pc.replace_with_mask(pa.nulls(len(mask), pa.string()), mask, values)


def _nodes(table: pa.Table, dialect: Dialect) -> pa.Table:
    """The rows that may be transcripts or their genes."""
    types = table["type"].cast(pa.string())
    if dialect is GFF3:
        table = table.filter(pc.invert(pc.is_in(types, pa.array(_NO_NODES_GFF3))))
        key = unescaped(attribute(table["attributes"], dialect, "ID"))
        parent = attribute(table["attributes"], dialect, "Parent", "Derives_from")
        parent = pc.replace_substring_regex(parent, ",.*", "")
        parent = unescaped(parent)
    else:
        table = table.filter(pc.is_in(types, pa.array(_TRANSCRIPT_TYPES_GTF)))
        key = pc.coalesce(attribute(table["attributes"], dialect, "transcript_id"), bare_id(table["attributes"]))
        parent = pa.nulls(len(table), pa.string())
    nodes = _with_attributes(table, dialect, key, parent)
    return nodes.filter(pc.is_valid(nodes["key"]))


def _gene_rows(table: pa.Table, dialect: Dialect) -> pa.Table:
    """The ids of GTF's rows of genes."""
    genes = table.filter(pc.equal(table["type"].cast(pa.string()), "gene"))
    ids = pa.array([], pa.string())
    if dialect is not GFF3:
        ids = pc.coalesce(attribute(genes["attributes"], dialect, "gene_id"), bare_id(genes["attributes"]))
    return pa.table({"gene_id": ids.drop_null()})


def _with_attributes(table: pa.Table, dialect: Dialect, key: pa.Array, parent: pa.Array) -> pa.Table:
    """``table`` with the attributes of transcripts and genes as columns."""
    attributes = table["attributes"]
    absent = pa.nulls(len(table), pa.string())
    columns = {
        "key": key,
        "parent": parent,
        "transcript_id": attribute(attributes, dialect, "transcript_id"),
        "gene_id": pc.coalesce(
            attribute(attributes, dialect, "gene_id", "geneID"),
            gene_number(attributes, dialect) if dialect is GFF3 else absent,
        ),
        "locus": attribute(attributes, dialect, "locus_tag", "gene") if dialect is GFF3 else absent,
        "gene_name": attribute(attributes, dialect, "gene_name", "gene"),
        "name": attribute(attributes, dialect, "Name") if dialect is GFF3 else absent,
        "biotype": attribute(attributes, dialect, "transcript_type", "transcript_biotype", "biotype"),
        "gene_biotype": attribute(attributes, dialect, "gene_type", "gene_biotype"),
        "in_parts": pc.match_substring_regex(attributes, r"exception[= ]\"?trans-splicing|(?:^|;)\s*part[= ]\"?\d"),
    }
    return pa.table(columns | {name: table[name] for name in ("type", "source", *_PLACE)})


def _lacks_parent(rows: GxfRows, last: int) -> bool:
    """Whether row number ``last`` names no transcript, or one that is not in the file although other rows' are."""
    for table, column in ((rows.parts, "key"), (rows.nodes, "parent")):
        mine = pc.equal(table["row"], last)
        names = table.filter(mine)[column]
        if not len(names) or (column == "parent" and names.null_count):
            continue
        if names.null_count:
            return True
        known = rows.nodes["key"]
        if not pc.all(pc.is_in(names, value_set=known)).as_py():
            others = table.filter(pc.invert(mine))[column]
            return bool(pc.any(pc.is_in(others.drop_null(), value_set=known), min_count=0).as_py())
    return False
