"""Exact search of the nearest transcripts among embedded transcripts, and how often they are relatives.

Q queries, N candidates, D features, K neighbours. The search computes the Q x N similarities in blocks of B x C and in
double precision, and memory holds one block and the vectors.
"""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import torch
from numpy.typing import NDArray

from orthrus.embedding.embed import check_device, checkpoint_sha256, embed
from orthrus.embedding.file import MAIN_READOUT, Embeddings, of_store, read_embeddings
from orthrus.errors import InputError
from orthrus.models import find_model, known_models
from orthrus.nn.checkpoints import load_encoder
from orthrus.nn.encoder import MambaEncoder
from orthrus.nn.readouts import LAST_MEAN, PROJECTION
from orthrus.store import TranscriptStore

logger = logging.getLogger(__name__)

Measure = Literal["cosine", "euclidean"]

RECALL_AT = (1, 5, 10, 50, 100)
_BACKGROUND_PAIRS, _BACKGROUND_BLOCK = 100_000, 10_000
_QUERIES, _CANDIDATES = 2_048, 8_192  # of a block, 134 MB of similarities


class Neighbours(NamedTuple):
    """The nearest candidates of each query.

    ``index_QK``, int64, has the rows of the candidates, the nearest first; ``value_QK``, float64, their cosine
    similarity or Euclidean distance. The rows of a query with fewer than K other candidates end in -1 and NaN.
    """

    index_QK: NDArray[np.int64]
    value_QK: NDArray[np.float64]


def nearest(
    queries: Embeddings,
    candidates: Embeddings,
    k: int = 10,
    measure: Measure = "cosine",
) -> Neighbours:
    """The ``k`` nearest candidates of each query, without the query itself (by transcript id).

    Args:
        queries: vectors (Q, D).
        candidates: vectors (N, D) to search.
        k: the number of neighbours, at least 1.
        measure: ``cosine`` similarity or ``euclidean`` distance.

    Raises:
        InputError: if the vectors differ in width, or ``k`` is less than 1.

    Examples:
        >>> import numpy as np
        >>> from orthrus import Embeddings
        >>> candidates = Embeddings(("T1", "T2", "T3"), np.float32([[1, 0], [0, 1], [1, 1]]))
        >>> found = nearest(candidates, candidates, k=1)
        >>> [candidates.transcript_ids[i] for i in found.index_QK[:, 0]], found.value_QK[:, 0].round(3).tolist()
        (['T3', 'T3', 'T1'], [0.707, 0.707, 0.707])
    """
    if k < 1:
        raise InputError(f"k is {k}; expected the number of neighbours to find, at least 1")
    widths = queries.matrix.shape[1], candidates.matrix.shape[1]
    if widths[0] != widths[1]:
        raise InputError(f"queries have {widths[0]} features and candidates {widths[1]}: use one encoder for both")
    depth = min(k + 1, len(candidates))  # one more, because a query may find itself
    found_QK = np.concatenate(
        [
            _search(queries.matrix[start : start + _QUERIES], candidates.matrix, depth, measure)
            for start in range(0, len(queries), _QUERIES)
        ]
    )
    value_QK = _values(queries.matrix, candidates.matrix, found_QK, measure)
    value_QK[found_QK == candidates.rows_of(queries.transcript_ids)[:, None]] = np.nan
    order_QK = np.argsort(-value_QK if measure == "cosine" else value_QK, axis=1, kind="stable")[:, :k]  # NaN is last
    value_QK = np.take_along_axis(value_QK, order_QK, axis=1)
    index_QK = np.where(np.isnan(value_QK), -1, np.take_along_axis(found_QK, order_QK, axis=1))
    return Neighbours(index_QK, value_QK)


def _compared(vectors: NDArray[np.float32], measure: Measure) -> NDArray[np.float64]:
    """The vectors as a measure compares them, float64: for the cosine of length 1, or 0."""
    exact = vectors.astype(np.float64)
    if measure == "euclidean":
        return exact
    norm = np.linalg.norm(exact, axis=-1, keepdims=True)
    np.divide(exact, norm, out=exact, where=norm > 0)
    return exact


