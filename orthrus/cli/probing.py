"""The command that probes embeddings."""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orthrus.cli.command import DEVICE, MODEL, OVERWRITE, Command, Result, argument, chosen_device, whole
from orthrus.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from orthrus.embedding.file import Embeddings
    from orthrus.probe.leaks import Pretraining
    from orthrus.probe.tasks import TaskSpec
    from orthrus.store import TranscriptStore

_TASKS = ("regression", "classification", "multilabel")
_SPLITS = ("family", "homology", "chromosome", "kmer-cluster", "random", "folds")


def _probe(options: argparse.Namespace) -> Result:
    """Check that the output can be written before the imports (seconds) and the features (minutes)."""
    from orthrus.output import reserve_folder
    from orthrus.probe.document import DOCUMENT_FILE

    with reserve_folder(options.output, DOCUMENT_FILE, options.overwrite):
        return _probe_reserved(options)


def _probe_reserved(options: argparse.Namespace) -> Result:
    from orthrus.embedding.file import read_embeddings
    from orthrus.probe.document import RANDOM_INIT
    from orthrus.probe.efficiency import SIZES
    from orthrus.probe.run import run_probe

    spec = _task(options)
    named = [_named(text) for text in options.compare]
    compare = {name: read_embeddings(path) for name, path in named}
    if len(compare) < len(named):
        repeated = [f"{name}={path}" for name, path in named if [each for each, _ in named].count(name) > 1]
        raise InputError(f"--compare has two of one name: {', '.join(repeated)}; name each: NAME=E")
    label_counts = SIZES if options.label_efficiency == [] else options.label_efficiency or ()
    with _sequences(options.store, spec.labels) as store:
        members = [read_embeddings(path) for path in options.embeddings or ()] or [_embedded(options, spec, store)]
        if options.readout:
            members = [each.with_readout(options.readout) for each in members]
        metadata = members[0].metadata
        controls, missing = {}, {}
        if store is None:
            missing[RANDOM_INIT] = "it needs the sequences of a store: pass --store"
        elif "encoder" not in metadata:
            missing[RANDOM_INIT] = f"{options.embeddings[0]} does not state the shape of its encoder"
        else:
            controls[RANDOM_INIT] = partial(_random_control, metadata["encoder"], list(members[0].all_readouts), store)
        found = run_probe(
            members,
            spec,
            options.output,
            store=store,
            controls=controls,
            missing_controls=missing,
            compare=compare,
            kmer_sizes=options.kmer,
            label_counts=label_counts,
            pretraining=_pretraining(options.pretraining, metadata),
            seeds=options.seeds,
            overwrite=options.overwrite,
        )
    return Result([options.output], {"metrics": found.model_dump(mode="json")})


def _embedded(options: argparse.Namespace, spec: "TaskSpec", store: "TranscriptStore | None") -> "Embeddings":
    """The labelled transcripts of the store, embedded by the model that the options name."""
    import numpy as np

    from orthrus.embedding.embed import check_device, embed
    from orthrus.embedding.file import of_store
    from orthrus.models import find_model, model_name
    from orthrus.nn.checkpoints import load_encoder, stored_readout
    from orthrus.nn.integrity import digest
    from orthrus.probe.labels import read_labels

    if store is None:
        raise InputError("no embeddings to probe: pass --embeddings E, or --store STORE to embed its transcripts")
    model = find_model(options.model)
    encoder = load_encoder(model, check_device(chosen_device(options)))
    wanted = set(read_labels(spec.labels, spec.targets, spec.id_column).transcript_ids)
    rows = [row for row, name in enumerate(store.column("transcript_id")) if name in wanted]
    if not rows:
        raise InputError(
            f"no transcript of {options.store} is labelled in {spec.labels}; use a store with the labelled transcripts"
        )
    readout = options.readout or stored_readout(model)
    metadata = {
        "encoder": encoder.config,
        "checkpoint": model_name(model),
        "checkpoint_sha256": digest(encoder.state_dict()),
    }
    labelled = of_store(store, np.empty((len(store), 0), dtype=np.float32)).with_rows(np.array(rows))
    return replace(labelled, matrix=embed(encoder, store, rows, readouts=[readout]), metadata=metadata, readout=readout)


def _named(text: str) -> tuple[str, Path]:
    """Split NAME=FILE into name and path; a file without a name has its own."""
    name, _, path = text.rpartition("=")
    return name or Path(path).stem, Path(path)


def _task(options: argparse.Namespace) -> "TaskSpec":
    """The task that the options name or define."""
    from orthrus.probe.splits import SplitUnit
    from orthrus.probe.targets import Task
    from orthrus.probe.tasks import TaskSpec, read_task

    changes: dict[str, Any] = {
        "split": SplitUnit(options.split) if options.split else None,
        "groups": options.groups,
        "folds": options.folds,
        "id_column": options.id,
    }
    targets = (options.target,) if options.target else None
    if not Path(options.task).exists() and options.task not in _TASKS and (meant := did_you_mean(options.task, _TASKS)):
        raise InputError(f"no task {options.task!r}{meant}; expected one of {', '.join(_TASKS)}, or a task's YAML")
    if options.task not in _TASKS:
        return read_task(options.task, labels=options.labels, targets=targets, **changes)
    if options.labels is None or targets is None:
        raise InputError(f"--task {options.task} needs --labels and --target; a task's YAML names them itself.")
    given = {key: value for key, value in changes.items() if value is not None}
    return TaskSpec(options.labels, targets, Task(options.task), **given)


