import numpy as np

from orthrus.genome.codes import CDS_BIT, annotate, encode_bases
from orthrus.genome.codons import codon_counts, regions
from orthrus.genome.genetic_code import CODONS, amino_acids


def counted(codes):
    return {CODONS[i]: int(n) for i, n in enumerate(codon_counts(codes)) if n}


def test_codons_are_counted_in_the_annotated_frame():
    assert counted(annotate(encode_bases("CCATGAAATAAG", "test"), (2, 11), ())) == {"ATG": 1, "AAA": 1, "TAA": 1}
    slipped = encode_bases("ATGAAACCC", "test").copy()
    slipped[[0, 3, 5]] |= CDS_BIT  # one base is read twice
    assert counted(slipped) == {"ATG": 1, "AAA": 1, "ACC": 1}


def test_codons_with_an_n_or_beyond_the_end_do_not_count():
    assert counted(annotate(encode_bases("ATGNAATAAGG", "test"), (0, 11), ())) == {"ATG": 1, "TAA": 1}
    assert counted(encode_bases("ATG", "test")) == {}


def test_regions_are_cut_at_the_first_and_the_last_codon():
    codes = annotate(encode_bases("CCATGTAAGGG", "test"), (2, 8), ())
    assert [len(region) for region in regions(codes)] == [2, 6, 3]
    np.testing.assert_array_equal(np.concatenate(regions(codes)), codes)
    assert [len(region) for region in regions(encode_bases("ACGT", "test"))] == [0, 0, 0]


def test_the_code_is_the_standard_one():
    letters = dict(zip(CODONS, amino_acids()[:64], strict=True))
    assert [letters[codon] for codon in ("ATG", "TGG", "TAA", "TAG", "TGA", "GCT")] == ["M", "W", "*", "*", "*", "A"]
    assert len(set(letters.values())) == 21
