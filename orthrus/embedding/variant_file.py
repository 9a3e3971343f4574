"""Files of variants in transcripts: a table, or a VCF whose contigs are transcripts.

VCF: samtools/hts-specs, version 4.3. An ALT that is not a sequence cannot be embedded: ``*`` (the allele is missing
    because of an upstream deletion), ``.`` (no alternative allele), ``<DEL>``, ``<NON_REF>`` and other symbols, and
    breakends (``G]17:198982]``).
"""

import re
from pathlib import Path
from typing import NamedTuple

from orthrus.errors import InputError
from orthrus.genome.files import open_bytes
from orthrus.genome.findings import Tally
from orthrus.genome.tables import is_whole

_COLUMNS = ("transcript_id", "pos", "ref", "alt")
_NO_SEQUENCE = re.compile(r"\*|\.|<.*>|.*[\[\]].*|\.[A-Za-z]+|[A-Za-z]+\.")

UNSCORED = "alternative alleles that are not a sequence (such as *, . and <DEL>), left out"


class Variant(NamedTuple):
    """An alternative allele in the notation of its file; ``pos`` is 1-based, ``line`` is the line in the file."""

    line: int
    transcript_id: str
    pos: int
    ref: str
    alt: str


def read_variants(path: Path, left_out: Tally) -> list[Variant]:
    """Read a tab-separated table with the columns transcript_id, pos, ref, alt, or a VCF on transcripts.

    Args:
        path: the file, plain, gzip or bgzip. ``pos`` counts from 1 on the transcript, as POS of a VCF does on a contig,
            and is the first base of ``ref``. An insertion or deletion has an anchor base in both alleles. The contigs
            of a VCF are transcript ids. Other columns are ignored.
        left_out: counts the alternative alleles that are not a sequence.

    Returns:
        One variant for each alternative allele that is a sequence, in order.

    Raises:
        InputError: naming the line, if a value cannot be used, or if no allele is left.
    """
    with open_bytes(path) as stream:
        lines = [line.rstrip("\r") for line in stream.read().decode("utf-8-sig", "replace").split("\n")]
    numbered = [(n, line) for n, line in enumerate(lines, start=1) if line.strip() and not line.startswith("##")]
    header = numbered[0][1].removeprefix("#").lower().split("\t") if numbered else []
    if "transcript_id" not in header:
        header = ["transcript_id" if name == "chrom" else name for name in header]
    missing = [name for name in _COLUMNS if name not in header]
    if missing:
        raise InputError(
            f"{path} has no column {', '.join(missing)}; expected a tab-separated table with the columns"
            f" {', '.join(_COLUMNS)}, or a VCF whose contigs are transcripts."
        )
    if len(numbered) == 1:
        raise InputError(f"{path} has a header and no variants; expected some.")
    columns = [header.index(name) for name in _COLUMNS]
    variants = []
    for number, line in numbered[1:]:
        fields, where = line.split("\t"), f"{path}, line {number}"
        if len(fields) != len(header):
            raise InputError(f"{where}: {len(fields)} tab-separated fields; expected {len(header)} as in the header.")
        transcript_id, pos, ref, alts = (fields[column].strip() for column in columns)
        if not is_whole(pos) or int(pos) < 1:
            raise InputError(f"{where}: pos is {pos[:30]!r}; expected a position on the transcript, from 1.")
        _check_allele(ref, f"{where}: ref")
        for alt in alts.split(","):
            if _NO_SEQUENCE.fullmatch(alt):
                left_out.add(UNSCORED, [f"{alt} in line {number}"])
                continue
            _check_allele(alt, f"{where}: alt")
            variants.append(Variant(number, transcript_id, int(pos), ref, alt))
    if not variants:
        raise InputError(f"{path} has no allele to score: {'; '.join(left_out.lines())}.")
    return variants


def _check_allele(allele: str, what: str) -> None:
    if not allele or set(allele.upper()) - set("ACGTUN"):
        raise InputError(
            f"{what} is {allele!r}; expected bases (A, C, G, T, N). Insertions and deletions are written as in a VCF,"
            " with the base before them in both alleles."
        )
