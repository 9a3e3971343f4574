"""Predictions of transcripts' properties by a fitted head."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from orthrus.embedding.embed import checkpoint_sha256
from orthrus.embedding.from_python import embed
from orthrus.embedding.variants import Answer
from orthrus.errors import InputError
from orthrus.models import find_head, find_model
from orthrus.probe.head import LEVEL, Head, load_head
from orthrus.store import TranscriptStore


def head_for(task: str, model: str | Path | None = None) -> tuple[Head, Path]:
    """The head of a ``task`` (:func:`orthrus.models.find_head`) and the path of the ``model`` whose vectors it reads.

    Raises InputError if there is no such head or model, or if the head was fitted to another model.
    """
    path = find_model(model)
    head = load_head(find_head(task, path))
    head.check_model(checkpoint_sha256(path))
    return head, path


def answer_of(head: Head, target: str | None = None) -> Answer:
    """The values of a head for :func:`orthrus.embedding.variants.score_variants`; of several targets the named one.

    Raises InputError, naming the targets, if there are several and ``target`` is none of them.
    """
    number = target_number(head, target)
    return Answer(head.description.readout, lambda vectors_ND: head.predict(vectors_ND).values[:, number])


def target_number(head: Head, target: str | None) -> int:
    """The index of a target of a head; raises InputError as :func:`answer_of` does."""
    names = head.description.target_names
    if target is None and len(names) == 1:
        return 0
    if target not in names:
        raise InputError(
            f"the head of {head.description.target} has the labels {', '.join(names[:20])}; name one with --label"
        )
    return names.index(target)


def predict(
    transcripts: Any,
    task: str,
    model: str | Path | None = None,
    *,
    level: float = LEVEL,
    **options: Any,
) -> pd.DataFrame:
    """Predict a property of transcripts with a fitted head: one row for each transcript, or transcript and label.

    Args:
        transcripts: sequences, a path, a data frame or a store, as for :func:`orthrus.embed`.
        task: the name of a head of the model, or a folder that `orthrus probe` wrote.
        model: a name or path, as for :func:`orthrus.load_model`; by default the shipped model.
        level: the share of similar transcripts whose value the interval covers.
        options: ``coordinates``, ``genome``, ``cds``, ``device`` and ``token_budget`` of :func:`orthrus.embed`.

    Returns:
        Columns ``transcript_id`` (row numbers for sequences without ids), ``gene_name`` (for a store), ``label`` (if
        there are several), ``value`` (in the unit of the labels, or a probability), ``low`` and ``high`` (for numbers),
        and ``percentile``: the share, in percent, of held-out transcripts with a lower value.

    Raises:
        InputError: as :func:`orthrus.embed` and :func:`head_for`.

    Examples:
        >>> import orthrus
        >>> frame = orthrus.predict(["ATG" + "GCT" * 200 + "TAA"], "half_life")
        >>> list(frame.columns)
        ['transcript_id', 'value', 'low', 'high', 'percentile']
    """
    head, path = head_for(task, model)
    vectors = embed(transcripts, path, readout=head.description.readout, **options)
    matrix = vectors if isinstance(vectors, np.ndarray) else vectors.to_numpy()
    ids = range(len(matrix)) if isinstance(vectors, np.ndarray) else vectors.index
    found = head.predict(matrix, level)
    labels = head.description.target_names
    n, width = found.values.shape
    columns: dict[str, Any] = {"transcript_id": np.repeat(np.array(ids, dtype=object), width).astype(str)}
    if isinstance(transcripts, TranscriptStore):
        columns["gene_name"] = np.repeat(np.array(transcripts.column("gene_name"), dtype=object), width)
    if width > 1:
        columns["label"] = np.tile(np.array(labels, dtype=object), n)
    columns["value"] = found.values.reshape(-1)
    if found.low is not None and found.high is not None:
        columns |= {"low": found.low.reshape(-1), "high": found.high.reshape(-1)}
    return pd.DataFrame({**columns, "percentile": found.percentile.reshape(-1)})
