"""Stems: how tracks become tokens and tokens their first vectors.

B batch rows, C tracks, L positions (nt), T tokens, D model width, W words (4 bases or 64 codons), K overlapping words.

The base stem makes a token of every base, T = L. The codon stem makes one of every three bases, in the frame of the
CDS, so that a nucleotide costs a third. Row b of a batch then has ceil((pad_b + lengths_b) / 3) tokens, where the first
token lacks pad_b bases, 0 to 2.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from orthrus.errors import InputError

N_TRACKS, CDS_TRACK, SPLICE_TRACK = 6, 4, 5
FIVE_PRIME, CODING, THREE_PRIME, UNKNOWN = range(4)


class Tokens(NamedTuple):
    """The lengths and regions of a batch's tokens."""

    lengths_B: Tensor
    """int64, the number of each row's own tokens."""
    region_BT: Tensor
    """int64: 0 5'UTR, 1 CDS, 2 3'UTR, 3 if no CDS is known. The CDS runs from the first position of the CDS track
    (1 at the first base of each codon) to the end of the last codon. One or two bases before it, at the transcript's
    start, belong to it as the rest of a codon that is cut off."""


class BaseStem(nn.Linear):
    """One token a base: a linear map of its tracks, under the published names ``weight`` and ``bias``."""

    name = "base"
    n_words = 4
    nt_per_token = 1

    def __init__(self, n_tracks: int, d_model: int) -> None:
        super().__init__(n_tracks, d_model)
        nn.init.zeros_(self.bias)

    def embed(self, tracks_BCL: Tensor, lengths_B: Tensor) -> Tensor:
        """The first vector of every token (B, L, D)."""
        hidden_BLD: Tensor = self(tracks_BCL.transpose(1, 2).to(self.weight.dtype))
        return hidden_BLD

    def token_lengths(self, tracks_BCL: Tensor, lengths_B: Tensor) -> Tensor:
        """The number of each row's own tokens, int64 (B,)."""
        return lengths_B

    def tokens(self, tracks_BCL: Tensor, lengths_B: Tensor) -> Tokens:
        """The lengths and regions of the tokens."""
        start_B, end_B = coding_interval(tracks_BCL, lengths_B)
        return Tokens(lengths_B, _regions(with_cut_codon(start_B), end_B, tracks_BCL.shape[2]))

    def words(self, tracks_BCL: Tensor, lengths_B: Tensor) -> Tensor:
        """The base of every token, int64 (B, L): 0 A, 1 C, 2 G, 3 T, and -1 if unknown and in padding."""
        return _bases(tracks_BCL, lengths_B) - 1