def _search(
    query_BD: NDArray[np.float32], candidate_ND: NDArray[np.float32], k: int, measure: Measure
) -> NDArray[np.int64]:
    """The ``k`` candidates with the largest cosine or the smallest distance, (B, K)."""
    queries = torch.from_numpy(_compared(query_BD, measure))
    value_BK, index_BK = (
        torch.empty(len(queries), 0, dtype=torch.float64),
        torch.empty(len(queries), 0, dtype=torch.int64),
    )
    for start in range(0, len(candidate_ND), _CANDIDATES):
        candidates = torch.from_numpy(_compared(candidate_ND[start : start + _CANDIDATES], measure))
        value_BC = queries @ candidates.T
        if measure == "euclidean":
            value_BC -= candidates.square().sum(dim=1) / 2  # up to a constant of the query, half the negative square
        best = value_BC.topk(min(k, len(candidates)), dim=1)
        value_BK = torch.cat([value_BK, best.values], dim=1)
        index_BK = torch.cat([index_BK, best.indices + start], dim=1)
        value_BK, kept_BK = value_BK.topk(min(k, value_BK.shape[1]), dim=1)
        index_BK = index_BK.gather(1, kept_BK)
    return index_BK.numpy()


def _values(
    query_QD: NDArray[np.float32], candidate_ND: NDArray[np.float32], found_QK: NDArray[np.int64], measure: Measure
) -> NDArray[np.float64]:
    """Similarities or distances of the found candidates; a distance is that of the difference, exact if it is small."""
    value_QK = np.empty(found_QK.shape, dtype=np.float64)
    for query_D, found_K, value_K in zip(query_QD, found_QK, value_QK, strict=True):
        own_D, near_KD = _compared(query_D, measure), _compared(candidate_ND[found_K], measure)
        value_K[:] = near_KD @ own_D if measure == "cosine" else np.linalg.norm(near_KD - own_D, axis=1)
    return value_QK


def comparable(embeddings: Embeddings) -> Embeddings:
    """The numbers of ``embeddings`` to compare: the projection if they hold one, which was fitted for it, else all."""
    return embeddings.with_readout(PROJECTION) if embeddings.holds_projection else embeddings


def embed_queries(encoder: MambaEncoder, store: TranscriptStore, candidates: Embeddings) -> Embeddings:
    """The transcripts of ``store``, embedded by ``encoder`` with the readout of ``candidates``."""
    readout = LAST_MEAN if candidates.readout == MAIN_READOUT else candidates.readout
    vectors = embed(encoder, store, range(len(store)), description="queries", readouts=[readout])
    return replace(of_store(store, vectors), readout=readout)


def read_queries(path: str | Path, candidates: Embeddings) -> Embeddings:
    """The vectors in the embeddings file ``path``, in the readout of the :func:`comparable` ``candidates``.

    Raises InputError if another encoder made them, or they lack that readout. Files that do not name their encoder are
    taken as they are.
    """
    queries = read_embeddings(path)
    sha256 = queries.metadata.get("checkpoint_sha256")
    if sha256 is None or candidates.metadata.get("checkpoint_sha256") is None:
        return comparable(queries)
    _refuse_other(sha256, f"{queries.metadata.get('checkpoint')}, which made {path},", candidates)
    return queries.with_readout(candidates.readout)


def same_encoder(model: str | Path | None, candidates: Embeddings, device: str = "cpu") -> MambaEncoder:
    """The encoder of :func:`same_model`, loaded on ``device``; ``model`` and ``candidates`` are as there."""
    return load_encoder(same_model(model, candidates), check_device(device))


def same_model(model: str | Path | None, candidates: Embeddings) -> Path:
    """The encoder that made ``candidates``: ``model``, else the checkpoint that their file names, else a shipped one.

    Raises InputError if there is no such encoder, or if ``model`` did not make them.
    """
    if model is not None:
        checkpoint = find_model(model)
        _refuse_other(checkpoint_sha256(checkpoint), str(checkpoint), candidates)
        return checkpoint
    made_by, file = candidates.metadata.get("checkpoint"), candidates.metadata.get("file")
    expected = candidates.metadata.get("checkpoint_sha256")
    if made_by is None:
        raise InputError(f"{file} does not name the encoder that made it: pass --model, or embed the queries first")
    shipped = [each.folder for each in known_models() if each.folder is not None]
    for checkpoint in (Path(str(made_by)), *shipped):
        if checkpoint.exists() and expected in (None, checkpoint_sha256(checkpoint)):
            return checkpoint
    raise InputError(f"{file} was made by {made_by}, which is missing or has changed: give its place with --model")


