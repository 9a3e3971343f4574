"""From files to mature mRNAs with their names: the two ways in, annotation + genome and mRNA FASTA + coordinates.

Both are streams: one contig, or one mRNA, is in memory at a time beside the annotation's table.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from orthrus.genome.annotation import read_annotation
from orthrus.genome.coordinates import read_coordinates
from orthrus.genome.findings import Findings, Tally
from orthrus.genome.sequence import is_primary, read_fasta, read_genome
from orthrus.genome.splice import Mrna, splice

_NO_BIOTYPE = "(none)"


class Transcript(NamedTuple):
    """A mature mRNA and what its source says of it."""

    transcript_id: str
    gene_id: str
    gene_name: str
    species: str
    biotype: str
    mrna: Mrna


@dataclass(frozen=True)
class Filters:
    """Which transcripts are kept: of these biotypes (None: all), of these lengths in nt, on chromosomes only or not."""

    biotypes: frozenset[str] | None = frozenset({"protein_coding"})
    min_length: int = 200
    max_length: int = 12_288
    primary_contigs: bool = False

    def keep(
        self,
        transcript_ids: list[str],
        biotypes: list[str],
        lengths: NDArray[np.int64],
        contigs: list[str] | None,
        dropped: Tally,
    ) -> NDArray[np.int64]:
        """Rows to keep, ascending; the others are counted in ``dropped`` under the first filter that refuses them."""
        chromosome = {name: is_primary(name) for name in set(contigs or ())}
        kept, refused = [], {}
        for row, (biotype, length) in enumerate(zip(biotypes, lengths.tolist(), strict=True)):
            reason = None
            if contigs and self.primary_contigs and not chromosome[contigs[row]]:
                reason = "on contigs that are no chromosomes"
            elif self.biotypes is not None and biotype not in self.biotypes:
                reason = f"of biotype {biotype or _NO_BIOTYPE}"
            elif length < self.min_length:
                reason = f"shorter than {self.min_length:,} nt"
            elif length > self.max_length:
                reason = f"longer than {self.max_length:,} nt"
            if reason is None:
                kept.append(row)
            else:
                refused.setdefault(reason, []).append(transcript_ids[row])
        for reason, names in refused.items():
            dropped.add(reason, names)
        return np.array(kept, dtype=np.int64)


def annotated_transcripts(
    annotation: Path, genome: Path, species: str, filters: Filters, findings: Findings
) -> Iterator[Transcript]:
    """Transcripts of a GTF or GFF3 annotation, spliced from a FASTA or 2bit genome.

    They come contig by contig in the genome's order, within a contig in the annotation's. Contigs that the genome
    lacks are counted in ``findings``. Raises InputError as :func:`read_annotation` and :func:`read_genome` do.
    """
    models = read_annotation(annotation, findings)
    models = models.take(
        filters.keep(
            models.transcript_id.to_pylist(),
            models.biotype.to_pylist(),
            models.lengths,
            models.contig.to_pylist(),
            findings.dropped,
        )
    )
    if not len(models):
        return
    encoded = models.contig.dictionary_encode()
    contig_names, contig = encoded.dictionary.to_pylist(), encoded.indices.to_numpy()
    missing = dict.fromkeys(contig_names)
    for name, bases in read_genome(genome, contig_names, models.chromosomes):
        del missing[name]
        on_contig = models.take(np.flatnonzero(contig == contig_names.index(name)))
        names = (
            column.to_pylist()
            for column in (on_contig.transcript_id, on_contig.gene_id, on_contig.gene_name, on_contig.biotype)
        )
        for (transcript_id, gene_id, gene_name, biotype), mrna in zip(
            zip(*names, strict=True), splice(on_contig, bases), strict=True
        ):
            yield Transcript(transcript_id, gene_id, gene_name, species, biotype, mrna)
    findings.noted.add("contigs of the annotation that the genome lacks", missing)
    for name in missing:
        lost = models.transcript_id.filter(pa.array(contig == contig_names.index(name)))
        findings.dropped.add("on contigs that the genome lacks", lost.to_pylist())


def listed_transcripts(
    fasta: Path, coordinates: Path, species: str, filters: Filters, findings: Findings, skip_species: frozenset[str]
) -> Iterator[Transcript]:
    """mRNAs of a FASTA with the CDS and exons that a coordinate table gives them, in the order of the FASTA.

    Rows of ``skip_species`` are left out. Ids that only one of the two files has, and mRNAs of unknown exons, are
    counted in ``findings``. Raises InputError if no id is in both, or if a sequence's length is not the table's.
    """
    table = read_coordinates(coordinates, species)
    row_of = {name: row for row, name in enumerate(table.transcript_id)}
    skipped = {row for row, name in enumerate(table.species) if name in skip_species}
    rows = filters.keep(table.transcript_id, table.biotype, table.length, None, findings.dropped)
    wanted = set(rows.tolist()) - skipped
    sequenced, rowless, exonless = set(), [], []
    for name, sequence in read_fasta(fasta):
        row = row_of.get(name)
        if row is None:
            rowless.append(name)
            continue
        sequenced.add(row)
        if len(sequence) != table.length[row]:
            raise InputError(
                f"{name} has {len(sequence):,} nt in {fasta} but {table.length[row]:,} in {coordinates}; use a table"
                " made for these sequences."
            )
        if row not in wanted:
            continue
        exon_ends = table.exon_ends[row]
        if not len(exon_ends):
            exonless.append(name)
        start, end = int(table.cds_start[row]), int(table.cds_end[row])
        cds = (start, end) if start >= 0 else None
        codes = annotate(encode_bases(sequence, f"{fasta}, {name}"), cds, exon_ends)
        yield Transcript(
            name, table.gene_id[row], table.gene_name[row], table.species[row], table.biotype[row],
            Mrna(codes, cds, exon_ends),
        )
    if not sequenced:
        raise InputError(
            f"no id of {fasta} ({', '.join(rowless[:3])}, ...) is a transcript_id of {coordinates}"
            f" ({', '.join(table.transcript_id[:3])}, ...); use a table made for these sequences."
        )
