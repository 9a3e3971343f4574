"""The command line: one entry point, ``orthrus``, a command for each step from annotation to report.

User errors are one line on stderr and exit status 2; anything else is a bug and keeps its traceback.
"""

import argparse
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from rich.console import Console
from rich.markup import escape

from orthrus.errors import InputError

if TYPE_CHECKING:
    from orthrus.probe.embeddings import Embeddings
    from orthrus.store import TranscriptStore

_LIGHTNING_COMMANDS = ("fit", "validate")
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


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit status: 0, 2 for unusable input, 130 when interrupted."""
    args = list(sys.argv[1:] if argv is None else argv)
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before PyTorch is there: spinning threads starve our own
    signal.signal(signal.SIGTERM, _terminate)
    pa.enable_signal_handlers(False)  # Arrow's own would lose an interrupt that comes as a read ends
    try:
        if args and args[0] in _LIGHTNING_COMMANDS:
            _lightning(args)
        else:
            options = _parser().parse_args(args)
            options.run(options)
    except InputError as error:
        Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/] {escape(str(error))}", highlight=False)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def _terminate(number: int, frame: object) -> None:
    raise SystemExit(128 + number)  # unwinds, so that nothing half-written stays


def _parser() -> argparse.ArgumentParser:
    from importlib.metadata import version

    parser = argparse.ArgumentParser(
        prog="orthrus", description="Representation learning for mature mRNA, from annotation to a probed embedding."
    )
    parser.add_argument("--version", action="version", version=version("orthrus-mrna"))
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def command(name: str, run: Callable[[argparse.Namespace], None] | None, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(run=run)
        return sub

    prepare = command("prepare", _prepare, "Turn annotation + genome, or mRNAs + coordinates, into a transcript store.")
    prepare.add_argument("--config", type=Path, required=True, metavar="SPEC.yaml", help="what to read (see README)")
    prepare.add_argument("--output", type=Path, required=True, metavar="STORE", help="folder to make")
    prepare.add_argument("--overwrite", action="store_true", help="replace an existing store")

    inspect = command("inspect", _inspect, "Print what a store holds.")
    inspect.add_argument("store", type=Path, metavar="STORE")
    inspect.add_argument("--transcript", metavar="ID", help="show this transcript with its tracks")
    inspect.add_argument("--verify", action="store_true", help="compare every file with its checksum first")

    command("fit", None, "Pretrain an encoder (LightningCLI: --config, --print_config, --help, any override).")
    command("validate", None, "Evaluate a checkpoint on the validation families (LightningCLI).")

    embed = command("embed", _embed, "Embed transcripts with a pretrained encoder.")
    embed.add_argument("--checkpoint", type=Path, required=True, help=".ckpt file, or folder with model.safetensors")
    embed.add_argument("--input", type=Path, required=True, help="a store, an mRNA FASTA, or an annotation (GTF, GFF3)")
    embed.add_argument("--coordinates", type=Path, help="CDS and exons of the FASTA's mRNAs (.tsv; see data/README.md)")
    embed.add_argument("--genome", type=Path, help="genome of the annotation (FASTA or 2bit)")
    embed.add_argument("--output", type=Path, required=True, metavar="E.parquet")
    embed.add_argument("--overwrite", action="store_true", help="replace an existing output")
    embed.add_argument("--token-budget", type=int, default=65_536, help="padded nt of a batch (default: %(default)s)")
    embed.add_argument("--device", default="cuda-if-available", help="cpu, cuda, cuda:1 ... (default: %(default)s)")

    probe = command("probe", _probe, "Probe frozen embeddings with linear models, beside controls.")
    probe.add_argument("--embeddings", type=Path, required=True, metavar="E.parquet")
    probe.add_argument("--labels", type=Path, required=True, metavar="L.tsv", help="transcript_id and target columns")
    probe.add_argument("--target", required=True, metavar="COLUMN")
    probe.add_argument("--task", required=True, choices=("regression", "classification", "multilabel"))
    probe.add_argument("--output", type=Path, required=True, metavar="DIR")
    probe.add_argument("--store", type=Path, help="gives families, and the sequences that the controls need")
    probe.add_argument("--seeds", type=int, default=10, help="splits (default: %(default)s)")
    probe.add_argument("--overwrite", action="store_true", help="replace an existing output")

    export = command(
        "export", _export, "Write a checkpoint's encoder as a folder to share: weights, config, model card."
    )
    export.add_argument("--checkpoint", type=Path, required=True, help=".ckpt file, or folder with model.safetensors")
    export.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="folder to make")

    report = command("report", _report, "Make one self-contained HTML page of a run folder.")
    report.add_argument("folder", type=Path, metavar="DIR")
    report.add_argument("--output", type=Path, help="page to write (default: DIR/report.html)")
    return parser


def _prepare(options: argparse.Namespace) -> None:
    from orthrus.inspect import describe_store
    from orthrus.prepare import prepare
    from orthrus.store import TranscriptStore

    prepare(options.config, options.output, overwrite=options.overwrite)
    Console().print(describe_store(TranscriptStore.open(options.output)))


def _inspect(options: argparse.Namespace) -> None:
    from orthrus.inspect import describe_store, describe_transcript
    from orthrus.store import TranscriptStore

    store = TranscriptStore.open(options.store)
    if options.verify:
        store.verify()
        print("all checksums match")
    described = describe_transcript(store, options.transcript) if options.transcript else describe_store(store)
    Console().print(described)


def _lightning(args: list[str]) -> None:
    warnings.filterwarnings("ignore", message=".*LeafSpec.*")  # inside Lightning, nothing to act on
    warnings.filterwarnings("ignore", message="LightningCLI's args parameter")
    warnings.filterwarnings("ignore", message=r"[\s\S]*deprecated in v4.49.0")  # Lightning's use of jsonargparse
    warnings.filterwarnings("ignore", message=r"[\s\S]*JsonargparseDeprecationWarning per type")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(lambda line: "Tip:" not in line.getMessage())
    from orthrus.training.cli import run

    run(args)


def _embed(options: argparse.Namespace) -> None:
    import torch

    from orthrus.embed import embed_to_file
    from orthrus.prepare import open_or_prepare

    device = options.device
    if device == "cuda-if-available":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    with open_or_prepare(options.input, genome=options.genome, coordinates=options.coordinates) as store:
        table = embed_to_file(
            options.checkpoint,
            store,
            options.output,
            input_name=str(options.input),
            token_budget=options.token_budget,
            device=device,
            overwrite=options.overwrite,
        )
    print(f"{len(table):,} transcripts embedded: {options.output}")


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


def _export(options: argparse.Namespace) -> None:
    from orthrus.hub import export_encoder

    export_encoder(options.checkpoint, options.output)
    print(f"encoder: {options.output}")


def _report(options: argparse.Namespace) -> None:
    from orthrus.probe.report import headlines, write_report

    page = write_report(options.folder, options.output, notes=_NOTES)
    for line in headlines(options.folder):
        print(line)
    print(f"page: {page}")


if __name__ == "__main__":
    sys.exit(main())
