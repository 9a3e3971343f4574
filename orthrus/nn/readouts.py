"""Readouts: the layer and the pooling of the hidden states that give the vector of a transcript.

B batch rows, L positions (nt), T tokens, D model width, C tracks. A readout is named ``LAYER.POOL``:

- layer ``last`` is the output of the encoder, after its final norm; ``layer0`` the embedding, ``layer1`` ... the
  residual stream after that layer; ``average`` the mean over the streams after layers 1 to the last, each normalised;
- pool ``mean``, ``max`` (over a transcript's own tokens) and ``cds`` (the mean over its CDS, or, without
  one, over all tokens) give D numbers, ``regions`` (the means of 5'UTR, CDS and 3'UTR side by side) 3 D.

``lengths`` is a readout without a network: the natural logarithms of 1 plus the lengths (nt) of the transcript, its
5'UTR, CDS and 3'UTR, and of 1 plus the number of exons, and whether that number is known (0 or 1). An unknown number is
0, and without a CDS the three parts are 0. ``projection`` has the unit vectors of the encoder's projection, if it has
one (:mod:`orthrus.nn.projection`). Readouts joined by ``+`` are concatenated: ``last.mean+last.cds+lengths``.

All readouts come from one forward pass.
"""

import re
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from orthrus.errors import InputError
from orthrus.nn.encoder import MambaEncoder
from orthrus.nn.pooling import cds_pool, max_pool, mean_pool, region_pool
from orthrus.nn.stem import CDS_TRACK, N_TRACKS, SPLICE_TRACK, coding_interval, with_cut_codon

LAST_MEAN, LENGTHS, PROJECTION = "last.mean", "lengths", "projection"
_POOLS = {"mean": mean_pool, "max": max_pool, "cds": cds_pool, "regions": region_pool}
_N_LENGTHS = 6


def check_readouts(encoder: MambaEncoder, names: Sequence[str]) -> None:
    """Raise InputError unless the encoder has all of these readouts and each is named once."""
    for part in (part for name in names for part in name.split("+")):
        layer, _, pool = part.partition(".")
        numbered = re.fullmatch(r"layer(\d+)", layer)
        if part == PROJECTION:
            _check_projection(encoder)
            continue
        if part == LENGTHS:
            if encoder.n_tracks < N_TRACKS:
                raise InputError(f"readout {part!r}: lengths need 6 tracks, and this encoder has {encoder.n_tracks}.")
            continue
        if pool not in _POOLS or not (layer in ("last", "average") or numbered):
            raise InputError(
                f"readout {part!r}: expected last, average or layerN, a dot, and {', '.join(_POOLS)}; or {LENGTHS}."
            )
        if numbered and int(numbered[1]) > encoder.n_layers:
            raise InputError(f"readout {part!r}: this encoder has layer0 (the embedding) to layer{encoder.n_layers}.")
        if pool in ("cds", "regions") and encoder.n_tracks <= CDS_TRACK:
            raise InputError(f"readout {part!r}: {pool} needs the CDS track, and this encoder has {encoder.n_tracks}.")
    if not names or len(set(names)) < len(names):
        raise InputError(f"readouts {', '.join(names) or 'none'}: expected at least one, each once.")


def widths(encoder: MambaEncoder, names: Sequence[str]) -> list[int]:
    """The width of each readout."""
    return [sum(_width(encoder, part) for part in name.split("+")) for name in names]


def read_out(encoder: MambaEncoder, tracks_BCL: Tensor, lengths_B: Tensor, names: Sequence[str]) -> list[Tensor]:
    """Each readout of a batch, (B, its width), from one pass; ``names`` must pass :func:`check_readouts`."""
    if list(names) == [LAST_MEAN]:
        return [encoder.represent(tracks_BCL, lengths_B)]
    tokens = encoder.tokens(tracks_BCL, lengths_B)
    parts = dict.fromkeys(part for name in names for part in name.split("+"))
    projection = encoder.projection if PROJECTION in parts else None
    if projection is not None:
        parts |= dict.fromkeys(projection.readout.split("+"))
    found = {LENGTHS: log_lengths(tracks_BCL, lengths_B)} if LENGTHS in parts else {}
    layers = dict.fromkeys(part.partition(".")[0] for part in parts if "." in part)
    streams = dict(enumerate(encoder.hidden_layers(tracks_BCL, lengths_B, range(encoder.n_layers + 1))))
    for layer in layers:
        if layer == "last":
            hidden_BTD = encoder.norm_f(streams[encoder.n_layers])
        elif layer == "average":
            above = [F.layer_norm(streams[n], (encoder.d_model,)) for n in range(1, encoder.n_layers + 1)]
            hidden_BTD = torch.stack(above).mean(dim=0)
        else:
            hidden_BTD = streams[int(layer.removeprefix("layer"))]
        for part in parts:
            if part.startswith(f"{layer}."):
                found[part] = _POOLS[part.partition(".")[2]](hidden_BTD, *tokens)
    if projection is not None:
        found[PROJECTION] = projection(_joined(found, projection.readout))
    return [_joined(found, name) for name in names]


def _joined(found: Mapping[str, Tensor], name: str) -> Tensor:
    return torch.cat([found[part] for part in name.split("+")], dim=1)


def _check_projection(encoder: MambaEncoder) -> None:
    projection = encoder.projection
    if projection is None:
        raise InputError(f"readout {PROJECTION!r}: this encoder has none; `orthrus project` fits one.")
    if PROJECTION in projection.readout.split("+"):
        raise InputError(f"the projection takes {projection.readout}, which is not a readout of an encoder alone.")
    check_readouts(encoder, [projection.readout])
    if widths(encoder, [projection.readout]) != [projection.d_in]:
        width = widths(encoder, [projection.readout])[0]
        raise InputError(f"the projection takes {projection.d_in} numbers; {projection.readout} has {width}.")


def log_lengths(tracks_BCL: Tensor, lengths_B: Tensor) -> Tensor:
    """log(1 + n) of the nt of the transcript, its 5'UTR, CDS and 3'UTR and of its exons; known exons; float32 (B, 6).

    Without the last number, 0 or 1, a linear model takes an unknown number of exons, which is 0, for a very small one.
    """
    start_B, end_B = coding_interval(tracks_BCL, lengths_B)
    start_B = with_cut_codon(start_B)
    end_B = torch.minimum(end_B, lengths_B)
    behind_B = torch.where(end_B > 0, lengths_B - end_B, 0)
    own_BL = torch.arange(tracks_BCL.shape[2], device=lengths_B.device) < lengths_B[:, None]
    exons_B = ((tracks_BCL[:, SPLICE_TRACK] > 0) & own_BL).sum(dim=1)
    counts_B5 = torch.stack([lengths_B, start_B, end_B - start_B, behind_B, exons_B], dim=1)
    return torch.cat([counts_B5.float().log1p(), (exons_B > 0).float()[:, None]], dim=1)


def _width(encoder: MambaEncoder, part: str) -> int:
    if part == PROJECTION:
        return 0 if encoder.projection is None else encoder.projection.d_out
    return _N_LENGTHS if part == LENGTHS else encoder.d_model * (3 if part.endswith(".regions") else 1)
