"""Transcripts as a person would splice them, base by base, and the lines that each annotation format has for them.

A gene model is stated once, on the mature mRNA; formats are written from it, so that a reader of any of them must come
back to the same sequence and tracks.
"""

from dataclasses import dataclass

_COMPLEMENT = dict(zip("ACGTN", "TGCAN", strict=True))


@dataclass(frozen=True)
class Model:
    """A transcript: exons as 0-based half-open intervals on the contig, CDS on the mRNA with its stop codon.

    ``lead`` bases of the CDS come before the first whole codon. At ``slip``, a position on the mRNA and how far, the
    ribosome jumps over bases (+1), or reads some again (-1).
    """

    transcript_id: str
    gene_id: str
    contig: str
    strand: str
    exons: tuple[tuple[int, int], ...]
    cds: tuple[int, int] | None
    lead: int = 0
    slip: tuple[int, int] | None = None

    def positions(self) -> list[int]:
        """The contig position of every base of the mRNA, 5'->3'."""
        forward = [p for start, end in sorted(self.exons) for p in range(start, end)]
        return forward if self.strand == "+" else forward[::-1]

    def sequence(self, genome: dict[str, str]) -> str:
        letters = [genome[self.contig][p].upper() for p in self.positions()]
        return "".join(letters if self.strand == "+" else [_COMPLEMENT[letter] for letter in letters])

    def coding(self) -> list[tuple[int, int]]:
        """The intervals of the mRNA that are read one after the other."""
        if not self.cds:
            return []
        (start, end), (at, jump) = self.cds, self.slip or (self.cds[1], 0)
        return [(start, at), (at + jump, end)] if self.slip else [(start, end)]

    def codon_starts(self) -> list[int]:
        """The first base of each three that are read."""
        return [p for start, end in self.coding() for p in range(start, end)][self.lead :: 3]

    def published_codon_starts(self) -> list[int]:
        return list(range(self.cds[0], self.cds[1], 3)) if self.cds else []

    def coding_rows(self, until: int = 0) -> list[tuple[tuple[int, int], int]]:
        """Contig intervals of the CDS, less the last ``until`` bases, each with its phase: GFF3's column 8.

        The phase is how many bases of the row come before the one at which the next codon begins.
        """
        rows, read = [], 0
        for n, (start, end) in enumerate(self.coding(), start=1):
            end -= until if n == len(self.coding()) else 0
            for piece in self.pieces(start, end):
                rows.append((piece, (self.lead - read) % 3))
                read += piece[1] - piece[0]
        return rows

    def exon_last_bases(self) -> list[int]:
        ordered = sorted(self.exons, reverse=self.strand == "-")
        total, ends = 0, []
        for start, end in ordered:
            total += end - start
            ends.append(total - 1)
        return ends

    def pieces(self, start: int, end: int) -> list[tuple[int, int]]:
        """mRNA interval [start, end) as contig intervals, one for each exon that it touches, 5'->3'."""
        wanted = set(self.positions()[start:end])
        pieces = []
        for exon_start, exon_end in sorted(self.exons, reverse=self.strand == "-"):
            inside = [p for p in range(exon_start, exon_end) if p in wanted]
            if inside:
                pieces.append((inside[0], inside[-1] + 1))
        return pieces


def _line(model: Model, kind: str, interval: tuple[int, int], attributes: str, phase: int | str = ".") -> str:
    start, end = interval
    return "\t".join([model.contig, "test", kind, str(start + 1), str(end), ".", model.strand, str(phase), attributes])


def _span(model: Model) -> tuple[int, int]:
    return min(start for start, _ in model.exons), max(end for _, end in model.exons)


def gtf(model: Model, transcript_row: bool = True, stop_codon: bool = True) -> list[str]:
    """As Ensembl and GENCODE write GTF: the CDS ends before the stop codon, which has rows of its own."""
    attributes = f'gene_id "{model.gene_id}"; transcript_id "{model.transcript_id}"; note "a; b=c";'
    lines = [_line(model, "gene", _span(model), f'gene_id "{model.gene_id}";')]
    if transcript_row:
        lines.append(_line(model, "transcript", _span(model), attributes))
    lines += [_line(model, "exon", exon, attributes) for exon in model.exons]
    if model.cds:
        start, end = model.cds
        stop = max(start, end - 3) if stop_codon else end
        lines += [_line(model, "CDS", piece, attributes, phase) for piece, phase in model.coding_rows(end - stop)]
        lines += [_line(model, "stop_codon", piece, attributes) for piece in model.pieces(stop, end)]
        lines.append(_line(model, "start_codon", model.pieces(start, end)[0], attributes))
    return lines


