import numpy as np
import pytest
from Bio.Seq import Seq

from orthrus.genome.codes import CDS_BIT, SPLICE_BIT, annotate, codon_starts, decode_bases, encode_bases
from orthrus.genome.edits import Edit, apply, consequence, trimmed
from orthrus.genome.splice import Mrna

UTR5, CODING, UTR3 = "GGCC", "ATGAAATGCGAATAA", "CCATAGCTGACC"
SEQUENCE = UTR5 + CODING + UTR3
CDS = (4, 19)


def mrna(sequence: str = SEQUENCE, cds: tuple[int, int] | None = CDS, exon_ends: tuple[int, ...] = (10, 31)) -> Mrna:
    ends = np.array(exon_ends, dtype=np.int32)
    return Mrna(annotate(encode_bases(sequence, "test"), cds, ends), cds, ends)


def allele(pos: int, ref: str, alt: str) -> Edit:
    """An edit as a VCF gives it, ``pos`` from 1; ``ref`` is what the sequence has there."""
    assert SEQUENCE[pos - 1 : pos - 1 + len(ref)] == ref
    return trimmed(pos - 1, encode_bases(ref, "ref"), encode_bases(alt, "alt"))


CASES = [
    # pos, ref, alt, consequence, the CDS afterwards
    (2, "G", "T", "5_prime_UTR_variant", CODING),
    (4, "C", "CA", "5_prime_UTR_variant", CODING),  # before the start codon
    (21, "C", "T", "3_prime_UTR_variant", CODING),
    (19, "A", "AT", "3_prime_UTR_variant", CODING),  # behind the stop codon
    (5, "A", "C", "start_lost", "C" + CODING[1:]),
    (4, "CA", "C", "start_lost", "TGAAATGCGAATAA"[:3]),  # TGA is the first codon now
    (10, "A", "G", "synonymous_variant", "ATGAAGTGCGAATAA"),
    (8, "A", "G", "missense_variant", "ATGGAATGCGAATAA"),
    (8, "A", "N", "coding_sequence_variant", "ATGNAATGCGAATAA"),
    (8, "A", "T", "stop_gained", "ATGTAA"),
    (13, "C", "A", "stop_gained", "ATGAAATGA"),
    (8, "AAA", "TAG", "stop_gained", "ATGTAG"),
    (18, "A", "G", "stop_retained_variant", "ATGAAATGCGAATGA"),
    (17, "T", "C", "stop_lost", "ATGAAATGCGAACAACCATAG"),
    (17, "TAA", "T", "frameshift_variant", "ATGAAATGCGAATCCATAGCTGACC"[:24]),  # no stop in the new frame: to the end
    (10, "AT", "A", "frameshift_variant", "ATGAAAGCGAATAACCATAGCTGA"),
    (10, "A", "AGG", "frameshift_variant", "ATGAAAGGTGCGAATAACCATAGCTGACC"[:27]),
    (10, "ATGC", "A", "inframe_deletion", "ATGAAAGAATAA"),
    (10, "A", "AGGG", "inframe_insertion", "ATGAAAGGGTGCGAATAA"),
    (10, "A", "ATAA", "stop_gained", "ATGAAATAA"),
    (16, "ATAA", "A", "stop_lost", "ATGAAATGCGAACCATAG"),
]


@pytest.mark.parametrize(("pos", "ref", "alt", "effect", "coding"), CASES)
def test_consequence_and_cds(pos: int, ref: str, alt: str, effect: str, coding: str) -> None:
    edit = allele(pos, ref, alt)
    edited = apply(mrna(), edit)
    assert decode_bases(edited.codes) == SEQUENCE[: pos - 1] + alt + SEQUENCE[pos - 1 + len(ref) :]
    assert edited.cds is not None
    assert decode_bases(edited.codes)[slice(*edited.cds)] == coding
    assert consequence(mrna(), edit, edited) == effect
    codons = np.flatnonzero(edited.codes & CDS_BIT)
    assert codons.tolist() == list(range(*edited.cds, 3))
    if effect not in ("start_lost", "coding_sequence_variant") and "*" in Seq(coding).translate():
        assert str(Seq(coding).translate()).index("*") == len(coding) // 3 - 1


