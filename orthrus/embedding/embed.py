"""Embedding: every transcript of a store to one vector, batched by length under a token budget.

A file is made in parts of consecutive transcripts. The transcripts of a part are embedded from the longest to the
shortest, so that a batch has little padding, and the part with the longest transcript comes first, so that memory peaks
at the start. Parts lie beside the output (:mod:`orthrus.embedding.parts`): an interrupted run continues where it
stopped, and the output appears whole or not at all.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from orthrus.embedding.file import read_embeddings, write_content
from orthrus.embedding.formats import check_format
from orthrus.embedding.parts import PART_FORMAT, Parts, join
from orthrus.errors import InputError
from orthrus.genome.codes import CdsFrame, Codes, check_n_tracks, in_published_frame
from orthrus.loading.batch import pad
from orthrus.memory import give_back_freed_memory
from orthrus.messages import messages
from orthrus.models import model_name
from orthrus.nn.checkpoints import checkpoint_step, load_encoder, stored_readout
from orthrus.nn.encoder import MambaEncoder
from orthrus.nn.integrity import digest
from orthrus.nn.pieces import PIECE
from orthrus.nn.products import warn_of_slow_bf16
from orthrus.nn.readouts import LAST_MEAN, check_readouts, read_out, widths
from orthrus.nn.tracks import codes_to_tracks
from orthrus.output import atomic_file, hold, writing
from orthrus.store import TranscriptStore

logger = logging.getLogger(__name__)

_BYTES_OF_A_CHANNEL = 60  # measured, a position of a bidirectional encoder, whatever its depth: docs/log.md
_BATCHES_BETWEEN = 10  # of giving memory back: in bfloat16 on a CPU each leaves 0.05 GB


class HasCodes(Protocol):
    """Transcripts by index, with the interface of a store."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Lengths in nt, int64 (n,)."""

    @property
    def cds(self) -> NDArray[np.int32]:
        """Start and end of each CDS, int32 (n, 2), -1 without one."""

    def codes(self, i: int) -> Codes:
        """Codes of transcript ``i``, uint8 (L,)."""


def embed(
    encoder: MambaEncoder,
    store: HasCodes,
    indices: Sequence[int] | NDArray[np.int64],
    token_budget: int = 65_536,
    description: str = "embedding",
    readouts: Sequence[str] = (LAST_MEAN,),
) -> NDArray[np.float32]:
    """Vectors of the chosen transcripts, float32 (n, D), in the order of ``indices``, with a progress bar.

    ``token_budget`` is the number of padded positions of a batch; a longer transcript is a batch by itself. Several
    ``readouts`` (:mod:`orthrus.nn.readouts`) lie side by side in a vector. Raises InputError for a readout that the
    encoder lacks.
    """
    check_readouts(encoder, readouts)
    chosen = np.asarray(indices, dtype=np.int64)
    warn_of_long_transcripts(encoder, store.lengths[chosen])
    vectors = np.empty((len(chosen), sum(widths(encoder, readouts))), dtype=np.float32)
    with progress_bar() as progress:
        task = progress.add_task(description, total=len(chosen))
        for rows in batches(store.lengths[chosen], token_budget):
            vectors[rows] = encode(
                encoder, [in_frame(encoder.cds_frame, store, int(i)) for i in chosen[rows]], readouts
            )
            progress.advance(task, len(rows))
    return vectors