def ensembl_gff3(model: Model) -> list[str]:
    """As Ensembl writes GFF3: typed ids, the CDS with its stop codon, the gene's name on the gene."""
    gene, transcript = f"gene:{model.gene_id}", f"transcript:{model.transcript_id}"
    lines = [
        _line(model, "gene", _span(model), f"ID={gene};Name=N{model.gene_id};gene_id={model.gene_id}"),
        _line(model, "mRNA", _span(model), f"ID={transcript};Parent={gene};Name=X;transcript_id={model.transcript_id}"),
    ]
    lines += [_line(model, "exon", exon, f"Parent={transcript};Name=E") for exon in model.exons]
    if model.cds:
        protein = f"ID=CDS:P{model.transcript_id};Parent={transcript};protein_id=P{model.transcript_id}"
        lines += [_line(model, "CDS", piece, protein, phase) for piece, phase in model.coding_rows()]
    return lines


def refseq_gff3(model: Model) -> list[str]:
    """As NCBI writes GFF3: ``rna-`` ids, GeneID cross references, no gene_id, no biotype on the transcript."""
    number = sum(map(ord, model.gene_id))
    gene, transcript = f"gene-{model.gene_id}", f"rna-{model.transcript_id}"
    common = f"Dbxref=GeneID:{number},GenBank:{model.transcript_id},HGNC:HGNC:1;gbkey=mRNA;gene={model.gene_id}"
    lines = [
        _line(model, "gene", _span(model), f"ID={gene};Dbxref=GeneID:{number};Name={model.gene_id};gbkey=Gene"),
        _line(
            model, "mRNA", _span(model), f"ID={transcript};Parent={gene};{common};transcript_id={model.transcript_id}"
        ),
    ]
    for n, exon in enumerate(model.exons, start=1):
        lines.append(_line(model, "exon", exon, f"ID=exon-{model.transcript_id}-{n};Parent={transcript};{common}"))
    if model.cds:
        protein = f"ID=cds-{model.transcript_id};Parent={transcript};{common};protein_id=NP_{model.transcript_id}"
        lines += [_line(model, "CDS", piece, protein, phase) for piece, phase in model.coding_rows()]
    return lines


def bare_gff3(model: Model) -> list[str]:
    """The least that GFF3 asks for: an ID, a Parent; each CDS row with an ID of its own."""
    lines = [_line(model, "mRNA", _span(model), f"ID={model.transcript_id}")]
    lines += [_line(model, "exon", exon, f"Parent={model.transcript_id}") for exon in model.exons]
    if model.cds:
        for n, (piece, phase) in enumerate(model.coding_rows()):
            lines.append(
                _line(model, "CDS", piece, f"ID=c{n}.{model.transcript_id};Parent={model.transcript_id}", phase)
            )
    return lines


def gtf_without_transcript_rows(model: Model) -> list[str]:
    return gtf(model, transcript_row=False)


def gtf_with_stop_in_cds(model: Model) -> list[str]:
    return gtf(model, stop_codon=False)


def gene_pred(model: Model) -> list[str]:
    """UCSC's genePred; a transcript without CDS has an empty one at its end."""
    starts, ends = zip(*sorted(model.exons), strict=True)
    cds = (ends[-1], ends[-1])
    if model.cds:
        pieces = model.pieces(*model.cds)
        cds = (min(start for start, _ in pieces), max(end for _, end in pieces))
    lists = ("".join(f"{n}," for n in numbers) for numbers in (starts, ends))
    return [
        "\t".join(
            map(str, (model.transcript_id, model.contig, model.strand, starts[0], ends[-1], *cds, len(starts), *lists))
        )
    ]


def gene_pred_ext(model: Model) -> list[str]:
    """With the gene in name2, as `gtfToGenePred -genePredExt` writes it."""
    (row,) = gene_pred(model)
    frames = {piece: -phase % 3 for piece, phase in model.coding_rows()}
    by_exon = (
        next((frame for (a, b), frame in frames.items() if s <= a and b <= e), -1) for s, e in sorted(model.exons)
    )
    state = "cmpl" if model.cds else "none"
    return [f"{row}\t0\t{model.gene_id}\t{state}\t{state}\t{''.join(f'{frame},' for frame in by_exon)}"]


def ucsc_bin(start: int, end: int) -> int:
    """The smallest of the bins of 2^29, 2^26, ..., 2^17 bases that holds the interval, numbered level by level."""
    first = 0
    bins = []
    for bits in range(29, 16, -3):
        if start >> bits == (end - 1) >> bits:
            bins.append(first + (start >> bits))
        first = 8 * first + 1
    return bins[-1]


