"""Real annotation, written anew in every format of UCSC's, must give the store that it gave."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from orthrus import TranscriptStore
from orthrus.genome.annotation import read_annotation
from orthrus.genome.findings import Findings
from orthrus.genome.models import TranscriptModels
from orthrus.prepare import prepare
from tests.oracles.annotation import UCSC_FORMATS, Model

pytestmark = pytest.mark.shared
CASES = {
    "mhc4 human": ("mhc4/human.annotation.gtf.gz", "mhc4/human.genome.fa.gz", 535),
    "mhc4 mouse": ("mhc4/mouse.annotation.gtf.gz", "mhc4/mouse.genome.fa.gz", 286),
    "mini1": ("mini1/gencode.v29lift37.annotation.gff3.gz", "mini1/hg19.mini.2bit", 406),
}


def stated(models: TranscriptModels) -> list[Model]:
    starts, ends = models.mrna_cds()
    made = []
    for t, name in enumerate(models.transcript_id.to_pylist()):
        exons = slice(models.exon_offsets[t], models.exon_offsets[t + 1])
        intervals = zip(models.exon_starts[exons].tolist(), models.exon_ends[exons].tolist(), strict=True)
        cds = (int(starts[t]), int(ends[t])) if starts[t] >= 0 else None
        strand = "+" if models.strand[t] > 0 else "-"
        made.append(Model(name, models.gene_id[t].as_py(), models.contig[t].as_py(), strand, tuple(intervals), cds))
    return made


def build(folder: Path, genome: Path, genes: bool) -> TranscriptStore:
    source = {"annotation": "annotation", "genome": str(genome), **({"genes": "genes.tsv"} if genes else {})}
    filters = {"biotypes": "all", "min_length": 1, "max_length": 10**9}
    # the published frame, since genePred, refFlat and BED12 state none
    spec = {"species": {"x": source}, "filters": filters, "cds_frame": "published"}
    (folder / "spec.yaml").write_text(yaml.safe_dump(spec))
    prepare(folder / "spec.yaml", folder / "store", overwrite=True, workers=1)
    return TranscriptStore.open(folder / "store")


@pytest.mark.parametrize("case", CASES)
def test_real_annotation_in_every_format(case: str, shared: Path, tmp_path: Path) -> None:
    annotation, genome, n = CASES[case]
    genome_path = shared / "data" / genome
    shutil.copy(shared / "data" / annotation, tmp_path / "annotation")
    expected = build(tmp_path, genome_path, genes=False)
    codes, table = (expected.path / "codes.u8").read_bytes(), expected.transcripts.combine_chunks()
    models = read_annotation(tmp_path / "annotation", Findings())
    assert len(models) == n
    columns = ("transcript_id", "gene_id", "gene_name", "biotype")
    rows = zip(*(getattr(models, name).to_pylist() for name in columns), strict=True)
    (tmp_path / "genes.tsv").write_text("\n".join("\t".join(row) for row in [columns, *rows]) + "\n")
    transcripts = stated(models)
    write: Callable[[Model], list[str]]
    for write in UCSC_FORMATS:
        lines = [line for model in transcripts for line in write(model)]
        (tmp_path / "annotation").write_text("\n".join(lines) + "\n")
        store = build(tmp_path, genome_path, genes=True)
        assert (store.path / "codes.u8").read_bytes() == codes, write.__name__
        assert store.transcripts.equals(table), write.__name__
