"""Commands that measure embeddings and show a run."""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orthrus.cli.commands import AddCommand

if TYPE_CHECKING:
    from orthrus.probe.embeddings import Embeddings
    from orthrus.store import TranscriptStore

_NOTES = (
    "Families (genes joined by orthology) never straddle training, validation and test sides.",
    "Retrieval: a transcript's partner must be its nearest neighbour by cosine among all validation transcripts of"
    " other families within 10 % of the partner's length, both views masked as in training. Chance is one in the"
    " number of candidates.",
    "Close species make ortholog retrieval easy: apes differ from human in about 1 % of bases, so what a sequence is"
    " made of gives many partners away, to an untrained encoder too. Length is taken out by the choice of candidates;"
    " composition is blurred by the masks, not removed. Compare with the untrained value, and look at splice isoforms,"
    " which differ more.",
)


def add_commands(command: AddCommand) -> None:
    probe = command("probe", _probe, "Probe frozen embeddings with linear models, beside controls.")
    probe.add_argument("--embeddings", type=Path, required=True, metavar="E.parquet")
    probe.add_argument("--labels", type=Path, required=True, metavar="L.tsv", help="transcript_id and target columns")
    probe.add_argument("--target", required=True, metavar="COLUMN")
    probe.add_argument("--task", required=True, choices=("regression", "classification", "multilabel"))
    probe.add_argument("--output", type=Path, required=True, metavar="DIR")
    probe.add_argument("--store", type=Path, help="gives families, and the sequences that the controls need")
    probe.add_argument("--seeds", type=int, default=10, help="splits (default: %(default)s)")
    probe.add_argument("--overwrite", action="store_true", help="replace an existing output")

    report = command("report", _report, "Make one self-contained HTML page of a run folder.")
    report.add_argument("folder", type=Path, metavar="DIR")
    report.add_argument("--output", type=Path, help="page to write (default: DIR/report.html)")


def _probe(options: argparse.Namespace) -> None:
    from orthrus.probe.embeddings import read_embeddings
    from orthrus.probe.run import RANDOM_INIT, run_probe
    from orthrus.store import TranscriptStore

    embeddings = read_embeddings(options.embeddings)
    store = TranscriptStore.open(options.store) if options.store else None
    controls, missing = {}, {}
    if store is None:
        missing[RANDOM_INIT] = "it embeds the sequences of a store: pass --store"
    elif "encoder" not in embeddings.metadata:
        missing[RANDOM_INIT] = f"{options.embeddings} does not say the shape of its encoder"
    else:
        controls[RANDOM_INIT] = partial(_random_control, embeddings.metadata["encoder"], store)
    run_probe(
        embeddings,
        options.labels,
        options.target,
        options.task,
        options.output,
        store=store,
        controls=controls,
        missing_controls=missing,
        seeds=options.seeds,
        overwrite=options.overwrite,
    )


def _random_control(encoder_config: dict[str, Any], store: "TranscriptStore", ids: Sequence[str]) -> "Embeddings":
    """Transcripts embedded by an untrained encoder of the same shape."""
    import torch

    from orthrus.embed import embed
    from orthrus.nn.encoder import MambaEncoder
    from orthrus.probe.embeddings import Embeddings

    torch.manual_seed(0)
    encoder = MambaEncoder.from_config(encoder_config).eval()
    rows = [store.index_of(name) for name in ids]
    return Embeddings(tuple(ids), embed(encoder, store, rows, description="random-init control"))


def _report(options: argparse.Namespace) -> None:
    from orthrus.probe.report import headlines, write_report

    page = write_report(options.folder, options.output, notes=_NOTES)
    for line in headlines(options.folder):
        print(line)
    print(f"page: {page}")
