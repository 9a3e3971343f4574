"""The encoder of mature mRNA: a stem that turns tracks into tokens, a stack of pre-norm mixers, a final norm.

B batch rows, C tracks, L positions (nt), T tokens, D model width. Tracks (B, C, L) -> hidden states (B, T, D) -> one
vector a row, the mean over the row's own tokens. A token is a base (T = L) or, with the codon stem, three bases in the
frame of the CDS (:mod:`orthrus.nn.stem`). 6 x 512 has 10 M parameters, 3 x 256 has 1.3 M.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from orthrus.errors import InputError
from orthrus.genome.codes import CdsFrame
from orthrus.nn.mamba import Mamba
from orthrus.nn.mamba2 import Mamba2
from orthrus.nn.pieces import PIECE, go_on
from orthrus.nn.pooling import mean_pool
from orthrus.nn.projection import Projection
from orthrus.nn.stem import STEMS, Tokens

if TYPE_CHECKING:
    from typing_extensions import Self

MixerFactory = Callable[[int, bool], nn.Module]
"""(d_model, bidirectional) -> a module called with (hidden_BLD, lengths_B) that keeps the shape."""

Pool = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(hidden_BTD, lengths_B in tokens, region_BT) -> one vector a row, as in :mod:`orthrus.nn.pooling`."""


class Layer(nn.Module):
    def __init__(self, d_model: int, mixer: nn.Module) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d_model)
        self.mixer = mixer

    @property
    def goes_in_pieces(self) -> bool:
        """Whether a long row can be processed in pieces: only a causal Mamba-1 mixer can."""
        return isinstance(self.mixer, Mamba) and self.mixer.reverse is None

    def forward(self, hidden_BLD: Tensor, lengths_B: Tensor) -> Tensor:
        long = hidden_BLD.shape[1] > PIECE and not torch.is_grad_enabled() and not torch.compiler.is_compiling()
        if long and self.goes_in_pieces:
            return self._in_pieces(hidden_BLD, cast(Mamba, self.mixer))
        out_BLD: Tensor = hidden_BLD + self.mixer(self.norm(hidden_BLD), lengths_B)
        return out_BLD

    def _in_pieces(self, hidden_BLD: Tensor, mixer: Mamba) -> Tensor:
        """The layer's output, without gradients and with memory for the input, the output and one piece."""
        out_BLD, carry = torch.empty_like(hidden_BLD), None
        for start in range(0, hidden_BLD.shape[1], PIECE):
            piece_BLD = hidden_BLD[:, start : start + PIECE]
            mixed_BLD, carry = go_on(mixer, self.norm(piece_BLD), carry)
            out_BLD[:, start : start + PIECE] = piece_BLD + mixed_BLD
        return out_BLD


