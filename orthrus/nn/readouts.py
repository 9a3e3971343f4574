"""Readouts: which layer's hidden states, and how they are pooled, give a transcript its vector.

B batch rows, L positions (nt), D model width, C tracks. A readout is named ``LAYER.POOL``:

- layer ``last`` is what the encoder returns, after its final norm; ``layer0`` the embedding, ``layer1`` ... the
  residual stream after that layer; ``average`` the mean over the streams after layers 1 to the last, each normalised;
- pool ``mean``, ``max`` (over a transcript's own positions) give D numbers, ``regions`` (the means of 5'UTR, CDS and
  3'UTR side by side) 3 D.

All readouts come from one forward pass.
"""

import re
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from orthrus.errors import InputError
from orthrus.nn.encoder import MambaEncoder
from orthrus.nn.pooling import CDS_TRACK, max_pool, mean_pool, region_pool

LAST_MEAN = "last.mean"
_POOLS = {"mean": mean_pool, "max": max_pool, "regions": region_pool}


def check_readouts(encoder: MambaEncoder, names: Sequence[str]) -> None:
    """Raises InputError unless the encoder has all of these, each once."""
    for name in names:
        layer, _, pool = name.partition(".")
        numbered = re.fullmatch(r"layer(\d+)", layer)
        if pool not in _POOLS or not (layer in ("last", "average") or numbered):
            raise InputError(f"readout {name!r}: expected last, average or layerN, a dot, and {', '.join(_POOLS)}.")
        if numbered and int(numbered[1]) > encoder.n_layers:
            raise InputError(f"readout {name!r}: this encoder has layer0 (the embedding) to layer{encoder.n_layers}.")
        if pool == "regions" and encoder.n_tracks <= CDS_TRACK:
            raise InputError(f"readout {name!r}: regions need the CDS track, and this encoder has {encoder.n_tracks}.")
    if not names or len(set(names)) < len(names):
        raise InputError(f"readouts {', '.join(names) or 'none'}: expected at least one, each once.")


def widths(encoder: MambaEncoder, names: Sequence[str]) -> list[int]:
    """How many numbers each readout is."""
    return [encoder.d_model * (3 if name.endswith(".regions") else 1) for name in names]


def read_out(encoder: MambaEncoder, tracks_BCL: Tensor, lengths_B: Tensor, names: Sequence[str]) -> list[Tensor]:
    """Each readout of a batch, (B, its width), from one pass. The names are as :func:`check_readouts` lets them be."""
    if names == [LAST_MEAN]:
        return [encoder.represent(tracks_BCL, lengths_B)]
    streams = dict(enumerate(encoder.hidden_layers(tracks_BCL, lengths_B, range(encoder.n_layers + 1))))
    found = {}
    for layer in {name.partition(".")[0] for name in names}:
        if layer == "last":
            hidden_BLD = encoder.norm_f(streams[encoder.n_layers])
        elif layer == "average":
            above = [F.layer_norm(streams[n], (encoder.d_model,)) for n in range(1, encoder.n_layers + 1)]
            hidden_BLD = torch.stack(above).mean(dim=0)
        else:
            hidden_BLD = streams[int(layer.removeprefix("layer"))]
        for name in names:
            if name.startswith(f"{layer}."):
                found[name] = _POOLS[name.partition(".")[2]](hidden_BLD, lengths_B, tracks_BCL)
    return [found[name] for name in names]
