import numpy as np
import pytest

from orthrus.embedding.file import Embeddings
from orthrus.report import embedding_map
from orthrus.report.embedding_map import map_embedding

GENERATOR = np.random.default_rng(0)


def families(n_families, size, width=8, noise=0.05, **columns):
    names = np.repeat([f"F{i}" for i in range(n_families)], size)
    centres = np.repeat(GENERATOR.standard_normal((n_families, width)), size, axis=0)
    matrix = (centres + noise * GENERATOR.standard_normal(centres.shape)).astype(np.float32)
    ids = tuple(f"T{i}" for i in range(len(names)))
    return Embeddings(ids, matrix, {}, family_id=tuple(names), **columns)


def test_tight_families_are_each_others_neighbours():
    shown = map_embedding(families(12, 6))
    same, chance = shown.same_family
    assert same == 1
    assert chance == pytest.approx(5 / 71)
    assert shown.same_species is None


def test_noise_has_neighbours_at_chance():
    unrelated = families(20, 10, noise=50)
    same, chance = map_embedding(unrelated).same_family
    assert same == pytest.approx(chance, abs=0.06)


def test_the_map_is_the_same_each_time():
    data = families(5, 6)
    np.testing.assert_array_equal(map_embedding(data).points, map_embedding(data).points)


def test_a_sample_holds_whole_families(monkeypatch):
    monkeypatch.setattr(embedding_map, "MAX_POINTS", 30)
    data = families(40, 3)
    shown = map_embedding(data)
    assert len(shown.rows) == 30
    _, sizes = np.unique([data.family_id[row] for row in shown.rows], return_counts=True)
    assert (sizes == 3).all()


def test_too_few_transcripts_make_no_map():
    assert map_embedding(families(3, 3)) == "9 transcripts are too few for one"


@pytest.mark.parametrize("value", [0.0, 3.7])
def test_a_collapsed_encoder_is_named(value):
    assert "collapsed" in map_embedding(Embeddings(tuple(map(str, range(12))), np.full((12, 4), value, np.float32)))


def test_vectors_of_two_kinds_and_nothing_known_are_mapped():
    matrix = np.repeat(np.eye(2, dtype=np.float32), 20, axis=0)
    shown = map_embedding(Embeddings(tuple(map(str, range(40))), matrix))
    assert shown.points.shape == (40, 2)
    assert np.isfinite(shown.points).all()
    assert shown.same_family is None
