import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from orthrus import InputError, TranscriptStore
from orthrus.analyse.content import composition, one_of_each_gene, relative_usage, similarities
from orthrus.analyse.section import analysis_section
from orthrus.cli import main
from orthrus.genome.codes import annotate, encode_bases
from orthrus.genome.genetic_code import CODONS, amino_acids
from orthrus.store import StoreBuilder
from tests.builders import build_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TranscriptStore:
    return build_store(tmp_path_factory.mktemp("analyse") / "store", n_genes=40, length=300)


def test_relative_usage_is_over_the_mean_of_synonyms() -> None:
    counts = np.zeros(64, dtype=np.int64)
    counts[CODONS.index("AAA")], counts[CODONS.index("AAG")] = 3, 1
    usage = relative_usage(counts)
    assert usage[CODONS.index("AAA")] == 1.5
    assert usage[CODONS.index("AAG")] == 0.5
    assert np.isnan(usage[CODONS.index("ATG")])
    assert dict(zip(CODONS, amino_acids()[:64], strict=True))["TGG"] == "W"


def test_composition_of_a_region() -> None:
    parts = [encode_bases(sequence, "test") for sequence in ("GGCC", "AATT", "", "GCNN")]
    found = composition(parts)
    assert found == {"transcripts": 3, "median_nt": 4.0, "gc": pytest.approx(2 / 3), "gc_q1": 0.5, "gc_q3": 1.0}
    assert composition([encode_bases("", "test")])["gc"] is None


def test_a_gene_counts_once(store: TranscriptStore) -> None:
    rows, _ = one_of_each_gene(store, store.species_names.index("human"), np.random.default_rng(0))
    genes = [store.column("gene_id")[row] for row in rows]
    assert len(genes) == len(set(genes)) == 40
    assert len({store.transcript_ids[int(row)].as_py().split(".")[1] for row in rows}) == 3  # any isoform may come


def test_similarity_is_that_of_sets_of_kmers(store: TranscriptStore) -> None:
    rows = list(similarities(store, 10, np.random.default_rng(0)))
    assert {row["kind"] for row in rows} == {"isoforms", "orthologs", "unrelated"}
    for row in rows:
        a, b = (store.sequence(store.index_of(row[f"transcript_{side}"])) for side in "ab")
        one, other = ({s[i : i + 12] for i in range(len(s) - 11)} for s in (a, b))
        assert row["jaccard"] == pytest.approx(len(one & other) / len(one | other))
        assert row["containment"] == pytest.approx(len(one & other) / min(len(one), len(other)))
        gene_a, gene_b = (name.split(".")[0] for name in (row["transcript_a"], row["transcript_b"]))
        if row["kind"] == "isoforms":
            assert gene_a == gene_b
        elif row["kind"] == "orthologs":
            assert gene_a[1:] == gene_b[1:]
            assert gene_a != gene_b


def test_the_command_leaves_tables_and_plots_and_a_section(
    store: TranscriptStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "run" / "analysis"
    args = ["analyse", str(store.path), "--output", str(output), "--symbols", "2000", "--pairs", "5"]
    assert main(args) == 0
    shown = capsys.readouterr().out
    assert "English" in shown
    assert sorted(path.name for path in output.iterdir()) == sorted(
        [
            "analysis.json",
            *(f"{n}.{e}" for n in ("compression", "composition", "codons", "similarity") for e in ("csv", "png")),
        ]
    )
    document = json.loads((output / "analysis.json").read_text())
    assert (document["seed"], document["symbols"]) == (0, 2000)
    compression = pd.read_csv(output / "compression.csv")
    assert set(compression["species"]) == {"English", "human", "mouse"}
    assert (compression["symbols"] <= 2000).all()
    assert main(args) == 2
    assert "pass --overwrite" in capsys.readouterr().err
    again = tmp_path / "again"
    assert main([*args[:3], str(again), *args[4:]]) == 0
    assert (again / "analysis.json").read_text() == (output / "analysis.json").read_text()
    (tmp_path / "run" / "metrics.csv").write_text("step,val/loss\n0,1.0\n5,0.5\n")
    assert main(["report", str(tmp_path / "run")]) == 0
    page = (tmp_path / "run" / "report.html").read_text()
    assert page.count('src="data:image/png;base64,') == 4
    assert "What the sequences hold" in page


def test_a_store_without_cds_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with StoreBuilder(tmp_path / "bare") as builder:
        codes = annotate(encode_bases("ACGT" * 30, "test"), None, ())
        builder.add(codes, transcript_id="t", gene_id="g", species="human")
        builder.finish()
    assert main(["analyse", str(tmp_path / "bare"), "--output", str(tmp_path / "out")]) == 2
    assert "has a CDS" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["[]", "[" * 100_000, '{"store": 1, "symbols": "x", "text": 2, "seed": 3}', "{}"])
def test_a_document_that_is_no_analysis_is_an_error_of_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "analysis.json").write_text(text)
    with pytest.raises(InputError, match="is no analysis"):
        analysis_section(tmp_path / "analysis.json")
