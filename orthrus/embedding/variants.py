"""Zero-shot scores of variants in transcripts: how far an edit moves the embedding, and how likely the model finds it.

The input is a table of variants in transcript coordinates, the output is the table with scores. Each edited transcript
is embedded whole, with its annotation recomputed (:mod:`orthrus.genome.edits`), and each reference is embedded once.
Batches run from the longest transcript to the shortest under a token budget. 1,000 variants of 2 kb cost as much as
embedding 2 Mnt, and twice as much with the log-likelihood ratio.

V variants, D features, P edited positions, L positions.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import nn

from orthrus.embedding.embed import batches, embed, encode, progress_bar
from orthrus.embedding.variant_file import Variant
from orthrus.errors import InputError
from orthrus.genome.codes import BASE_BITS, SPLICE_BIT, Codes, decode_bases, encode_bases, in_published_frame
from orthrus.genome.edits import Edit, apply, consequence, trimmed
from orthrus.genome.hgvs import hgvs
from orthrus.genome.splice import Mrna
from orthrus.loading.batch import pad
from orthrus.nn.encoder import MambaEncoder
from orthrus.nn.readouts import LAST_MEAN
from orthrus.nn.tracks import codes_to_tracks
from orthrus.store import TranscriptStore

logger = logging.getLogger(__name__)


class Answer(NamedTuple):
    """A predicted property of transcripts: ``value_of`` maps the vectors (N, D) of a ``readout`` to values (N,)."""

    readout: str
    value_of: Callable[[NDArray[np.float32]], NDArray[np.float64]]


class _Placed(NamedTuple):
    """A variant of transcript ``row`` of the store."""

    variant: Variant
    row: int
    edit: Edit


def score_variants(
    encoder: MambaEncoder,
    store: TranscriptStore,
    variants: Sequence[Variant],
    *,
    source: str,
    mlm_head: nn.Module | None = None,
    answer: Answer | None = None,
    token_budget: int = 65_536,
) -> pa.Table:
    """Score variants: a table with one row a variant, in the given order.

    Variants of transcripts that the store lacks are left out, with a warning.

    Args:
        encoder: embeds the transcripts.
        store: the transcripts.
        variants: the variants, in transcript coordinates.
        source: the name of the table in errors.
        mlm_head: the masked-base head of the encoder, for ``mlm_log_ratio``.
        answer: a property whose change is reported, too.
        token_budget: padded positions (nt) of a batch.

    Columns: ``transcript_id``, ``pos``, ``ref``, ``alt``, ``hgvs`` (:mod:`orthrus.genome.hgvs`), ``consequence`` (a
    Sequence Ontology term), ``length_change`` (nt), the :func:`distances` between the embeddings of the reference and
    the edited transcript, and ``mlm_log_ratio``; with an ``answer`` also ``value``, the property of the edited
    transcript, and ``value_change``, its difference from the reference.

    ``mlm_log_ratio`` is the masked-marginal log-likelihood ratio (Meier et al. 2021): the sum over substituted
    positions of log p(alt) - log p(ref), in nats, with these bases hidden and the reference around them; below 0 the
    model finds the variant less likely than the reference. A causal encoder sees only the bases 5' of a position, and
    the annotation of the position. It is null without ``mlm_head``, for insertions and deletions, and where an allele
    has an N.

    Raises:
        InputError: naming the line, if ``ref`` differs from the transcript, if the variant changes nothing, or if it
            deletes the whole transcript.

    Examples:
        >>> import orthrus
        >>> from orthrus.embedding.variant_file import Variant
        >>> store = orthrus.TranscriptStore.open("stores/demo")
        >>> variants = [Variant(1, "NM_000039", pos=39, ref="A", alt="G")]
        >>> scores = score_variants(orthrus.load_model(), store, variants, source="mine")
        >>> scores["hgvs"].to_pylist(), scores["consequence"].to_pylist()
        (['NM_000039:c.1A>G'], ['start_lost'])
    """
    placed = _place(store, variants, source)
    rows = np.unique([each.row for each in placed])
    mrnas = {row: _mrna(store, row) for row in rows.tolist()}
    readouts = list(dict.fromkeys([LAST_MEAN, *([] if answer is None else [answer.readout])]))
    of_answer = slice(encoder.d_model if len(readouts) > 1 else 0, None)
    reference_RD = embed(encoder, store, rows, token_budget, "references", readouts=readouts)
    reference_V = np.searchsorted(rows, [each.row for each in placed])
    lengths_V = np.array([store.lengths[each.row] + each.edit.grows_by for each in placed])
    effects = np.empty(len(placed), dtype=object)
    moved = {name: np.empty(len(placed)) for name in (*DISTANCES, *(() if answer is None else _VALUES))}
    with progress_bar("variants") as progress:
        task = progress.add_task("edited", total=len(placed))
        for batch in batches(lengths_V, token_budget):
            edited = [apply(mrnas[placed[v].row], placed[v].edit) for v in batch]
            effects[batch] = [
                consequence(mrnas[placed[v].row], placed[v].edit, mrna) for v, mrna in zip(batch, edited, strict=True)
            ]
            before = reference_RD[reference_V[batch]]
            after = encode(encoder, [_seen(encoder, mrna) for mrna in edited], readouts)
            width = encoder.d_model  # of the first readout
            for name, values in distances(before[:, :width], after[:, :width]).items():
                moved[name][batch] = values
            if answer is not None:
                moved["value"][batch] = value = answer.value_of(after[:, of_answer])
                moved["value_change"][batch] = value - answer.value_of(before[:, of_answer])
            progress.advance(task, len(batch))
    ratios = np.full(len(placed), np.nan)
    if mlm_head is not None:
        _fill_log_ratios(ratios, encoder, mlm_head, mrnas, placed, token_budget)
    columns = {
        "transcript_id": [each.variant.transcript_id for each in placed],
        "pos": pa.array([each.variant.pos for each in placed], pa.int32()),
        "ref": [each.variant.ref for each in placed],
        "alt": [each.variant.alt for each in placed],
        "hgvs": [f"{each.variant.transcript_id}:{hgvs(mrnas[each.row], each.edit)}" for each in placed],
        "consequence": pa.array(effects, pa.string()),
        "length_change": pa.array([each.edit.grows_by for each in placed], pa.int32()),
        **moved,
        "mlm_log_ratio": pa.array(ratios, from_pandas=True),  # NaN becomes null
    }
    return pa.table(columns)


_VALUES = ("value", "value_change")
DISTANCES = ("cosine_distance", "euclidean_distance", "relative_distance", "manhattan_distance")


def distances(reference_VD: NDArray[np.float32], edited_VD: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """Distances between u = ``reference_VD`` and v = ``edited_VD``, row by row, float64 (V,).

    ``cosine_distance`` is 1 - cos(u, v), ``euclidean_distance`` the norm of v - u, ``relative_distance`` that norm over
    u's, ``manhattan_distance`` the sum over d of abs(v_d - u_d).
    """
    reference, edited = reference_VD.astype(np.float64), edited_VD.astype(np.float64)
    size, edited_size = (np.linalg.norm(x, axis=1, keepdims=True) for x in (reference, edited))
    change = edited - reference
    length = np.linalg.norm(change, axis=1)
    # Half the squared distance of unit vectors is 1 - cosine, and is accurate for small changes too.
    cosine = ((edited / edited_size - reference / size) ** 2).sum(axis=1) / 2
    return dict(zip(DISTANCES, (cosine, length, length / size[:, 0], np.abs(change).sum(axis=1)), strict=True))


def _place(store: TranscriptStore, variants: Sequence[Variant], source: str) -> list[_Placed]:
    """The variants of the store's transcripts, as edits."""
    if not variants:
        raise InputError(f"{source}: no variant to score; expected one of a transcript of the input")
    row_of = {name: row for row, name in enumerate(store.column("transcript_id"))}
    unknown = [each for each in variants if each.transcript_id not in row_of]
    if len(unknown) == len(variants):
        store.index_of(variants[0].transcript_id)  # raises the error that names existing ids
    if unknown:
        logger.warning(
            f"warning: {source}: {len(unknown):,} of {len(variants):,} variants are of transcripts that the input"
            f" lacks, for example {unknown[0].transcript_id} (line {unknown[0].line}); left out."
        )
    placed = []
    for each in variants:
        if each.transcript_id not in row_of:
            continue
        row = row_of[each.transcript_id]
        where = f"{source}, line {each.line}: {each.transcript_id}"
        ref, alt = (encode_bases(allele, where) for allele in (each.ref, each.alt))
        start, length = each.pos - 1, int(store.lengths[row])
        found = store.codes(row)[start : start + len(ref)] & np.uint8(BASE_BITS)
        if start + len(ref) > length:
            raise InputError(f"{where} has {length:,} nt; {each.ref} at {each.pos:,} lies beyond its end")
        if not np.array_equal(found, ref):
            raise InputError(
                f"{where} has {decode_bases(found)} at {each.pos:,}, not {each.ref}; positions count from 1 on the"
                " transcript, 5' to 3', and ref is the transcript's sequence there"
            )
        edit = trimmed(start, ref, alt)
        if edit.start == edit.end and not len(edit.bases):
            raise InputError(f"{where}: alt {each.alt} equals ref; expected another allele")
        if length + edit.grows_by < 1:
            raise InputError(f"{where}: nothing is left of the transcript; expected a smaller deletion")
        placed.append(_Placed(each, row, edit))
    return placed


