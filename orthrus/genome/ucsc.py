"""UCSC's tables of transcripts: genePred, genePredExt, refFlat and BED12, with one row a transcript and exons as lists.

=============  =======================================================================================================
genePred       name, chrom, strand, txStart, txEnd, cdsStart, cdsEnd, exonCount, exonStarts, exonEnds; knownGene adds
               proteinID and alignID
genePredExt    and score, name2 (the gene), cdsStartStat, cdsEndStat, exonFrames
refFlat        genePred behind a column geneName
BED12          chrom, chromStart, chromEnd, name, score, strand, thickStart, thickEnd, itemRgb, blockCount,
               blockSizes, chromStarts (relative to chromStart); bigGenePred adds, among others, the gene
=============  =======================================================================================================

Each may have UCSC's ``bin`` in front, a database index that is not a property of the transcript, and a ``#`` header
that names the columns. Coordinates are 0-based, half-open; the CDS includes its stop codon; an empty CDS means no CDS.
``exonFrames`` are the place in its codon (0, 1, 2) of each exon's first coding base in the direction of transcription,
-1 for an exon without one. Format specification: genome.ucsc.edu/FAQ/FAQformat.

250 k transcripts are read in about 3 s.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyarrow import csv

from orthrus.errors import InputError
from orthrus.genome.files import open_bytes
from orthrus.genome.models import POSITION_BITS, Reading, TranscriptModels, inside_exons, mrna_position
from orthrus.genome.reading_frame import LONGEST_SLIP, Frames, Pieces, Rows, phases_of_frames, read_frames
from orthrus.genome.tables import is_whole

Layout = tuple[str, ...]

_GENE_PRED = (
    *("name", "chrom", "strand", "txStart", "txEnd", "cdsStart", "cdsEnd"),
    *("exonCount", "exonStarts", "exonEnds"),
)
_BED12 = (
    *("chrom", "chromStart", "chromEnd", "name", "score", "strand", "thickStart", "thickEnd", "itemRgb"),
    *("blockCount", "blockSizes", "chromStarts"),
)
_EXTENSION = ("score", "name2", "cdsStartStat", "cdsEndStat", "exonFrames")
_BIG = ("name2", "cdsStartStat", "cdsEndStat", "exonFrames", "type", "geneName", "geneName2", "geneType")


def _with_bin(*layouts: Layout) -> tuple[Layout, ...]:
    return (*layouts, *(("bin", *layout) for layout in layouts))


LAYOUTS: dict[str, tuple[Layout, ...]] = {
    "bed12": _with_bin((*_BED12, *_BIG), _BED12),
    "genePredExt": _with_bin((*_GENE_PRED, *_EXTENSION)),
    "genePred": _with_bin(_GENE_PRED, (*_GENE_PRED, "proteinID", "alignID")),
    "refFlat": _with_bin(("geneName", *_GENE_PRED)),
}
"""The possible columns of each format."""

_GENE_PRED_WITH_BIN = ("bin", *_GENE_PRED)

_BED_NAMES = {  # BED's names of the columns of genePred
    **{"chromStart": "txStart", "chromEnd": "txEnd", "thickStart": "cdsStart", "thickEnd": "cdsEnd"},
    **{"blockCount": "exonCount", "blockSizes": "exonEnds", "chromStarts": "exonStarts"},
}
_NUMBERS = ("txStart", "txEnd", "cdsStart", "cdsEnd", "exonCount")
_NUMBER, _LIST = r"^\d{1,10}$", r"^\d{1,10}(,\d{1,10})*,?$"
_FRAMES = r"^(-1|[012])(,(-1|[012]))*,?$"
_STRANDS = ("+", "-", ".", "?", "*")
_IGNORED = ("#", "track ", "browser ")
_HEAD = 1 << 20
_N_ROWS = 100


@dataclass(frozen=True)
class _Rows:
    """The rows of a file as columns of text, under genePred's names, and the lines of the file for error messages."""

    path: Path
    lines: list[str]
    table: pa.Table
    layout: Layout

    def require(self, good: pa.Array | NDArray[np.bool_], fault: Callable[[int], str]) -> None:
        """Raise InputError with the ``fault`` of the first row that is not ``good``, naming its line."""
        mask = np.asarray(good)
        if not mask.all():
            row = int(mask.argmin())
            numbers = (number for number, line in enumerate(self.lines, start=1) if _is_row(line))
            raise InputError(f"{self.path}, line {next(islice(numbers, row, None))}: {fault(row)}.")

    def text(self, name: str) -> pa.StringArray:
        return self.table[name].combine_chunks()


