"""Views as intervals of a store: the bases of a batch, before any of them is read.

P pairs of 2 views, 4 parts a view, each a half-open interval of the store's codes (all transcripts end to end):

=============  =======================================================================================
``UTR5``       before the CDS; the whole of a transcript without CDS
``CDS``        empty without one
``STOP``       a stop codon from another transcript, mostly empty
``UTR3``       after the CDS
=============  =======================================================================================

A view is its parts end to end, so an augmentation that changes the length of a view exchanges intervals. It is applied
when batches are planned, so that every length is known and the token budget is kept exactly. Augmentations that keep
the length (:mod:`orthrus.loading.augment`) are applied after the bases are read.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from orthrus.errors import InputError
from orthrus.genome.codes import BASE_BITS, CDS_BIT, Codes
from orthrus.loading.draws import check_fraction
from orthrus.store.pairs import PairKind

UTR5, CDS, STOP, UTR3 = range(4)
UTRS = [UTR5, UTR3]

Parts = NDArray[np.int64]
"""int64 (..., 4, 2): the start and end of each part in the store's codes."""


def whole(offsets: NDArray[np.int64], cds: NDArray[np.int32], transcripts_P: NDArray[np.int64]) -> Parts:
    """The parts of unchanged transcripts, int64 (P, 4, 2).

    ``offsets`` is int64 (n + 1,), where transcripts begin in the codes; ``cds`` (n, 2), on the mRNA, -1 without.
    """
    first_P, last_P = offsets[transcripts_P], offsets[transcripts_P + 1]
    cds_P2 = np.where(cds[transcripts_P] < 0, last_P[:, None], cds[transcripts_P] + first_P[:, None])
    ends_P4 = np.stack([cds_P2[:, 0], cds_P2[:, 1], cds_P2[:, 1], last_P], axis=1)
    starts_P4 = np.concatenate([first_P[:, None], ends_P4[:, :-1]], axis=1)
    return np.stack([starts_P4, ends_P4], axis=2)


def lengths(parts: Parts) -> NDArray[np.int64]:
    """Lengths of views in nt, int64 (...), of parts (..., 4, 2)."""
    total: NDArray[np.int64] = (parts[..., 1] - parts[..., 0]).sum(axis=-1)
    return total


def gather(codes: Codes, parts_V42: Parts) -> tuple[Codes, NDArray[np.int64]]:
    """Views side by side, right-padded with 0: uint8 (V, L) and their lengths, int64 (V,)."""
    lengths_V = lengths(parts_V42)
    codes_VL = np.zeros((len(parts_V42), lengths_V.max()), dtype=np.uint8)
    for row, parts in zip(codes_VL, parts_V42.tolist(), strict=True):
        at = 0
        for start, end in parts:
            row[at : at + end - start] = codes[start:end]
            at += end - start
    return codes_VL, lengths_V


class Rearrangement(ABC):
    """A random exchange of the parts of pairs."""

    @abstractmethod
    def __call__(
        self, parts_2P42: Parts, kind_P: NDArray[np.int8], codes: Codes, generator: np.random.Generator
    ) -> Parts:
        """New parts of the first and the second views of P pairs of ``kind_P``, int64 (2, P, 4, 2).

        ``codes`` are all codes of the store, uint8, for decisions that need the bases; few of them should be read.
        """


@dataclass(frozen=True)
class Graft(Rearrangement):
    """Puts the CDS of an ortholog between the UTRs of the base transcript, so that UTRs do not distinguish species.

    An ortholog that is only a CDS is grafted with probability ``coding``, one with its own UTRs with probability
    ``whole``; the base must have a CDS. If the CDS lacks a stop codon and the base has one, the stop of the base is
    added, so that the frame ends as in a transcript and a missing stop does not mark an ortholog.
    """

    coding: float = 1.0
    whole: float = 0.0

    def __post_init__(self) -> None:
        check_fraction(self.coding, "Graft.coding")
        check_fraction(self.whole, "Graft.whole")

    def __call__(
        self, parts_2P42: Parts, kind_P: NDArray[np.int8], codes: Codes, generator: np.random.Generator
    ) -> Parts:
        """Second views of ortholog pairs with the UTRs of the first."""
        base, partner = parts_2P42
        probability_P = np.where(_is_coding_alone(partner), self.coding, self.whole)
        chosen_P = (generator.random(len(kind_P)) < probability_P) & (kind_P == PairKind.ORTHOLOG)
        chosen_P &= _has_cds(base) & _has_cds(partner)
        base, grafted = base[chosen_P], partner[chosen_P]
        grafted[:, UTRS] = base[:, UTRS]
        lent = _ends_in_frame(grafted, codes) & ~_ends_in_stop(grafted, codes) & _ends_in_stop(base, codes)
        grafted[:, STOP] = base[:, CDS, 1, None] - np.where(lent[:, None], [3, 0], 0)
        result = parts_2P42.copy()
        result[1, chosen_P] = grafted
        return result


@dataclass(frozen=True)
class CodingOnly(Rearrangement):
    """With ``probability`` cuts both views of a pair to their CDS; a pair that lacks one stays whole."""

    probability: float = 0.1

    def __post_init__(self) -> None:
        check_fraction(self.probability, "CodingOnly.probability")

    def __call__(
        self, parts_2P42: Parts, kind_P: NDArray[np.int8], codes: Codes, generator: np.random.Generator
    ) -> Parts:
        """Parts without the UTRs of the chosen pairs."""
        return _without_utrs(parts_2P42, generator.random(len(kind_P)) < self.probability)