def embed_to_file(
    checkpoint: Path,
    store: TranscriptStore,
    output: Path,
    *,
    input_name: str,
    token_budget: int = 65_536,
    device: str = "cpu",
    readouts: Sequence[str] | None = None,
    bf16: bool = False,
    overwrite: bool = False,
) -> int:
    """Embed a whole store into a file, and return the number of its transcripts.

    By default ``readouts`` is the one that the checkpoint names as its own. With ``bf16``, matrix products take
    bfloat16 inputs: faster on a GPU, and on a CPU that has such instructions (on others they are emulated); the scan's
    state and the pooling stay in float32.

    Columns: ``transcript_id``, ``embedding`` (list of float32), ``embedding.NAME`` for each readout but the first, then
        the store's columns on the transcripts, in the order of the store. The metadata of the schema names the encoder,
        its checkpoint, the readouts and the input. An ``output`` with another suffix than ``.parquet`` has the same
        content in that format (:mod:`orthrus.embedding.formats`) and is made in memory.

    Raises InputError if ``output`` exists or a run with another checkpoint or input was left unfinished there, unless
    ``overwrite``; if another process is writing it; if the checkpoint cannot be read; or if a vector is not finite.
    """
    check_format(output)
    with hold(output, keep=True) as place:
        if output.exists() and not overwrite:
            raise InputError(f"{output} exists; choose another --output or pass --overwrite to replace it")
        if token_budget < 1:
            raise InputError(f"a token budget of {token_budget} holds no transcript; expected, say, 65536")
        encoder = load_encoder(checkpoint, check_device(device))
        check_n_tracks(encoder.n_tracks)
        readouts = readouts or [stored_readout(checkpoint)]
        check_readouts(encoder, readouts)
        warn_of_bare_transcripts(encoder, store)
        warn_of_frame(encoder, store)
        warn_of_long_transcripts(encoder, store.lengths)
        metadata = {
            "encoder": encoder.config,
            "checkpoint": model_name(checkpoint),
            "checkpoint_sha256": digest(encoder.state_dict()),
            **({} if (step := checkpoint_step(checkpoint)) is None else {"step": step}),
            "input": input_name,
            "readout": readouts[0],
            "precision": "bf16" if bf16 else "32",
        }
        job = metadata | {
            "readouts": list(readouts),
            "files": store.meta["files"],
            "token_budget": token_budget,
            "format": PART_FORMAT,
        }
        parts = Parts(place, store.lengths, sum(widths(encoder, readouts)))
        with writing(output):
            parts.open(job, overwrite)
        if bf16:
            warn_of_slow_bf16(encoder.norm_f.weight.device)
        products = torch.autocast(torch.device(device).type, torch.bfloat16, enabled=bf16)
        with products, progress_bar() as progress:
            task = progress.add_task("embedding", total=len(store))
            for part in parts.by_longest():
                if parts.read(part) is None:
                    vectors = _vectors(encoder, store, part, token_budget, readouts)
                    with writing(output):
                        parts.write(part, vectors)
                progress.advance(task, len(part))
        with atomic_file(output) as scratch:
            joined = scratch.with_suffix(".parquet")
            join(parts, store, dict(zip(readouts, widths(encoder, readouts), strict=True)), metadata, joined)
            if joined != scratch:
                write_content(read_embeddings(joined), scratch)
    return len(store)


def in_frame(frame: CdsFrame, store: HasCodes, i: int) -> Codes:
    """Codes of transcript ``i``, uint8 (L,), with codons in the frame that an encoder was trained on."""
    codes, (start, end) = store.codes(i), store.cds[i]
    if frame == "annotated":
        return codes
    return in_published_frame(codes, (int(start), int(end)) if start >= 0 else None)


def warn_of_bare_transcripts(encoder: MambaEncoder, store: TranscriptStore) -> None:
    """Warn if the encoder reads the annotation and no transcript of the store has one."""
    if encoder.n_tracks > 4 and (store.cds[:, 0] < 0).all():
        logger.warning(
            "warning: this encoder reads the CDS and no transcript has one: do not rely on predictions, and compare"
            " these vectors only with those of other transcripts without annotation; or give --coordinates, or an"
            " annotation with --genome"
        )


