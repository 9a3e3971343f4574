"""Names of genes and transcripts: what only some files add to them, and joins of which one side has it."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthrus.genome.names import find, one_gene, without_prefix


def rows(names: list[str | None], among: list[str], groups: tuple[list[str], list[str]] | None = None) -> list[int]:
    columns = tuple(pa.array(group) for group in groups) if groups else None
    return find(pa.array(names, pa.string()), pa.array(among, pa.string()), columns).to_pylist()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given_name", "bare"),
    [
        ("gene:ENSG00000139618", "ENSG00000139618"),
        ("transcript:ENST00000380152", "ENST00000380152"),
        ("Gene:WBGene00000001", "WBGene00000001"),
        ("Transcript:Y74C9A.3.1", "Y74C9A.3.1"),
        ("CDS:Y74C9A.3", "Y74C9A.3"),
        ("mRNA:Solyc00g005000.3.1", "Solyc00g005000.3.1"),
        ("rna-NM_000059.4", "NM_000059.4"),
        ("gene-BRCA2", "BRCA2"),
        ("cds-NP_000050.3", "NP_000050.3"),
        ("genetic", "genetic"),
        ("HGNC:1101", "HGNC:1101"),
        ("Rna-seq", "Rna-seq"),
    ],
)
def test_the_kind_of_feature_is_no_part_of_a_name(given_name: str, bare: str) -> None:
    assert without_prefix(pa.array([given_name])).to_pylist() == [bare]


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("ENSG00000182378", "ENSG00000182378.15"),
        ("ENSG00000182378.14", "ENSG00000182378.15"),
        ("ENSMUSG00000064351.3", "ENSMUSG00000064351"),
        ("ENSG00000182378.15_2", "ENSG00000182378"),
        ("gene:ENSG00000182378", "ENSG00000182378.15"),
        ("NM_000059", "NM_000059.4"),
        ("MGP_C57BL6NJ_G0012345", "MGP_C57BL6NJ_G0012345.1"),
        ("Solyc00g005000", "Solyc00g005000.3"),
        ("Solyc00g005000.3", "Solyc00g005000"),
        ("AT1G01010.1", "AT1G01010"),
    ],
)
def test_a_version_may_be_on_one_side_only(name: str, known: str) -> None:
    assert rows([name], ["other", known]) == [1]
    assert rows(["b"], ["b"]) == rows(["b", name], ["b", known])[:1]


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("STRG.1", ["STRG.2", "STRG.3"]),  # numbers of genes, not versions
        ("STRG", ["STRG.2", "STRG.3"]),  # two to choose from
        ("evm.TU.scaffold12345.67", ["evm.TU.scaffold12345.68"]),
        ("ENSG00000182378", ["ENSG00000182379.1"]),
        (None, ["None", ""]),
    ],
)
def test_what_is_another_name_is_not_found(name: str | None, known: list[str]) -> None:
    assert rows([name], known) == [None]


def test_names_are_found_within_their_species() -> None:
    assert rows(["A.1", "A", "A"], ["A", "A.1"], (["x", "y", "z"], ["x", "y"])) == [0, 1, None]


@given(st.lists(st.text("AB.1_", min_size=1), min_size=1, unique=True))
def test_a_name_that_is_there_is_found_as_it_is(names: list[str]) -> None:
    assert rows(names, names) == list(range(len(names)))


def test_versions_and_copies_on_the_y_chromosome_are_one_gene() -> None:
    ids = ["ENSG00000182378.15", "ENSG00000182378.14_PAR_Y", "ENSGR0000182378.10", "ENSG00000182378_PAR_Y"]
    assert set(one_gene(pa.array(ids)).to_pylist()) == {"ENSG00000182378"}
    others = ["STRG.1", "STRG.2", "evm.TU.scaffold12345.67", "ENSG00000182379"]
    assert one_gene(pa.array(others)).to_pylist() == others
