"""Building a store: ids made unique, orthologs joined, provenance written down."""

import re
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pyarrow as pa
from rich.console import Console
from rich.progress import Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from orthrus.errors import InputError
from orthrus.genome.annotation import unused_id
from orthrus.genome.filters import Filters
from orthrus.genome.findings import Findings
from orthrus.genome.tables import read_tsv
from orthrus.genome.transcripts import Transcript, annotated_transcripts, bare_transcripts, listed_transcripts
from orthrus.prepare.spec import Spec, load_spec
from orthrus.store import ORTHOLOG_SCHEMA, StoreBuilder, TranscriptStore, sha256

_EVERYTHING = Filters(biotypes=None, min_length=1, max_length=2**31 - 1)
_VERSIONED_GENE = re.compile(r"^(ENS[A-Z]*G\d{11})\.\d+(_\d+)?$")


@dataclass(frozen=True)
class PrepareSummary:
    """What :func:`prepare` did: ``counts`` as in the store's ``meta.json``, ``dropped`` transcripts by reason."""

    path: Path
    counts: dict[str, int]
    dropped: dict[str, int]
    warnings: list[str]
    seconds: float

    @property
    def transcripts_per_second(self) -> float:
        return self.counts["transcripts"] / self.seconds


def prepare(spec_path: Path, output: Path, overwrite: bool = False) -> PrepareSummary:
    """Read what the spec at ``spec_path`` names and write it as a transcript store to ``output``, with progress.

    The store appears whole or, after an error or an interrupt, not at all. Raises InputError if the spec or a file it
    names cannot be used, if nothing is left to write, or if ``output`` exists and ``overwrite`` is false.
    """
    started = time.monotonic()
    spec = load_spec(Path(spec_path))
    orthologs = _read_orthologs(spec)
    findings = Findings()
    try:
        with StoreBuilder(output, overwrite=overwrite) as builder, _progress() as progress:
            _build(builder, spec, orthologs, findings, progress)
    except OSError as error:
        raise InputError(f"the store {output} cannot be written ({error}); nothing is left of it.") from None
    store = TranscriptStore.open(output)
    return PrepareSummary(
        path=Path(output),
        counts=store.meta["counts"],
        dropped=findings.dropped.counts,
        warnings=findings.noted.lines(),
        seconds=time.monotonic() - started,
    )


def _build(builder: StoreBuilder, spec: Spec, orthologs: pa.Table, findings: Findings, progress: Progress) -> None:
    intake = _Intake(builder, findings)
    for source in spec.sources:
        transcripts = source.transcripts(spec.filters, findings)
        for transcript in _counted(transcripts, progress, f"{source.species}, {source.short_name}"):
            intake.add(transcript, source.name)
    if not len(builder):
        raise InputError(
            f"no transcript is left to write: {'; '.join(findings.dropped.lines()) or 'none was read'}. Change the"
            " filters of the spec, or its input."
        )
    task = progress.add_task("families, tables, checksums", total=None)
    builder.finish(intake.known_orthologs(orthologs), meta=_provenance(spec, findings))
    progress.update(task, total=0)


@contextmanager
def open_or_prepare(
    path: Path, *, genome: Path | None = None, coordinates: Path | None = None
) -> Iterator[TranscriptStore]:
    """The store at ``path``, or one made, for as long as the context lasts, of all transcripts of other input.

    ``path`` is a store, an annotation (with its ``genome``), or an mRNA FASTA, with ``coordinates`` or as it is.
    Raises InputError if they do not go together.
    """
    if path.is_dir() or not path.exists():
        if genome or coordinates:
            raise InputError(f"{path} is no file; a genome or coordinates go with an annotation or an mRNA FASTA.")
        yield TranscriptStore.open(path)
        return
    if genome and coordinates:
        raise InputError(
            "both a genome and coordinates are given; a genome goes with an annotation, coordinates with an mRNA FASTA."
        )
    findings = Findings()
    if genome:
        transcripts = annotated_transcripts(path, genome, "", _EVERYTHING, findings)
    elif coordinates:
        transcripts = listed_transcripts(path, coordinates, "", _EVERYTHING, findings)
    else:
        transcripts = bare_transcripts(path)
    with tempfile.TemporaryDirectory(prefix="orthrus-") as folder:
        with StoreBuilder(Path(folder) / "store") as builder, _progress() as progress:
            intake = _Intake(builder, findings)
            for transcript in _counted(transcripts, progress, path.name):
                intake.add(transcript, path.name)
            builder.finish()
        for line in findings.dropped.lines() + findings.noted.lines():
            Console(stderr=True).print(line, style="yellow", highlight=False)
        yield TranscriptStore.open(Path(folder) / "store")