def test_exon_ends_move_with_the_sequence() -> None:
    def ends(edit: Edit) -> list[int]:
        edited = apply(mrna(), edit)
        assert (np.flatnonzero(edited.codes & SPLICE_BIT) + 1).tolist() == edited.exon_ends.tolist()
        return edited.exon_ends.tolist()

    assert ends(allele(2, "G", "GTT")) == [12, 33]
    assert ends(allele(10, "A", "ATT")) == [12, 33]  # at the junction: of the exon of the anchor
    assert ends(allele(11, "T", "TTT")) == [10, 33]
    assert ends(allele(9, "AATG", "A")) == [9, 28]  # across the junction
    assert ends(allele(1, SEQUENCE[:11], "G")) == [1, 21]
    assert ends(Edit(0, 10, encode_bases("", "none"))) == [21]  # the first exon is gone


def test_without_cds_or_exons() -> None:
    bare = mrna(cds=None, exon_ends=())
    edit = allele(10, "AT", "A")
    edited = apply(bare, edit)
    assert edited.cds is None
    assert len(edited.exon_ends) == 0
    assert edited.codes.tolist() == encode_bases(SEQUENCE[:10] + SEQUENCE[11:], "test").tolist()
    assert consequence(bare, edit, edited) == "non_coding_transcript_variant"


def test_a_deleted_cds_is_none() -> None:
    edit = Edit(2, 20, encode_bases("", "none"))
    edited = apply(mrna(), edit)
    assert edited.cds is None
    assert consequence(mrna(), edit, edited) == "start_lost"


def test_a_stop_that_is_read_through_stays_so() -> None:
    sequence = "ATGTGAAAATGCTAACCC"  # TGA is selenocysteine
    reference = mrna(sequence, (0, 15), (18,))
    edit = trimmed(8, encode_bases("A", "ref"), encode_bases("G", "alt"))
    assert apply(reference, edit).cds == (0, 15)
    early = trimmed(3, encode_bases("T", "ref"), encode_bases("TTGC", "alt"))  # before it, in frame: it moves along
    edited = apply(reference, early)
    assert edited.cds == (0, 18)
    assert consequence(reference, early, edited) == "inframe_insertion"


def test_a_cds_without_stop_codon_stays_open() -> None:
    coding_only = mrna("ATGAAATGCGAA", (0, 12), ())
    edit = Edit(7, 8, encode_bases("A", "alt"))
    edited = apply(coding_only, edit)
    assert edited.cds == (0, 12)
    assert consequence(coding_only, edit, edited) == "missense_variant"


def test_the_reverse_edit_gives_the_reference() -> None:
    generator = np.random.default_rng(0)
    reference = mrna()
    tried = 0
    while tried < 300:
        start = int(generator.integers(7, 15))  # within the CDS: neither start nor stop codon
        end = min(start + int(generator.integers(0, 5)), 15)
        bases = generator.integers(1, 5, generator.integers(0, 5)).astype(np.uint8)
        if start == end == 10 or start < 10 < end or start == end or not len(bases):
            continue  # an exon's end inside what is replaced is not to be told from the edited transcript
        edited = apply(reference, Edit(start, end, bases))
        back = apply(edited, Edit(start, start + len(bases), encode_bases(SEQUENCE[start:end], "test")))
        np.testing.assert_array_equal(back.codes, reference.codes)
        assert back.cds == reference.cds
        tried += 1


def framed(sequence: str, cds: tuple[int, int], *runs: tuple[int, int]) -> Mrna:
    ends = np.array([len(sequence)], dtype=np.int32)
    return Mrna(annotate(encode_bases(sequence, "test"), cds, ends, runs), cds, ends)


