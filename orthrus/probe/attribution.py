"""Attributions of a head's predicted value to the tokens of a transcript, and so to its bases.

An encoder reads tokens of one or three bases. The value is attributed to each token's vector after the stem, against a
baseline of zeros. L positions (nt), T tokens, D model width.

- ``integrated-gradients`` (Sundararajan et al. 2017, by Captum): the gradient along the line from the baseline, summed
  over ``steps`` points; the attributions sum to the value minus the baseline's value.
- ``gradient-x-input``: the gradient at the transcript itself.

Each base of a token of three gets a third.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from orthrus.embedding.per_base import token_of_base
from orthrus.errors import InputError
from orthrus.genome.codes import Codes
from orthrus.nn.encoder import MambaEncoder
from orthrus.nn.readouts import read_out
from orthrus.nn.tracks import codes_to_tracks
from orthrus.probe.head import Head

Method = Literal["integrated-gradients", "gradient-x-input"]
METHODS: tuple[Method, ...] = ("integrated-gradients", "gradient-x-input")


def attribute(
    encoder: MambaEncoder,
    head: Head,
    codes: Codes,
    target: int = 0,
    method: Method = "integrated-gradients",
    steps: int = 32,
) -> tuple[NDArray[np.float64], float]:
    """The contribution of each base of a transcript to a head's score.

    Args:
        encoder: the encoder that the head was fitted to.
        head: the head; its score before conversion to a probability is attributed.
        codes: uint8 (L,), annotated.
        target: the index of one of the head's targets.
        method: one of the two above.
        steps: number of points of the integral.

    Returns:
        float64 (L,), in the score's unit, and the score of the transcript.

    Raises:
        InputError: without Captum for integrated gradients, or for fewer than 1 step.
    """
    if steps < 1:
        raise InputError(f"steps is {steps}; expected 1 or more")
    device = encoder.norm_f.weight.device
    tracks_1CL = codes_to_tracks(torch.from_numpy(codes.copy())[None].to(device), encoder.n_tracks)
    lengths_1 = torch.tensor([len(codes)])
    scale_D, center_D, weight_D = (
        torch.from_numpy(np.ascontiguousarray(x)).to(device, torch.float32)
        for x in (head.scale_D, head.center_D, head.weight_DT[:, target])
    )

    def score(hidden_NTD: Tensor) -> Tensor:
        n = len(hidden_NTD)
        tracks_NCL, lengths_N = tracks_1CL.expand(n, -1, -1), lengths_1.expand(n)
        with _stem_gives(encoder, hidden_NTD):
            vectors_ND = read_out(encoder, tracks_NCL, lengths_N, [head.description.readout])[0]
        return ((vectors_ND - center_D) * scale_D) @ weight_D + float(head.intercept_T[target])

    with torch.no_grad():
        first_1TD = encoder.embedding.embed(tracks_1CL, lengths_1)
        value = float(score(first_1TD)[0])
    given_1TD = (_integrated if method == "integrated-gradients" else _gradient)(score, first_1TD, steps)
    of_token_T = given_1TD.sum(dim=2)[0].double().cpu().numpy()
    token_L = token_of_base(encoder, codes)
    return of_token_T[token_L] / np.bincount(token_L)[token_L], value


def _integrated(score: Callable[[Tensor], Tensor], first_1TD: Tensor, steps: int) -> Tensor:
    try:
        from captum.attr import IntegratedGradients
    except ImportError:
        raise InputError(
            "integrated gradients need Captum: pip install captum; or choose --method gradient-x-input"
        ) from None
    found: Tensor = IntegratedGradients(score).attribute(
        first_1TD, torch.zeros_like(first_1TD), n_steps=steps, internal_batch_size=1
    )
    return found.detach()


def _gradient(score: Callable[[Tensor], Tensor], first_1TD: Tensor, steps: int) -> Tensor:
    leaf = first_1TD.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(score(leaf).sum(), leaf)
    return gradient * first_1TD


@contextmanager
def _stem_gives(encoder: MambaEncoder, hidden_NTD: Tensor) -> Iterator[None]:
    """Make the encoder's stem return these vectors for any tracks."""
    stem = encoder.embedding
    stem.embed = lambda tracks_BCL, lengths_B: hidden_NTD  # type: ignore[method-assign]
    try:
        yield
    finally:
        del stem.embed