@contextmanager
def _sequences(path: Path | None, labels: Path) -> "Iterator[TranscriptStore | None]":
    """The given store, or a store of the sequences in the labels if these are a data frame; else None."""
    from orthrus.prepare import open_or_prepare
    from orthrus.probe.labels import holds_sequences

    if path is None and not holds_sequences(labels):
        yield None
        return
    with open_or_prepare(path or labels) as store:
        yield store


def _pretraining(given: Path | None, metadata: dict[str, Any]) -> "Pretraining | None":
    """What the encoder was pretrained on: the training families of a run, from its own store or the ``given`` one.

    Without the run's configuration, all families of a given store count as training families.
    """
    from orthrus.probe.leaks import Pretraining
    from orthrus.report.run_folder import config_of_checkpoint, kept_out, store_of_config
    from orthrus.store import TranscriptStore

    config = config_of_checkpoint(metadata.get("checkpoint"))
    of_run = store_of_config(config)
    path = given or (Path(of_run) if of_run and (Path(of_run) / "meta.json").is_file() else None)
    if path is None:
        return None
    return Pretraining.on(TranscriptStore.open(path), **kept_out(config))


def _random_control(
    shape: dict[str, Any], readouts: Sequence[str], store: "TranscriptStore", ids: Sequence[str]
) -> "Embeddings":
    """Embeddings of the transcripts by an untrained encoder of the same ``shape``, with the same ``readouts``."""
    import numpy as np
    import torch

    from orthrus.embedding.embed import embed
    from orthrus.embedding.file import MAIN_READOUT, Embeddings
    from orthrus.nn.encoder import MambaEncoder
    from orthrus.nn.readouts import LAST_MEAN, widths

    torch.manual_seed(0)
    encoder = MambaEncoder.from_config(shape).eval()
    names = [LAST_MEAN if name == MAIN_READOUT else name for name in readouts]
    rows = [store.index_of(name) for name in ids]
    vectors = embed(encoder, store, rows, description="random-init control", readouts=names)
    first, *others = np.split(vectors, np.cumsum(widths(encoder, names))[:-1], axis=1)
    return Embeddings(tuple(ids), first, readout=names[0], readouts=dict(zip(names[1:], others, strict=True)))


COMMANDS = (
    Command(
        "probe", "Probing and reports", "Probe frozen embeddings with linear models, beside controls.", _probe,
        (
            argument(
                "--embeddings", type=Path, nargs="+", metavar="E",
                help="output of `orthrus embed`, or another model's .parquet, .npz, .npy, .h5ad; several: seeds of one"
                " encoder (default: the store, embedded by --model)",
            ),
            MODEL,
            argument(
                "--task", required=True, metavar="TASK", help=f"a task's YAML (conf/probe/), or {', '.join(_TASKS)}"
            ),
            argument(
                "--labels", type=Path, metavar="L.tsv", help="table: transcript_id and target columns, without a YAML"
            ),
            argument("--target", metavar="COLUMN", help="the column to predict, without a YAML"),
            argument("--id", metavar="COLUMN", help="column of ids (default: transcript_id, or the task's)"),
            argument("--output", type=Path, required=True, metavar="DIR", help="folder to make"),
            argument("--store", type=Path, help="gives families, and the sequences that the controls need"),
            argument("--split", choices=_SPLITS, help="unit that is never divided (default: the task's, or family)"),
            argument("--groups", type=Path, metavar="TABLE", help="gene groups or MMseqs2 clusters, for homology"),
            argument("--folds", metavar="COLUMN", help="column of folds in the labels, for --split folds"),
            argument("--pretraining", type=Path, metavar="STORE", help="the store that the encoder was pretrained on"),
            argument(
                "--compare", nargs="+", default=[], metavar="NAME=E",
                help="other embeddings to probe on the same rows and splits",
            ),
            argument("--readout", help="use only this readout of the embeddings (default: chosen on validation data)"),
            argument(
                "--kmer", type=whole(1, 6), nargs="+", default=[3, 4, 5], metavar="K",
                help="largest k of the k-mer control, chosen among these (default: 3 4 5; 6 takes minutes)",
            ),
            argument(
                "--label-efficiency", type=whole(1), nargs="*", metavar="N",
                help="curves of the score against N labels (default: 30, 100, 300 ... 10,000)",
            ),
            argument("--seeds", type=whole(1, 1000), help="number of splits (default: 10, or the number of folds)"),
            OVERWRITE,
            DEVICE,
        ),
        (
            "orthrus probe --task probe/half_life --store stores/human --output runs/half_life",
            "orthrus probe --embeddings e.parquet --task regression --labels l.tsv --target value --output runs/mine",
        ),
    ),
)  # fmt: skip
