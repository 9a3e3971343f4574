"""Ortholog and homolog tables as they are published, by the names that a spec has for their species."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orthrus.errors import InputError
from orthrus.genome.findings import Findings
from orthrus.prepare.gene_tables import RelationTable
from orthrus.prepare.species_names import SpeciesNames, stated_taxon
from orthrus.spec_file import File
from tests.damage import damage, deep, quick

NAMES = SpeciesNames(
    ["human", "mouse", "cat"], {"human": ["homo_sapiens", "9606"], "mouse": ["mus_musculus", "10090"], "dog": ["Dog"]}
)

OURS = """species_a\tgene_id_a\tspecies_b\tgene_id_b\thomology_type
human\tG1\tmouse\tM1\tone2one
chimp\tC1\tmouse\tM1\tone2many
"""
# columns and values as in Compara.*.homologies.tsv
COMPARA = (
    "gene_stable_id\tprotein_stable_id\tspecies\tidentity\thomology_type\thomology_gene_stable_id"
    "\thomology_protein_stable_id\thomology_species\thomology_identity\tdn\tds\tgoc_score\twga_coverage"
    "\tis_high_confidence\thomology_id\n"
    "ENSG1\tENSP1\thomo_sapiens\t90.1\tortholog_one2one\tENSMUSG1\tENSMUSP1\tmus_musculus\t88\tNULL\tNULL\t100\t100\t1\t5\n"
    "ENSG1\tENSP1\thomo_sapiens\t50.5\tother_paralog\tENSG2\tENSP2\thomo_sapiens\t40\tNULL\tNULL\tNULL\tNULL\t0\t6\n"
    "ENSG1\tENSP1\thomo_sapiens\t40\tortholog_one2many\tENSDARG1\tENSDARP1\tdanio_rerio\t40\tNULL\tNULL\t25\t0\t0\t7\n"
    "ENSMUSG2\tENSMUSP2\tmus_musculus\t80\tortholog_one2many\tENSG2\tENSP2\thomo_sapiens\t70\tNULL\tNULL\t75\t90\t1\t8\n"
)
BIOMART = (
    "Gene stable ID\tTranscript stable ID\tGene name\tMouse gene stable ID\tMouse gene name\tMouse homology type"
    "\tMouse orthology confidence [0 low, 1 high]\tNaked mole-rat female gene stable ID\tDog gene stable ID"
    "\tHuman paralogue gene stable ID\tHuman paralogue homology type\n"
    "G1\tT1\tA\tM1\tA\tortholog_one2one\t1\tH1\tD1\tG2\tother_paralog\n"
    "G3\tT3\tB\t\t\t\t\t\t\t\t\n"
)
HOMOLOGENE = (
    "3\t9606\t34\tACADM\t4557231\tNP_000007.1\n"
    "3\t10090\t11364\tAcadm\t6680618\tNP_031408.1\n"
    "3\t10090\t11365\tAcadm2\t6680619\tNP_031409.1\n"
    "3\t7955\t406283\tacadm\t390190229\tNP_998175.2\n"
    "5\t9606\t37\tACADVL\t4557235\tNP_000009.1\n"
)
GROUPS = "group\tspecies\tgene_id\nf1\thuman\tG1\nf1\tmouse\tM1\nf1\tchimp\tC1\nf2\thuman\tG2\n"

NCBI = (
    "#tax_id\tGeneID\trelationship\tOther_tax_id\tOther_GeneID\n"
    "9606\t34\tOrtholog\t10090\t11364\n10090\t11365\tOrtholog\t9606\t37\n"
    "9606\t34\tOrtholog\t7955\t406283\n9606\t5\tReadthrough parent\t9606\t6\n"
)
BIOMART_API = (
    "ensembl_gene_id\tensembl_gene_id_version\tmmusculus_homolog_ensembl_gene\tmmusculus_homolog_orthology_type\n"
    "G1\tG1.4\tM1\tortholog_one2one\nG1\tG1.4\tM1\tortholog_one2one\nG3\tG3.1\t\t\n"
)

Table = Callable[..., RelationTable]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    def write(text: str | bytes, species: str | None = None, by_symbol: bool = False) -> RelationTable:
        path = tmp_path / "table.tsv"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return RelationTable(File("table.tsv", path), species, by_symbol)

    return write


def rows(table: RelationTable, kind: str = "pairs") -> tuple[set[tuple[str, ...]], dict[str, int]]:
    findings = Findings()
    read = table.pairs(NAMES, findings) if kind == "pairs" else table.groups(NAMES, findings)
    found = {tuple(row.values()) for row in read.to_pylist()}
    if kind == "groups":
        assert len({group.split(":")[0] for *_, group in found}) == 1  # the file's checksum
        found = {(species, gene, group.split(":")[1]) for species, gene, group in found}
    return found, findings.noted.counts


FOREIGN = "rows of a table of genes about species that the spec does not name, ignored"
PARALOGS = "rows of an ortholog table that are of paralogs or other relatives, ignored"


def test_our_tables_name_species_as_the_published_ones_do(table: Table) -> None:
    for text in (OURS, OURS.replace("human", "Human").replace("mouse", "mus_musculus")):
        pairs, noted = rows(table(text))
        assert pairs == {("human", "G1", "mouse", "M1", "one2one")}
        assert noted == {FOREIGN: 1}
    for text in (GROUPS, GROUPS.replace("human", "9606").replace("mouse", "Mus musculus")):
        groups, noted = rows(table(text), "groups")
        assert groups == {("human", "G1", "f1"), ("mouse", "M1", "f1"), ("human", "G2", "f2")}
        assert noted == {FOREIGN: 1}


def test_compara(table: Table) -> None:
    pairs, noted = rows(table(COMPARA))
    assert pairs == {
        ("human", "ENSG1", "mouse", "ENSMUSG1", "ortholog_one2one"),
        ("mouse", "ENSMUSG2", "human", "ENSG2", "ortholog_one2many"),
    }
    assert noted == {FOREIGN: 1, PARALOGS: 1}


def test_biomart(table: Table) -> None:
    pairs, noted = rows(table(BIOMART, species="human"))
    assert pairs == {
        ("human", "G1", "mouse", "M1", "ortholog_one2one"),
        ("human", "G1", "dog", "D1", "ortholog"),
    }
    assert noted == {FOREIGN: 1, PARALOGS: 1}
    versions = BIOMART.replace("Gene stable ID\t", "Gene stable ID version\t").replace("G1\t", "G1.5\t")
    assert ("human", "G1.5", "dog", "D1", "ortholog") in rows(table(versions, species="human"))[0]
    with pytest.raises(InputError, match=r"give it as {table: table\.tsv, species: NAME}"):
        rows(table(BIOMART))
    with pytest.raises(InputError, match="no column such as 'Mouse gene stable ID'"):
        rows(table("Gene stable ID\tGene name\nG1\tA\n", species="human"))


def test_homologene(table: Table) -> None:
    pairs, noted = rows(table(HOMOLOGENE))
    assert pairs == {
        ("human", "34", "mouse", "11364", "ortholog_one2many"),
        ("human", "34", "mouse", "11365", "ortholog_one2many"),
    }
    assert noted == {FOREIGN: 1}
    assert ("human", "ACADM", "mouse", "Acadm", "ortholog_one2many") in rows(table(HOMOLOGENE, by_symbol=True))[0]
    groups, _ = rows(table(HOMOLOGENE), "groups")
    assert groups == {
        ("human", "34", "3"),
        ("mouse", "11364", "3"),
        ("mouse", "11365", "3"),
        ("human", "37", "5"),
    }


def test_ncbis_gene_orthologs(table: Table) -> None:
    for text in (NCBI, NCBI.removeprefix("#")):
        pairs, noted = rows(table(text))
        assert pairs == {("human", "34", "mouse", "11364", "ortholog"), ("mouse", "11365", "human", "37", "ortholog")}
        assert noted == {FOREIGN: 1, PARALOGS: 1}
    others = [
        "Readthrough child",
        "Region member",
        "Region parent",
        "Potential readthrough sibling",
        "Related pseudogene",
    ]
    text = NCBI + "".join(f"9606\t34\t{name}\t9606\t37\n" for name in others)
    assert rows(table(text)) == (pairs, {FOREIGN: 1, PARALOGS: 6})
    groups, _ = rows(table(NCBI), "groups")
    assert {gene for _, gene, _ in groups} == {"34", "11364", "11365", "37", "5", "6"}


def test_biomart_through_its_api(table: Table) -> None:
    pairs, _ = rows(table(BIOMART_API, species="human"))
    assert pairs == {("human", "G1", "mouse", "M1", "ortholog_one2one")}


@pytest.mark.parametrize(
    ("species", "name", "found"),
    [
        ("human", "9606", "human"),
        ("homo_sapiens", "Human", "homo_sapiens"),
        ("Mouse", "mmusculus", "Mouse"),
        ("dog", "Canis lupus familiaris", "dog"),
        ("yeast", "saccharomyces_cerevisiae", "yeast"),
        ("drosophila_melanogaster", "7227", "drosophila_melanogaster"),
        ("human", "10090", None),
        ("myspecies", "9606", None),
    ],
)
def test_well_known_species_need_no_aliases(species: str, name: str, found: str | None) -> None:
    assert SpeciesNames([species], {}).translate(pa.chunked_array([[name]])).to_pylist() == [found]


def test_aliases_come_before_what_an_annotation_states_and_that_before_what_is_well_known() -> None:
    names = SpeciesNames(["human", "new", "old"], {"old": ["9606"]}, {"new": "10090", "old": "7955"})
    asked = pa.chunked_array([["9606", "Human", "10090", "mus_musculus", "7955", "zebrafish"]])
    assert names.translate(asked).to_pylist() == ["old", "human", "new", "new", "old", "old"]


@pytest.mark.parametrize(
    ("line", "taxon"),
    [
        ("##species https://www.ncbi.nlm.nih.gov/Taxonomy/Browser/wwwtax.cgi?id=9606\n", "9606"),
        ("chr1\tRefSeq\tregion\t1\t9\t.\t+\t.\tID=a:1..9;Dbxref=taxon:10090;Name=1\n", "10090"),
        ("chr1\tRefSeq\tregion\t1\t9\t.\t+\t.\tID=a;Dbxref=BioSample:X1,taxon:7955\n", "7955"),
        ("chr1\tx\tgene\t1\t9\t.\t+\t.\tID=a;Dbxref=GeneID:9606\n", None),
    ],
)
def test_the_species_that_an_annotation_states(tmp_path: Path, line: str, taxon: str | None) -> None:
    (tmp_path / "a.gff3").write_text("##gff-version 3\n" + line)
    assert stated_taxon(tmp_path / "a.gff3") == taxon


def test_groups_as_pairs_and_pairs_as_groups(table: Table) -> None:
    pairs, _ = rows(table(GROUPS))
    assert pairs == {("human", "G1", "mouse", "M1", "ortholog_one2one")}
    groups, _ = rows(table(COMPARA), "groups")
    assert groups == {
        ("human", "ENSG1", "0"),
        ("mouse", "ENSMUSG1", "0"),
        ("human", "ENSG1", "1"),
        ("human", "ENSG2", "1"),
        ("mouse", "ENSMUSG2", "2"),
        ("human", "ENSG2", "2"),
    }


@given(
    members=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["human", "mouse", "cat"]), st.integers(0, 9)),
        min_size=1,
        unique=True,
    )
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pairs_of_groups_are_all_there_are(members: list[tuple[str, str, int]], table: Table) -> None:
    text = "group\tspecies\tgene_id\n" + "".join(f"{group}\t{s}\t{gene}\n" for group, s, gene in members)
    got, _ = rows(table(text))
    kinds = {1: "one2one", 2: "one2many", 3: "many2many"}
    expected = set()
    for group, species, gene in members:
        for other_group, other, other_gene in members:
            if group == other_group and species != other:
                n = [sum(g == group and s == name for g, s, _ in members) > 1 for name in (species, other)]
                ends = sorted([(species, str(gene)), (other, str(other_gene))])
                expected.add((*ends[0], *ends[1], f"ortholog_{kinds[1 + sum(n)]}"))
    assert {(*min(r[:2], r[2:4]), *max(r[:2], r[2:4]), r[4]) for r in got} == expected


@pytest.mark.parametrize(
    "text",
    [
        COMPARA.replace("homo_sapiens", "pan_paniscus").replace("mus_musculus", "rattus_norvegicus"),
        HOMOLOGENE.replace("9606", "1").replace("10090", "2"),
        OURS.replace("human", "hominid"),
        GROUPS.replace("human", "hominid").replace("mouse", "murine"),
    ],
)
def test_a_table_of_other_species_says_how_to_name_them(table: Table, text: str) -> None:
    with pytest.raises(InputError, match=r"every row is about a species .* not name \(.+\); say under `aliases`"):
        rows(table(text))


@pytest.mark.parametrize("text", ["", "a\tb\n", ">chr1\nACGT\n", OURS.split("\n")[0], "3\t9606\t34\tA\t1\tNP\n3\t1\n"])
def test_what_is_no_such_table(table: Table, text: str) -> None:
    for kind in ("pairs", "groups"):
        with pytest.raises(InputError, match=r"table\.tsv"):
            rows(table(text), kind)


SEEDS = {"ncbi": NCBI, "ours": OURS, "compara": COMPARA, "biomart": BIOMART, "homologene": HOMOLOGENE, "groups": GROUPS}


def returns_rows_or_the_error(data: st.DataObject, seed: str, table: Table) -> None:
    text = data.draw(damage(SEEDS[seed].encode()))
    damaged = table(text, data.draw(st.sampled_from([None, "human"])), data.draw(st.booleans()))
    with suppress(InputError):
        rows(damaged, data.draw(st.sampled_from(["pairs", "groups"])))


@pytest.mark.parametrize("seed", SEEDS)
@given(data=st.data())
@quick
def test_any_damage_gives_rows_or_the_error(seed: str, data: st.DataObject, table: Table) -> None:
    returns_rows_or_the_error(data, seed, table)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@given(data=st.data())
@deep
def test_any_damage_at_length(seed: str, data: st.DataObject, table: Table) -> None:
    returns_rows_or_the_error(data, seed, table)