def recognise(path: Path) -> str | None:
    """The format of :data:`LAYOUTS` of a file, by its ``#`` header or its first rows; None if it has none of them."""
    with open_bytes(path) as stream:
        lines = _lines(stream.read(_HEAD))
    return next((name for name, layouts in LAYOUTS.items() if _layout(lines, layouts)), None)


def read_ucsc(path: Path, layouts: Sequence[Layout]) -> Reading:
    """Read the transcript models of a file with one of ``layouts``, plain, gzip or bgzip, in the order of the file.

    The gene is null where the file names none. Raises InputError, naming the line, for a row with other columns than
    the first row, with text in place of a number, or with another number of exons than it states.
    """
    rows = _parse(path, layouts)
    name, strand = rows.text("name"), rows.text("strand")
    rows.require(pc.not_equal(name, ""), lambda row: "it has no name; expected the transcript's id")
    rows.require(
        pc.is_in(strand, pa.array(_STRANDS)),
        lambda row: f"strand is {strand[row].as_py()[:30]!r}; expected one of {' '.join(_STRANDS)}",
    )
    start, end, cds_start, cds_end, _ = numbers = [_numbers(rows, column) for column in _NUMBERS]
    rows.require(start < end, lambda row: f"the transcript ends at {end[row]}, not after its start, {start[row]}")
    rows.require(
        cds_start <= cds_end, lambda row: f"the CDS ends at {cds_end[row]}, before its start, {cds_start[row]}"
    )
    exon_starts, exon_ends, exon_frames, offsets = _exons(rows, numbers)
    coding = cds_start < cds_end
    sign = (np.asarray(pc.equal(strand, "+")).astype(np.int8) - np.asarray(pc.equal(strand, "-"))).astype(np.int8)
    gene_id, gene_name = _genes(rows)
    frames, contradictory = _frames(
        sign, np.where(coding, cds_start, 0), np.where(coding, cds_end, 0), exon_starts, exon_ends, exon_frames, offsets
    )
    models = TranscriptModels(
        transcript_id=name,
        gene_id=gene_id,
        gene_known=np.asarray(pc.is_valid(gene_id)),
        gene_name=gene_name,
        biotype=pc.if_else(pa.array(coding), "protein_coding", "non_coding"),
        contig=rows.text("chrom"),
        chromosomes={},
        strand=sign,
        cds_start=np.where(coding, cds_start, -1),
        cds_end=np.where(coding, cds_end, -1),
        exon_starts=exon_starts,
        exon_ends=exon_ends,
        exon_offsets=offsets,
        frames=frames,
    )
    outside = coding & ~(inside_exons(models, cds_start) & inside_exons(models, cds_end - 1))
    return Reading(
        models,
        refused={"transcripts with a CDS outside their exons": outside},
        doubtful={
            "transcripts whose exonFrames contradict each other; codons are counted on from the first": contradictory
        },
    )


def _frames(
    strand: NDArray[np.int8],
    cds_start: Rows,
    cds_end: Rows,
    exon_starts: Rows,
    exon_ends: Rows,
    exon_frames: Rows,
    offsets: Rows,
) -> tuple[Frames, NDArray[np.bool_]]:
    """Where codons begin in the coding part of each exon, and which transcripts' frames contradict each other."""
    owner = np.repeat(np.arange(len(strand)), np.diff(offsets))
    left, right = np.maximum(exon_starts, cds_start[owner]), np.minimum(exon_ends, cds_end[owner])
    part = np.flatnonzero(left < right)
    owner, left, right, phase = owner[part], left[part], right[part], phases_of_frames(exon_frames[part])
    low, high = (
        mrna_position(exon_starts, exon_ends, offsets, strand, owner, position) for position in (left, right - 1)
    )
    start, end = np.minimum(low, high), np.maximum(low, high) + 1
    order = np.argsort((owner << POSITION_BITS) + start, kind="stable")
    left, right = left[order], right[order]
    gap = np.maximum(left[1:] - right[:-1], left[:-1] - right[1:])
    touches = np.concatenate([[False], gap <= LONGEST_SLIP])[: len(order)]
    return read_frames(Pieces(owner[order], start[order], end[order], phase[order], touches), len(strand))


