"""Sequences of FASTA (plain, gzip, bgzip) and UCSC 2bit files, one contig at a time, and the matching of contig names.

Human chromosome 1 takes 250 MB, and three times as much while it is parsed; plain FASTA is read at about 500 Mnt/s.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from orthrus.errors import InputError
from orthrus.genome.codes import Codes, encode_bases
from orthrus.genome.files import open_bytes
from orthrus.genome.tables import is_whole
from orthrus.genome.twobit import MAGICS, read_2bit

_BLOCK = 16 << 20
_BLANKS = b"\r\n\t "

_UCSC_ACCESSION = re.compile(  # chr1_KI270706v1_random, chrUn_NW_020190085v1, chrUn_JAAHUQ010000950v1
    r"^chr\w+?_(N[A-Z]_[A-Z]{0,6}\d+|[A-Z]{1,6}\d+)v(\d+)(?:_alt|_fix|_random)?$"
)
_REFSEQ_CHROMOSOMES = (  # human and mouse, the same in every assembly
    {f"NC_{i:06d}": name for i, name in enumerate([*map(str, range(1, 23)), "X", "Y"], start=1)}
    | {f"NC_{i:06d}": name for i, name in enumerate([*map(str, range(1, 20)), "X", "Y"], start=67)}
    | {"NC_012920": "MT", "NC_005089": "MT"}
)
_ENSEMBL_ALTERNATIVE = re.compile(  # CHR_HSCHR6_MHC_APD, HSCHR17_1, HG1007_PATCH, CHR_ALT_CTG1_1_14 (zebrafish)
    r"^CHR_(ALT_|HS|HG|MM|MG)|^(HS|MM)CHR|^[HM]G\d+_"
)
_NO_CHROMOSOME = re.compile(
    r"_(alt|fix|random|hap\d+)$|^(chr)?Un(_|$)"  # UCSC
    r"|^(?!AP|C[MP]|L[RST]|O[U-Z])[A-Z]{2}\d{6}(\.\d+)?$"  # GenBank scaffolds; the excluded ones are chromosomes
    r"|^[A-Z]{4,6}\d{8,}(\.\d+)?$"  # whole-genome shotgun
    r"|^N[TW]_\d"  # RefSeq scaffolds and patches; NC_ are chromosomes
    r"|scaffold|contig",
    re.IGNORECASE,
)


def is_primary(contig: str, chromosome: str | None = None) -> bool:
    """Whether a contig is a chromosome: not an alternative haplotype, a patch, or an unplaced scaffold.

    ``chromosome`` is the chromosome that the annotation states for the contig, "" for none. If it is None the name
    decides. These names are not chromosomes: ``_alt``, ``_fix``, ``_random``, ``_hap1``, ``chrUn_`` (UCSC),
    ``KI270706.1`` and the like except ``CM``, ``CP``, ``OX`` (GenBank), ``NT_``, ``NW_`` (RefSeq), and names with
    "scaffold" or "contig". Ensembl's ``CHR_HS...``, ``HG1007_PATCH`` are none in either case, because Ensembl's rows
    call them chromosomes.
    """
    if _ENSEMBL_ALTERNATIVE.search(contig):
        return False
    return not _NO_CHROMOSOME.search(contig) if chromosome is None else bool(chromosome)


def read_fasta(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the names (the header up to the first blank) and sequences of a FASTA, in order.

    Raises InputError if the file is not a FASTA, or if two sequences have the same name.
    """
    for header, sequence in fasta_records(path):
        yield header.split(maxsplit=1)[0], sequence