def warn_of_long_transcripts(encoder: MambaEncoder, lengths: NDArray[np.integer[Any]]) -> None:
    """Log what the longest transcript takes in memory, if the encoder has to read it whole; ``lengths`` in nt."""
    longest = int(max(lengths, default=0))
    if longest > PIECE and not all(layer.goes_in_pieces for layer in encoder.layers):
        logger.warning(
            "warning: a transcript of %s nt takes about %.1f GB, since this encoder is bidirectional or of Mamba-2 and"
            " reads it whole; leave out what is too long for the memory (`max_length` of a spec)",
            f"{longest:,}",
            longest * encoder.d_model * _BYTES_OF_A_CHANNEL / 1e9,
        )


def warn_of_frame(encoder: MambaEncoder, store: TranscriptStore) -> None:
    """Warn if the store counts codons from the start of the CDS and the encoder expects the annotated frame."""
    if encoder.cds_frame == "annotated" and store.cds_frame == "published":
        logger.warning(
            "warning: this encoder was trained on annotated codons and this store has cds_frame: published,"
            " so incomplete coding sequences have other codons than in training; prepare the store with cds_frame:"
            " annotated"
        )


def check_device(name: str) -> torch.device:
    """The device with this ``name``; raises InputError unless this machine has it."""
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"no device {name!r} here ({reason}); expected cpu, cuda or cuda:N") from None
    return device


def _vectors(
    encoder: MambaEncoder, store: TranscriptStore, part: range, token_budget: int, readouts: Sequence[str]
) -> NDArray[np.float32]:
    """Vectors of a part, float32 (n, D), in the store's order."""
    of_batches = list(batches(store.lengths[part.start : part.stop], token_budget))
    found = []
    for number, rows in enumerate(of_batches):
        codes = [in_frame(encoder.cds_frame, store, part.start + int(i)) for i in rows]
        found.append(_encode(encoder, codes, readouts))
        if number % _BATCHES_BETWEEN == 0 and found[-1].device.type == "cpu":
            give_back_freed_memory()
    vectors = np.empty((len(part), sum(widths(encoder, readouts))), dtype=np.float32)
    vectors[np.concatenate(of_batches)] = torch.cat(found).cpu().numpy()
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if bad.size:
        raise InputError(
            f"{bad.size:,} vectors are not finite, such as that of"
            f" {store.transcript_ids[part.start + int(bad[0])].as_py()}: the encoder overflows; try --precision"
            " 32, or an earlier checkpoint"
        )
    return vectors


def encode(
    encoder: MambaEncoder, sequences: Sequence[Codes], readouts: Sequence[str] = (LAST_MEAN,)
) -> NDArray[np.float32]:
    """Vectors of a batch of annotated codes, float32 (B, D), or of several readouts side by side."""
    vectors: NDArray[np.float32] = _encode(encoder, sequences, readouts).cpu().numpy()
    return vectors


def _encode(encoder: MambaEncoder, sequences: Sequence[Codes], readouts: Sequence[str]) -> Tensor:
    """Vectors of a batch on the encoder's device; on a GPU the call returns before they are computed."""
    device = encoder.norm_f.weight.device
    codes_BL, lengths_B = (_to_device(torch.from_numpy(array), device) for array in pad(sequences))
    with torch.inference_mode():
        tracks_BCL = codes_to_tracks(codes_BL, encoder.n_tracks)
        return torch.cat(read_out(encoder, tracks_BCL, lengths_B, list(readouts)), dim=1).float()


def _to_device(tensor: Tensor, device: torch.device) -> Tensor:
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def batches(lengths: NDArray[np.int64], token_budget: int) -> Iterator[NDArray[np.int64]]:
    """Yield batches as indices into ``lengths``, the longest first, under a budget of padded positions."""
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        size = max(1, token_budget // int(lengths[order[start]]))
        yield order[start : start + size]
        start += size


def checkpoint_sha256(checkpoint: Path) -> str:
    """Hex SHA-256 of the tensors of a checkpoint's encoder, the same in every file and folder that holds it.

    Raises InputError as :func:`orthrus.load_encoder`.
    """
    return digest(load_encoder(checkpoint).state_dict())


def progress_bar(unit: str = "transcripts") -> Progress:
    """A progress bar that counts in ``unit``."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
        console=messages(),
    )
