"""Reading annotation: orthrus against pyranges, in one run on one generated GENCODE-like GTF.

    python benchmarks/annotation.py [--lines 300000] [--repeats 3]

pyranges only parses the file into a table; orthrus also makes transcripts of it, and reads the same ones once more as
genePredExt. Prints medians, rates in lines of the GTF, ratios, and the peak memory of orthrus where it reads alone
(--only orthrus).
"""

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np

from orthrus.genome.annotation import read_annotation
from orthrus.genome.findings import Findings
from orthrus.genome.models import TranscriptModels


def gencode_like(n_lines: int, seed: int = 0, max_exons: int = 17, exon: int = 150) -> Iterator[str]:
    """At least ``n_lines`` of a GTF in GENCODE's order and wording, on chr1 to chr22 of up to 130 Mb each.

    Transcripts have 1 to ``max_exons`` exons of ``exon`` nt.
    """
    draw = np.random.default_rng(seed)
    written = 0
    for gene in count():
        for line in _gene(gene, draw, max_exons, exon):
            yield line
            written += 1
        if written >= n_lines:
            return


def _gene(gene: int, draw: np.random.Generator, max_exons: int, exon: int) -> Iterator[str]:
    """A gene of 1-9 isoforms, two in three of them coding."""
    start = 10_000 + 50_000 * (gene // 22)
    place = (f"chr{1 + gene % 22}\tHAVANA", "+-"[gene % 2])
    gene_id = f'gene_id "ENSG{gene:011d}.7";'
    common = (
        f'gene_type "protein_coding"; gene_name "GENE{gene}"; level 2; hgnc_id "HGNC:{gene}"; tag "basic";'
        f' tag "Ensembl_canonical"; havana_gene "OTTHUMG{gene:011d}.3";'
    )
    yield _line(place, "gene", start, start + 200_000, f"{gene_id} {common}")
    for isoform in range(int(draw.integers(1, 10))):
        number = gene * 10 + isoform
        text = (
            f'{gene_id} transcript_id "ENST{number:011d}.2"; {common} transcript_type "protein_coding";'
            f' transcript_name "GENE{gene}-20{isoform}"; level 1; protein_id "ENSP{number:011d}.1";'
        )
        starts = (start + 1_000 * isoform + 5_000 * np.arange(int(draw.integers(1, max_exons + 1)))).tolist()
        yield _line(place, "transcript", starts[0], starts[-1] + exon - 1, text)
        yield from _parts(place, starts if place[1] == "+" else starts[::-1], isoform % 3 > 0, exon, text)


def _parts(place: tuple[str, str], starts: list[int], coding: bool, exon: int, text: str) -> Iterator[str]:
    for i, start in enumerate(starts):
        rest = f'{text} exon_number {i + 1}; exon_id "ENSE{start:011d}.1";'
        yield _line(place, "exon", start, start + exon - 1, rest)
        if coding:
            first, last = 30 * (i == 0), 33 * (i == len(starts) - 1)
            left, right = (first, last) if place[1] == "+" else (last, first)
            low, high = start + left, start + exon - 1 - right
            yield _line(place, "CDS", low, high, rest)
            if first:
                yield _line(place, "start_codon", low, low + 2, rest)
                yield _line(place, "UTR", start, start + 29, rest)
            if last:
                stop = high + 1 if place[1] == "+" else low - 3
                yield _line(place, "stop_codon", stop, stop + 2, rest)


def _line(place: tuple[str, str], kind: str, start: int, end: int, attributes: str) -> str:
    return f"{place[0]}\t{kind}\t{start}\t{end}\t.\t{place[1]}\t.\t{attributes}\n"


def gene_pred_ext(models: TranscriptModels) -> Iterator[str]:
    """The same transcripts as UCSC writes them, a line each."""
    columns = (models.transcript_id, models.contig, models.gene_id, models.strand, models.cds_start, models.cds_end)
    for t, (name, contig, gene, strand, cds_start, cds_end) in enumerate(
        zip(*(c.tolist() for c in columns), strict=True)
    ):
        exons = slice(models.exon_offsets[t], models.exon_offsets[t + 1])
        starts, ends = models.exon_starts[exons].tolist(), models.exon_ends[exons].tolist()
        cds = (cds_start, cds_end) if cds_start >= 0 else (ends[-1], ends[-1])
        exon_starts, exon_ends, frames = (
            "".join(f"{n}," for n in numbers) for numbers in (starts, ends, [-1] * len(starts))
        )
        fields = (name, contig, "+-"[strand < 0], starts[0], ends[-1], *cds, len(starts), exon_starts, exon_ends)
        yield "\t".join(map(str, (*fields, 0, gene, "cmpl", "cmpl", frames))) + "\n"


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=300_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=("orthrus",))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gencode_like.gtf"
        with path.open("w") as stream:
            stream.writelines(gencode_like(options.lines))
        print(f"{options.lines:,} lines, {path.stat().st_size / 1e6:,.0f} MB, median of {options.repeats}")
        table = path.with_suffix(".txt")
        with table.open("w") as stream:
            stream.writelines(gene_pred_ext(read_annotation(path, Findings())))
        readers: dict[str, Callable[[], object]] = {
            "orthrus (to transcripts)": lambda: read_annotation(path, Findings()),
            "orthrus, genePredExt": lambda: read_annotation(table, Findings()),
        }
        if not options.only:
            import pyranges

            readers["pyranges (to a table)"] = lambda: pyranges.read_gtf(str(path))
        times: dict[str, list[float]] = {name: [] for name in readers}
        for _ in range(options.repeats):  # taking turns, so that both meet the same load
            for name, read in readers.items():
                times[name].append(seconds(read))
        medians = {name: statistics.median(values) for name, values in times.items()}
        for name, median in medians.items():
            print(f"{name:26} {median:7.2f} s {options.lines / median / 1e3:9,.0f} k lines/s")
        ours, table_only, *peer = medians.values()
        print(
            f"genePredExt against GTF {ours / table_only:.1f}x"
            + (f", orthrus against pyranges {peer[0] / ours:.1f}x" if peer else "")
        )
        print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


if __name__ == "__main__":
    main()