@dataclass(frozen=True)
class DropUtrs(Rearrangement):
    """With ``probability`` drops the UTRs of a view whose partner is only a CDS, so that UTRs give nothing away."""

    probability: float = 1.0

    def __post_init__(self) -> None:
        check_fraction(self.probability, "DropUtrs.probability")

    def __call__(
        self, parts_2P42: Parts, kind_P: NDArray[np.int8], codes: Codes, generator: np.random.Generator
    ) -> Parts:
        """Parts in which both views of the chosen pairs are only a CDS."""
        coding_P = _is_coding_alone(parts_2P42).any(axis=0)
        return _without_utrs(parts_2P42, coding_P & (generator.random(len(kind_P)) < self.probability))


@dataclass(frozen=True)
class Crop(Rearrangement):
    """Cuts the two views of a self pair to random windows, because masks alone leave them nearly identical.

    In each view of a self pair, each UTR is dropped with probability ``drop_utr`` if there is a CDS. Of the rest a
    window at a uniform place is kept, whose share is drawn uniformly between ``shortest`` and 1.
    """

    shortest: float = 0.5
    drop_utr: float = 0.3

    def __post_init__(self) -> None:
        check_fraction(self.shortest, "Crop.shortest")
        check_fraction(self.drop_utr, "Crop.drop_utr")

    def __call__(
        self, parts_2P42: Parts, kind_P: NDArray[np.int8], codes: Codes, generator: np.random.Generator
    ) -> Parts:
        """Parts with the self pairs cut."""
        chosen_P = kind_P == PairKind.SELF
        cropped_2S42 = parts_2P42[:, chosen_P]
        dropped_2S2 = generator.random((*cropped_2S42.shape[:2], len(UTRS))) < self.drop_utr
        dropped_2S2 &= _has_cds(cropped_2S42)[..., None]
        for n, utr in enumerate(UTRS):
            cropped_2S42[:, :, utr, 1] -= dropped_2S2[:, :, n] * np.diff(cropped_2S42[:, :, utr])[..., 0]
        share_2S = generator.uniform(self.shortest, 1, cropped_2S42.shape[:2])
        kept_2S = np.ceil(share_2S * lengths(cropped_2S42)).astype(np.int64)
        result = parts_2P42.copy()
        result[:, chosen_P] = _random_window(cropped_2S42, kept_2S, generator)
        return result


@dataclass(frozen=True)
class Window(Rearrangement):
    """Cuts every view that is longer than ``longest`` nt to a random window of that length."""

    longest: int = 3072

    def __post_init__(self) -> None:
        if self.longest < 1:
            raise InputError(f"Window.longest is {self.longest}; expected a number of nt, 1 or more")

    def __call__(
        self, parts_2P42: Parts, kind_P: NDArray[np.int8], codes: Codes, generator: np.random.Generator
    ) -> Parts:
        """Parts of at most ``longest`` nt a view."""
        return _random_window(parts_2P42, np.minimum(lengths(parts_2P42), self.longest), generator)


def _random_window(parts: Parts, kept: NDArray[np.int64], generator: np.random.Generator) -> Parts:
    """Parts of views, int64 (..., 4, 2), cut to windows of ``kept`` nt (...) at uniform places."""
    first = (generator.random(kept.shape) * (lengths(parts) - kept + 1)).astype(np.int64)
    size = parts[..., 1] - parts[..., 0]
    begin = np.cumsum(size, axis=-1) - size  # of each part, in its view
    window = np.stack([first, first + kept], axis=-1)[..., None, :]
    cut: Parts = parts[..., :1] + np.clip(window - begin[..., None], 0, size[..., None])
    return cut


def _without_utrs(parts_2P42: Parts, chosen_P: NDArray[np.bool_]) -> Parts:
    chosen_P = chosen_P & _has_cds(parts_2P42).all(axis=0)
    result = parts_2P42.copy()
    for utr in UTRS:
        result[:, chosen_P, utr, 1] = result[:, chosen_P, utr, 0]
    return result


def _has_cds(parts: Parts) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = parts[..., CDS, 0] < parts[..., CDS, 1]
    return found


def _is_coding_alone(parts: Parts) -> NDArray[np.bool_]:
    no_utrs: NDArray[np.bool_] = (parts[..., UTRS, 0] == parts[..., UTRS, 1]).all(axis=-1)
    return _has_cds(parts) & no_utrs


def _ends_in_frame(parts_P42: Parts, codes: Codes) -> NDArray[np.bool_]:
    """Whether the CDS of each view ends with a whole codon, bool (P,); the CDS are not empty."""
    long_enough = parts_P42[:, CDS, 1] - parts_P42[:, CDS, 0] >= 3
    in_frame: NDArray[np.bool_] = long_enough & (codes[parts_P42[:, CDS, 1] - 3] & CDS_BIT > 0)
    return in_frame


def _ends_in_stop(parts_P42: Parts, codes: Codes) -> NDArray[np.bool_]:
    """Whether the last codon of each view is TAA, TAG or TGA, in frame, bool (P,); the CDS are not empty."""
    first, second, third = (codes[parts_P42[:, CDS, 1] - back] & BASE_BITS for back in (3, 2, 1))
    purines = ((second == 1) & ((third == 1) | (third == 3))) | ((second == 3) & (third == 1))
    stop: NDArray[np.bool_] = _ends_in_frame(parts_P42, codes) & (first == 4) & purines
    return stop