class _Intake:
    """Puts transcripts into a store under ids of their own, and knows the genes that came."""

    def __init__(self, builder: StoreBuilder, findings: Findings) -> None:
        self._builder = builder
        self._noted = findings.noted
        self._species_of: dict[str, str] = {}
        self._genes: dict[tuple[str, str], str] = {}  # by species and id, also by an Ensembl id without its version

    def add(self, transcript: Transcript, source: str) -> None:
        name, gene_id, gene_name, species, biotype, mrna = transcript
        if name in self._species_of:
            name = self._other_id(name, species)
        self._species_of[name] = species
        self._genes[species, gene_id] = gene_id
        if versioned := _VERSIONED_GENE.match(gene_id):
            self._genes.setdefault((species, versioned[1]), gene_id)
        self._builder.add(
            mrna.codes,
            transcript_id=name,
            gene_id=gene_id,
            gene_name=gene_name,
            species=species,
            biotype=biotype,
            cds=mrna.cds,
            exon_ends=mrna.exon_ends,
            source=source,
        )

    def _other_id(self, name: str, species: str) -> str:
        if self._species_of[name] == species:
            self._noted.add("transcript ids that a source gives again for the species, suffixed _dup1, ...", [name])
        else:
            self._noted.add("transcript ids that another species has, written as species:id", [name])
            name = f"{species}:{name}"
        return unused_id(name, self._species_of) if name in self._species_of else name

    def known_orthologs(self, pairs: pa.Table) -> pa.Table:
        """``pairs`` by the gene ids of the store; of the others, which the store counts too, examples are noted."""
        sides = {}
        for side in "ab":
            keys = zip(pairs[f"species_{side}"].to_pylist(), pairs[f"gene_id_{side}"].to_pylist(), strict=True)
            sides[side] = [(key, self._genes.get(key)) for key in keys]
        unknown = [
            f"{species}:{gene}"
            for pair in zip(sides["a"], sides["b"], strict=True)
            for (species, gene), found in next(([side] for side in pair if side[1] is None), [])
        ]
        self._noted.add("ortholog pairs of a gene that is not in the store, ignored", unknown)
        for side, genes in sides.items():
            names = [found or gene for (_, gene), found in genes]
            index = pairs.column_names.index(f"gene_id_{side}")
            pairs = pairs.set_column(index, f"gene_id_{side}", pa.array(names, pa.string()))
        return pairs


def _read_orthologs(spec: Spec) -> pa.Table:
    tables = [read_tsv(file.path, ORTHOLOG_SCHEMA.names) for file in spec.orthologs]
    return pa.concat_tables([ORTHOLOG_SCHEMA.empty_table(), *(t.select(ORTHOLOG_SCHEMA.names) for t in tables)])


def _provenance(spec: Spec, findings: Findings) -> dict[str, Any]:
    try:
        created_by = f"orthrus {version('orthrus-mrna')}"
    except PackageNotFoundError:  # run from a checkout
        created_by = "orthrus"
    filters = asdict(spec.filters)
    return {
        "created_by": created_by,
        "sources": [
            {"path": file.given, "bytes": file.path.stat().st_size, "sha256": sha256(file.path)} for file in spec.files
        ],
        "filters": {
            **filters,
            "biotypes": sorted(filters["biotypes"]) if spec.filters.biotypes is not None else "all",
            "skip_species": sorted(filters["skip_species"]),
        },
        "dropped": findings.dropped.counts,
        "warnings": findings.noted.lines(),
    }


class _RateColumn(ProgressColumn):
    """How many transcripts, and how many a second."""

    def render(self, task: Task) -> Text:
        if not task.completed:
            return Text("")
        return Text(f"{task.completed:,.0f} transcripts, {task.completed / (task.elapsed or 1):,.0f}/s")


def _progress() -> Progress:
    return Progress(
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description}"),
        _RateColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )


def _counted(transcripts: Iterable[Transcript], progress: Progress, label: str) -> Iterator[Transcript]:
    """``transcripts``, shown as they pass."""
    task = progress.add_task(label, total=None)
    n = 0
    for n, transcript in enumerate(transcripts, start=1):
        if n % 500 == 0:
            progress.update(task, completed=n)
        yield transcript
    progress.update(task, completed=n, total=n)
