import numpy as np
import pytest

from orthrus.genome.codes import encode_bases
from orthrus.genome.kmers import K, contained, similar_pairs, sketch, sketch_limit

EVERYTHING = np.uint64(2**64 - 1)


def random_codes(generator, length):
    return generator.integers(1, 5, length).astype(np.uint8)


def kmers(codes):
    text = codes.tobytes()
    return {text[i : i + K] for i in range(len(text) - K + 1) if 0 not in text[i : i + K]}


def test_a_full_sketch_has_one_hash_a_distinct_kmer_free_of_n():
    generator = np.random.default_rng(0)
    codes = np.concatenate([random_codes(generator, 90), [0], random_codes(generator, 60)]).astype(np.uint8)
    codes = np.concatenate([codes, codes[:50]])
    assert len(sketch(codes, EVERYTHING)) == len(kmers(codes))


def test_pairs_are_those_of_the_exact_containment():
    generator = np.random.default_rng(1)
    base = random_codes(generator, 400)
    mutated = base.copy()
    mutated[::100] = mutated[::100] % 4 + 1
    sequences = [base, mutated, base[100:300], random_codes(generator, 400), random_codes(generator, 30)]
    sketches = [sketch(codes, EVERYTHING) for codes in sequences]
    for threshold in (0.3, 0.8, 0.95):
        expected = {
            (i, j)
            for i, a in enumerate(map(kmers, sequences))
            for j, b in enumerate(map(kmers, sequences))
            if i < j and len(a & b) >= threshold * min(len(a), len(b)) and a & b
        }
        assert set(map(tuple, similar_pairs(sketches, threshold).tolist())) == expected
    for threshold in (0.3, 0.8, 0.95):
        expected = [
            any(len(a & b) >= threshold * len(a) for b in map(kmers, sequences[1:3])) for a in map(kmers, sequences)
        ]
        assert contained(sketches, iter(sketches[1:3]), threshold).tolist() == expected


def test_sampled_sketches_estimate_containment():
    generator = np.random.default_rng(2)
    base = random_codes(generator, 20_000)
    half = np.concatenate([base[:10_000], random_codes(generator, 10_000)])
    limit = sketch_limit(np.full(2, 20_000))
    sketches = [sketch(codes, limit) for codes in (base, half)]
    assert 20 < len(sketches[0]) < 80
    assert len(similar_pairs(sketches, 0.25)) == 1
    assert len(similar_pairs(sketches, 0.8)) == 0


@pytest.mark.parametrize("length", [1, 5, 20])
def test_sequences_shorter_than_a_kmer_match_whole(length):
    codes = encode_bases("ACGTACGTTGCATGCATGCA"[:length], "test")
    sketches = [sketch(each, EVERYTHING) for each in (codes, codes, codes[::-1].copy() if length > 1 else codes * 0)]
    assert similar_pairs(sketches, 0.8).tolist() == [[0, 1]]


def test_a_kmer_of_very_many_sequences_joins_nothing():
    generator = np.random.default_rng(3)
    adapter = random_codes(generator, 60)
    sketches = [sketch(np.concatenate([adapter, random_codes(generator, 40)]), EVERYTHING) for _ in range(600)]
    assert len(similar_pairs(sketches, 0.3)) == 0
