"""A command as data: its name, help, group, arguments, examples and the function that runs it.

The parser, the help, the completion scripts and the JSON on stdout are all made from the table of commands
(:mod:`orthrus.cli.table`); the module of a command holds what is specific to it.
"""

import argparse
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import RenderableType

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from orthrus.store import TranscriptStore


class Argument(NamedTuple):
    """The flags and the keyword arguments of argparse's ``add_argument``."""

    flags: tuple[str, ...]
    options: dict[str, Any]


class OneOf(NamedTuple):
    """Arguments of which exactly one must be given."""

    arguments: tuple[Argument, ...]


def argument(*flags: str, **options: Any) -> Argument:
    """An argument, written as for argparse's ``add_argument``."""
    return Argument(flags, options)


def whole(least: int, most: int = 1_000_000_000) -> Callable[[str], int]:
    """The type of an argument that is a whole number from ``least`` to ``most``."""

    def read(text: str) -> int:
        with suppress(ValueError):
            if least <= int(text) <= most:
                return int(text)
        raise argparse.ArgumentTypeError(f"it is {text!r}; expected a whole number from {least:,} to {most:,}")

    return read


def share(text: str) -> float:
    """The type of an argument that is a share, more than 0 and less than 1."""
    with suppress(ValueError):
        if 0 < float(text) < 1:
            return float(text)
    raise argparse.ArgumentTypeError(f"it is {text!r}; expected a number between 0 and 1")


@dataclass
class Result:
    """The result of a command: files and folders it wrote, its figures (as JSON), and what is printed for people."""

    outputs: list[Path] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    shown: list[RenderableType] = field(default_factory=list)


@dataclass(frozen=True)
class Command:
    """A command of the table.

    A command with ``lightning`` parses its arguments itself, through LightningCLI; ``arguments`` then lists the
    settings that are changed most often, for help and completion.
    """

    name: str
    group: str
    help: str
    run: Callable[[argparse.Namespace], Result]
    arguments: tuple[Argument | OneOf, ...] = ()
    examples: tuple[str, ...] = ()
    lightning: bool = False


MODEL = argument(
    "--model", "--checkpoint", dest="model", metavar="MODEL",
    help="encoder: a name (`orthrus models`), an exported folder, a .ckpt file, or owner/name on Hugging Face"
    " (default: the shipped model)",
)  # fmt: skip
DEVICE = argument("--device", default="cuda-if-available", help="cpu, cuda, cuda:1 ... (default: %(default)s)")
OVERWRITE = argument("--overwrite", action="store_true", help="replace an existing output")
READOUT = argument(
    "--readout", nargs="+", metavar="LAYER.POOL",
    help="last, average or layerN with mean, max, cds or regions, or lengths; joined by +, side by side; several are"
    " computed in one pass (default: the model's own, else last.mean)",
)  # fmt: skip
TOKEN_BUDGET = argument(
    "--token-budget", type=whole(1), default=65_536, metavar="NT", help="padded nt of a batch (default: %(default)s)"
)
BESIDE_INPUT = (
    argument(
        "--coordinates", type=Path, metavar="TABLE",
        help="CDS and exons of the FASTA's mRNAs: a table (docs/formats.md), GTF or GFF3",
    ),
    argument("--genome", type=Path, help="genome of the annotation (FASTA or 2bit)"),
    argument(
        "--cds", default="longest-orf", metavar="longest-orf|none",
        choices=("longest-orf", "none"),
        help="CDS of sequences without a stated one: the longest open reading frame, or none (default: %(default)s)",
    ),
)  # fmt: skip
INPUT = (
    argument("--input", type=Path, required=True, help="a store, an mRNA FASTA, a data frame, or an annotation"),
    *BESIDE_INPUT,
)


def open_input(path: Path, options: argparse.Namespace) -> "AbstractContextManager[TranscriptStore]":
    """The transcripts of ``path``, read with the options of :data:`BESIDE_INPUT`."""
    from orthrus.prepare import open_or_prepare

    return open_or_prepare(
        path, genome=options.genome, coordinates=options.coordinates, find_orfs=options.cds == "longest-orf"
    )


def chosen_device(options: argparse.Namespace) -> str:
    """The name of the device to compute on."""
    import torch

    if options.device != "cuda-if-available":
        return str(options.device)
    return "cuda" if torch.cuda.is_available() else "cpu"
