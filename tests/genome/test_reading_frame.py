"""Where codons begin: what phases say, what they cannot say, and both ways to the same runs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthrus.genome.reading_frame import Pieces, codon_runs, one_run, phases_of_frames, read_frames

Piece = tuple[int, int, int, bool]


def read(*transcripts: list[Piece]) -> list[tuple[list[tuple[int, int]], bool]]:
    columns = [(t, *piece) for t, pieces in enumerate(transcripts) for piece in pieces]
    owner, start, end, phase, touches = (np.array(column, dtype=np.int64) for column in zip(*columns, strict=True))
    frames, contradictory = read_frames(Pieces(owner, start, end, phase, touches.astype(bool)), len(transcripts))
    return [(frames.of(t), bool(contradictory[t])) for t in range(len(transcripts))]


@pytest.mark.parametrize(
    ("pieces", "runs", "contradictory"),
    [
        ([(7, 30, 0, False), (30, 50, 1, False)], [(7, 50)], False),
        ([(0, 30, 2, False), (30, 50, 2, False)], [(2, 50)], False),
        ([(7, 30, -1, False), (30, 50, -1, False)], [(7, 50)], False),
        ([(7, 30, -1, False), (30, 50, 1, False)], [(7, 50)], False),
        ([(0, 30, 0, False), (29, 50, 0, False)], [(0, 30), (29, 50)], False),  # -1 slippage
        ([(0, 31, 0, False), (30, 31, -1, False), (31, 50, 1, False)], [(0, 31), (32, 50)], False),  # at an exon's end
        ([(0, 30, 0, False), (31, 50, 0, False)], [(0, 30), (31, 50)], False),  # +1
        ([(0, 31, 0, False), (32, 50, 2, False)], [(0, 31), (34, 50)], False),  # within a codon
        ([(0, 30, 0, False), (31, 50, -1, False)], [(0, 30), (31, 50)], False),
        ([(0, 30, 0, False), (30, 50, 1, True)], [(0, 30), (31, 50)], False),  # the genome lacks a base
        ([(0, 31, 0, False), (31, 50, 0, False)], [(0, 50)], True),  # all zero, over an intron
        ([(0, 1, 2, False), (1, 50, 1, False)], [(2, 50)], False),  # the lead is longer than the first piece
    ],
)
def test_runs_follow_the_phase_of_each_piece(
    pieces: list[Piece], runs: list[tuple[int, int]], contradictory: bool
) -> None:
    assert codon_runs(pieces) == (runs, contradictory)
    assert read(pieces, pieces) == [(runs, contradictory)] * 2


@st.composite
def contiguous(draw: st.DrawFn) -> list[Piece]:
    """Pieces one after another whose phases agree with what is counted, some unsaid, behind a lead of 0 to 2 bases."""
    at, read_bases, lead = draw(st.integers(0, 9)), 0, draw(st.integers(0, 2))
    pieces = []
    for length in draw(st.lists(st.integers(1, 9), min_size=1, max_size=5)):
        said = not pieces or draw(st.booleans())
        pieces.append((at, at + length, (lead - read_bases) % 3 if said else -1, draw(st.booleans())))
        at, read_bases = at + length, read_bases + length
    return pieces


@given(st.lists(contiguous(), min_size=1, max_size=4))
def test_what_is_read_at_once_is_what_is_read_one_by_one(transcripts: list[list[Piece]]) -> None:
    for (runs, contradictory), pieces in zip(read(*transcripts), transcripts, strict=True):
        one_by_one, _ = codon_runs(pieces)
        assert not contradictory
        assert [p for a, b in runs for p in range(a, b, 3)] == [p for a, b in one_by_one for p in range(a, b, 3)]
        lead, first, last = pieces[0][2], pieces[0][0], pieces[-1][1]
        assert [p for a, b in runs for p in range(a, b, 3)] == list(range(first + lead, last, 3))


def test_frames_of_ucsc_are_the_complement_of_phases() -> None:
    assert phases_of_frames(np.array([0, 1, 2, -1])).tolist() == [0, 2, 1, -1]


def test_transcripts_without_a_cds_have_no_run() -> None:
    frames = one_run(np.array([-1, 4, -1]), np.array([-1, 9, -1]))
    assert [frames.of(t) for t in range(3)] == [[], [(4, 9)], []]
    assert [frames.take(np.array([2, 1])).of(t) for t in range(2)] == [[], [(4, 9)]]
