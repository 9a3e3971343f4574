"""Filters of transcripts, applied to their table before any sequence is read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from orthrus.genome.findings import Tally
from orthrus.genome.sequence import is_primary


@dataclass(frozen=True)
class Filters:
    """Keeps transcripts of these biotypes (None: all) and lengths (nt), and those not of ``skip_species``.

    ``primary_contigs`` keeps transcripts on chromosomes only (:func:`orthrus.genome.sequence.is_primary`).
    """

    biotypes: frozenset[str] | None = frozenset({"protein_coding"})
    min_length: int = 200
    max_length: int = 12_288
    primary_contigs: bool = False
    skip_species: frozenset[str] = frozenset()

    def keep(
        self,
        dropped: Tally,
        *,
        transcript_ids: Sequence[str],
        biotypes: Sequence[str],
        lengths: NDArray[np.int64],
        species: Sequence[str] | None = None,
        contigs: Sequence[str] | None = None,
        chromosomes: Mapping[str, str] | None = None,
    ) -> NDArray[np.int64]:
        """The rows to keep, int64, ascending; ``dropped`` counts every other row under the first reason that applies.

        ``chromosomes`` gives the chromosome of each contig, as the annotation states it.
        """
        known = chromosomes or {}
        secondary = {
            name for name in set(contigs or ()) if self.primary_contigs and not is_primary(name, known.get(name))
        }
        kept: list[int] = []
        refused: dict[str, list[str]] = {}
        columns: Iterator[tuple[str, int, str | None, str | None]] = zip(
            biotypes, lengths.tolist(), species or repeat(None), contigs or repeat(None), strict=False
        )
        for row, (biotype, length, name, contig) in enumerate(columns):
            reason = None
            if name in self.skip_species:
                reason = f"of species {name}, skipped"
            elif contig in secondary:
                reason = "on contigs that are not chromosomes"
            elif self.biotypes is not None and biotype not in self.biotypes:
                reason = f"of biotype {biotype or '(none)'}"
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
