"""`orthrus mcp`: answers about transcripts for agents, over the Model Context Protocol's stdio (extra ``mcp``).

There are four tools: embed, neighbours, predict, variant. Transcripts are given in the call or in a file, and their
number and length are bounded (:class:`Limits`). Files are read from one folder only, and none is written.
"""

import argparse
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orthrus.cli.command import DEVICE, MODEL, Command, Result, argument, chosen_device
from orthrus.errors import InputError

if TYPE_CHECKING:
    from mcp.server import MCPServer

    from orthrus.probe.head import Head
    from orthrus.store import TranscriptStore


@dataclass(frozen=True)
class Limits:
    """The most that one call may ask for."""

    transcripts: int = 256
    nucleotides: int = 1_000_000
    file_bytes: int = 64_000_000
    variants: int = 1_000
    neighbours: int = 50


LIMITS = Limits()
_INSTRUCTIONS = (
    "Answers about mature mRNA. Give `sequences` (5' to 3'; the longest open reading frame of 100 codons or more is"
    " used as CDS) or `path`: an mRNA FASTA, or a transcript store, relative to the served folder."
)


class Answers:
    """The tools, with one model and one folder."""

    def __init__(self, root: Path, model: str | None, device: str) -> None:
        from orthrus.models import find_model

        self._root, self._model, self._device = root.resolve(strict=True), find_model(model), device

    def embed(self, sequences: list[str] | None = None, path: str | None = None) -> dict[str, Any]:
        """One vector a transcript, in the order given."""
        from orthrus.embedding.from_python import embed

        with self._transcripts(sequences, path) as store:
            frame = embed(store, self._model, device=self._device)
        vectors = [[round(x, 6) for x in row] for row in frame.to_numpy().tolist()]
        return {"transcript_ids": [*frame.index], "vectors": vectors}

    def predict(self, task: str, sequences: list[str] | None = None, path: str | None = None) -> dict[str, Any]:
        """A property of each transcript by a head of the model: value, interval, percentile among mRNAs."""
        from orthrus.probe.predict import predict

        head = self._head(task)
        with self._transcripts(sequences, path) as store:
            frame = predict(store, task, self._model, device=self._device)
        about = {"source": head.description.source, "held_out_scores": head.description.scores}
        return {**about, "rows": frame.to_dict("records")}

    def neighbours(
        self, embeddings: str, sequences: list[str] | None = None, path: str | None = None, k: int = 10
    ) -> dict[str, Any]:
        """The k nearest transcripts of each query in an embeddings file, with the percentile among random pairs."""
        from orthrus.embedding.file import read_embeddings
        from orthrus.embedding.neighbours import (
            background,
            comparable,
            embed_queries,
            nearest,
            neighbour_table,
            same_encoder,
        )

        if not 1 <= k <= LIMITS.neighbours:
            raise InputError(f"k is {k}; expected 1 to {LIMITS.neighbours}")
        candidates = comparable(read_embeddings(self._inside(embeddings)))
        encoder = same_encoder(self._model, candidates, self._device)
        with self._transcripts(sequences, path) as store:
            queries = embed_queries(encoder, store, candidates)
        found = nearest(queries, candidates, k)
        return {"rows": neighbour_table(queries, candidates, found, "cosine", background(candidates)).to_pylist()}

    def variant(
        self,
        variants: list[dict[str, Any]],
        sequence: str | None = None,
        path: str | None = None,
        task: str | None = None,
        label: str | None = None,
    ) -> dict[str, Any]:
        """The effects of substitutions and indels on a transcript.

        Each of `variants` has `pos` (from 1, on the transcript), `ref` and `alt` (with an anchor base in both for
        indels) and, with `path`, `transcript_id`. With `task` also how a head's value changes, that of its `label`
        if it has several.
        """
        from orthrus.embedding.variant_file import Variant
        from orthrus.embedding.variants import score_variants
        from orthrus.nn.checkpoints import load_encoder, load_mlm_head
        from orthrus.probe.predict import answer_of

        if not 1 <= len(variants) <= LIMITS.variants:
            raise InputError(f"{len(variants):,} variants; expected 1 to {LIMITS.variants:,}")
        given = []
        for n, each in enumerate(variants, start=1):
            name = str(each.get("transcript_id", "sequence_0"))
            ref, alt, pos = str(each.get("ref", "")).upper(), str(each.get("alt", "")).upper(), each.get("pos")
            if not isinstance(pos, int) or pos < 1 or not ref or not alt or set(ref + alt) - set("ACGTUN"):
                raise InputError(f"variant {n} is {each}; expected pos (from 1), ref and alt in bases")
            given.append(Variant(n, name, pos, ref, alt))
        answer = answer_of(self._head(task), label) if task else None
        encoder = load_encoder(self._model, self._device)
        with self._transcripts([sequence] if sequence else None, path) as store:
            head = load_mlm_head(self._model, self._device)
            scores = score_variants(encoder, store, given, source="variants", mlm_head=head, answer=answer)
        return {"rows": scores.to_pylist()}

    def _head(self, task: str) -> "Head":
        """The head of that name beside the model's weights; a folder is not accepted as a task."""
        from orthrus.models import shipped_heads
        from orthrus.probe.predict import head_for

        if task not in (known := shipped_heads(self._model)):
            raise InputError(f"no task {task!r}; this model has {', '.join(known) or 'none'}")
        return head_for(task, self._model)[0]

    def _inside(self, path: str) -> Path:
        """A path below the served folder; raises InputError for any other, symbolic links followed."""
        found = (self._root / path).resolve()
        if not found.is_relative_to(self._root):
            raise InputError(f"{path} is not in the folder that is served; expected a path relative to it")
        if not found.exists():
            raise InputError(f"there is no {path} in the folder that is served")
        files = [found, found.with_suffix(".ids.txt")] if found.is_file() else [*found.rglob("*")]
        if not all(file.resolve().is_relative_to(self._root) for file in files):
            raise InputError(f"{path} has a file that is not in the folder that is served, but linked to")
        size = sum(file.stat().st_size for file in files if file.is_file())
        if size > LIMITS.file_bytes:
            raise InputError(f"{path} has {size:,} bytes; expected at most {LIMITS.file_bytes:,}")
        return found

    @contextmanager
    def _transcripts(self, sequences: list[str] | None, path: str | None) -> "Iterator[TranscriptStore]":
        from orthrus.prepare import open_or_prepare

        if (sequences is None) == (path is None):
            raise InputError("expected either sequences or a path")
        if path is not None:
            with open_or_prepare(self._inside(path)) as store:
                _refuse_many(len(store), int(store.lengths.sum()))
                yield store
            return
        assert sequences is not None
        _refuse_many(len(sequences), sum(map(len, sequences)))
        with tempfile.TemporaryDirectory(prefix="orthrus-mcp-") as folder:
            fasta = Path(folder) / "sequences.fa"
            if any(not each.isalpha() for each in sequences):
                raise InputError("a sequence is empty or has characters other than letters; expected bases only")
            fasta.write_text("".join(f">sequence_{n}\n{each}\n" for n, each in enumerate(sequences)), encoding="utf-8")
            with open_or_prepare(fasta) as store:
                yield store


