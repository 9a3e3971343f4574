"""The specs of published data run, on small files written here in the formats that they name."""

import gzip
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from orthrus import TranscriptStore
from orthrus.genome.codes import decode_bases
from orthrus.prepare import prepare
from tests.oracles.annotation import Model, bed12, ensembl_gff3, gene_pred_ext_bin, gtf, ref_flat
from tests.oracles.twobit import two_bit

BASES = "".join(random.Random(3).choices("ACGT", k=3000))
GENES = {"GA": ("+", ((0, 150), (300, 400)), (10, 220)), "GB": ("-", ((500, 800),), (30, 270))}


def models(gene_id: str, name: str) -> list[Model]:
    """The genes' transcripts, named by patterns of the ``symbol`` and the number ``n`` of the gene."""
    return [
        Model(name.format(n=n, symbol=symbol), gene_id.format(n=n, symbol=symbol), "chr1", *structure)
        for n, (symbol, structure) in enumerate(GENES.items(), start=1)
    ]


def text(write: Callable[[Model], list[str]], stated: list[Model]) -> str:
    return "".join(f"{line}\n" for model in stated for line in write(model))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("ORTHRUS_DATA", str(folder))
    return folder


def put(path: Path, content: str | bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    content = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def run(repository: Path, name: str, data: Path) -> TranscriptStore:
    prepare(repository / "conf" / "prepare" / f"{name}.yaml", data.parent / "store", workers=1)
    return TranscriptStore.open(data.parent / "store")


def families(store: TranscriptStore) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for species, family in zip(store.column("species"), store.column("family_id"), strict=True):
        found.setdefault(family, set()).add(species)
    return found


def test_ucsc(repository: Path, data: Path) -> None:
    put(data / "ncbiRefSeq.hg38.txt.gz", text(gene_pred_ext_bin, models("{symbol}", "NM_{n}.1")))
    put(data / "refFlat.mm39.txt.gz", text(ref_flat, models("{symbol}m", "NM_{n}.2")))
    put(data / "my_isoforms.bed", text(bed12, models("", "iso{symbol}")))
    put(data / "my_isoforms.genes.tsv", "transcript_id\tgene_id\nisoGA\tGA\nisoGB\tGB\n")
    for genome in ("hg38", "mm39", "canFam4"):
        put(data / f"{genome}.2bit", two_bit({"chr1": BASES}))
    put(data / "homologene.data", "3\t9606\t1\tGA\t1\tNP_1\n3\t10090\t2\tGAm\t2\tNP_2\n3\t9615\t3\tGA\t3\tNP_3\n")
    store = run(repository, "ucsc", data)
    everyone = {
        "human",
        "mouse",
        "dog",
    }  # whose genomes are one here: GA is joined by a table, GB by its sequence alone
    assert families(store) == {"human:GA": everyone, "human:GB": everyone}
    assert store.meta["similar_sequences"] == {"genes": 3, "families": 1, "fewer": 2}
    assert store.meta["counts"]["ortholog_gene_pairs"] == 3


def test_toga(repository: Path, data: Path) -> None:
    human = text(gtf, models("ENSG0000000000{n}.5", "ENST0000000000{n}.7"))
    put(data / "gencode.v47.primary_assembly.annotation.gtf.gz", human)
    put(data / "GRCh38.primary_assembly.genome.fa.gz", f">chr1 1\n{BASES}\n")
    for assembly in ("panLeo1", "canLup1"):
        projected = text(bed12, models("", "ENST0000000000{n}.7.{symbol}.12"))
        put(data / assembly / "geneAnnotation.bed.gz", projected)
        put(data / f"{assembly}.2bit", two_bit({"chr1": BASES}))
    put(
        data / "panLeo1" / "orthologsClassification.tsv.gz",
        "t_gene\tt_transcript\tq_gene\tq_transcript\torthology_class\n"
        "ENSG00000000001\tENST00000000001.7.GA\treg_9\tENST00000000001.7.GA.12\tone2one\n"
        "ENSG00000000002\tENST00000000002.7.GB\tNone\tNone\tone2zero\n",
    )
    store = run(repository, "toga", data)
    everyone = {"human", "lion", "wolf"}  # the lion's second gene has no ortholog, but the same sequence
    assert families(store) == {"human:ENSG00000000001.5": everyone, "human:ENSG00000000002.5": everyone}
    assert store.meta["similar_sequences"] == {"genes": 3, "families": 1, "fewer": 1}
    assert store.meta["counts"]["ortholog_gene_pairs"] == 3


@pytest.mark.skipif(shutil.which("mmseqs") is None, reason="MMseqs2 is not installed")
def test_ensembl(repository: Path, data: Path) -> None:
    stated = {
        species: models(f"ENS{prefix}G0000000000{{n}}", f"ENS{prefix}T_{{n}}")
        for species, prefix in (("human", ""), ("mouse", "MUS"), ("macaque", "MMU"))
    }
    for species, release in (("human", "v47"), ("mouse", "vM36")):
        records = []
        for model in stated[species]:
            sequence, (start, end) = model.sequence({"chr1": BASES}), model.cds or (0, 0)
            head = f"{model.transcript_id}|{model.gene_id}.1|-|-|n-201|n|{len(sequence)}|CDS:{start + 1}-{end}|"
            records.append(f">{head}\n{sequence}\n")
        put(data / f"gencode.{release}.pc_transcripts.fa.gz", "".join(records))
    put(data / "Macaca_mulatta.Mmul_10.113.gff3.gz", text(ensembl_gff3, stated["macaque"]))
    put(data / "Macaca_mulatta.Mmul_10.dna.toplevel.fa.gz", f">1 dna:primary_assembly\n{BASES}\n")
    put(
        data / "Compara.113.protein_default.homologies.tsv.gz",
        "gene_stable_id\tspecies\thomology_type\thomology_gene_stable_id\thomology_species\n"
        "ENSMMUG00000000001\tmacaca_mulatta\tortholog_one2one\tENSG00000000001\thomo_sapiens\n"
        "ENSDARG00000000001\tdanio_rerio\tortholog_one2one\tENSG00000000001\thomo_sapiens\n",
    )
    put(
        data / "mart_export.txt.gz",
        "Gene stable ID\tMouse gene stable ID\tMouse homology type\n"
        "ENSG00000000001\tENSMUSG00000000001\tortholog_one2one\nENSG00000000002\t\t\n",
    )
    store = run(repository, "ensembl", data)
    assert store.meta["counts"]["ortholog_gene_pairs"] == 2
    # no table says that the second genes are homologs; their proteins do
    assert families(store) == {
        "human:ENSG00000000001.1": {"human", "mouse", "macaque"},
        "human:ENSG00000000002.1": {"human", "mouse", "macaque"},
    }
    assert store.meta["clustering"]["genes"] == 6
    assert len({decode_bases(store.codes(i)) for i in range(len(store))}) == 2
