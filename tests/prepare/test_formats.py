"""Specs of every annotation format and ortholog source, from files to a store."""

import gzip
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from orthrus import TranscriptStore
from orthrus.errors import InputError
from orthrus.prepare import open_or_prepare, prepare
from orthrus.store import merge_stores
from tests.oracles.annotation import UCSC_FORMATS, Model, bed12, gene_pred_ext, gtf
from tests.store.test_merge import same

BASES = "".join(random.Random(7).choices("ACGT", k=4000))
HUMAN = [
    Model("ENST00000000001.2", "ENSG00000000001.9", "chr1", "+", ((0, 120), (200, 330)), (30, 240)),
    Model("ENST00000000002.1", "ENSG00000000001.9", "chr1", "+", ((0, 120), (200, 300)), (30, 210)),
    Model("ENST00000000003.1", "ENSG00000000002.1", "chr1", "-", ((1000, 1210),), (0, 210)),
    Model("NM_000004.1", "GENE4", "chr1", "+", ((2000, 2210),), (0, 210)),
]


def named(model: Model, name: str) -> Model:
    return Model(name, "", model.contig, model.strand, model.exons, model.cds)


DOG = [
    named(HUMAN[0], "ENST00000000001.2.AAA.7"),
    named(HUMAN[1], "ENST00000000002.1.AAA.7"),
    named(HUMAN[2], "ENST00000000003.BBB.8"),  # without its version
    Model("ENST00000000003.BBB.9", "", "chr1", "-", ((3000, 3210),), (0, 210)),
    Model("ENST00000000009.CCC.1", "", "chr1", "+", ((3300, 3510),), (0, 210)),  # the reference lacks it
    Model("NM_000004#GENE4#3", "", "chr1", "+", ((2000, 2210),), (0, 210)),
    Model("NM_000004#GENE4#5#paralog", "", "chr1", "+", ((2500, 2710),), (0, 210)),
]
ORTHOLOGY = """t_gene\tt_transcript\tq_gene\tq_transcript\torthology_class
ENSG00000000001\tENST00000000001.2.AAA\treg_1\tENST00000000001.2.AAA.7\tone2one
ENSG00000000001\tENST00000000002.1.AAA\treg_1\tENST00000000002.1.AAA.7\tone2one
ENSG00000000002\tENST00000000003.BBB\treg_2\tENST00000000003.BBB.8\tone2many
ENSG00000000002\tENST00000000003.BBB\treg_3\tENST00000000003.BBB.9\tone2many
ENSG00000000007\tENST00000000007.ZZZ\tNone\tNone\tone2zero
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "input"
    folder.mkdir()
    (folder / "genome.fa").write_text(f">chr1\n{BASES}\n")
    write(folder / "human.gtf", gtf, HUMAN)
    write(folder / "dog.bed", bed12, DOG)
    (folder / "orthology.tsv").write_text(ORTHOLOGY)
    return folder


def write(path: Path, format: Callable[[Model], list[str]], models: list[Model]) -> None:
    path.write_text("".join(f"{line}\n" for model in models for line in format(model)))


def build(folder: Path, document: dict[str, Any], name: str = "store") -> TranscriptStore:
    (folder / "spec.yaml").write_text(yaml.safe_dump({"filters": {"biotypes": "all"}, **document}, sort_keys=False))
    prepare(folder / "spec.yaml", folder.parent / name, overwrite=True)
    return TranscriptStore.open(folder.parent / name)


HUMAN_SOURCE = {"annotation": "human.gtf", "genome": "genome.fa"}
DOG_SOURCE = {"annotation": "dog.bed", "genome": "genome.fa", "reference": "human"}


def pairs(store: TranscriptStore) -> set[tuple[str, ...]]:
    return {tuple(row.values()) for row in store.orthologs.to_pylist()}


def test_orthologs_come_out_of_togas_names(folder: Path) -> None:
    store = build(folder, {"species": {"human": HUMAN_SOURCE, "dog": DOG_SOURCE}})
    one, two, more = "ENSG00000000001.9", "ENSG00000000002.1", "ENST00000000003.BBB."
    assert pairs(store) == {
        ("human", one, "dog", "ENST00000000001.2.AAA.7", "ortholog_one2one"),
        ("human", two, "dog", f"{more}8", "ortholog_one2many"),
        ("human", two, "dog", f"{more}9", "ortholog_one2many"),
        ("human", "GENE4", "dog", "NM_000004#GENE4#3", "ortholog_one2one"),
    }
    family = dict(zip(store.column("transcript_id"), store.column("family_id"), strict=True))
    assert {name for name, f in family.items() if f == f"human:{two}"} == {"ENST00000000003.1", f"{more}8", f"{more}9"}
    assert family["ENST00000000002.1.AAA.7"] == f"human:{one}"
    assert store.meta["counts"]["ortholog_gene_pairs_unknown_gene"] == 0
    assert any("1 TOGA projections of transcripts that human does not have" in w for w in store.meta["warnings"])
    gene_names = dict(zip(store.column("transcript_id"), store.column("gene_name"), strict=True))
    assert gene_names["ENST00000000003.BBB.9"] == "BBB"


def test_togas_reference_may_be_mrnas_with_their_annotation(folder: Path) -> None:
    spliced = build(folder, {"species": {"human": HUMAN_SOURCE, "dog": DOG_SOURCE}})
    human = [i for i, species in enumerate(spliced.column("species")) if species == "human"]
    names = spliced.column("transcript_id")
    (folder / "human.fa").write_text("".join(f">{names[i]}\n{spliced.sequence(i)}\n" for i in human))
    mrnas = {"transcripts": "human.fa", "coordinates": "human.gtf"}
    assert pairs(build(folder, {"species": {"human": mrnas, "dog": DOG_SOURCE}}, "mrnas")) == pairs(spliced)


def test_orthologs_come_out_of_togas_table(folder: Path) -> None:
    dog = {**DOG_SOURCE, "orthology": "orthology.tsv"}
    store = build(folder, {"species": {"human": HUMAN_SOURCE, "dog": dog}})
    assert pairs(store) == {
        ("human", "ENSG00000000001.9", "dog", "reg_1", "ortholog_one2one"),
        ("human", "ENSG00000000002.1", "dog", "reg_2", "ortholog_one2many"),
        ("human", "ENSG00000000002.1", "dog", "reg_3", "ortholog_one2many"),
    }
    genes = dict(zip(store.column("transcript_id"), store.column("gene_id"), strict=True))
    assert genes["ENST00000000002.1.AAA.7"] == "reg_1"
    assert genes["ENST00000000009.CCC.1"] == "ENST00000000009.CCC.1"  # the table does not list it
    by_symbol = ORTHOLOGY.replace("ENSG00000000001", "AAA").replace("ENSG00000000002", "BBB")
    (folder / "orthology.tsv").write_text(by_symbol)  # as where TOGA's isoforms file has symbols: transcripts tell
    assert pairs(build(folder, {"species": {"human": HUMAN_SOURCE, "dog": dog}})) == pairs(store)
    (folder / "orthology.tsv").write_text(ORTHOLOGY)
    alone = build(folder, {"species": {"dog": dog}})  # a shard: its pairs wait for the human's
    assert alone.meta["counts"]["ortholog_gene_pairs_unknown_gene"] == 3


def test_the_chain_of_a_projection_is_no_version(folder: Path) -> None:
    chains = [named(HUMAN[2], "ENST00000000003.8"), Model("ENST00000000003.9", "", "chr1", "-", ((3000, 3210),), None)]
    write(folder / "dog.bed", bed12, chains)
    (folder / "orthology.tsv").write_text(ORTHOLOGY.replace(".BBB", "").replace("00003.9", "00004.9"))
    store = build(folder, {"species": {"human": HUMAN_SOURCE, "dog": {**DOG_SOURCE, "orthology": "orthology.tsv"}}})
    genes = dict(zip(store.column("transcript_id"), store.column("gene_id"), strict=True))
    assert genes["ENST00000000003.8"] == "reg_2"
    assert genes["ENST00000000003.9"] == "ENST00000000003.9"


@pytest.mark.parametrize(
    ("dog", "message"),
    [
        ({**DOG_SOURCE, "reference": "humn"}, "reference is 'humn'; expected one of the spec's species (human, dog)"),
        (
            {"annotation": "dog.bed", "genome": "genome.fa", "orthology": "orthology.tsv"},
            "it has `orthology` without `reference`",
        ),
        ({**DOG_SOURCE, "format": "gtf"}, "`reference` goes with an annotation by TOGA"),
        ({**DOG_SOURCE, "format": "gft"}, "format is 'gft'; expected one of gtf, gff3, bed12"),
        ({"transcripts": "dog.bed", "coordinates": "dog.bed", "format": "bed12"}, "expected `annotation` and `genome`"),
        ({**DOG_SOURCE, "annotation": "human.gtf"}, "human.gtf names the genes of its transcripts"),
        ({**DOG_SOURCE, "orthology": "dog.bed"}, "dog.bed has no column"),
    ],
)
def test_toga_that_cannot_be_used(folder: Path, dog: dict[str, str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        build(folder, {"species": {"human": HUMAN_SOURCE, "dog": dog}})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (folder.parent / "store").exists()


@pytest.mark.parametrize("format", UCSC_FORMATS, ids=lambda format: format.__name__)
def test_bad_annotation_leaves_nothing(folder: Path, format: Callable[[Model], list[str]]) -> None:
    beyond = Model("T", "G", "chr1", "+", ((3700, 4001),), None)
    path, document = folder / "human.txt", {"species": {"human": {**HUMAN_SOURCE, "annotation": "human.txt"}}}
    write(path, format, [*HUMAN, beyond])
    (folder / "spec.yaml").touch()
    text, before = path.read_bytes(), set(folder.parent.rglob("*"))
    damage = {
        "such as T, whose last exon ends at base 4,001 of chr1, which has 4,000 bases": text,
        f"line {len(HUMAN) + 1}: ": text[: text.rindex(b"3700")],
        "truncated gzip": gzip.compress(text)[:-9],
        "none of the annotation's contigs": text.replace(b"chr1", b"chr7"),
    }
    for message, data in damage.items():
        path.write_bytes(data)
        with pytest.raises(InputError) as caught:
            build(folder, document)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
        assert set(folder.parent.rglob("*")) == before


def test_every_format_gives_the_same_store(folder: Path) -> None:
    table = "transcript_id\tgene_id\n" + "".join(f"{m.transcript_id}\t{m.gene_id}\n" for m in HUMAN)
    (folder / "genes.tsv").write_text(table)
    stores = {}
    for format in (gtf, *UCSC_FORMATS):
        write(folder / "human.annotation", format, HUMAN)
        source = {"annotation": "human.annotation", "genome": "genome.fa", "genes": "genes.tsv"}
        stores[format.__name__] = build(folder, {"species": {"human": source}}, format.__name__)
    expected = stores.pop("gtf")
    for name, store in stores.items():
        assert (store.path / "codes.u8").read_bytes() == (expected.path / "codes.u8").read_bytes(), name
        columns = [c for c in store.transcripts.column_names if c != "gene_name"]
        assert store.transcripts.select(columns).equals(expected.transcripts.select(columns)), name


def test_embedding_takes_every_format(folder: Path) -> None:
    write(folder / "human.txt", gene_pred_ext, HUMAN)
    with open_or_prepare(folder / "human.txt", genome=folder / "genome.fa") as store:
        assert store.column("transcript_id") == [model.transcript_id for model in HUMAN]
        assert store.sequence(2) == HUMAN[2].sequence({"chr1": BASES})
    with open_or_prepare(folder / "dog.bed", genome=folder / "genome.fa") as store:
        assert store.column("gene_name")[0] == "AAA"


def test_headers_instead_of_coordinates(folder: Path) -> None:
    sequence = HUMAN[0].sequence({"chr1": BASES})
    (folder / "pc.fa").write_text(f">ENST1.1|ENSG1.1|-|-|A-201|A|{len(sequence)}|CDS:31-240|\n{sequence}\n")
    store = build(folder, {"species": {"human": {"transcripts": "pc.fa"}}})
    with open_or_prepare(folder / "pc.fa") as other:
        for made in (store, other):
            row = made.transcripts.to_pylist()[0]
            assert (row["transcript_id"], row["gene_id"], row["cds_start"], row["cds_end"]) == (
                "ENST1.1",
                "ENSG1.1",
                30,
                240,
            )
            assert made.sequence(0) == sequence
    (folder / "pc.fa").write_text(f">NM_1.1 other headers\n{sequence}\n")
    with pytest.raises(InputError, match="give the coordinates of the sequences as a table"):
        build(folder, {"species": {"human": {"transcripts": "pc.fa"}}})


def test_tables_of_orthologs_and_homologs_by_their_own_names(folder: Path) -> None:
    write(folder / "mouse.bed", bed12, [named(HUMAN[0], "M1"), named(HUMAN[2], "M2"), named(HUMAN[3], "M3")])
    (folder / "mart.tsv").write_text(
        "Gene stable ID\tMouse gene stable ID\tMouse homology type\nENSG00000000001\tM1\tortholog_one2one\n"
        "ENSG00000000099\tM2\tortholog_one2one\n"
    )
    (folder / "homologene.data").write_text("9\t9606\t4\tGENE4\t1\tNP_1\n9\t10090\t5\tM3\t2\tNP_2\n")
    (folder / "groups.tsv").write_text("species\tgene_id\tgroup\nhuman\tENSG00000000002.1\tx\nmouse\tM2\tx\n")
    document = {
        "species": {"human": HUMAN_SOURCE, "mouse": {"annotation": "mouse.bed", "genome": "genome.fa"}},
        "aliases": {"human": [9606], "mouse": ["10090"]},
        "orthologs": [{"table": "mart.tsv", "species": "human"}, {"table": "homologene.data", "by": "symbol"}],
        "homologs": ["groups.tsv"],
    }
    store = build(folder, document)
    assert pairs(store) == {
        ("human", "ENSG00000000001.9", "mouse", "M1", "ortholog_one2one"),
        ("human", "GENE4", "mouse", "M3", "ortholog_one2one"),
    }
    assert store.meta["counts"]["ortholog_gene_pairs_unknown_gene"] == 1
    family = dict(zip(store.column("gene_id"), store.column("family_id"), strict=True))
    assert family["M2"] == family["ENSG00000000002.1"]
    assert {source["path"] for source in store.meta["sources"]} >= {"mart.tsv", "homologene.data", "groups.tsv"}
    for change, message in [
        ({"aliases": ["mouse"]}, "aliases: found ['mouse']"),
        ({"aliases": {"mouse": "Mouse"}}, "mouse is 'Mouse'; expected a list, such as [Mouse]"),
        ({"orthologs": [{"table": "mart.tsv", "species": "rat"}]}, "species is 'rat'; expected one of the spec's"),
        ({"orthologs": [{"table": "mart.tsv", "by": "name"}]}, "by is 'name'; expected `id` or `symbol`"),
        ({"orthologs": [{"tabel": "mart.tsv"}]}, "unknown key 'tabel' (did you mean 'table'?)"),
        ({"homologs": ["none.tsv"]}, "none.tsv does not exist"),
    ]:
        with pytest.raises(InputError) as caught:
            build(folder, {**document, **change})
        assert message in str(caught.value)


@pytest.mark.parametrize("orthology", [{}, {"orthology": "orthology.tsv"}])
def test_shards_of_a_reference_and_its_projections_merge_into_the_whole(
    folder: Path, orthology: dict[str, str]
) -> None:
    whole = build(folder, {"species": {"human": HUMAN_SOURCE, "dog": {**DOG_SOURCE, **orthology}}})
    shards = [folder.parent / species for species in ("human", "dog")]
    for shard in shards:
        prepare(folder / "spec.yaml", shard, species=[shard.name])
    same(merge_stores(shards, folder.parent / "merged"), whole)


def test_families_are_joined_by_sequence_and_the_shards_of_a_spec_merge_into_the_whole(folder: Path) -> None:
    copied = [Model(f"C{m.transcript_id}", f"C{m.gene_id}", m.contig, m.strand, m.exons, m.cds) for m in HUMAN]
    write(folder / "copy.gtf", gtf, copied)
    document = {"species": {"human": HUMAN_SOURCE, "copy": {**HUMAN_SOURCE, "annotation": "copy.gtf"}}}
    whole = build(folder, document)
    family = dict(zip(whole.column("transcript_id"), whole.column("family_id"), strict=True))
    assert {family[f"C{m.transcript_id}"] for m in HUMAN} == {family[m.transcript_id] for m in HUMAN}
    assert whole.meta["similar_sequences"] == {"genes": 6, "families": 3, "fewer": 3}
    shards = [folder.parent / species for species in ("human", "copy")]
    for shard in shards:
        prepare(folder / "spec.yaml", shard, species=[shard.name])
    same(merge_stores(shards, folder.parent / "merged"), whole)
    apart = build(folder, {**document, "join_similar": False}, "apart")
    assert len(set(apart.column("family_id"))) == 6
    with pytest.raises(InputError, match="join_similar is 'no thanks'; expected true or false"):
        build(folder, {**document, "join_similar": "no thanks"})


def test_genetic_codes_by_species_and_contig(folder: Path) -> None:
    (folder / "genome.fa").write_text(f">chr1\n{BASES}\n>chrM\n{BASES}\n")
    on_m = [Model(f"M{m.transcript_id}", f"M{m.gene_id}", "chrM", m.strand, m.exons, m.cds) for m in HUMAN]
    write(folder / "human.gtf", gtf, [*HUMAN, *on_m])

    def codes(genetic_code: object) -> dict[str, set[int]]:
        store = build(folder, {"species": {"human": {**HUMAN_SOURCE, "genetic_code": genetic_code}}})
        table = store.transcripts
        on_chr_m = [name.startswith("M") for name in store.column("transcript_id")]
        return {
            contig: {code for code, is_m in zip(table["genetic_code"].to_pylist(), on_chr_m, strict=True) if is_m == m}
            for contig, m in (("chr1", False), ("chrM", True))
        }

    assert codes(1) == {"chr1": {1}, "chrM": {1}}
    assert codes(12) == {"chr1": {12}, "chrM": {12}}
    for name in ("MT", "M", "chrM"):
        assert codes({name: 2}) == {"chr1": {1}, "chrM": {2}}
    assert codes({"default": 12, "MT": 3}) == {"chr1": {12}, "chrM": {3}}
    for wrong in (7, "2", {"MT": "two"}, [2]):
        with pytest.raises(InputError, match="expected the number of one of NCBI's translation tables"):
            codes(wrong)


@pytest.mark.parametrize("stated", ["gff3", "gtf"])
def test_the_annotation_states_a_genetic_code_unless_the_spec_does(folder: Path, stated: str) -> None:
    """NCBI's `transl_table` on the CDS rows of organelles and of what is not translated by the standard code."""
    (folder / "genome.fa").write_text("".join(f">{contig}\n{BASES}\n" for contig in ("n1", "m1", "x1")))
    attributes = {
        "gff3": "ID=cds{0};Parent=t{0}{1}",
        "gtf": 'transcript_id "t{0}"; gene_id "g{0}";{1}',
    }[stated]
    table = {"gff3": ";transl_table={}", "gtf": ' transl_table "{}";'}[stated]

    def rows(contig: str, start: int, more: str) -> str:
        name = f"{contig}{start}"
        return "".join(
            f"{contig}\tRefSeq\t{kind}\t{start}\t{start + 299}\t.\t+\t{phase}\t{text}\n"
            for kind, phase, text in (
                *([("mRNA", ".", f"ID=t{name};Parent=g{name}")] if stated == "gff3" else []),
                ("exon", ".", attributes.format(name, "")),
                ("CDS", "0", attributes.format(name, more)),
            )
        )

    (folder / "human.gtf").write_text(
        rows("n1", 1, "") + rows("m1", 1, table.format(2)) + rows("m1", 1001, "") + rows("x1", 1, table.format(99))
    )

    def codes(**more: object) -> dict[str, int]:
        store = build(folder, {"species": {"human": {**HUMAN_SOURCE, **more}}})
        return dict(zip(store.column("transcript_id"), store.transcripts["genetic_code"].to_pylist(), strict=True))

    assert codes() == {"tn11": 1, "tm11": 2, "tm11001": 2, "tx11": 1}
    assert codes(genetic_code={"x1": 11}) == {"tn11": 1, "tm11": 2, "tm11001": 2, "tx11": 11}
    assert codes(genetic_code={"m1": 5}) == {"tn11": 1, "tm11": 5, "tm11001": 5, "tx11": 1}
    assert set(codes(genetic_code=12).values()) == {12}
    assert set(codes(genetic_code={"default": 12}).values()) == {12}


