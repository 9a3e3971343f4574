"""mRNA FASTA of GENCODE and Ensembl, whose headers give the gene and the CDS of a transcript.

GENCODE (``gencode.v47.pc_transcripts.fa.gz``): fields between ``|``: transcript, gene, Havana's two, names of both,
length, then ``UTR5:1-60``, ``CDS:61-1041`` (1-based, closed, stop codon included), ``UTR3:1042-2618``, or the biotype.

Ensembl (``Homo_sapiens.GRCh38.cdna.all.fa.gz``): ``ENST... cdna chromosome:... gene:... gene_biotype:...
transcript_biotype:... gene_symbol:...``. A ``cds`` is coding from end to end; the header of a ``cdna`` does not give
the CDS.

Neither gives the exons.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from orthrus.errors import InputError
from orthrus.genome.coordinates import Coordinates
from orthrus.genome.sequence import fasta_records

_GENCODE = re.compile(
    r"(?P<transcript>[^|\s]+)\|(?P<gene>[^|\s]+)\|[^|]*\|[^|]*\|[^|]*\|(?P<symbol>[^|]*)\|(?P<length>\d+)\|(?P<rest>\S*)$"
)
_CDS = re.compile(r"(?:^|\|)CDS:(\d+)-(\d+)(?=\||$)")
_ENSEMBL = re.compile(r"(?P<transcript>\S+) (?P<kind>cdna|cds|ncrna)\b\S* .*?\bgene:(?P<gene>\S+)(?P<rest>.*)")
_FIELDS = re.compile(r"\b(gene_biotype|transcript_biotype|gene_symbol):(\S+)")


class _Header(NamedTuple):
    transcript_id: str
    gene_id: str
    gene_name: str
    biotype: str
    length: int | None  # as stated
    cds: tuple[int, int] | None  # 0-based, half-open; -1 stands for the end of the sequence


def header_id(name: str) -> str:
    """The transcript's id in the name (the header up to the first blank) of a sequence with such a header."""
    return name.partition("|")[0]


def has_headers(fasta: Path) -> bool:
    """Whether the first header of a FASTA is GENCODE's or Ensembl's."""
    header, _ = next(fasta_records(fasta), ("", ""))
    return _parser_of(header) is not None


def read_headers(fasta: Path, species: str) -> Coordinates:
    """Read the headers of a FASTA as a coordinate table; exons are unknown.

    Raises InputError, naming the sequence, if a header has another form than the first, or if the length in it is not
    the length of the sequence, or if the CDS lies outside the sequence.
    """
    parse, rows, lengths, seen = None, [], [], set()
    for header, sequence in fasta_records(fasta):
        parse = parse or _parser_of(header)
        row = parse(header) if parse else None
        if row is None:
            raise InputError(
                f"{fasta}: header {header[:60]!r} is not in the form of GENCODE or Ensembl; give the coordinates of the"
                " sequences as a table, `coordinates`."
            )
        if row.transcript_id in seen:
            raise InputError(f"{fasta}: two sequences are named {row.transcript_id!r}; give each a name of its own.")
        seen.add(row.transcript_id)
        start, end = row.cds or (0, -1)
        if row.length not in (None, len(sequence)):
            raise InputError(
                f"{fasta}: {row.transcript_id} has {len(sequence):,} nt, its header says {row.length:,}; is the file"
                " truncated?"
            )
        if not 0 <= start < (end if end >= 0 else len(sequence)) <= len(sequence):
            raise InputError(
                f"{fasta}: CDS:{start + 1}-{end} of {row.transcript_id} does not lie in its {len(sequence):,} nt."
            )
        rows.append(row)
        lengths.append(len(sequence))
    length = np.array(lengths, dtype=np.int64)
    coding = np.array([row.cds is not None for row in rows], dtype=bool)
    stated = np.array([row.cds or (-1, -1) for row in rows], dtype=np.int64).reshape(-1, 2)
    return Coordinates(
        transcript_id=[row.transcript_id for row in rows],
        gene_id=[row.gene_id for row in rows],
        gene_known=np.ones(len(rows), dtype=bool),
        gene_name=[row.gene_name for row in rows],
        species=[species] * len(rows),
        biotype=[row.biotype for row in rows],
        length=length,
        cds_start=stated[:, 0],
        cds_end=np.where(coding & (stated[:, 1] < 0), length, stated[:, 1]),
        exon_ends=[np.empty(0, np.int32)] * len(rows),
    )


def _parser_of(header: str) -> Callable[[str], _Header | None] | None:
    return next((parse for parse in (_gencode, _ensembl) if parse(header)), None)


def _gencode(header: str) -> _Header | None:
    match = _GENCODE.match(header)
    if not match:
        return None
    interval = _CDS.search(match["rest"])
    cds = (int(interval[1]) - 1, int(interval[2])) if interval else None
    stated = [field for field in match["rest"].split("|") if field and ":" not in field]
    biotype = stated[-1] if stated else "protein_coding" if cds else "non_coding"
    return _Header(match["transcript"], match["gene"], match["symbol"], biotype, int(match["length"]), cds)


def _ensembl(header: str) -> _Header | None:
    match = _ENSEMBL.match(header)
    if not match:
        return None
    fields = dict(_FIELDS.findall(match["rest"]))
    cds = (0, -1) if match["kind"] == "cds" else None
    biotype = (
        fields.get("transcript_biotype") or fields.get("gene_biotype") or ("protein_coding" if cds else "non_coding")
    )
    return _Header(match["transcript"], match["gene"], fields.get("gene_symbol", ""), biotype, None, cds)
