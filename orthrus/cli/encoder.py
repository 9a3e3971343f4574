"""Commands that use a pretrained encoder."""

import argparse
from pathlib import Path

from orthrus.cli.commands import AddCommand, add_device, chosen_device


def add_commands(command: AddCommand) -> None:
    embed = command("embed", _embed, "Embed transcripts with a pretrained encoder.")
    embed.add_argument("--checkpoint", type=Path, required=True, help=".ckpt file, or folder with model.safetensors")
    embed.add_argument(
        "--input", type=Path, required=True, help="a store, an mRNA FASTA, a data frame, or an annotation"
    )
    embed.add_argument("--coordinates", type=Path, help="CDS and exons of the FASTA's mRNAs (.tsv; see data/README.md)")
    embed.add_argument("--genome", type=Path, help="genome of the annotation (FASTA or 2bit)")
    embed.add_argument("--output", type=Path, required=True, metavar="E.parquet")
    embed.add_argument(
        "--readout", nargs="+", metavar="LAYER.POOL",
        help="last, average or layerN with mean, max or regions, or lengths; joined by +, side by side; several in one"
        " pass (default: the model's own, else last.mean)",
    )  # fmt: skip
    embed.add_argument("--overwrite", action="store_true", help="replace an existing output")
    embed.add_argument("--token-budget", type=int, default=65_536, help="padded nt of a batch (default: %(default)s)")
    embed.add_argument(
        "--precision", choices=("32", "bf16"), default="32",
        help="of matrix products; bf16 is faster on GPUs, and on CPUs that have it (default: %(default)s)",
    )  # fmt: skip
    add_device(embed)

    export = command(
        "export", _export, "Write a checkpoint's encoder as a folder to share: weights, config, model card."
    )
    export.add_argument("--checkpoint", type=Path, required=True, help=".ckpt file, or folder with model.safetensors")
    export.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="folder to make")


def _embed(options: argparse.Namespace) -> None:
    from orthrus.embedding.embed import embed_to_file
    from orthrus.prepare import open_or_prepare

    with open_or_prepare(options.input, genome=options.genome, coordinates=options.coordinates) as store:
        n = embed_to_file(
            options.checkpoint,
            store,
            options.output,
            input_name=str(options.input),
            token_budget=options.token_budget,
            device=chosen_device(options),
            readouts=options.readout,
            bf16=options.precision == "bf16",
            overwrite=options.overwrite,
        )
    print(f"{n:,} transcripts embedded: {options.output}")


def _export(options: argparse.Namespace) -> None:
    from orthrus.nn.checkpoints import export_encoder

    export_encoder(options.checkpoint, options.output)
    print(f"encoder: {options.output}")