def _lines(data: bytes) -> list[str]:
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    return [line.rstrip("\r") for line in text.split("\n")]


def _is_row(line: str) -> bool:
    return bool(line) and not line.startswith(_IGNORED)


def _layout(lines: list[str], layouts: Sequence[Layout]) -> Layout | None:
    rows = [line.split("\t") for line in islice(filter(_is_row, lines), _N_ROWS)]
    row = rows[0] if rows else []
    if lines[0].startswith("#"):  # of UCSC's table browser, perhaps with the table's name before each column
        header = tuple(name.strip().rpartition(".")[2] for name in lines[0].lstrip("#").split("\t"))
        header = tuple("chromStarts" if name == "blockStarts" else name for name in header)
        if len(set(header)) == len(row) and any(set(header) >= _needed(layout) for layout in layouts):
            return header
    for layout in layouts:
        if _fits(layout, row) and not (layout == _GENE_PRED_WITH_BIN and not _have_bins(rows)):
            return _extended(layout, row)
    return None


def _have_bins(rows: list[list[str]]) -> bool:
    """Whether the first column of most genePred rows is the bin of the row; else it is a gene's number, in refFlat."""
    right = [_fits(_GENE_PRED_WITH_BIN, row) and int(row[0]) == _bin(int(row[4]), int(row[5])) for row in rows]
    return 2 * sum(right) > len(right)


def _needed(layout: Layout) -> set[str]:
    """The columns that every table of the format has."""
    bed = "thickStart" in layout
    return {
        *(set(_BED12) - {"score", "itemRgb"} if bed else _GENE_PRED),
        *(["geneName"] if _is_ref_flat(layout) else []),
    }


def _is_ref_flat(layout: Layout) -> bool:
    return "geneName" in layout and "thickStart" not in layout


def _extended(layout: Layout, row: list[str]) -> Layout:
    """The layout with names for the further columns that BED allows."""
    return (*layout, *(f"column {n + 1}" for n in range(len(layout), len(row))))


def _fits(layout: Layout, row: list[str]) -> bool:
    """Whether a row looks like one of ``layout``."""
    if len(row) != len(layout) and not ("thickStart" in layout and len(row) > len(layout)):
        return False
    value = dict(zip((_BED_NAMES.get(name, name) for name in layout), row, strict=False))
    numbers = [value[name] for name in _NUMBERS] + ([value["bin"]] if "bin" in value else [])
    if value["strand"] not in _STRANDS or not all(map(is_whole, numbers)):
        return False
    return "exonFrames" not in value or bool(re.match(_FRAMES, value["exonFrames"]))


def _bin(start: int, end: int) -> int:
    """UCSC's number of the smallest bin that contains an interval: bins have 128 kb, or 8, 64, ... times as much.

    Kent et al. 2002, Genome Research 12:996; beyond 512 Mb there is a further level and an offset, as in UCSC's
    binRange.c.
    """
    levels, base = ((585, 73, 9, 1, 0), 0) if end <= 1 << 29 else ((4681, 585, 73, 9, 1, 0), 4681)
    first, last = start >> 17, (end - 1) >> 17
    for offset in levels:
        if first == last:
            return base + offset + first
        first, last = first >> 3, last >> 3
    return -1


def _parse(path: Path, layouts: Sequence[Layout]) -> _Rows:
    with open_bytes(path) as stream:
        data = stream.read()
    try:
        data.decode()
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}, line {number}: not UTF-8 text; expected a table of transcripts.") from None
    lines = _lines(data)
    layout = _layout(lines, layouts)
    rows = [line for line in lines if _is_row(line)]
    if layout is None:
        state = f"begins with {rows[0][:40]!r}" if rows else "has no rows"
        fewest = min(len(columns) for columns in layouts)
        plain = next(", ".join(columns) for columns in layouts if len(columns) == fewest)
        raise InputError(f"{path} {state}; expected tab-separated {plain}.")
    names = [_BED_NAMES.get(name, name) if "thickStart" in layout else name for name in layout]
    wanted = [name for name in names if name in {*_GENE_PRED, "name2", "geneName", "exonFrames"}]
    try:
        table = csv.read_csv(
            pa.BufferReader("\n".join(rows).encode()),
            csv.ReadOptions(column_names=names, block_size=max(1 << 24, len(data) // 8)),
            csv.ParseOptions(delimiter="\t", quote_char=False, double_quote=False),
            csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), include_columns=wanted, null_values=[]),
        )
    except pa.ArrowInvalid as error:
        for number, line in enumerate(lines, start=1):
            found = len(line.split("\t"))
            if _is_row(line) and found != len(names):
                raise InputError(
                    f"{path}, line {number}: {found} tab-separated columns; expected {len(names)} as in the first row."
                ) from None
        raise InputError(f"{path} cannot be read as a table ({' '.join(str(error).split())}).") from None
    return _Rows(path, lines, table, layout)


