"""Names of edits: examples by hand, and that the shifted edit is the same edit."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthrus.genome.codes import annotate, encode_bases
from orthrus.genome.edits import trimmed
from orthrus.genome.hgvs import hgvs
from orthrus.genome.splice import Mrna

#                 0         1
#           c.   -4321123456789...
SEQUENCE = "GGCAATGAAATTTTAGCCC"
#                 ATG AAA TTT TAG: c. 1 to 12; then *1 C, *2 C, *3 C


def mrna(sequence: str, cds: tuple[int, int] | None) -> Mrna:
    return Mrna(annotate(encode_bases(sequence, "x"), cds, ()), cds, np.empty(0, np.int32))


@pytest.mark.parametrize(
    ("pos", "ref", "alt", "name", "bare"),
    [
        (5, "A", "G", "c.1A>G", "n.5A>G"),
        (1, "G", "T", "c.-4G>T", "n.1G>T"),
        (17, "C", "T", "c.*1C>T", "n.17C>T"),
        (8, "AA", "A", "c.6del", "n.10del"),
        (7, "GAA", "G", "c.5_6del", "n.9_10del"),
        (7, "G", "GA", "c.6dup", "n.10dup"),
        (11, "T", "TG", "c.7_8insG", "n.11_12insG"),
        (11, "TTT", "TG", "c.8_9delinsG", "n.12_13delinsG"),
        (5, "ATG", "CCC", "c.1_3delinsCCC", "n.5_7delinsCCC"),
        (19, "C", "CA", "c.*3delinsCA", "n.19delinsCA"),
        (18, "CC", "C", "c.*3del", "n.19del"),
        (16, "GC", "G", "c.*3del", "n.19del"),
        (4, "AATG", "A", "c.2_4del", "n.6_8del"),
    ],
)
def test_names_by_hand(pos: int, ref: str, alt: str, name: str, bare: str) -> None:
    edit = trimmed(pos - 1, encode_bases(ref, "x"), encode_bases(alt, "x"))
    assert SEQUENCE[pos - 1 : pos - 1 + len(ref)] == ref
    assert hgvs(mrna(SEQUENCE, (4, 16)), edit) == name
    assert hgvs(mrna(SEQUENCE, None), edit) == bare


def applied(sequence: str, name: str) -> str:
    """What an n. name does to a sequence, read from the name alone."""
    match = re.fullmatch(r"n\.(\d+)(?:_(\d+))?(?:([ACGT])>([ACGT])|(delins|del|ins|dup)([ACGT]*))", name)
    assert match is not None, name
    start = int(match[1]) - 1
    end = int(match[2] or match[1])
    kind, bases = match[5], match[6] or match[4]
    if kind == "ins":
        assert end - start == 2
        return sequence[: start + 1] + bases + sequence[start + 1 :]
    if kind == "dup":
        return sequence[:end] + sequence[start:end] + sequence[end:]
    return sequence[:start] + (bases if kind != "del" else "") + sequence[end:]


@given(st.text("AC", min_size=3, max_size=12), st.data())
def test_the_name_says_what_the_edit_does_and_as_far_3_prime_as_can_be(sequence: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(sequence) - 1))
    end = data.draw(st.integers(start, len(sequence) - 1))
    alt = data.draw(st.text("ACGT", max_size=4))
    ref = sequence[start:end]
    edit = trimmed(start, encode_bases(ref, "x"), encode_bases(alt, "x"))
    if edit.start == edit.end and not len(edit.bases):
        return
    expected = sequence[:start] + alt + sequence[end:]
    name = hgvs(mrna(sequence, None), edit)
    assert applied(sequence, name) == expected
    if name.endswith("del"):
        first, _, last = name[2:-3].partition("_")
        length = int(last or first) - int(first) + 1
        assert not any(
            sequence[: p - 1] + sequence[p - 1 + length :] == expected
            for p in range(int(first) + 1, len(sequence) - length + 2)
        )
