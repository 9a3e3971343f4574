"""B rows, C tracks, L positions, T tokens."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from orthrus.errors import InputError
from orthrus.genome.codes import SPLICE_BIT, annotate, encode_bases
from orthrus.nn.encoder import MambaEncoder
from orthrus.nn.pooling import mean_pool, region_pool
from orthrus.nn.readouts import read_out, widths
from orthrus.nn.stem import CodonStem
from orthrus.nn.tracks import codes_to_tracks
from tests.oracles.codon_stem import codon_tokens

Rows = list[tuple[str, tuple[int, int] | None]]


def batch(rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
    """Tracks of sequences with their CDS, 7 positions longer than the longest; exons end anywhere."""
    codes = []
    for n, (sequence, cds) in enumerate(rows):
        exon_ends = np.unique([len(sequence), 1 + n % len(sequence)])
        codes.append(annotate(encode_bases(sequence, "row"), cds, exon_ends))
    codes_BL = np.zeros((len(codes), max(map(len, codes)) + 7), dtype=np.uint8)
    for row, code in zip(codes_BL, codes, strict=True):
        row[: len(code)] = code
    return codes_to_tracks(torch.from_numpy(codes_BL), 6), torch.tensor([len(code) for code in codes])


@st.composite
def annotated_rows(draw: st.DrawFn) -> Rows:
    rows: Rows = []
    for _ in range(draw(st.integers(1, 4))):
        sequence = draw(st.text("ACGTN", min_size=1, max_size=30))
        start = draw(st.integers(0, len(sequence) - 1))
        end = draw(st.integers(start + 1, len(sequence)))
        rows.append((sequence, draw(st.sampled_from([(start, end), None]))))
    return rows


@given(annotated_rows())
def test_tokens_are_those_of_the_literal_definition(rows: Rows) -> None:
    torch.manual_seed(0)
    stem = CodonStem(6, 5).double()
    tracks_BCL, lengths_B = batch(rows)
    found_BTD = stem.embed(tracks_BCL.double(), lengths_B)
    tokens, words_BT = stem.tokens(tracks_BCL, lengths_B), stem.words(tracks_BCL, lengths_B)
    for n, (sequence, cds) in enumerate(rows):
        ends = {i for i in range(len(sequence)) if tracks_BCL[n, 5, i]}
        vectors, regions, words = codon_tokens(sequence, cds, ends, stem.weight, stem.region, stem.splice)
        own = int(tokens.lengths_B[n])
        assert own == len(vectors)
        torch.testing.assert_close(found_BTD[n, :own], torch.stack(vectors))
        assert tokens.region_BT[n, :own].tolist() == regions
        assert words_BT[n, :own].tolist() == words
        assert (words_BT[n, own:] == -1).all()


def test_a_codon_of_the_cds_is_one_token_whatever_stands_before_it() -> None:
    stem = CodonStem(6, 4)
    for utr in ("", "GTG", "ACGT", "ACGTA", "ACGTAC"):
        tracks_BCL, lengths_B = batch([(utr + "ATGGCTTAA", (len(utr), len(utr) + 9))])
        words = stem.words(tracks_BCL, lengths_B)[0].tolist()
        coding = (stem.tokens(tracks_BCL, lengths_B).region_BT[0] == 1).tolist()
        assert [word for word, inside in zip(words, coding, strict=True) if inside] == [14, 39, 48]  # ATG GCT TAA


def make_encoder(bidirectional: bool = False) -> MambaEncoder:
    torch.manual_seed(1)
    return MambaEncoder(6, 16, 2, bidirectional, stem="codon").eval()


@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_changes_nothing_with_codon_tokens(bidirectional: bool) -> None:
    encoder = make_encoder(bidirectional)
    rows: Rows = [("ACCATGGCTTAAGGTTACG", (3, 12)), ("ACGTACG", None), ("A", None)]
    tracks_BCL, lengths_B = batch(rows)
    together_BD = encoder.represent(tracks_BCL, lengths_B)
    for n, row in enumerate(rows):
        alone_CL = tracks_BCL[n : n + 1, :, : len(row[0])]
        alone_1D = encoder.represent(alone_CL, torch.tensor([len(row[0])]))
        torch.testing.assert_close(alone_1D[0], together_BD[n], atol=1e-5, rtol=1e-5)


def test_readouts_pool_over_tokens() -> None:
    encoder = make_encoder()
    tracks_BCL, lengths_B = batch([("ACCATGGCTTAAGGTTACG", (3, 12)), ("ACATGTAAGG", (2, 8))])
    names = ["last.mean", "layer0.regions+last.regions+lengths"]
    mean_BD, joined_BD = read_out(encoder, tracks_BCL, lengths_B, names)
    hidden_BTD, tokens = encoder(tracks_BCL, lengths_B), encoder.tokens(tracks_BCL, lengths_B)
    torch.testing.assert_close(mean_BD, mean_pool(hidden_BTD, tokens.lengths_B))
    torch.testing.assert_close(joined_BD[:, 48:96], region_pool(hidden_BTD, *tokens))
    expected = [[19, 3, 9, 7, 2], [10, 0, 8, 2, 2]]  # two bases in front may be what is left of a codon
    torch.testing.assert_close(joined_BD[:, 96:101], torch.tensor(expected).float().log1p())
    assert widths(encoder, names) == [16, 102]


def test_the_config_keeps_the_stem() -> None:
    encoder = make_encoder()
    assert MambaEncoder.from_config(encoder.config).config == encoder.config
    assert encoder.config["stem"] == "codon"


def test_a_stem_that_cannot_be_is_refused() -> None:
    with pytest.raises(InputError, match="the codon stem reads the CDS and splice tracks: n_tracks must be 6, got 4"):
        MambaEncoder(4, 8, 1, stem="codon")
    with pytest.raises(InputError, match="stem is 'word'; expected base or codon"):
        MambaEncoder(6, 8, 1, stem="word")


def test_splice_bits_reach_the_token_of_their_base() -> None:
    stem = CodonStem(6, 4)
    codes = encode_bases("ACGTACGTA", "row").copy()
    plain = codes_to_tracks(torch.from_numpy(codes)[None], 6)
    codes[4] |= SPLICE_BIT
    spliced = codes_to_tracks(torch.from_numpy(codes)[None], 6)
    lengths_B = torch.tensor([9])
    change_TD = (stem.embed(spliced, lengths_B) - stem.embed(plain, lengths_B))[0]
    torch.testing.assert_close(change_TD, torch.stack([torch.zeros(4), stem.splice.detach(), torch.zeros(4)]))


def test_as_many_tokens_as_there_can_be_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU the number of tokens follows from that of positions."""
    tracks_BCL, lengths_B = batch([("ACCATGGCTTAAGGTTACG", (3, 12)), ("ACGTACG", None), ("TATGGCTTAA", (1, 10))])
    encoder, most = make_encoder(), (tracks_BCL.shape[2] + 4) // 3
    expected = encoder.represent(tracks_BCL, lengths_B)
    assert encoder(tracks_BCL, lengths_B).shape[1] < most
    monkeypatch.setattr(CodonStem, "_n_tokens", staticmethod(lambda pad_B, tracks_BCL, lengths_B: most))
    assert encoder(tracks_BCL, lengths_B).shape[1] == most
    torch.testing.assert_close(encoder.represent(tracks_BCL, lengths_B), expected, rtol=0, atol=1e-6)
