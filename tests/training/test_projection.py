import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from orthrus import InputError, MambaEncoder, TranscriptStore, load_encoder, read_embeddings
from orthrus.cli import main
from orthrus.embedding.embed import embed_to_file
from orthrus.embedding.file import Embeddings
from orthrus.embedding.neighbours import comparable, nearest
from orthrus.models import KnownModel
from orthrus.nn.checkpoints import save_encoder
from orthrus.store.families import split_of
from orthrus.training.projection import Relatives, fit_projection, project, within_family_whitening
from tests.builders import build_store


def test_a_pair_is_of_one_family_and_of_two_genes_where_there_are_two() -> None:
    family = np.array([7, 3, 3, 5, 3, 5, 9, 3])
    gene = np.array([0, 1, 1, 2, 4, 2, 5, 6])  # family 3 has genes 1 (two transcripts), 4 and 6; family 5 only gene 2
    relatives = Relatives(family, gene)
    assert len(relatives) == 2
    drawn: Counter[tuple[int, int]] = Counter()
    generator = np.random.default_rng(0)
    for _ in range(3_000):
        ones, others = relatives.draw(10, generator)
        assert sorted(family[ones].tolist()) == [3, 5]
        drawn.update(zip(ones.tolist(), others.tolist(), strict=True))
    literal = {
        (i, j)
        for i in range(8)
        for j in range(8)
        if i != j and family[i] == family[j] and (gene[i] != gene[j] or len(set(gene[family == family[i]])) == 1)
    }
    assert set(drawn) == literal
    for i in (1, 2, 4, 7):  # uniform over the others
        counts = [n for (one, _), n in drawn.items() if one == i]
        assert max(counts) < 1.4 * min(counts)
    assert len(relatives.draw(1, generator)[0]) == 1


def test_whitening_is_the_inverse_root_of_the_covariance_within_families() -> None:
    rng = np.random.default_rng(0)
    family = np.array([0] * 5 + [1] * 2 + [2] * 3 + [3])  # one is alone
    vectors = (3 + rng.standard_normal((11, 4)) @ rng.standard_normal((4, 4))).astype(np.float32)
    vectors[:, 2] = 2.0  # does not vary
    covariance = np.zeros((4, 4))
    deviation = np.where(vectors.std(axis=0) > 0, vectors.std(axis=0), np.inf)
    for f in range(3):
        covariance += np.cov((vectors[family == f] / deviation).T) / 3
    regular = covariance + 0.1 * np.trace(covariance) / 4 * np.eye(4)
    values, axes = np.linalg.eigh(regular)
    expected = np.diag(1 / deviation) @ axes @ np.diag(values**-0.5) @ axes.T
    mean, whitening = within_family_whitening(vectors, family)
    np.testing.assert_allclose(mean, vectors.mean(axis=0), rtol=1e-5)
    assert (((vectors - mean) @ whitening) ** 2).mean() == pytest.approx(1, rel=1e-4)
    np.testing.assert_allclose(whitening / whitening[0, 0], expected / expected[0, 0], atol=1e-4)


def related(n_families: int, seed: int = 0) -> Embeddings:
    """Three transcripts a family, alike in six of 26 numbers and different in the larger others."""
    rng = np.random.default_rng(seed)
    family = np.repeat(np.arange(n_families), 3)
    alike = rng.standard_normal((n_families, 6))[family] + 0.2 * rng.standard_normal((len(family), 6))
    matrix = np.hstack([alike, 5 * rng.standard_normal((len(family), 20))]).astype(np.float32)
    ids = tuple(f"t{i}" for i in range(len(family)))
    return Embeddings(ids, matrix, family_id=tuple(f"f{f}" for f in family), readout="last.mean")


def recall(embeddings: Embeddings) -> float:
    families = np.array(embeddings.family_id)
    return float((families[nearest(embeddings, embeddings, 1).index_QK[:, 0]] == families).mean())


def test_it_finds_relatives_of_families_that_it_was_not_fitted_on() -> None:
    embeddings = related(60)
    chosen = np.arange(len(embeddings)) < 120
    projection = fit_projection(embeddings, chosen, steps=60)
    others = embeddings.with_rows(np.flatnonzero(~chosen))
    projected = Embeddings(
        others.transcript_ids, projection(torch.from_numpy(others.matrix)).numpy(), family_id=others.family_id
    )
    assert recall(others) < 0.3
    assert recall(projected) > 0.7
    again = fit_projection(embeddings, chosen, steps=60)
    torch.testing.assert_close(again.linear.weight, projection.linear.weight, rtol=0, atol=0)


def test_without_relatives_or_families_it_is_an_error() -> None:
    embeddings = related(4)
    lone = Embeddings(embeddings.transcript_ids, embeddings.matrix, family_id=embeddings.transcript_ids)
    with pytest.raises(InputError, match="no two transcripts of the training families are related"):
        fit_projection(lone, np.full(12, True))
    with pytest.raises(InputError, match="no two transcripts"):  # unknown families are not one family
        fit_projection(
            Embeddings(embeddings.transcript_ids, embeddings.matrix, family_id=(None,) * 12), np.full(12, True)
        )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TranscriptStore:
    return build_store(tmp_path_factory.mktemp("projection") / "store", n_genes=20)


