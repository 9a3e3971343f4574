import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthrus.genome.codes import annotate, encode_bases
from orthrus.probe import controls
from tests.oracles.probe import kmer_frequencies


@given(st.text("ACGTN", max_size=60))
def test_frequencies_equal_counting_slices(sequence):
    codes = annotate(encode_bases(sequence, "test"), None, [])
    np.testing.assert_allclose(controls.kmer_frequencies(codes, 4), kmer_frequencies(sequence, 4))


def test_annotation_bits_do_not_change_frequencies():
    bases = encode_bases("ATGAAACCCGGGTAA", "test")
    annotated = annotate(bases, (0, 15), [7, 15])
    np.testing.assert_array_equal(controls.kmer_frequencies(bases, 3), controls.kmer_frequencies(annotated, 3))


def test_features_beside_kmers_are_those_of_the_table(store):
    ids = ["h3.1", "absent", "m0"]
    found = controls.kmer_features(store, ids)
    assert found.transcript_ids == ("h3.1", "m0")
    beside = dict(zip(controls.BESIDE_KMERS, found.matrix[0, :6], strict=True))
    row = store.transcripts.take([store.index_of("h3.1")]).to_pylist()[0]
    sequence = store.sequence(store.index_of("h3.1"))
    assert beside["log2 length"] == pytest.approx(np.log2(1 + row["length"]))
    assert beside["GC"] == pytest.approx((sequence.count("G") + sequence.count("C")) / len(sequence))
    assert beside["log2 CDS length"] == pytest.approx(np.log2(1 + row["cds_end"] - row["cds_start"]))
    assert beside["log2 exons"] == pytest.approx(np.log2(1 + len(row["exon_ends"])))
    assert (beside["has CDS"], beside["exons known"]) == (1, 1)
    assert found.matrix[1, 5] == 0, "the mouse transcripts have no known exons"


def test_each_k_sums_to_one_and_is_a_readout(store):
    found = controls.kmer_features(store, store.column("transcript_id")[:5], sizes=(4, 3))
    assert {name: matrix.shape for name, matrix in found.all_readouts.items()} == {
        "k = 3": (5, 6 + 4 + 16 + 64),
        "k = 4": (5, 6 + 4 + 16 + 64 + 256),
    }
    matrix, start = found.all_readouts["k = 4"], 6
    for k in range(1, 5):
        np.testing.assert_allclose(matrix[:, start : start + 4**k].sum(axis=1), 1, rtol=1e-5)
        start += 4**k
    np.testing.assert_array_equal(found.all_readouts["k = 3"], matrix[:, :90])


def test_length_and_composition_are_the_first_columns_of_the_kmer_control(store):
    ids = store.column("transcript_id")[:5]
    composition = controls.composition_features(store, ids).matrix
    np.testing.assert_array_equal(composition, controls.kmer_features(store, ids).matrix[:, :10])
