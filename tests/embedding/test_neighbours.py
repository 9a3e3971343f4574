import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from orthrus import InputError, MambaEncoder, TranscriptStore
from orthrus.cli import main
from orthrus.embedding.embed import embed_to_file
from orthrus.embedding.file import Embeddings, read_embeddings, write_embeddings
from orthrus.embedding.neighbours import (
    background,
    nearest,
    neighbour_table,
    retrieval,
    warn_of_other_annotation,
)
from orthrus.nn.checkpoints import save_encoder
from tests.builders import build_store


def random_embeddings(n: int, prefix: str = "t", width: int = 8, seed: int = 0, **columns: object) -> Embeddings:
    matrix = np.random.default_rng(seed).standard_normal((n, width)).astype(np.float32)
    return Embeddings(tuple(f"{prefix}{i}" for i in range(n)), matrix, **columns)  # type: ignore[arg-type]


@pytest.mark.parametrize("measure", ["cosine", "euclidean"])
def test_neighbours_equal_a_sort_of_all_distances(measure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orthrus.embedding.neighbours._QUERIES", 3)  # several blocks, the last one smaller
    monkeypatch.setattr("orthrus.embedding.neighbours._CANDIDATES", 4)
    queries, candidates = random_embeddings(7, "q", seed=1), random_embeddings(90)
    found = nearest(queries, candidates, 5, measure)  # type: ignore[arg-type]
    for row, vector in enumerate(queries.matrix.astype(float)):
        others = candidates.matrix.astype(float)
        if measure == "cosine":
            value = others @ vector / np.linalg.norm(others, axis=1) / np.linalg.norm(vector)
            order = np.argsort(-value)[:5]
        else:
            value = np.linalg.norm(others - vector, axis=1)
            order = np.argsort(value)[:5]
        assert found.index_QK[row].tolist() == order.tolist()
        np.testing.assert_allclose(found.value_QK[row], value[order], rtol=1e-5)


@pytest.mark.parametrize("measure", ["cosine", "euclidean"])
def test_one_large_number_hides_no_difference_in_the_others(measure: str) -> None:
    matrix = np.random.default_rng(0).standard_normal((500, 32)).astype(np.float32)
    matrix[:, 0] += 3000
    some = Embeddings(tuple(map(str, range(500))), matrix)
    found = nearest(some, some, 1, measure)  # type: ignore[arg-type]
    exact = matrix.astype(np.float64)
    if measure == "cosine":
        exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    distance = np.linalg.norm(
        exact[:, None] - exact, axis=2
    )  # of unit vectors, it is smallest where the cosine is largest
    np.fill_diagonal(distance, np.inf)
    assert found.index_QK[:, 0].tolist() == distance.argmin(axis=1).tolist()


def test_vectors_of_zeros_have_the_cosine_zero() -> None:
    query = Embeddings(("q",), np.float32([[1, 0]]))
    candidates = Embeddings(("far", "near", "no", "none"), np.float32([[0, 1], [0.4, 0.9165], [0, 0], [0, 0]]))
    assert nearest(query, candidates, 1).index_QK.tolist() == [[1]]


def test_a_transcript_is_no_neighbour_of_itself_but_its_double_is() -> None:
    some = random_embeddings(5)
    doubled = Embeddings((*some.transcript_ids, "double"), np.concatenate([some.matrix, some.matrix[:1]]))
    found = nearest(some, doubled, 5)
    assert found.index_QK[0, 0] == 5
    assert found.value_QK[0, 0] == pytest.approx(1)
    assert all(row not in found.index_QK[row] for row in range(5))
    assert np.sort(found.index_QK[1]).tolist() == [0, 2, 3, 4, 5]


def test_fewer_candidates_than_asked_for() -> None:
    some = random_embeddings(3)
    found = nearest(some, some, 10)
    table = neighbour_table(some, some, found)
    assert len(table) == 6
    assert table["rank"].to_pylist() == [1, 2, 1, 2, 1, 2]
    assert (table["query"].to_numpy() != table["transcript_id"].to_numpy()).all()


def test_retrieval_is_that_of_a_literal_ranking() -> None:
    generator = np.random.default_rng(0)
    n = 60
    gene = [f"g{i}" for i in generator.integers(25, size=n)]
    columns = {
        "species": tuple(generator.choice(["human", "mouse"], n)),
        "gene_id": (*gene[:-1], None),
        "family_id": tuple(f"f{name[1:2]}" for name in gene),  # several genes and both species in each
    }
    some = random_embeddings(n, **columns)
    scores = retrieval(some, some, nearest(some, some, n))
    unit = some.matrix / np.linalg.norm(some.matrix, axis=1, keepdims=True)
    cosine = unit @ unit.T
    for kind in ("gene", "family"):
        first = []
        for i in range(n):
            order = [j for j in np.argsort(-cosine[i]) if j != i]
            if kind == "gene":
                isoforms = [
                    j
                    for j in order
                    if gene[i] == gene[j] and columns["species"][i] == columns["species"][j] and n - 1 not in (i, j)
                ]
                family = columns["family_id"]
                related = [j in isoforms for j in order if j in isoforms or family[i] != family[j]]
            else:
                related = [columns["family_id"][i] == columns["family_id"][j] for j in order]
            if any(related):
                first.append(related.index(True) + 1)
        rank = np.array(first)
        assert scores[kind]["queries"] == len(rank)
        assert scores[kind]["recall@1"] == pytest.approx((rank <= 1).mean())
        assert scores[kind]["recall@10"] == pytest.approx((rank <= 10).mean())
        assert scores[kind][f"mrr@{n}"] == pytest.approx((1 / rank).mean())


def test_chance_is_what_random_candidates_score() -> None:
    n, drawn = 40, []
    for seed in range(200):
        some = random_embeddings(n, seed=seed, family_id=tuple(f"f{i % 10}" for i in range(n)))
        scores = retrieval(some, some, nearest(some, some, 5))["family"]
        drawn.append(scores["recall@5"])
    assert scores["chance@1"] == pytest.approx(3 / 39)
    assert np.mean(drawn) == pytest.approx(scores["chance@5"], abs=0.02)


def test_widths_and_k_are_checked() -> None:
    with pytest.raises(InputError, match="queries have 4 features and candidates 8"):
        nearest(random_embeddings(2, width=4), random_embeddings(2))
    with pytest.raises(InputError, match="k is 0"):
        nearest(random_embeddings(2), random_embeddings(2), 0)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TranscriptStore:
    return build_store(tmp_path_factory.mktemp("neighbours") / "store", n_genes=6)


@pytest.fixture(scope="module")
def embedded(store: TranscriptStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an encoder and what it makes of the store."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("embedded")
    save_encoder(MambaEncoder(6, 16, 1), folder / "encoder")
    embed_to_file(folder / "encoder", store, folder / "e.parquet", input_name="test")
    return folder


def test_a_store_as_query_finds_what_its_embeddings_find(
    store: TranscriptStore, embedded: Path, tmp_path: Path
) -> None:
    args = ["neighbours", f"--embeddings={embedded / 'e.parquet'}", "--k=3"]
    by_file, by_store = tmp_path / "file.parquet", tmp_path / "store.parquet"
    assert main([*args, f"--query={embedded / 'e.parquet'}", f"--output={by_file}"]) == 0
    metrics = tmp_path / "m.json"
    assert main([*args, f"--query={store.path}", f"--output={by_store}", f"--metrics={metrics}"]) == 0
    tables = [pq.read_table(path) for path in (by_file, by_store)]
    assert tables[0]["transcript_id"] == tables[1]["transcript_id"]
    assert tables[0].column_names[-4:] == ["species", "gene_id", "gene_name", "family_id"]
    scores = json.loads(metrics.read_text())
    assert set(scores) == {"gene", "family"}
    assert scores["gene"]["queries"] == 18  # mice have one transcript a gene


def test_a_fasta_as_query(
    store: TranscriptStore, embedded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fasta = tmp_path / "q.fa"
    fasta.write_text(f">mine\n{store.sequence(4)}\n")
    args = [f"--query={fasta}", f"--embeddings={embedded / 'e.parquet'}", f"--output={tmp_path / 'n.tsv'}", "--k=2"]
    assert main(["neighbours", *args]) == 0
    lines = (tmp_path / "n.tsv").read_text().splitlines()
    assert lines[0].split("\t")[:4] == ["query", "rank", "transcript_id", "cosine"]
    assert [line.split("\t")[:2] for line in lines[1:]] == [["mine", "1"], ["mine", "2"]]
    shown = capsys.readouterr()
    assert "no retrieval metrics" in shown.out
    assert "no transcript has one" in shown.err
    assert main(["neighbours", *args]) == 2
    assert "pass --overwrite" in capsys.readouterr().err


def test_another_encoder_is_refused(
    store: TranscriptStore, embedded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_encoder(MambaEncoder(6, 16, 1), tmp_path / "other")
    args = [f"--query={store.path}", f"--embeddings={embedded / 'e.parquet'}", f"--output={tmp_path / 'n.tsv'}"]
    assert main(["neighbours", *args, f"--checkpoint={tmp_path / 'other'}"]) == 2
    assert "is not the checkpoint that made" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "n.tsv").exists()
    (embedded / "encoder").rename(embedded / "moved")
    assert main(["neighbours", *args]) == 2
    assert "give its place with --model" in " ".join(capsys.readouterr().err.split())
    (embedded / "moved").rename(embedded / "encoder")


def test_embeddings_as_queries_are_of_the_encoder_and_readout_of_the_candidates(
    store: TranscriptStore, embedded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_encoder(MambaEncoder(6, 16, 1), tmp_path / "other")
    embed_to_file(tmp_path / "other", store, tmp_path / "other.parquet", input_name="test")
    embed_to_file(embedded / "encoder", store, tmp_path / "max.npz", input_name="test", readouts=["last.max"])
    args = ["neighbours", f"--embeddings={embedded / 'e.parquet'}", "--k=2", "--overwrite"]
    for query, message in (("other.parquet", "is not the checkpoint that made"), ("max.npz", "no readout 'last.mean'")):
        assert main([*args, f"--query={tmp_path / query}", f"--output={tmp_path / 'n.tsv'}"]) == 2
        assert message in " ".join(capsys.readouterr().err.split())
    found = []
    for suffix in (".parquet", ".npz", ".tsv"):
        write_embeddings(read_embeddings(embedded / "e.parquet"), tmp_path / f"q{suffix}")
        assert main([*args, f"--query={tmp_path / 'q'}{suffix}", f"--output={tmp_path / 'n.tsv'}"]) == 0
        found.append((tmp_path / "n.tsv").read_text())
    assert found[0] == found[1] == found[2]


def test_the_background_is_what_random_pairs_of_other_genes_have() -> None:
    rng = np.random.default_rng(0)
    genes = tuple(f"g{i // 4}" for i in range(40))
    some = Embeddings(tuple(map(str, range(40))), rng.normal(size=(40, 3)).astype(np.float32), gene_id=genes)
    unit = some.matrix / np.linalg.norm(some.matrix, axis=1, keepdims=True)
    apart = np.array(genes)[:, None] != np.array(genes)
    for measure, values in (
        ("cosine", unit @ unit.T),
        ("euclidean", np.linalg.norm(some.matrix[:, None] - some.matrix, axis=2)),
    ):
        found = background(some, measure)  # type: ignore[arg-type]
        assert np.allclose(np.quantile(found, [0.1, 0.5, 0.9]), np.quantile(values[apart], [0.1, 0.5, 0.9]), atol=0.02)
        table = neighbour_table(some, some, nearest(some, some, 39, measure), measure, found)  # type: ignore[arg-type]
        shares = np.array(table["percentile"])
        assert shares.max() > 95
        assert (np.diff(shares[:39]) <= 0).all()


def test_queries_without_the_annotation_of_the_candidates_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    ids, matrix = ("a", "b"), np.ones((2, 3), np.float32)
    bare, coding = (Embeddings(ids, matrix, cds_length=lengths) for lengths in ((0, 30), (60, 30)))
    warn_of_other_annotation(coding, coding)
    warn_of_other_annotation(bare, bare)
    assert not caplog.records
    warn_of_other_annotation(bare, coding)
    assert "1 of 2 queries have no CDS, and 100 % of the candidates have one" in caplog.text
