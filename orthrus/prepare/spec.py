"""The spec of ``orthrus prepare``: a YAML file, checked whole, files included, before anything is read."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orthrus.errors import InputError
from orthrus.genome.annotation import FORMATS
from orthrus.genome.filters import Filters
from orthrus.genome.findings import Findings
from orthrus.genome.transcripts import Transcript, annotated_transcripts, listed_transcripts
from orthrus.spec_file import File, find_file, load_yaml, mapping

_ANNOTATED = ("annotation", "genome")
_OF_ANNOTATION = ("format", "genes")
_LISTED = ("transcripts", "coordinates")


@dataclass(frozen=True)
class Source:
    """Where transcripts of a species come from: ``files`` by their key in the spec.

    ``format`` is that of the annotation (:data:`orthrus.genome.annotation.FORMATS`), None to be told by content.
    """

    species: str
    files: Mapping[str, File]
    format: str | None = None

    @property
    def name(self) -> str:
        """What the store's ``source`` column says: the file that names the transcripts, as the spec has it."""
        return self._main.given

    @property
    def short_name(self) -> str:
        """That file with its folder, for people."""
        return "/".join(self._main.path.parts[-2:])

    @property
    def _main(self) -> File:
        return self.files["annotation" if "annotation" in self.files else "transcripts"]

    def transcripts(self, filters: Filters, findings: Findings) -> Iterator[Transcript]:
        """The source's transcripts, streamed."""
        path = {key: file.path for key, file in self.files.items()}
        if "annotation" in path:
            return annotated_transcripts(
                path["annotation"],
                path["genome"],
                self.species,
                filters,
                findings,
                format=self.format,
                genes=path.get("genes"),
            )
        return listed_transcripts(path["transcripts"], path["coordinates"], self.species, filters, findings)


@dataclass(frozen=True)
class Spec:
    """What to put into a store."""

    sources: list[Source]
    orthologs: list[File]
    filters: Filters

    @property
    def files(self) -> Iterable[File]:
        """Every file that is read, in order."""
        return [*(file for source in self.sources for file in source.files.values()), *self.orthologs]


def load_spec(path: Path) -> Spec:
    """Read a spec; raises InputError naming what is wrong in it, or the first file that is not there."""
    document = load_yaml(path, "spec")
    where = str(path)
    fields = mapping(document, where, ("species", "orthologs", "filters"))
    species = fields.get("species")
    if not isinstance(species, dict) or not species:
        raise InputError(f"{where}: `species` is {species!r}; expected a species' name with its files, at least one.")
    folder = path.absolute().parent
    return Spec(
        sources=[
            _source(str(name), source, folder, f"{where}, species {name}")
            for name, sources in species.items()
            for source in (sources if isinstance(sources, list) and sources else [sources])
        ],
        orthologs=[find_file(text, folder, f"{where}, orthologs") for text in _list(fields, "orthologs", where)],
        filters=_filters(fields.get("filters") or {}, f"{where}, filters"),
    )


def _source(species: str, document: Any, folder: Path, where: str) -> Source:
    fields = dict(mapping(document, where, (*_ANNOTATED, *_OF_ANNOTATION, *_LISTED)))
    optional = _OF_ANNOTATION if "annotation" in fields else ()
    if {key for key in fields if key not in optional} not in (set(_ANNOTATED), set(_LISTED)):
        raise InputError(
            f"{where}: it has {', '.join(fields) or 'nothing'}; expected `annotation` and `genome`, or `transcripts`"
            " and `coordinates`."
        )
    format = _format(fields.pop("format", None), where)
    files = {key: find_file(text, folder, f"{where}, {key}") for key, text in fields.items()}
    return Source(species, files, format)


def _format(given: Any, where: str) -> str | None:
    names = {name.lower(): name for name in FORMATS}
    if given is not None and str(given).lower() not in names:
        raise InputError(f"{where}: format is {given!r}; expected one of {', '.join(FORMATS)}, or none to detect it.")
    return names[str(given).lower()] if given is not None else None


def _filters(document: Any, where: str) -> Filters:
    fields = mapping(document, where, tuple(Filters.__dataclass_fields__))
    values: dict[str, Any] = dict(fields)
    for name in ("biotypes", "skip_species"):
        if name == "biotypes" and fields.get(name) == "all":
            values[name] = None
        elif name in fields:
            values[name] = frozenset(map(str, _list(fields, name, where)))
    for name in ("min_length", "max_length"):
        if name in fields and (type(fields[name]) is not int or fields[name] < 1):
            raise InputError(f"{where}: {name} is {fields[name]!r}; expected a whole number of nt, 1 or more.")
    if type(fields.get("primary_contigs", False)) is not bool:
        raise InputError(f"{where}: primary_contigs is {fields['primary_contigs']!r}; expected true or false.")
    filters = Filters(**values)
    if filters.min_length > filters.max_length:
        raise InputError(
            f"{where}: min_length {filters.min_length} exceeds max_length {filters.max_length}; nothing fits."
        )
    return filters


def _list(fields: Mapping[str, Any], key: str, where: str) -> list[Any]:
    value = fields.get(key) or []
    if not isinstance(value, list):
        raise InputError(f"{where}: {key} is {value!r}; expected a list, such as [{value}].")
    return value
