import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthrus.genome.codes import CDS_BIT, annotate, encode_bases
from orthrus.probe import controls
from orthrus.store import StoreBuilder, TranscriptStore
from tests.oracles.probe import codon_control, kmer_frequencies


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


@given(st.text("ACGTN", min_size=1, max_size=80), st.data())
def test_the_codon_control_equals_counting_slices_in_any_annotated_frame(sequence, data):
    """Codons begin where the CDS bits say: an incomplete 5' end and slippage included, and the UTRs around them."""
    length = len(sequence)
    steps = data.draw(st.lists(st.sampled_from([3, 3, 3, 2, 4]), max_size=12), label="nt from codon to codon")
    first = data.draw(st.integers(0, length), label="first codon")
    starts = [start for start in np.cumsum([first, *steps]).tolist() if start < length]
    n_exons = data.draw(st.integers(0, min(3, length)), label="exons")
    codes = annotate(encode_bases(sequence, "test"), None, range(length - n_exons + 1, length + 1)).copy()
    codes[starts] |= CDS_BIT
    track = [int(i in starts) for i in range(length)]
    np.testing.assert_allclose(controls.codon_row(codes), codon_control(sequence, track, n_exons))


def test_codon_features_are_a_row_a_transcript_of_the_store(store):
    found = controls.codon_features(store, ["h3.1", "absent", "m0"])
    assert found.transcript_ids == ("h3.1", "m0")
    assert found.matrix.shape == (2, controls.N_CODON_FEATURES) == (2, 238)
    for row, name in zip(found.matrix, found.transcript_ids, strict=True):
        np.testing.assert_allclose(row, controls.codon_row(store.codes(store.index_of(name))), rtol=1e-6)
    assert controls.has_cds(store, ["h3.1"])


def test_a_store_without_cds_has_no_codons(tmp_path):
    with StoreBuilder(tmp_path / "bare") as builder:
        builder.add(annotate(encode_bases("ACGT" * 30, "t"), None, ()), transcript_id="t", gene_id="g", species="human")
        builder.finish()
    assert not controls.has_cds(TranscriptStore.open(tmp_path / "bare"), ["t"])
