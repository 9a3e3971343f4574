"""TOGA's orthology table and genes' tables, damaged."""

from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given

from orthrus.errors import InputError
from orthrus.genome.genes import read_genes
from orthrus.prepare.toga_orthologs import ReferenceGenes, pairs_of_table
from tests.damage import damage, deep, quick

TABLE = (
    b"t_gene\tt_transcript\tq_gene\tq_transcript\torthology_class\n"
    b"ENSG00000000001\tENST00000000001.AAA\treg_1\tENST00000000001.AAA.7\tone2one\n"
    b"GENE2\tNM_2.1#GENE2\tNone\tNone\tone2zero\n"
)
GENES = ReferenceGenes(*(pa.array([name]) for name in ("ENST00000000001.2", "ENSG00000000001.1", "AAA")))


def returns_rows_or_the_error(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    with suppress(InputError):
        pairs = pairs_of_table(path, "lion", "human", GENES)
        assert not pairs["gene_id_b"].null_count
    with suppress(InputError):
        genes = read_genes(path)
        assert genes.rows["gene_id"].null_count == 0


@given(text=damage(TABLE))
@quick
def test_any_damage_gives_rows_or_the_error(tmp_path: Path, text: bytes) -> None:
    returns_rows_or_the_error(tmp_path / "t.tsv", text)


@pytest.mark.slow
@given(text=damage(TABLE))
@deep
def test_any_damage_at_length(tmp_path: Path, text: bytes) -> None:
    returns_rows_or_the_error(tmp_path / "t.tsv", text)