def fasta_records(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the whole headers and the sequences of a FASTA, as :func:`read_fasta` does."""
    for header, lines in _fasta_lines(path):
        yield header, lines.translate(None, _BLANKS).decode("latin-1")


def _fasta_lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """Headers and the unchanged lines of each sequence."""
    seen: set[str] = set()
    header, lines = "", list[bytes]()
    with open_bytes(path) as stream:
        for block in _line_blocks(stream):
            more, *records = block.split(b"\n>")
            lines.append(more)
            if not header and b"".join(lines).strip():
                break
            for record in records:
                if header:
                    yield header, b"".join(lines)
                first, _, rest = record.partition(b"\n")
                header, lines = _checked(first.decode("latin-1").rstrip(), seen, path), [rest]
    if not header:
        text = b"".join(lines).lstrip()[:200].decode("latin-1").partition("\n")[0].strip()
        what = f"begins with {text[:30]!r}" if text else "is empty"
        raise InputError(f"{path} {what}; expected a FASTA, whose first line begins with '>'.")
    yield header, b"".join(lines)


def _checked(header: str, seen: set[str], path: Path) -> str:
    """The header; raises InputError if its name is empty or among those seen before, or if it holds line ends."""
    if "\r" in header:
        raise InputError(f"{path}: the header {header[:40]!r} holds line ends of CR alone; convert them to LF.")
    name = header.split(maxsplit=1)[0] if header.strip() else ""
    if not name or name in seen:
        fault = f"two sequences are named {name!r}" if name else "a sequence has no name"
        raise InputError(f"{path}: {fault}; give each a name of its own.")
    seen.add(name)
    return header


def _line_blocks(stream: BinaryIO) -> Iterator[bytes]:
    """A line break and the bytes of a file, in blocks that are cut before a line break."""
    rest = b"\n"
    while chunk := stream.read(_BLOCK):
        block = rest + chunk
        end = block.rfind(b"\n")
        yield block[:end]
        rest = block[end:]
    yield rest


def read_genome(
    path: Path, contigs: Iterable[str], chromosomes: Mapping[str, str] | None = None
) -> Iterator[tuple[str, Codes]]:
    """Yield the wanted ``contigs`` of a FASTA or 2bit genome: the name as wanted, and the bases, uint8 (L,).

    A contig is found by its name; if the genome has no such name, also without ``chr``, with MT for M, by the accession
    in UCSC's names, by RefSeq's accessions of the human and mouse chromosomes, and by its chromosome in
    ``chromosomes``. Raises InputError if the genome cannot be read, has letters that are not bases, has less of a
    contig than the index beside it (``.fai``) states, or has none of the contigs.
    """
    wanted = _ContigNames(contigs, chromosomes or {})
    found: dict[str, str] = {}
    names: list[str] = []
    index = path.with_name(f"{path.name}.fai")
    indexed = _indexed_lengths(index)
    for name, read_bases in _records(path):
        names.append(name)
        contig = wanted.match(name)
        if contig is None or found.get(contig) == contig:
            continue
        if contig in found:
            raise InputError(
                f"{path} has {found[contig]!r} and {name!r}, and the annotation's contig {contig!r} may be either;"
                " remove one of them."
            )
        found[contig] = name
        bases = read_bases()
        check_whole(path, name, len(bases), indexed.pop(name, 0), index)
        yield contig, bases
    present = set(names)
    for name, length in indexed.items():
        if name not in present and wanted.match(name):
            check_whole(path, name, 0, length, index)
    if not found:
        raise InputError(
            f"none of the annotation's contigs ({_some(wanted.names)}) is in the genome {path} ({_some(names)});"
            " use the genome that the annotation was made for."
        )


def _indexed_lengths(index: Path) -> dict[str, int]:
    """The lengths (nt) of the sequences of a FASTA by samtools' index beside it, none without one."""
    if not index.is_file():
        return {}
    lines = (line.split("\t") for line in index.read_text("latin-1").splitlines())
    return {fields[0]: int(fields[1]) for fields in lines if len(fields) >= 5 and is_whole(fields[1])}


def check_whole(genome: Path, contig: str, length: int, stated: int, where: Path) -> None:
    """Raises InputError if a genome's contig of ``length`` nt is shorter than is ``stated`` in the file ``where``."""
    if length < stated:
        raise InputError(
            f"{genome}: contig {contig} has {length:,} bases, but {stated:,} by {where}; the genome is truncated, or of"
            " another assembly: fetch or copy it again."
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:4]) + (f", ... {len(names):,} in all" if len(names) > 4 else "")


class _ContigNames:
    """The contigs of an annotation, matched with the names that a genome has for them."""

    def __init__(self, contigs: Iterable[str], chromosomes: Mapping[str, str]) -> None:
        self.names = list(dict.fromkeys(contigs))
        self._exact = set(self.names)
        self._plain = {plain_contig(chromosomes.get(name) or name): name for name in reversed(self.names)}

    def match(self, name: str) -> str | None:
        return name if name in self._exact else self._plain.get(plain_contig(name))


def plain_contig(name: str) -> str:
    """A contig's name in a common form: chrM, M and NC_012920.1 are MT, chr1 and NC_000001.11 are 1."""
    if accession := _UCSC_ACCESSION.match(name):
        return f"{accession[1]}.{accession[2]}"
    name = _REFSEQ_CHROMOSOMES.get(name.split(".")[0], name)
    bare = name[3:] if name[:3].lower() == "chr" else name
    return "MT" if bare == "M" else bare


def _records(path: Path) -> Iterator[tuple[str, Callable[[], Codes]]]:
    """The names of a genome's contigs, each with a function that reads its bases."""
    with open_bytes(path) as stream:
        is_2bit = stream.read(4) in MAGICS
    if is_2bit:
        for contig in read_2bit(path):
            yield contig.name, contig.bases
    else:
        for header, lines in _fasta_lines(path):
            name = header.split(maxsplit=1)[0]
            yield name, partial(encode_bases, lines, f"{path}, contig {name}", _BLANKS)
