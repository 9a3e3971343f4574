"""Predictions of a fine-tuned network as a table, and their scores in the probe's format, with controls.

The controls use the same rows and splits: a linear probe of the encoder before fine-tuning (``frozen``), of the counts
of the ``codon`` control, and of k-mers.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from rich.console import Console
from torch import Tensor

from orthrus.embedding.embed import embed
from orthrus.finetune.data import LabelledDataModule
from orthrus.models import load_model
from orthrus.output import atomic_folder
from orthrus.probe.controls import NO_CDS, codon_features, has_cds, kmer_features
from orthrus.probe.document import CODON, KMER, ProbeDocument
from orthrus.probe.leaks import leak_report
from orthrus.probe.metrics import SeedScores
from orthrus.probe.one_split import probe_features, seed_scores
from orthrus.probe.result import print_table, write_result
from orthrus.probe.run import describe_task
from orthrus.probe.summary import summarise
from orthrus.spec_file import parse_json

FINE_TUNED = "fine-tuned"
FROZEN = "frozen"
_METADATA_KEY = b"orthrus"


def predictions_table(
    predicted: Sequence[tuple[Tensor, Tensor]], data: LabelledDataModule, width: int, validation_loss: float
) -> pa.Table:
    """The test rows of a split: ``transcript_id``, then ``truth:NAME`` and ``prediction:NAME`` of every target."""
    rows_N, scores_NT = (torch.cat(parts) for parts in zip(*predicted, strict=True))
    order_N = rows_N.argsort()
    rows, scores = rows_N[order_N].numpy(), scores_NT[order_N].double().numpy()
    columns: dict[str, Any] = {"transcript_id": [data.rows.transcript_ids[row] for row in rows]}
    for i, name in enumerate(data.target.names):
        columns |= {f"truth:{name}": data.target.values[rows, i], f"prediction:{name}": scores[:, i]}
    metadata = {"split": data.split.seed, "width": width, "validation_loss": validation_loss}
    return pa.table(columns).replace_schema_metadata({_METADATA_KEY: json.dumps(metadata).encode()})


def write_finetuning(root: Path, data: LabelledDataModule, checkpoint: str | None) -> None:
    """Score the predictions of every split under ``root``, write ``root/result`` and print its table."""
    splits, ids = data.rows.splits, data.rows.transcript_ids
    ours: list[SeedScores] = []
    for number, split in enumerate(splits):
        table = pq.read_table(root / f"split_{number}" / "predictions.parquet")
        stored = parse_json(table.schema.metadata[_METADATA_KEY])
        predicted_NT = np.stack([table[f"prediction:{name}"].to_numpy() for name in data.target.names], axis=1)
        ours.append(seed_scores(data.target, split, predicted_NT, stored["validation_loss"]))
    features = {KMER: kmer_features(data.store, ids).matrix}
    missing = {} if has_cds(data.store, ids) else {CODON: NO_CDS}
    if not missing:
        features = {CODON: codon_features(data.store, ids).matrix, **features}
    if checkpoint is not None:
        frozen = embed(load_model(checkpoint), data.store, data.transcripts, description=f"{FROZEN} control")
        features = {FROZEN: frozen, **features}
    results = {FINE_TUNED: [ours]} | {
        name: [[probe_features(matrix, data.target, split) for split in splits]] for name, matrix in features.items()
    }
    widths = {name: {name: matrix.shape[1]} for name, matrix in features.items()}
    widths[FINE_TUNED] = {FINE_TUNED: stored["width"]}
    task = describe_task(data.spec, data.labels, data.rows, data.store)
    document = ProbeDocument(
        **task | {"target": f"{data.spec.name}, {FINE_TUNED}"},
        embeddings={"checkpoint": checkpoint},
        encoder_seeds=[],
        **summarise(results, widths, data.rows, data.spec.metric),
        label_efficiency=None,
        leaks=leak_report(data.rows, None),
        missing_controls=missing,
    )
    with atomic_folder(root / "result") as folder:
        write_result(document, folder)
    print_table(document, Console(markup=False, emoji=False))