def _refuse_other(sha256: str, name: str, candidates: Embeddings) -> None:
    if candidates.metadata.get("checkpoint_sha256") not in (None, sha256):
        raise InputError(
            f"{name} is not the checkpoint that made {candidates.metadata.get('file')}"
            f" ({candidates.metadata.get('checkpoint')}): vectors of two encoders cannot be compared; embed the"
            " candidates with it first"
        )


def background(candidates: Embeddings, measure: Measure = "cosine", seed: int = 0) -> NDArray[np.float64]:
    """The ``measure`` between random pairs of candidates, of different genes where genes are known, float64, ascending.

    It is the scale to judge a similarity by, because the cosines of mean-pooled states are all close to 1. ``seed``
    determines the pairs.
    """
    generator = np.random.default_rng(seed)
    first_P, second_P = generator.integers(len(candidates), size=(2, _BACKGROUND_PAIRS))
    apart_P = first_P != second_P
    if candidates.gene_id is not None:
        gene_N = np.unique([name or "" for name in candidates.gene_id], return_inverse=True)[1]
        apart_P &= gene_N[first_P] != gene_N[second_P]
    first_P, second_P = first_P[apart_P], second_P[apart_P]
    values = []
    for start in range(0, len(first_P), _BACKGROUND_BLOCK):
        block = slice(start, start + _BACKGROUND_BLOCK)
        x, y = (_compared(candidates.matrix[pair[block]], measure) for pair in (first_P, second_P))
        values.append((x * y).sum(axis=1) if measure == "cosine" else np.linalg.norm(x - y, axis=1))
    return np.sort(np.concatenate(values)) if values else np.empty(0)


def warn_of_other_annotation(queries: Embeddings, candidates: Embeddings) -> None:
    """Warn if queries lack a CDS and nearly all candidates have one, since their vectors then differ anyway."""
    if queries.cds_length is None or candidates.cds_length is None:
        return
    without, of_candidates = (np.asarray(each.cds_length) == 0 for each in (queries, candidates))
    if without.any() and of_candidates.mean() < 0.1:
        logger.warning(
            "%d of %d queries have no CDS, and %.0f %% of the candidates have one: their vectors differ in annotation"
            " as well as in sequence; give --coordinates, or an annotation with --genome",
            without.sum(), len(queries), 100 * (1 - of_candidates.mean()),
        )  # fmt: skip


def neighbour_table(
    queries: Embeddings,
    candidates: Embeddings,
    neighbours: Neighbours,
    measure: Measure = "cosine",
    background_P: NDArray[np.float64] | None = None,
) -> pa.Table:
    """A table with one row a neighbour: query, rank from 1, transcript_id, the measure, and names of the neighbour.

    Args:
        queries: the queries, Q.
        candidates: the candidates that were searched.
        neighbours: the result of :func:`nearest`.
        measure: the measure of ``neighbours``.
        background_P: the result of :func:`background`; with it, the column ``percentile`` has the share, in percent, of
            random pairs that are less similar.
    """
    query_R, rank_R = np.nonzero(neighbours.index_QK >= 0)
    index_R = neighbours.index_QK[query_R, rank_R]
    columns: dict[str, Any] = {
        "query": pa.array(queries.transcript_ids).take(pa.array(query_R)),
        "rank": (rank_R + 1).astype(np.int32),
        "transcript_id": pa.array(candidates.transcript_ids).take(pa.array(index_R)),
        measure: neighbours.value_QK[query_R, rank_R],
    }
    if background_P is not None and len(background_P):
        below_R = np.searchsorted(background_P, columns[measure]) / len(background_P)
        columns["percentile"] = 100 * (below_R if measure == "cosine" else 1 - below_R)
    for name in ("species", "gene_id", "gene_name", "family_id"):
        if (values := getattr(candidates, name)) is not None:
            columns[name] = pa.array(values, pa.string()).take(pa.array(index_R))
    return pa.table(columns)


