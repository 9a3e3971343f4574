from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from orthrus.genome.codes import annotate, encode_bases
from orthrus.store import ORTHOLOG_SCHEMA, StoreBuilder, TranscriptStore
from tests.builders import build_store, random_mrna


def _add(builder: StoreBuilder, species: str, gene: str, isoform: int, length: int, cds: tuple[int, int]) -> None:
    generator = np.random.default_rng(length)
    builder.add(
        annotate(encode_bases(random_mrna(generator, length, cds), "test"), cds, [length]),
        transcript_id=f"{species}.{gene}.{isoform}",
        gene_id=gene,
        species=species,
        cds=cds,
        exon_ends=[length],
    )


def _of_lengths(path: Path, genes: list[list[int]]) -> TranscriptStore:
    """A gene a list, of transcripts of the lengths listed."""
    with StoreBuilder(path) as builder:
        for gene, lengths in enumerate(genes):
            for isoform, length in enumerate(lengths):
                _add(builder, "human", f"g{gene}", isoform, length, (6, 6 + 3 * ((length - 9) // 6)))
        builder.finish()
    return TranscriptStore.open(path)


def _of_long_orthologs(path: Path) -> TranscriptStore:
    """Human genes of 100 nt, 70 of them UTRs, whose orthologs are coding sequences of 30 to 150 nt alone."""
    with StoreBuilder(path) as builder:
        for gene in range(40):
            _add(builder, "human", f"h{gene}", 0, 100, (20, 50))
            _add(builder, "mouse", f"m{gene}", 0, 30 + 3 * gene, (0, 30 + 3 * gene))
        rows = [("human", f"h{gene}", "mouse", f"m{gene}", "ortholog_one2one") for gene in range(40)]
        builder.finish(pa.table(list(zip(*rows, strict=True)), schema=ORTHOLOG_SCHEMA))
    return TranscriptStore.open(path)


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TranscriptStore]:
    """Stores that planning may find easy or hard."""
    folder = tmp_path_factory.mktemp("stores")
    generator = np.random.default_rng(0)
    wide = [[int(length)] * 2 for length in np.exp(generator.uniform(np.log(30), np.log(1000), 150))]
    return {
        "like": build_store(folder / "like", n_genes=40),
        "grafted": build_store(folder / "grafted", n_genes=40, cds_only_species=True),
        "long orthologs": _of_long_orthologs(folder / "orthologs"),
        "wide": _of_lengths(folder / "wide", wide),
        "one family above all": _of_lengths(folder / "one", [[100] * 60, [150, 90], [400]]),
        "two families": _of_lengths(folder / "two", [[50, 60, 200], [80, 300]]),
    }
