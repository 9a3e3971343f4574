import numpy as np
import pytest
import torch

from orthrus.genome.codes import CDS_BIT, annotate, encode_bases, tracks
from orthrus.genome.codons import codon_counts, regions
from orthrus.genome.genetic_code import CODONS, amino_acids
from orthrus.nn.readouts import log_lengths
from orthrus.nn.stem import BaseStem


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
    codes = annotate(encode_bases("CCCATGTAAGGG", "test"), (3, 9), ())
    assert [len(region) for region in regions(codes)] == [3, 6, 3]
    np.testing.assert_array_equal(np.concatenate(regions(codes)), codes)
    assert [len(region) for region in regions(encode_bases("ACGT", "test"))] == [0, 0, 0]


@pytest.mark.parametrize("lead", range(7))
def test_bases_of_a_codon_that_the_start_of_the_transcript_cuts_are_cds_as_tokens_have_it(lead):
    """One or two bases before the first whole codon: what an incomplete 5' end leaves of the codon before."""
    codes = annotate(encode_bases("CCCCCC"[:lead] + "ATGAAATAAGGGG", "test"), (lead, lead + 9), ())
    batch = torch.from_numpy(tracks(codes))[None], torch.tensor([len(codes)])
    (region_L,) = BaseStem(6, 1).tokens(*batch).region_BT.tolist()
    five_prime, coding, three_prime = (len(region) for region in regions(codes))
    assert region_L == [0] * five_prime + [1] * coding + [2] * three_prime
    lengths = [len(codes), five_prime, coding, three_prime]
    torch.testing.assert_close(log_lengths(*batch)[0, :4], torch.tensor(lengths).log1p())
    assert five_prime == (lead if lead > 2 else 0)


def test_the_code_is_the_standard_one():
    letters = dict(zip(CODONS, amino_acids()[:64], strict=True))
    assert [letters[codon] for codon in ("ATG", "TGG", "TAA", "TAG", "TGA", "GCT")] == ["M", "W", "*", "*", "*", "A"]
    assert len(set(letters.values())) == 21
