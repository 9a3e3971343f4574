"""The longest open reading frame, against reading every frame codon by codon."""

from hypothesis import given
from hypothesis import strategies as st

from orthrus.genome.codes import encode_bases
from orthrus.genome.orfs import MIN_CODONS, longest_orf


def slow(sequence: str, min_codons: int) -> tuple[int, int] | None:
    found = []
    for start in range(len(sequence) - 2):
        if sequence[start : start + 3] != "ATG":
            continue
        for at in range(start, len(sequence) - 2, 3):
            if sequence[at : at + 3] in ("TAA", "TAG", "TGA"):
                found.append((start, at + 3))
                break
    long_enough = [orf for orf in found if orf[1] - orf[0] >= 3 * (min_codons + 1)]
    return max(long_enough, key=lambda orf: (orf[1] - orf[0], -orf[0]), default=None)


pieces = st.lists(st.sampled_from(["ATG", "TAA", "TAG", "TGA", "GCA", "N", "A", "CC", "ATGA"]), max_size=30).map(
    "".join
)


@given(pieces, st.integers(0, 4))
def test_it_is_the_longest_of_all_frames(sequence: str, min_codons: int) -> None:
    assert longest_orf(encode_bases(sequence, "x"), min_codons) == slow(sequence, min_codons)


def test_one_codon_too_few_is_none() -> None:
    for codons, expected in ((MIN_CODONS, (2, 2 + 3 * MIN_CODONS + 3)), (MIN_CODONS - 1, None)):
        assert longest_orf(encode_bases("CC" + "ATG" + "GCA" * (codons - 1) + "TAAG", "x")) == expected