def test_geneids_of_ncbis_tables_are_found_where_genes_go_by_other_ids(folder: Path) -> None:
    """RefSeq's GTF names genes by symbol and says the GeneID beside it, MANE's GFF3 has Ensembl's gene_id."""
    place = "\t1\t300\t.\t+\t.\t"
    refs = 'db_xref "GenBank:NM_1.1"; db_xref "GeneID:{}"; gbkey "mRNA";'
    (folder / "human.gtf").write_text(
        f'chr1\tR\tgene{place}gene_id "AAA"; transcript_id ""; {refs.format(11)}\n'
        f'chr1\tR\texon{place}gene_id "AAA"; transcript_id "NM_1.1"; {refs.format(11)}\n'
        f'chr1\tR\texon{place}gene_id "AAA_1"; transcript_id "NM_1.2"; {refs.format(11)}\n'
    )
    (folder / "mouse.gff3").write_text(
        f"chr1\tR\tmRNA{place}ID=t;gene_id=ENSG5.2;Dbxref=Ensembl:ENST5,GeneID:22\nchr1\tR\texon{place}Parent=t\n"
    )
    (folder / "dog.gtf").write_text(f'chr1\tR\texon{place}gene_id "33"; transcript_id "NM_3.1";\n')
    (folder / "gene_orthologs").write_text(
        "#tax_id\tGeneID\trelationship\tOther_tax_id\tOther_GeneID\n"
        "9606\t11\tOrtholog\t10090\t22\n9606\t11\tOrtholog\t9615\t33\n9606\t12\tOrtholog\t9615\t33\n"
    )
    files = {"human": "human.gtf", "mouse": "mouse.gff3", "dog": "dog.gtf"}
    species = {name: {"annotation": file, "genome": "genome.fa"} for name, file in files.items()}
    store = build(folder, {"species": species, "orthologs": ["gene_orthologs"], "join_similar": False})
    assert pairs(store) == {
        ("human", "AAA", "mouse", "ENSG5.2", "ortholog"), ("human", "AAA", "dog", "33", "ortholog")
    }  # fmt: skip
    assert store.meta["counts"]["ortholog_gene_pairs_unknown_gene"] == 1
    (folder / "homologs.tsv").write_text("1\t9606\t11\tAAA\t1\tP\n1\t9615\t33\tAAA\t1\tP\n")
    store = build(folder, {"species": species, "homologs": ["homologs.tsv"], "join_similar": False})
    family = dict(zip(store.column("gene_id"), store.column("family_id"), strict=True))
    assert family["AAA"] == family["33"] != family["ENSG5.2"]


