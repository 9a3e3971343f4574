from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from orthrus.store import TranscriptStore
from orthrus.store.pairs import PairIndex, PairKind
from tests.builders import build_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> TranscriptStore:
    return build_store(tmp_path_factory.mktemp("pairs") / "store")


def literal_partners(store: TranscriptStore, i: int) -> dict[int, set[str]]:
    """Isoforms and orthologs of a transcript, by looking through every row."""
    rows = store.transcripts.to_pylist()
    me = rows[i]
    edges = {(r["species_a"], r["gene_id_a"], r["species_b"], r["gene_id_b"]) for r in store.orthologs.to_pylist()}
    partners: dict[int, set[str]] = {PairKind.SPLICE: set(), PairKind.ORTHOLOG: set()}
    for row in rows:
        key, other = (me["species"], me["gene_id"]), (row["species"], row["gene_id"])
        if key == other and row["transcript_id"] != me["transcript_id"]:
            partners[PairKind.SPLICE].add(row["transcript_id"])
        if (*key, *other) in edges or (*other, *key) in edges:
            partners[PairKind.ORTHOLOG].add(row["transcript_id"])
    return partners


def test_partners_are_those_a_literal_search_finds(store: TranscriptStore) -> None:
    index, ids = PairIndex(store), store.column("transcript_id")
    bases = np.repeat(np.arange(len(store)), 200)
    pairs = index.sample(bases, 0.5, np.random.default_rng(1))
    seen: dict[tuple[int, int], set[str]] = {}
    for base, partner, kind in zip(*pairs, strict=True):
        seen.setdefault((int(base), int(kind)), set()).add(ids[partner])
    for i in range(len(store)):
        literal = literal_partners(store, i)
        for kind in (PairKind.SPLICE, PairKind.ORTHOLOG):
            assert seen.get((i, kind), set()) == literal[kind]
        if not literal[PairKind.SPLICE] and not literal[PairKind.ORTHOLOG]:
            assert seen[i, PairKind.SELF] == {ids[i]}


def test_partners_are_drawn_uniformly_and_orthologs_with_their_probability(store: TranscriptStore) -> None:
    index = PairIndex(store)
    base = store.index_of("h0.1")
    pairs = index.sample(np.full(20_000, base), 0.25, np.random.default_rng(2))
    drawn = Counter(pairs.partner_P.tolist())
    assert drawn[store.index_of("m0")] / 20_000 == pytest.approx(0.25, abs=0.02)
    assert drawn[store.index_of("h0.0")] / 20_000 == pytest.approx(0.375, abs=0.02)
    assert drawn[store.index_of("h0.2")] / 20_000 == pytest.approx(0.375, abs=0.02)


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_without_choice_the_kind_that_exists_is_taken(store: TranscriptStore, probability: float) -> None:
    index = PairIndex(store)
    only_isoforms, only_ortholog = store.index_of("h1.0"), store.index_of("m0")
    pairs = index.sample(np.array([only_isoforms, only_ortholog]), probability, np.random.default_rng(0))
    kinds = pairs.kind_P.tolist()
    assert kinds == [PairKind.SPLICE, PairKind.ORTHOLOG]


def test_counts_by_kind(store: TranscriptStore) -> None:
    literal = [literal_partners(store, i) for i in range(len(store))]
    counts = PairIndex(store).count()
    assert counts["splice"] == sum(len(p[PairKind.SPLICE]) for p in literal) // 2
    assert counts["ortholog"] == sum(len(p[PairKind.ORTHOLOG]) for p in literal) // 2
    assert counts["self"] == sum(not p[PairKind.SPLICE] and not p[PairKind.ORTHOLOG] for p in literal)


def test_a_lone_transcript_pairs_with_itself(tmp_path: Path) -> None:
    store = build_store(tmp_path / "store", n_genes=2, isoforms=1)
    index = PairIndex(store)
    lone = store.index_of("h1.0")
    pairs = index.sample(np.array([lone]), 0.5, np.random.default_rng(0))
    assert (pairs.partner_P[0], pairs.kind_P[0]) == (lone, PairKind.SELF)
