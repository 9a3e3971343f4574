"""Genes of one family by their sequences: what is shared joins, what is simple or unknown does not."""

import random
from itertools import combinations
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from orthrus.genome.codes import annotate, encode_bases
from orthrus.store import StoreBuilder, TranscriptStore, similar
from orthrus.store.similar import Sequences, similar_genes


def pairs(*genes: list[str]) -> set[tuple[int, int]]:
    """The joined ones of genes, each with its transcripts' sequences."""
    sequences = [sequence for gene in genes for sequence in gene]
    offsets = np.cumsum([0] + [len(sequence) for sequence in sequences])
    gene = np.repeat(np.arange(len(genes)), [len(each) for each in genes])
    with NamedTemporaryFile() as codes:
        encode_bases("".join(sequences), "test").tofile(codes.name)
        found = similar_genes(Sequences(Path(codes.name), offsets, gene, len(genes)))
    return {(int(a), int(b)) for a, b in found}


def bases(seed: int, n: int) -> str:
    return "".join(random.Random(seed).choices("ACGT", k=n))


def mutated(sequence: str, share: float, seed: int) -> str:
    draw = random.Random(seed)
    return "".join(draw.choice("ACGT".replace(base, "")) if draw.random() < share else base for base in sequence)


def test_a_coding_sequence_is_joined_with_its_mrna_and_others_are_not() -> None:
    mrna = bases(0, 3000)
    assert pairs([mrna], [mrna[700:1000]], [bases(1, 3000)], [bases(2, 300)]) == {(0, 1)}


def test_the_shorter_transcript_decides_whatever_the_others_of_its_gene() -> None:
    mrna = bases(0, 900)
    assert pairs([mrna], [bases(1, 2000), mrna[:80]]) == {(0, 1)}


@pytest.mark.parametrize("other", [mutated(bases(0, 2000), 0.1, 1), bases(0, 600) + bases(1, 1400)])
def test_a_diverged_relative_and_a_shared_exon_join_nothing(other: str) -> None:
    assert not pairs([bases(0, 2000)], [other])


@pytest.mark.parametrize("unit", ["A", "CA", "CAG", "TTAGGG", "ACGTTGCAGT"])
def test_low_complexity_and_unknown_bases_join_nothing(unit: str) -> None:
    repeat = (unit * 400)[:900]
    assert not pairs([repeat], [repeat], ["N" * 900], ["N" * 900])
    assert not pairs([bases(0, 300) + repeat], [bases(1, 300) + repeat])


def test_a_gene_with_more_copies_than_are_compared_pairwise_is_one_family() -> None:
    genes = [[mutated(bases(0, 1500), 0.002, seed)] for seed in range(40)] + [[bases(99, 1500)]]
    edges = np.array(sorted(pairs(*genes)))
    _, label = connected_components(coo_array((np.ones(len(edges)), edges.T), shape=(41, 41)), directed=False)
    assert len(set(label[:40])) == 1
    assert label[40] != label[0]


def kmers(sequence: str) -> set[str]:
    return {sequence[i : i + 21] for i in range(len(sequence) - 20)}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), shares=st.lists(st.sampled_from([0, 0.15, 0.85, 1]), min_size=2, max_size=6))
def test_who_is_joined_agrees_with_whole_sets_of_kmers(seed: int, shares: list[float]) -> None:
    """Away from the border of one half, which a sample can only estimate."""
    draw = random.Random(seed)
    root = bases(seed, 1200)
    genes = []
    for i, share in enumerate(shares):
        n = int(share * 1200)
        genes.append([root[:n] + bases(seed + 1 + i, draw.randint(1200, 1500) - n)])
    close = {
        (a, b)
        for a, b in combinations(range(len(genes)), 2)
        if len(kmers(genes[a][0]) & kmers(genes[b][0])) >= 0.5 * min(len(kmers(g[0])) for g in (genes[a], genes[b]))
    }
    assert pairs(*genes) == close


def test_passes_over_parts_of_the_hashes_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    genes = [[bases(i // 2, 900)] for i in range(12)]
    whole = pairs(*genes)
    assert whole == {(i, i + 1) for i in range(0, 12, 2)}
    monkeypatch.setattr(similar, "_KMERS_OF_A_PASS", 200)
    monkeypatch.setattr(similar, "_KMERS_OF_A_RANGE", 50)
    monkeypatch.setattr(similar, "_NT_AT_ONCE", 1000)
    assert pairs(*genes) == whole


def test_the_names_of_families_stay_when_a_copy_comes_later(tmp_path: Path) -> None:
    def store(name: str, genes: list[tuple[str, str]], join: bool) -> TranscriptStore:
        with StoreBuilder(tmp_path / name) as builder:
            for gene, sequence in genes:
                codes = annotate(encode_bases(sequence, gene), None, [])
                builder.add(codes, transcript_id=f"t{gene}", gene_id=gene, species="human")
            builder.finish(join_similar=join)
        return TranscriptStore.open(tmp_path / name)

    genes = [("B", bases(0, 600)), ("C", bases(1, 600))]
    few, more = store("few", genes, True), store("more", [*genes, ("D", bases(0, 600))], True)
    assert few.column("family_id") == ["human:B", "human:C"]
    assert more.column("family_id") == ["human:B", "human:C", "human:B"]
    assert more.meta["similar_sequences"] == {"genes": 2, "families": 1, "fewer": 1}
    off = store("off", [*genes, ("D", bases(0, 600))], False)
    assert off.column("family_id") == ["human:B", "human:C", "human:D"]
    assert "similar_sequences" not in off.meta
