import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthrus.errors import InputError
from orthrus.genome.codes import annotate, decode_bases, encode_bases, reverse_complement, tracks

COMPLEMENT = str.maketrans("ACGT", "TGCA")


@given(st.text("ACGTNacgtnuURYSWKMBDHV", max_size=60))
def test_letters_come_back(text: str) -> None:
    plain = "".join(c if c in "ACGT" else "T" if c == "U" else "N" for c in text.upper())
    assert decode_bases(encode_bases(text, "x")) == plain
    assert decode_bases(encode_bases(text.encode(), "x")) == plain
    assert decode_bases(reverse_complement(encode_bases(text, "x"))) == plain[::-1].translate(COMPLEMENT)


@pytest.mark.parametrize("letter", [*"EFIJLOPQXZ*-. 1", "é", "中", "\x00"])
def test_other_letters_are_refused_by_place(letter: str) -> None:
    with pytest.raises(InputError, match=r"thing: letter .* at position 3 "):
        encode_bases("AC" + letter, "thing")


@given(st.data())
def test_tracks_are_what_is_stated(data: st.DataObject) -> None:
    text = data.draw(st.text("ACGTN", min_size=1, max_size=40))
    start, end = sorted((data.draw(st.integers(0, len(text))), data.draw(st.integers(0, len(text)))))
    ends = sorted(data.draw(st.sets(st.integers(1, len(text)), max_size=4)))
    cds = (start, end) if start < end else None
    got = tracks(annotate(encode_bases(text, "x"), cds, ends))
    for i, letter in enumerate(text):
        assert got[:4, i].tolist() == [letter == base for base in "ACGT"]
        assert got[4, i] == (cds is not None and start <= i < end and (i - start) % 3 == 0)
        assert got[5, i] == (i + 1 in ends)
    assert np.array_equal(got[:4], tracks(annotate(encode_bases(text, "x"), cds, ends), 4))


def test_other_numbers_of_tracks_are_refused() -> None:
    with pytest.raises(InputError, match="n_tracks is 5"):
        tracks(encode_bases("A", "x"), 5)