def _refuse_many(transcripts: int, nucleotides: int) -> None:
    if not 1 <= transcripts <= LIMITS.transcripts or nucleotides > LIMITS.nucleotides:
        raise InputError(
            f"{transcripts:,} transcripts of {nucleotides:,} nt; expected 1 to {LIMITS.transcripts:,} of at most"
            f" {LIMITS.nucleotides:,} nt together; `orthrus` on the command line takes any number"
        )


def build_server(answers: Answers) -> "MCPServer":
    """The server with its tools; input that a tool cannot use is reported to the caller as an error of one line."""
    from functools import wraps

    from mcp.server import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError

    import orthrus

    server = MCPServer("orthrus", instructions=_INSTRUCTIONS, version=orthrus.__version__, log_level="WARNING")
    for tool in (answers.embed, answers.predict, answers.neighbours, answers.variant):

        @wraps(tool)
        def answer(*args: Any, _tool: Any = tool, **options: Any) -> dict[str, Any]:
            try:
                found: dict[str, Any] = _tool(*args, **options)
                return found
            except InputError as error:
                raise ToolError(str(error)) from None

        server.tool()(answer)
    return server


def _mcp(options: argparse.Namespace) -> Result:
    if find_spec("mcp") is None:
        raise InputError("the server needs the official SDK: pip install mcp")
    if not options.root.is_dir():
        raise InputError(f"there is no folder {options.root} to serve")
    build_server(Answers(options.root, options.model, chosen_device(options))).run("stdio")
    return Result()


COMMANDS = (
    Command(
        "mcp", "Answers", "Serve embed, neighbours, predict, variant to agents (MCP over stdio).", _mcp,
        (
            argument(
                "--root", type=Path, default=Path(), metavar="DIR",
                help="the folder whose files may be read (default: the working folder)",
            ),
            MODEL,
            DEVICE,
        ),
        ("orthrus mcp --root ~/transcripts",),
    ),
)  # fmt: skip