def effect(reference: Mrna, pos: int, ref: str, alt: str) -> tuple[str, list[int]]:
    """The consequence and where codons begin afterwards."""
    edit = trimmed(pos - 1, encode_bases(ref, "ref"), encode_bases(alt, "alt"))
    assert decode_bases(reference.codes)[pos - 1 : pos - 1 + len(ref)] == ref
    edited = apply(reference, edit)
    return consequence(reference, edit, edited), codon_starts(edited.codes).tolist()


INCOMPLETE = "C" + "AAATGCGAA" + "TAA" + "CC"  # its first base is the last one of a codon


@pytest.mark.parametrize(
    ("pos", "ref", "alt", "expected", "starts"),
    [
        (4, "A", "G", "synonymous_variant", [1, 4, 7, 10]),  # AAA -> AAG; counted from the first base ATG -> AGT
        (2, "A", "T", "stop_gained", [1]),
        (1, "C", "T", "coding_sequence_variant", [1, 4, 7, 10]),
        (7, "C", "CGGG", "inframe_insertion", [1, 4, 7, 10, 13]),
        (4, "AT", "A", "frameshift_variant", [1, 4, 7, 10]),
        (11, "T", "C", "stop_lost", [1, 4, 7, 10]),
        (1, "CA", "C", "frameshift_variant", [1, 4, 7, 10]),
    ],
)
def test_an_incomplete_start_is_read_in_its_frame(
    pos: int, ref: str, alt: str, expected: str, starts: list[int]
) -> None:
    reference = framed(INCOMPLETE, (0, 13), (1, 13))
    assert effect(reference, pos, ref, alt) == (expected, starts)


def test_edits_around_a_slip_follow_the_ribosome() -> None:
    # ATG AAA | the second A of AAA's end is read again: A GCG AAT AA -> AGC GAA TAA
    sequence = "ATGAAAGCGAATAACC"
    reference = framed(sequence, (0, 14), (0, 6), (5, 14))
    assert codon_starts(reference.codes).tolist() == [0, 3, 5, 8, 11]
    assert effect(reference, 7, "G", "C") == ("missense_variant", [0, 3, 5, 8, 11])  # AGC -> ACC
    assert effect(reference, 8, "C", "T") == ("synonymous_variant", [0, 3, 5, 8, 11])  # AGC -> AGT
    assert effect(reference, 9, "G", "GAAA") == ("inframe_insertion", [0, 3, 5, 8, 11, 14])
    assert effect(reference, 3, "G", "GCCC") == ("inframe_insertion", [0, 3, 6, 8, 11, 14])
    assert effect(reference, 9, "G", "T") == ("stop_gained", [0, 3, 5, 8])  # GAA -> TAA


def test_common_bases_of_both_alleles_are_no_edit() -> None:
    edit = trimmed(5, encode_bases("ACGT", "ref"), encode_bases("AGGT", "alt"))
    assert (edit.start, edit.end, edit.bases.tolist()) == (6, 7, [3])
    deletion = trimmed(5, encode_bases("ATTT", "ref"), encode_bases("AT", "alt"))
    assert (deletion.start, deletion.end, deletion.grows_by) == (6, 8, -2)
    insertion = trimmed(5, encode_bases("A", "ref"), encode_bases("AAA", "alt"))
    assert (insertion.start, insertion.end, insertion.bases.tolist()) == (6, 6, [1, 1])


@pytest.mark.parametrize(
    ("genetic_code", "alt", "expected"),
    [
        (1, "TGA", "stop_gained"),
        (2, "TGA", "missense_variant"),
        (1, "AGA", "missense_variant"),
        (2, "AGA", "stop_gained"),
    ],
)
def test_consequences_are_by_the_genetic_code_of_the_mrna(genetic_code: int, alt: str, expected: str) -> None:
    codes = annotate(encode_bases("ATGCCCGGGTAA", "test"), (0, 12), [12])
    reference = Mrna(codes, (0, 12), np.array([12], np.int32), genetic_code)
    edit = trimmed(3, encode_bases("CCC", "ref"), encode_bases(alt, "alt"))
    edited = apply(reference, edit)
    assert edited.genetic_code == genetic_code
    assert consequence(reference, edit, edited) == expected