def test_ncbis_orthologs_by_the_species_that_annotations_state(folder: Path) -> None:
    def gff3(taxon: int, gene: int, start: int) -> str:
        place = f"\t{start + 1}\t{start + 300}\t.\t+\t.\t"
        return (
            f"##gff-version 3\nchr1\tRefSeq\tregion\t1\t4000\t.\t+\t.\tID=chr1:1..4000;Dbxref=taxon:{taxon}\n"
            f"chr1\tR\tgene{place}ID=gene-A;Dbxref=GeneID:{gene}\n"
            f"chr1\tR\tmRNA{place}ID=rna-N{gene};Parent=gene-A;Dbxref=GeneID:{gene}\n"
            f"chr1\tR\texon{place}ID=e;Parent=rna-N{gene}\n"
        )

    (folder / "a.gff3").write_text(gff3(900001, 11, 0))
    (folder / "b.gff3").write_text(gff3(900002, 22, 1000))
    (folder / "gene_orthologs").write_text(
        "#tax_id\tGeneID\trelationship\tOther_tax_id\tOther_GeneID\n900002\t22\tOrtholog\t900001\t11\n"
    )
    species = {name: {"annotation": f"{name}.gff3", "genome": "genome.fa"} for name in "ab"}
    store = build(folder, {"species": species, "orthologs": ["gene_orthologs"]})
    assert pairs(store) == {("b", "22", "a", "11", "ortholog")}