def retrieval(queries: Embeddings, candidates: Embeddings, neighbours: Neighbours) -> dict[str, dict[str, float]]:
    """How well ``neighbours`` find relatives, by ``gene`` (same species and gene id) and by ``family``.

    The scores are over those ``queries`` that have another relative among the ``candidates``: ``queries``, their
    number; ``recall@k``, the share with a relative among the nearest k; ``chance@k``, the expected recall for
    candidates in random order; ``mrr@K``, the mean of 1 / rank of the first relative, 0 if it is not among the K
    neighbours. In the search for isoforms of the gene, orthologs are skipped, because they are not errors.
    """
    depth = neighbours.index_QK.shape[1]
    itself_Q = candidates.rows_of(queries.transcript_ids)
    related = {kind: _related(queries, candidates, kind) for kind in ("gene", "family")}
    result = {}
    for kind, groups in related.items():
        if groups is None:
            continue
        hit_QK, size_Q = _hits(groups, neighbours.index_QK, itself_Q)
        passed_QK, others_Q = np.zeros_like(hit_QK), len(candidates) - (itself_Q >= 0)
        if kind == "gene" and related["family"] is not None:
            in_family_QK, family_size_Q = _hits(related["family"], neighbours.index_QK, itself_Q)
            passed_QK, others_Q = in_family_QK & ~hit_QK, others_Q - (family_size_Q - size_Q)
        rank_QK = np.where(hit_QK, np.cumsum(~passed_QK, axis=1), np.inf)
        scored = size_Q > 0
        if not scored.any():
            continue
        rank_Q = rank_QK[scored].min(axis=1)
        scores = {"queries": float(scored.sum())}
        for k in (k for k in RECALL_AT if k <= depth):
            scores[f"recall@{k}"] = float((rank_Q <= k).mean())
            scores[f"chance@{k}"] = float(_chance(size_Q[scored], others_Q[scored], k).mean())
        result[kind] = {**scores, f"mrr@{depth}": float((1 / rank_Q).mean())}
    return result


class _Groups(NamedTuple):
    """Numbers of the groups of queries and candidates, -1 where unknown."""

    of_query_Q: NDArray[np.int64]
    of_candidate_N: NDArray[np.int64]


def _related(queries: Embeddings, candidates: Embeddings, kind: str) -> _Groups | None:
    theirs, ours = _group_names(candidates, kind), _group_names(queries, kind)
    if theirs is None or ours is None:
        return None
    number = {name: i for i, name in enumerate(dict.fromkeys(name for name in theirs if name))}
    of_query_Q, of_candidate_N = (
        np.array([number.get(name, -1) if name else -1 for name in names], dtype=np.int64) for names in (ours, theirs)
    )
    return _Groups(of_query_Q, of_candidate_N)


def _hits(
    groups: _Groups, index_QK: NDArray[np.int64], itself_Q: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which neighbours are relatives, and how many relatives each query has among the candidates."""
    of_query_Q, of_candidate_N = groups
    hit_QK = (of_candidate_N[index_QK] == of_query_Q[:, None]) & (index_QK >= 0) & (of_query_Q >= 0)[:, None]
    counts = np.bincount(of_candidate_N[of_candidate_N >= 0], minlength=int(of_query_Q.max(initial=0)) + 1)
    size_Q = np.where(of_query_Q >= 0, counts[of_query_Q], 0)
    return hit_QK, size_Q - ((itself_Q >= 0) & (of_query_Q >= 0) & (of_candidate_N[itself_Q] == of_query_Q))


def _group_names(embeddings: Embeddings, kind: str) -> Sequence[object] | None:
    if kind == "family":
        return embeddings.family_id
    if embeddings.gene_id is None or embeddings.species is None:
        return None
    pairs = zip(embeddings.species, embeddings.gene_id, strict=True)
    return [(species, gene) if gene else None for species, gene in pairs]


def _chance(relatives_Q: NDArray[np.int64], others_Q: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Probability that k candidates drawn without replacement include a relative."""
    missed_Q = np.ones(len(relatives_Q))
    for drawn in range(k):
        left_Q = np.maximum(others_Q - drawn, 1)
        missed_Q *= np.maximum(left_Q - relatives_Q, 0) / left_Q
    return 1 - missed_Q