def _mrna(store: TranscriptStore, row: int) -> Mrna:
    codes = store.codes(row)
    start, end = store.cds[row].tolist()
    exon_ends = (np.flatnonzero(codes & SPLICE_BIT) + 1).astype(np.int32)
    genetic_code = store.transcripts["genetic_code"][row].as_py()
    return Mrna(codes, (start, end) if start >= 0 else None, exon_ends, genetic_code)


def _seen(encoder: MambaEncoder, mrna: Mrna) -> Codes:
    """The codes of an mRNA with codons in the frame that the encoder was trained on."""
    return mrna.codes if encoder.cds_frame == "annotated" else in_published_frame(mrna.codes, mrna.cds)


def _fill_log_ratios(
    ratios_V: NDArray[np.float64],
    encoder: MambaEncoder,
    head: nn.Module,
    mrnas: Mapping[int, Mrna],
    placed: Sequence[_Placed],
    token_budget: int,
) -> None:
    """Write the ratios of substitutions into ``ratios_V``; alleles of the same site share one pass of the encoder."""
    sites: dict[tuple[int, int, int], list[int]] = {}
    for v, (_, row, edit) in enumerate(placed):
        if edit.grows_by == 0 and edit.bases.all() and (mrnas[row].codes[edit.start : edit.end] & BASE_BITS).all():
            sites.setdefault((row, edit.start, edit.end), []).append(v)
    keys = list(sites)
    with progress_bar("sites") as progress:
        task = progress.add_task("likelihoods", total=len(keys))
        for batch in batches(np.array([len(mrnas[row].codes) for row, _, _ in keys], dtype=np.int64), token_budget):
            chosen = [keys[i] for i in batch]
            hidden = [(_seen(encoder, mrnas[row]), start, end) for row, start, end in chosen]
            logs = _hidden_base_logs(encoder, head, hidden)
            for key, log_P4 in zip(chosen, logs, strict=True):
                row, start, end = key
                at = np.arange(end - start)
                ref_P = (mrnas[row].codes[start:end] & BASE_BITS).astype(np.int64) - 1
                for v in sites[key]:
                    alt_P = placed[v].edit.bases.astype(np.int64) - 1
                    ratios_V[v] = (log_P4[at, alt_P] - log_P4[at, ref_P]).sum()
            progress.advance(task, len(batch))


def _hidden_base_logs(
    encoder: MambaEncoder, head: nn.Module, sites: Sequence[tuple[Codes, int, int]]
) -> list[NDArray[np.float64]]:
    """Log-probabilities of A, C, G, T at the hidden bases ``start:end`` of each site's codes, float64 (P, 4)."""
    codes_BL, lengths_B = pad([codes for codes, _, _ in sites])
    for row, (_, start, end) in zip(codes_BL, sites, strict=True):
        row[start:end] &= ~np.uint8(BASE_BITS)
    device = encoder.norm_f.weight.device
    with torch.inference_mode():
        tracks_BCL = codes_to_tracks(torch.from_numpy(codes_BL).to(device), encoder.n_tracks)
        hidden_BLD = encoder(tracks_BCL, torch.from_numpy(lengths_B).to(device))
        return [
            head(hidden_BLD[b, start:end]).double().log_softmax(dim=-1).cpu().numpy()
            for b, (_, start, end) in enumerate(sites)
        ]