def gene_pred_ext_bin(model: Model) -> list[str]:
    """As in UCSC's database dumps, such as refGene.txt."""
    return [f"{ucsc_bin(*_span(model))}\t{row}" for row in gene_pred_ext(model)]


def ref_flat(model: Model) -> list[str]:
    return [f"{model.gene_id}\t{row}" for row in gene_pred(model)]


def bed12(model: Model) -> list[str]:
    name, contig, strand, start, end, cds_start, cds_end, n, *_ = gene_pred(model)[0].split("\t")
    exons = sorted(model.exons)
    sizes = "".join(f"{b - a}," for a, b in exons)
    offsets = "".join(f"{a - exons[0][0]}," for a, _ in exons)
    return ["\t".join([contig, start, end, name, "0", strand, cds_start, cds_end, "0", n, sizes, offsets])]


def cds_and_utr_gff3(model: Model) -> list[str]:
    """Without exon rows: the exons are what CDS and UTRs cover together."""
    lines = [_line(model, "mRNA", _span(model), f"ID={model.transcript_id};Parent=gene:{model.gene_id}")]
    start, end = model.cds or (0, 0)
    for piece, phase in model.coding_rows():
        lines.append(_line(model, "CDS", piece, f"ID=c.{model.transcript_id};Parent={model.transcript_id}", phase))
    for kind, interval in (("five_prime_UTR", (0, start)), ("three_prime_UTR", (end, len(model.positions())))):
        lines += [_line(model, kind, piece, f"Parent={model.transcript_id}") for piece in model.pieces(*interval)]
    return lines


def cds_and_utr_gtf(model: Model) -> list[str]:
    """As GTF 2.2 names them, the stop codon apart."""
    attributes = f'gene_id "{model.gene_id}"; transcript_id "{model.transcript_id}";'
    start, end = model.cds or (0, 0)
    lines = [_line(model, "CDS", piece, attributes, phase) for piece, phase in model.coding_rows(3)]
    lines += [_line(model, "stop_codon", piece, attributes) for piece in model.pieces(end - 3, end)]
    for kind, interval in (("5UTR", (0, start)), ("3UTR", (end, len(model.positions())))):
        lines += [_line(model, kind, piece, attributes) for piece in model.pieces(*interval)]
    return lines


def augustus_gtf(model: Model) -> list[str]:
    """Rows of genes and transcripts have a bare id, the stop codon is in the CDS and has rows of its own, too."""
    attributes = f'transcript_id "{model.transcript_id}"; gene_id "{model.gene_id}";'
    lines = [_line(model, "gene", _span(model), model.gene_id)]
    lines.append(_line(model, "transcript", _span(model), model.transcript_id))
    lines += [_line(model, "CDS", piece, attributes, phase) for piece, phase in model.coding_rows()]
    lines += [_line(model, "exon", exon, attributes) for exon in model.exons]
    if model.cds:
        stop = max(model.cds[0], model.cds[1] - 3)
        lines += [_line(model, "stop_codon", piece, attributes, 0) for piece in model.pieces(stop, model.cds[1])]
    return lines


def gffread_gff3(model: Model) -> list[str]:
    """No gene rows: the gene is the transcript's ``geneID``; CDS rows without an ID."""
    lines = [_line(model, "mRNA", _span(model), f"ID={model.transcript_id};geneID={model.gene_id}")]
    lines += [_line(model, "exon", exon, f"Parent={model.transcript_id}") for exon in model.exons]
    lines += [
        _line(model, "CDS", piece, f"Parent={model.transcript_id}", phase) for piece, phase in model.coding_rows()
    ]
    return lines


def wormbase_gff3(model: Model) -> list[str]:
    gene, transcript = f"Gene:{model.gene_id}", f"Transcript:{model.transcript_id}"
    lines = [_line(model, "mRNA", _span(model), f"ID={transcript};Parent={gene};Name={model.transcript_id}")]
    lines += [_line(model, "exon", exon, f"Parent={transcript}") for exon in model.exons]
    for piece, phase in model.coding_rows():
        lines.append(_line(model, "CDS", piece, f"ID=CDS:P{model.transcript_id};Parent={transcript}", phase))
    return lines


UCSC_FORMATS = (gene_pred, gene_pred_ext, gene_pred_ext_bin, ref_flat, bed12)
GXF_FORMATS = (
    *(gtf, gtf_without_transcript_rows, gtf_with_stop_in_cds, augustus_gtf),
    *(ensembl_gff3, refseq_gff3, bare_gff3, gffread_gff3, wormbase_gff3),
)
FORMATS = (*GXF_FORMATS, *UCSC_FORMATS)
FRAMED = (*GXF_FORMATS, gene_pred_ext, gene_pred_ext_bin)
"""Those that say where codons begin."""
