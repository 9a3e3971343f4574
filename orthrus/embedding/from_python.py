"""Embed transcripts from Python in one call: sequences, files, data frames or stores."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from orthrus.embedding.embed import check_device, warn_of_bare_transcripts
from orthrus.embedding.embed import embed as embed_rows
from orthrus.errors import InputError
from orthrus.genome.codes import CDS_BIT, SPLICE_BIT, Codes, annotate, codon_interval, encode_bases
from orthrus.genome.mrna_frames import read_track
from orthrus.genome.orfs import longest_orf
from orthrus.models import find_model
from orthrus.nn.checkpoints import load_encoder, stored_readout
from orthrus.nn.encoder import MambaEncoder
from orthrus.nn.readouts import LAST_MEAN
from orthrus.prepare import open_or_prepare
from orthrus.store import TranscriptStore


class _Listed:
    """Transcripts in memory."""

    def __init__(self, codes: Sequence[Codes]) -> None:
        self._codes = codes
        self.lengths = np.array([len(each) for each in codes], dtype=np.int64)
        self.cds = np.array([codon_interval(each) or (-1, -1) for each in codes], dtype=np.int32).reshape(-1, 2)

    def codes(self, i: int) -> Codes:
        return self._codes[i]


def embed(
    transcripts: str | Path | Sequence[str] | Mapping[str, str] | pd.DataFrame | TranscriptStore,
    model: str | Path | MambaEncoder | None = None,
    *,
    readout: str | None = None,
    coordinates: str | Path | None = None,
    genome: str | Path | None = None,
    cds: str = "longest-orf",
    device: str | None = None,
    token_budget: int = 65_536,
) -> Any:
    """Embed transcripts: one vector each, with a progress bar.

    Args:
        transcripts: sequences, 5' to 3', in A, C, G, T, U and N, or names to sequences; or the path of an mRNA FASTA,
            an annotation (with ``genome``) or a store; or an open store; or a data frame with a column ``sequence``
            and, where known, ``cds_start`` and ``cds_end`` (0-based, half-open, with the stop codon) and ``exon_ends``
            (ascending, half-open, the last one the length), or the tracks ``cds`` and ``splice`` in the form of
            mRNABench.
        model: a name or path as for :func:`orthrus.load_model`, or an encoder; by default the shipped model.
        readout: layer and pool (:mod:`orthrus.nn.readouts`); by default the model's own.
        coordinates: CDS and exons of the FASTA's mRNAs.
        genome: genome of the annotation, FASTA or 2bit.
        cds: the CDS of sequences without a stated one: ``longest-orf`` (:func:`orthrus.genome.orfs.longest_orf`) or
            ``none``.
        device: such as ``cpu`` or ``cuda:1``; by default a GPU if there is one.
        token_budget: padded positions (nt) of a batch.

    Returns:
        float32 (n, D) for sequences without names; otherwise a data frame of n rows and D columns, whose index is the
        names, the transcripts' ids, or the index of a given frame.

    Raises:
        InputError: for transcripts, a model, a readout or a device that cannot be used.

    Examples:
        >>> import orthrus
        >>> orthrus.embed(["ATGGCTTAA", "ACGTAC"]).shape  # two sequences, by the shipped model
        (2, 902)
    """
    if cds not in ("longest-orf", "none"):
        raise InputError(f"cds is {cds!r}; expected 'longest-orf' or 'none'")
    place = check_device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    if isinstance(model, MambaEncoder):
        encoder, readout = model.to(place).eval(), readout or LAST_MEAN
    else:
        path = find_model(model)
        encoder, readout = load_encoder(path, place), readout or stored_readout(path)

    def vectors(store: Any, n: int) -> NDArray[np.float32]:
        warn_of_bare_transcripts(encoder, store)
        return embed_rows(encoder, store, range(n), token_budget, readouts=[readout])

    if isinstance(transcripts, Mapping):
        transcripts = pd.DataFrame({"sequence": pd.Series(dict(transcripts), dtype=object)})
    if isinstance(transcripts, pd.DataFrame):
        rows = zip(transcripts.index, transcripts.to_dict("records"), strict=True)
        listed = [_codes_of_row({"name": f"row {label}", **row}, cds) for label, row in rows]
        return pd.DataFrame(vectors(_Listed(listed), len(listed)), index=transcripts.index)
    if isinstance(transcripts, TranscriptStore):
        return _frame(transcripts, vectors(transcripts, len(transcripts)))
    if isinstance(transcripts, Path) or (isinstance(transcripts, str) and not _is_sequence(transcripts)):
        beside_genome, beside_coordinates = (Path(x) if x else None for x in (genome, coordinates))
        with open_or_prepare(
            Path(transcripts), genome=beside_genome, coordinates=beside_coordinates, find_orfs=cds == "longest-orf"
        ) as store:
            return _frame(store, vectors(store, len(store)))
    sequences = [transcripts] if isinstance(transcripts, str) else list(transcripts)
    if not sequences:
        raise InputError("there is no sequence to embed; expected at least one")
    listed = [_codes_of_row({"sequence": each, "name": f"sequence {n}"}, cds) for n, each in enumerate(sequences)]
    return vectors(_Listed(listed), len(listed))


def _is_sequence(text: str) -> bool:
    return len(text) > 0 and not set(text.upper()) - set("ACGTUN") and not Path(text[:255]).exists()


def _frame(store: TranscriptStore, vectors: NDArray[np.float32]) -> pd.DataFrame:
    return pd.DataFrame(vectors, index=pd.Index(store.column("transcript_id"), name="transcript_id"))


def _codes_of_row(row: Mapping[Any, Any], cds: str) -> Codes:
    """The codes of the sequence in a row, annotated with the other columns of the row."""
    row = {key: x for key, x in row.items() if x is not None and not (isinstance(x, float) and np.isnan(x))}
    name = str(row.get("transcript_id", row["name"]))
    if not isinstance(row.get("sequence"), str) or not row["sequence"]:
        raise InputError(f"{name}: sequence is {row.get('sequence')!r}; expected bases, in a column 'sequence'")
    bases = encode_bases(row["sequence"], name)
    if "cds" in row or "splice" in row:
        codes = bases.copy()
        for track, bit in (("cds", CDS_BIT), ("splice", SPLICE_BIT)):
            codes[read_track(row.get(track), len(codes), f"{name}: {track}")] |= bit
        return codes
    exon_ends = _exon_ends(row.get("exon_ends", ()), len(bases), name)
    if "cds_start" in row or "cds_end" in row:
        try:
            start, end = int(row["cds_start"]), int(row["cds_end"])
        except (KeyError, TypeError, ValueError):
            found = f"{row.get('cds_start')!r:.30} to {row.get('cds_end')!r:.30}"
            raise InputError(f"{name}: the CDS is {found}; expected whole numbers, -1 without one") from None
        if start >= 0 and not start < end <= len(bases):
            raise InputError(f"{name}: CDS {start}-{end} does not lie in its {len(bases)} nt")
        return annotate(bases, (start, end) if start >= 0 else None, exon_ends)
    return annotate(bases, longest_orf(bases) if cds == "longest-orf" else None, exon_ends)


def _exon_ends(ends: Any, length: int, name: str) -> NDArray[np.int32]:
    found = np.asarray(ends)
    whole = found.ndim == 1 and (found.dtype.kind in "iu" or not found.size)
    if not whole or (found.size and (found[0] < 1 or found[-1] != length or (np.diff(found) <= 0).any())):
        raise InputError(
            f"{name}: exon_ends is {ends!r:.40}; expected whole numbers, ascending, the last one the length, {length:,}"
        )
    return found.astype(np.int32)
