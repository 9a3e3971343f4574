"""Encoders as models of mRNABench (Shi et al. 2025), which embeds one sequence at a time.

    from orthrus.embedding.mrnabench import OrthrusEncoder
    model = OrthrusEncoder("runs/demo/checkpoints/last.ckpt", torch.device("cpu"))
    DatasetEmbedder(model, load_dataset("go-mf")).embed_dataset()

The interface is that of mRNABench 1.3; if the package is installed, the class derives from its ``EmbeddingModel``,
whose constructor turns autograd off in the whole process.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from orthrus.errors import InputError
from orthrus.genome.codes import CDS_BIT, SPLICE_BIT, Codes, encode_bases
from orthrus.models import load_model
from orthrus.nn.tracks import codes_to_tracks

SIX_TRACKS = 6


class _Base:
    """The attributes that the base class of the benchmark sets."""

    def __init__(self, model_version: str, device: torch.device) -> None:
        self.model_version, self.device, self.is_sixtrack = model_version, device, False
        self.short_name = OrthrusEncoder.get_model_short_name(model_version)


if not TYPE_CHECKING:
    with suppress(ImportError):
        from mrna_bench.models.embedding_model import EmbeddingModel as _Base


class OrthrusEncoder(_Base):
    """An encoder with the interface of the benchmark.

    Args:
        model_version: a name, a checkpoint, a folder, or ``owner/name``, as for :func:`orthrus.load_model`.
        device: the device to compute on.

    Raises:
        InputError: if there is no such encoder.
    """

    def __init__(self, model_version: str, device: torch.device) -> None:
        super().__init__(model_version, device)
        self.model = load_model(model_version, device)
        self.is_sixtrack = self.model.n_tracks == SIX_TRACKS

    @staticmethod
    def get_model_short_name(model_version: str) -> str:
        """``orthrus-`` and the letters and digits of the version; the benchmark splits file names at underscores."""
        name = re.sub(r"[^A-Za-z0-9]+", "-", str(Path(model_version).with_suffix(""))).strip("-").lower()
        return f"orthrus-{name.removeprefix('orthrus-')}"

    def embed_sequence(self, sequence: str, agg_fn: Callable[..., Tensor] = torch.mean) -> Tensor:
        """The vector (1, D) of a sequence, by a four-track encoder.

        ``agg_fn(hidden_1LD, dim=1)`` pools the hidden states. Raises InputError for a six-track encoder.
        """
        if self.is_sixtrack:
            raise InputError(f"{self.model_version} takes six tracks: call embed_sequence_sixtrack with CDS and splice")
        return self._embed(encode_bases(sequence, "sequence"), agg_fn)

    def embed_sequence_sixtrack(
        self, sequence: str, cds: NDArray[Any], splice: NDArray[Any], agg_fn: Callable[..., Tensor] = torch.mean
    ) -> Tensor:
        """The vector (1, D) of a sequence with its two annotation tracks, each (L,).

        The tracks are 1 at the first base of every codon of the CDS and at the last base of every exon. Raises
        InputError for a four-track encoder, or for tracks of another length than the sequence.
        """
        if not self.is_sixtrack:
            raise InputError(f"{self.model_version} takes four tracks: call embed_sequence")
        codes = encode_bases(sequence, "sequence")
        for name, track, bit in (("cds", cds, CDS_BIT), ("splice", splice, SPLICE_BIT)):
            if np.shape(track) != codes.shape:
                raise InputError(f"the {name} track has shape {np.shape(track)}; expected ({len(codes)},), one a base")
            codes = codes | np.where(np.asarray(track) > 0, np.uint8(bit), np.uint8(0))
        return self._embed(codes, agg_fn)

    def _embed(self, codes: Codes, agg_fn: Callable[..., Tensor] | None) -> Tensor:
        with torch.inference_mode():
            tracks_1CL = codes_to_tracks(torch.from_numpy(codes)[None].to(self.device), self.model.n_tracks)
            hidden_1LD = self.model(tracks_1CL, torch.tensor([len(codes)], device=self.device))
            vector: Tensor = (agg_fn or torch.mean)(hidden_1LD, dim=1)
        return vector.float()