class MambaEncoder(nn.Module):
    """Encodes the tracks of transcripts, 5' to 3', as hidden states and as one vector each.

    A causal Mamba-1 encoder has the state dict and the values of the published one (bioRxiv 2024.10.10.617658). Padding
    is on the right and has no effect; NaN in the tracks of a row gives NaN in that row only.

    Args:
        n_tracks: 4 (A, C, G, T) or 6 (also CDS and splice).
        d_model: the width D of the hidden states.
        n_layers: the number of mixers.
        bidirectional: whether each mixer reads both directions; a causal one sees only positions on the 5' side.
        mixer: builds the mixer of a layer: the class Mamba, Mamba2, or in a recipe their ``class_path`` and
            ``init_args``.
        gradient_checkpointing: save the memory of the layers' activations with a second forward pass.
        stem: the unit of a token: ``base`` (published), or, with 6 tracks, ``codon``: three bases, in frame.

    Raises:
        InputError: for sizes that are not positive, or an unknown stem.

    Examples:
        >>> encoder = MambaEncoder(n_tracks=6, d_model=32, n_layers=2)
        >>> tracks_BCL, lengths_B = torch.zeros(3, 6, 90), torch.tensor([90, 60, 30])
        >>> encoder(tracks_BCL, lengths_B).shape  # hidden states (B, L, D)
        torch.Size([3, 90, 32])
        >>> encoder.represent(tracks_BCL, lengths_B).shape  # (B, D)
        torch.Size([3, 32])
    """

    def __init__(
        self,
        n_tracks: int = 6,
        d_model: int = 256,
        n_layers: int = 3,
        bidirectional: bool = False,
        mixer: MixerFactory = Mamba,
        gradient_checkpointing: bool = False,
        stem: str = "base",
    ) -> None:
        super().__init__()
        for name, size in (("n_tracks", n_tracks), ("d_model", d_model), ("n_layers", n_layers)):
            if size < 1:
                raise InputError(f"{name} must be at least 1, got {size}")
        if stem not in STEMS:
            raise InputError(f"stem is {stem!r}; expected {' or '.join(STEMS)}")
        self.n_tracks, self.d_model, self.n_layers, self.bidirectional = n_tracks, d_model, n_layers, bidirectional
        self.gradient_checkpointing = gradient_checkpointing
        self.cds_frame: CdsFrame = "annotated"
        """Where codons began in training; it is not part of the shape, so :attr:`config` lacks it."""
        self.held_out: dict[str, float] = {}
        """Shares of families that training left out, ``val_fraction`` and ``test_fraction``; empty if not stated."""
        self.embedding = STEMS[stem](n_tracks, d_model)
        self.layers = nn.ModuleList(Layer(d_model, mixer(d_model, bidirectional)) for _ in range(n_layers))
        self.norm_f = nn.LayerNorm(d_model)
        self.projection: Projection | None = None
        """Fitted after training, on vectors of the frozen encoder; part of its configuration and of its weights."""
        with torch.no_grad():  # keeps the variance of the residual stream constant with depth, as published
            for name, parameter in self.named_parameters():
                if name.endswith("out_proj.weight"):
                    parameter.div_(n_layers**0.5)

    @property
    def config(self) -> dict[str, Any]:
        """The configuration that :meth:`from_config` builds an encoder of this shape from, as for JSON and recipes."""
        mixer = self.layers[0].mixer
        projection = {} if self.projection is None else {"projection": self.projection.config}
        return {
            "n_tracks": self.n_tracks,
            "d_model": self.d_model,
            "n_layers": self.n_layers,
            "bidirectional": self.bidirectional,
            "stem": self.embedding.name,
            "mixer": {"class_path": _path(type(mixer)), "init_args": dict(getattr(mixer, "config", {}))},
            **projection,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "Self":
        """A freshly initialised encoder with this ``config``; raises InputError if it is not an encoder's.

        Only mixers of this package are built, in sizes that a machine can hold, because a config may come from an
        untrusted checkpoint and must not run code or use up the memory.
        """
        try:
            own = dict(config)
            projection, mixer = own.pop("projection", None), config["mixer"]
            for name, size in {**own, **mixer["init_args"], **(projection or {})}.items():
                if name in _LARGEST and isinstance(size, int) and size > _LARGEST[name]:
                    raise InputError(f"{name} is {size:,}; an encoder has at most {_LARGEST[name]:,}")
            factory = partial(_MIXERS[mixer["class_path"]], **mixer["init_args"])
            encoder = cls(**{**own, "mixer": factory})
            if projection is not None:
                encoder.projection = Projection(**projection).requires_grad_(False)
            return encoder
        except (KeyError, TypeError) as error:
            raise InputError(f"not the configuration of an encoder ({error!r}): {dict(config)}") from error

    @property
    def n_parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(self, tracks_BCL: Tensor, lengths_B: Tensor) -> Tensor:
        """Hidden states (B, T, D) after the final norm; those beyond a row's own tokens are meaningless.

        ``tracks_BCL`` may have any type; ``lengths_B`` has the number of positions of each row, 1 to L. Raises
        InputError for an empty batch, a wrong number of tracks, or lengths on the CPU that are out of range.
        """
        hidden_BTD = deque(self._stream(tracks_BCL, lengths_B), maxlen=1).pop()
        normed_BTD: Tensor = self.norm_f(hidden_BTD)
        return normed_BTD

    def represent(self, tracks_BCL: Tensor, lengths_B: Tensor, pool: Pool = mean_pool) -> Tensor:
        """One vector a transcript, (B, D): by default the mean hidden state over its own tokens.

        Args:
            tracks_BCL: the tracks, as for :meth:`forward`.
            lengths_B: positions of each row, 1 to L.
            pool: turns hidden states into one vector a row (:mod:`orthrus.nn.pooling`).
        """
        return pool(self(tracks_BCL, lengths_B), *self.tokens(tracks_BCL, lengths_B))

    def tokens(self, tracks_BCL: Tensor, lengths_B: Tensor) -> Tokens:
        """The number of tokens of each row, and their regions.

        ``tracks_BCL`` and ``lengths_B`` are as for :meth:`forward`.
        """
        return self.embedding.tokens(tracks_BCL, lengths_B)

    def words(self, tracks_BCL: Tensor, lengths_B: Tensor) -> Tensor:
        """The word (base or codon) of each token, int64 (B, T): one of the stem's ``n_words``, -1 with an unknown base.

        ``tracks_BCL`` and ``lengths_B`` are as for :meth:`forward`.
        """
        return self.embedding.words(tracks_BCL, lengths_B)

    def hidden_layers(self, tracks_BCL: Tensor, lengths_B: Tensor, return_layers: Sequence[int]) -> list[Tensor]:
        """The residual stream (B, T, D) after chosen layers, before the final norm.

        Args:
            tracks_BCL: the tracks, as for :meth:`forward`.
            lengths_B: positions of each row, 1 to L.
            return_layers: numbers of layers, 0 for the embedding to ``n_layers`` for the last one.

        Raises:
            InputError: as :meth:`forward`, and for a layer that the encoder lacks.

        Examples:
            >>> encoder = MambaEncoder(n_tracks=4, d_model=16, n_layers=2)
            >>> hidden = encoder.hidden_layers(torch.zeros(1, 4, 50), torch.tensor([50]), return_layers=[0, 2])
            >>> [tuple(hidden_BLD.shape) for hidden_BLD in hidden]
            [(1, 50, 16), (1, 50, 16)]
        """
        unknown = sorted(set(return_layers) - set(range(self.n_layers + 1)))
        if unknown:
            raise InputError(f"no layer {unknown[0]}: this encoder has layers 0 (the embedding) to {self.n_layers}")
        wanted = {n: x for n, x in enumerate(self._stream(tracks_BCL, lengths_B)) if n in return_layers}
        return [wanted[layer] for layer in return_layers]

    def _stream(self, tracks_BCL: Tensor, lengths_B: Tensor) -> Iterator[Tensor]:
        """The residual stream after the embedding and after each layer."""
        self._check(tracks_BCL, lengths_B)
        hidden_BTD: Tensor = self.embedding.embed(tracks_BCL, lengths_B)
        yield hidden_BTD
        lengths_B = self.embedding.token_lengths(tracks_BCL, lengths_B)
        for layer in self.layers:
            if self.gradient_checkpointing and torch.is_grad_enabled():
                hidden_BTD = checkpoint(layer, hidden_BTD, lengths_B, use_reentrant=False)
            else:
                hidden_BTD = layer(hidden_BTD, lengths_B)
            yield hidden_BTD

    def _check(self, tracks_BCL: Tensor, lengths_B: Tensor) -> None:
        if tracks_BCL.ndim != 3 or lengths_B.shape != tracks_BCL.shape[:1]:
            raise InputError(
                "expected tracks (rows, tracks, positions) and one length a row, got shapes "
                f"{tuple(tracks_BCL.shape)} and {tuple(lengths_B.shape)}"
            )
        rows, n_tracks, positions = tracks_BCL.shape
        if rows == 0:
            raise InputError("empty batch: the encoder needs at least one row")
        if n_tracks != self.n_tracks:
            raise InputError(f"encoder takes {self.n_tracks} tracks, got {n_tracks}")
        if lengths_B.device.type != "cpu" or torch.compiler.is_compiling():
            return  # reading them would make the host wait for the device, and a traced graph has no values
        shortest, longest = int(lengths_B.min()), int(lengths_B.max())
        if shortest < 1:
            raise InputError(
                f"row {int(lengths_B.argmin())} has length {shortest}: every row needs at least 1 position"
            )
        if longest > positions:
            raise InputError(
                f"row {int(lengths_B.argmax())} has length {longest}, beyond the {positions} positions of the tracks"
            )


def _path(mixer: type) -> str:
    return f"{mixer.__module__}.{mixer.__qualname__}"


_LARGEST = {
    **{"n_tracks": 64, "d_model": 16_384, "n_layers": 512},
    **{"d_state": 1_024, "d_conv": 64, "expand": 16},
    **{"d_in": 65_536, "d_out": 16_384},
}
_MIXERS = {_path(mixer): mixer for mixer in (Mamba, Mamba2)}