@pytest.fixture(scope="module")
def embedded(store: TranscriptStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an encoder and its vectors of the store."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("embedded")
    save_encoder(MambaEncoder(6, 16, 1), folder / "encoder", readout="last.mean+lengths")
    embed_to_file(folder / "encoder", store, folder / "e.parquet", input_name="test")
    return folder


def test_the_command_writes_an_encoder_whose_neighbours_go_by_the_projection(
    store: TranscriptStore, embedded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, vectors = tmp_path / "projected", tmp_path / "p.parquet"
    assert main(["project", f"--embeddings={embedded / 'e.parquet'}", f"--output={made}", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["figures"]["retrieval"]
    assert found["before"].keys() == found["after"].keys() == {"gene", "family"}
    assert main(["embed", f"--model={made}", f"--input={store.path}", f"--output={vectors}"]) == 0
    embeddings, plain = read_embeddings(vectors), read_embeddings(embedded / "e.parquet")
    assert embeddings.readout == "last.mean+lengths+projection"
    projection = load_encoder(made).projection
    assert projection is not None
    np.testing.assert_allclose(embeddings.matrix[:, :22], plain.matrix, atol=1e-5)
    expected = projection(torch.from_numpy(plain.matrix.copy())).numpy()
    np.testing.assert_allclose(comparable(embeddings).matrix, expected, atol=1e-4)
    args = ["neighbours", f"--embeddings={vectors}", "--k=3"]
    for name, query in (("by_file.tsv", vectors), ("by_store.tsv", store.path)):
        assert main([*args, f"--query={query}", f"--output={tmp_path / name}"]) == 0
    tables = [(tmp_path / name).read_text().splitlines() for name in ("by_file.tsv", "by_store.tsv")]
    assert [line.split("\t")[:3] for line in tables[0]] == [line.split("\t")[:3] for line in tables[1]]
    first = tables[0][1].split("\t")
    nearest_one = nearest(comparable(embeddings), comparable(embeddings), 1)
    assert first[2] == embeddings.transcript_ids[nearest_one.index_QK[0, 0]]

    assert main(["project", f"--embeddings={vectors}", f"--output={tmp_path / 'twice'}"]) == 2
    assert "embed with --readout last.mean+lengths" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "twice").exists()


def test_what_training_left_out_is_left_out(embedded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The folder of an encoder states it, as its run's checkpoint does."""
    encoder, embeddings = load_encoder(embedded / "encoder"), read_embeddings(embedded / "e.parquet")
    encoder.held_out = {"val_fraction": 0.3, "test_fraction": 0.2}
    save_encoder(encoder, tmp_path / "stated", readout=embeddings.readout)
    assert load_encoder(tmp_path / "stated").held_out == encoder.held_out
    project(embeddings, tmp_path / "projected", tmp_path / "stated")
    out = (split_of([name or "" for name in embeddings.family_id or ()], 0.3, 0.2) != "train").sum()
    said = " ".join(capsys.readouterr().err.split())
    assert f"{out} of {len(embeddings)} transcripts, in 50% of families, that the encoder's training left out" in said
    assert load_encoder(tmp_path / "projected").held_out == encoder.held_out
    project(embeddings, tmp_path / "chosen")
    assert "in 10% of families, drawn here" in " ".join(capsys.readouterr().err.split())


def test_families_of_another_store(store: TranscriptStore, embedded: Path, tmp_path: Path) -> None:
    embeddings = read_embeddings(embedded / "e.parquet")
    bare = Embeddings(embeddings.transcript_ids, embeddings.matrix, embeddings.metadata, readout=embeddings.readout)
    with pytest.raises(InputError, match="do not name families; give the --store"):
        project(bare, tmp_path / "bare")
    given = project(bare, tmp_path / "given", store=store)
    assert given == project(embeddings, tmp_path / "own")
    strangers = Embeddings(tuple(f"x{i}" for i in range(len(bare))), bare.matrix, bare.metadata)
    with pytest.raises(InputError, match="has none of the embedded transcripts"):
        project(strangers, tmp_path / "strangers", store=store)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["given", "own"]


def test_a_shipped_encoder_is_found_by_its_weights_where_the_named_file_is_gone(
    embedded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embeddings = read_embeddings(embedded / "e.parquet")
    moved = replace(embeddings, metadata={**embeddings.metadata, "checkpoint": str(tmp_path / "gone")})
    with pytest.raises(InputError, match="which is missing or has changed"):
        project(moved, tmp_path / "projected")
    shipped = KnownModel("shipped", "shipped", 6, 1, "", "", folder=embedded / "encoder")
    monkeypatch.setattr("orthrus.embedding.neighbours.known_models", lambda: [shipped])
    project(moved, tmp_path / "projected")
    assert load_encoder(tmp_path / "projected").projection is not None