class CodonStem(nn.Module):
    """One token for three bases: the sum of embeddings of the words that end within them, of region and of splice.

    All tokens, also in UTRs, are in the frame of the first codon of the CDS; without a CDS the frame begins at the
    first base. A token is the sum of ``weight[k]`` for the word that ends at its base k, k = 0, 1, 2, so ``weight[2]``
    is for the token's own codon and the others for the words that overlap it from the left; of ``region``; and, if one
    of its bases ends an exon, of ``splice``. A word with unknown bases is the mean of all words that it may be. Bases
    come from the tracks A, C, G, T, which must be 0 or 1; a base with NaN is unknown.
    """

    name = "codon"
    n_words = 64
    nt_per_token = 3

    def __init__(self, n_tracks: int, d_model: int) -> None:
        super().__init__()
        if n_tracks != N_TRACKS:
            raise InputError(f"the codon stem reads the CDS and splice tracks: n_tracks must be 6, got {n_tracks}")
        self.weight = nn.Parameter(0.3 * torch.randn(3, self.n_words, d_model))
        self.region = nn.Parameter(0.3 * torch.randn(4, d_model))
        self.splice = nn.Parameter(0.3 * torch.randn(d_model))
        self.register_buffer("_share", share_of_words(), persistent=False)

    def embed(self, tracks_BCL: Tensor, lengths_B: Tensor) -> Tensor:
        """The first vector of every token (B, T, D)."""
        word_BT3 = self._overlapping(tracks_BCL, lengths_B)
        ends_BT = self._in_frame(tracks_BCL[:, SPLICE_TRACK] > 0, tracks_BCL, lengths_B).any(2)
        region_BT = self.tokens(tracks_BCL, lengths_B).region_BT
        hidden_BTD = F.embedding(region_BT, self.region) + ends_BT[..., None].to(self.splice.dtype) * self.splice
        for k, weight_WD in enumerate(self.weight):
            hidden_BTD = hidden_BTD + F.embedding(word_BT3[..., k], self._share @ weight_WD)
        return hidden_BTD

    def token_lengths(self, tracks_BCL: Tensor, lengths_B: Tensor) -> Tensor:
        """The number of each row's own tokens, int64 (B,)."""
        return (self._pad(tracks_BCL, lengths_B) + lengths_B + 2) // 3

    def tokens(self, tracks_BCL: Tensor, lengths_B: Tensor) -> Tokens:
        """The lengths and regions of the tokens."""
        start_B, end_B = coding_interval(tracks_BCL, lengths_B)
        pad_B = (-start_B) % 3
        lengths_in_tokens_B = (pad_B + lengths_B + 2) // 3
        coding_B = start_B < end_B
        first_B = torch.where(coding_B, (with_cut_codon(start_B) + pad_B) // 3, 0)
        behind_B = torch.where(coding_B, (end_B + pad_B + 2) // 3, 0)
        n_tokens = self._n_tokens(pad_B, tracks_BCL, lengths_B)
        return Tokens(lengths_in_tokens_B, _regions(first_B, behind_B, n_tokens))

    def words(self, tracks_BCL: Tensor, lengths_B: Tensor) -> Tensor:
        """The codon of every token, int64 (B, T): 16 b0 + 4 b1 + b2 with A, C, G, T as 0 to 3.

        -1 if a base is unknown or missing, and in padding.
        """
        base_BT3 = self._in_frame(_bases(tracks_BCL, lengths_B), tracks_BCL, lengths_B)
        first_BT, second_BT, third_BT = (base_BT3 - 1).unbind(2)  # no product: a GPU has none of integers
        return torch.where((base_BT3 > 0).all(2), 16 * first_BT + 4 * second_BT + third_BT, -1)

    def _overlapping(self, tracks_BCL: Tensor, lengths_B: Tensor) -> Tensor:
        """The words that end at each base of each token, int64 (B, T, 3): 25 b0 + 5 b1 + b2, 0 for unknown bases."""
        base_BT3 = self._in_frame(_bases(tracks_BCL, lengths_B), tracks_BCL, lengths_B)
        base_BX = F.pad(base_BT3.flatten(1), (2, 0))
        return (25 * base_BX[:, :-2] + 5 * base_BX[:, 1:-1] + base_BX[:, 2:]).view(base_BT3.shape)

    def _in_frame(self, value_BL: Tensor, tracks_BCL: Tensor, lengths_B: Tensor) -> Tensor:
        """Values by position, arranged by each token's three bases (B, T, 3), 0 for missing bases."""
        pad_B = self._pad(tracks_BCL, lengths_B)
        n_tokens = self._n_tokens(pad_B, tracks_BCL, lengths_B)
        position_BX = torch.arange(3 * n_tokens, device=value_BL.device) - pad_B[:, None]
        own_BX = (position_BX >= 0) & (position_BX < lengths_B[:, None])
        found_BX = value_BL.gather(1, position_BX.clamp(0, value_BL.shape[1] - 1)).masked_fill(~own_BX, 0)
        return found_BX.view(len(value_BL), n_tokens, 3)

    @staticmethod
    def _n_tokens(pad_B: Tensor, tracks_BCL: Tensor, lengths_B: Tensor) -> int:
        """The tokens of the longest row, T; on a GPU, where reading it makes the host wait, the most there can be."""
        if lengths_B.device.type == "cpu":
            return int((pad_B + lengths_B + 2).max()) // 3
        return (tracks_BCL.shape[2] + 4) // 3

    @staticmethod
    def _pad(tracks_BCL: Tensor, lengths_B: Tensor) -> Tensor:
        """The number of bases that the first token of each row lacks, int64 (B,)."""
        return (-coding_interval(tracks_BCL, lengths_B)[0]) % 3


STEMS: dict[str, type[BaseStem] | type[CodonStem]] = {stem.name: stem for stem in (BaseStem, CodonStem)}


def coding_interval(tracks_BCL: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
    """Start and end of each row's CDS, half-open, int64 (B,); both 0 if the tracks have none.

    The end is the end of the last codon, which the end of the row may cut.
    """
    rows, n_tracks, positions = tracks_BCL.shape
    if n_tracks <= CDS_TRACK:
        none_B = torch.zeros(rows, dtype=torch.int64, device=tracks_BCL.device)
        return none_B, none_B
    position_L = torch.arange(positions, device=tracks_BCL.device)
    codon_BL = (tracks_BCL[:, CDS_TRACK] > 0) & (position_L < lengths_B[:, None])
    start_B = torch.where(codon_BL, position_L, positions).amin(dim=1)
    end_B = torch.where(codon_BL, position_L + 3, 0).amax(dim=1)
    return torch.where(end_B > 0, start_B, 0), end_B


def with_cut_codon(start_B: Tensor) -> Tensor:
    """The start of each row's CDS, cut codon included, if the first whole codon begins at ``start_B``, int64 (B,)."""
    return torch.where(start_B < 3, 0, start_B)


def _regions(first_B: Tensor, behind_B: Tensor, n_tokens: int) -> Tensor:
    """Regions of tokens, int64 (B, T), of a CDS of tokens ``first_B`` to ``behind_B``, half-open."""
    token_T = torch.arange(n_tokens, device=first_B.device)
    region_BT = (token_T >= first_B[:, None]).long() + (token_T >= behind_B[:, None])
    return torch.where(behind_B[:, None] > 0, region_BT, UNKNOWN)


def _bases(tracks_BCL: Tensor, lengths_B: Tensor) -> Tensor:
    """Bases, int64 (B, L): 1 A, 2 C, 3 G, 4 T, 0 unknown and in padding."""
    own_BL = torch.arange(tracks_BCL.shape[2], device=tracks_BCL.device) < lengths_B[:, None]
    letter_4 = torch.arange(1, 5, device=tracks_BCL.device)
    base_BL: Tensor = ((tracks_BCL[:, :4] > 0) * letter_4[:, None]).sum(dim=1) * own_BL
    return base_BL


def share_of_words() -> Tensor:
    """For each word of bases 0 to 4 (0: unknown), the shares of the 64 codons that it may be, float32 (125, 64)."""
    base_54 = torch.cat([torch.full((1, 4), 0.25), torch.eye(4)])
    return torch.einsum("ai,bj,ck->abcijk", base_54, base_54, base_54).reshape(125, 64)