def _numbers(rows: _Rows, column: str) -> Rows:
    text = rows.text(column)
    rows.require(
        pc.match_substring_regex(text, _NUMBER),
        lambda row: f"{column} is {text[row].as_py()[:30]!r}; expected a whole number below 10^12",
    )
    numbers: Rows = pc.cast(text, pa.int64()).to_numpy(zero_copy_only=False)
    return numbers


def _exons(rows: _Rows, numbers: Sequence[Rows]) -> tuple[Rows, Rows, Rows, Rows]:
    """Starts, ends, frames and offsets of all exons, ascending in each transcript."""
    start, end, _, _, count = numbers
    starts, ends = (_lists(rows, column, count) for column in ("exonStarts", "exonEnds"))
    frames = np.full(len(starts), -1)
    if "exonFrames" in rows.table.column_names:
        frames = _lists(rows, "exonFrames", count, _FRAMES)
    owner = np.repeat(np.arange(len(count)), count)
    if "thickStart" in rows.layout:  # starts are relative to the transcript's, and the ends are given as sizes
        starts = starts + start[owner]
        ends = starts + ends
    if ((starts[1:] < starts[:-1]) & (owner[1:] == owner[:-1])).any():
        order = np.lexsort([ends, starts, owner])
        starts, ends, frames = starts[order], ends[order], frames[order]
    offsets = np.concatenate([[0], np.cumsum(count)])
    empty = np.bincount(owner[starts >= ends], minlength=len(count)) > 0
    rows.require(~empty, lambda row: "an exon has no length; expected each to end after its start")
    low, high = starts[offsets[:-1]], np.maximum.reduceat(ends, offsets[:-1])
    rows.require(
        (low == start) & (high == end),
        lambda row: f"its exons span {low[row]}-{high[row]}, but the transcript {start[row]}-{end[row]}",
    )
    return starts, ends, frames, offsets


def _lists(rows: _Rows, column: str, count: Rows, pattern: str = _LIST) -> Rows:
    """Numbers joined by commas, ``count`` (T,) of them in each row, end to end."""
    text = rows.text(column)
    shown = next((bed for bed, name in _BED_NAMES.items() if name == column and bed in rows.layout), column)
    rows.require(
        pc.match_substring_regex(text, pattern),
        lambda row: f"{shown} is {text[row].as_py()[:30]!r}; expected numbers joined by commas",
    )
    parts = pc.split_pattern(pc.utf8_rtrim(text, ","), ",")
    found = pc.list_value_length(parts).to_numpy(zero_copy_only=False)
    rows.require(found == count, lambda row: f"{shown} has {found[row]} numbers; expected {count[row]}, one an exon")
    flat: Rows = pc.cast(pc.list_flatten(parts), pa.int64()).to_numpy(zero_copy_only=False)
    return flat


def _genes(rows: _Rows) -> tuple[pa.StringArray, pa.StringArray]:
    """The gene's id, null without one, and its name, empty where the file has only an Ensembl id."""
    absent = pa.nulls(len(rows.table), pa.string())
    columns = [rows.text(name) for name in ("geneName", "name2") if name in rows.table.column_names]
    given = [pc.if_else(pc.is_in(column, pa.array(["", "none", "n/a"])), None, column) for column in columns]
    gene = pc.coalesce(*given, absent)
    is_id = pc.match_substring_regex(gene, r"^ENS[A-Z]*G\d{11}")
    return gene, pc.coalesce(pc.if_else(is_id, None, gene), "")
