"""The spec of ``orthrus prepare``: a YAML file, checked whole, files included, before anything is read.

Paths are relative to the spec's folder; ``$VAR``, ``${VAR}`` and ``~`` are expanded in them. A path that begins with a
variable is relative to the working folder, as it would be in the shell that set the variable.
"""

import difflib
import os
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from orthrus.errors import InputError
from orthrus.genome.filters import Filters
from orthrus.genome.findings import Findings
from orthrus.genome.transcripts import Transcript, annotated_transcripts, listed_transcripts

_ANNOTATED = ("annotation", "genome")
_LISTED = ("transcripts", "coordinates")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


@dataclass(frozen=True)
class File:
    """A file as the spec gives it and where it is."""

    given: str
    path: Path


@dataclass(frozen=True)
class Source:
    """Where transcripts of a species come from: ``files`` by their key in the spec."""

    species: str
    files: Mapping[str, File]

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
            return annotated_transcripts(path["annotation"], path["genome"], self.species, filters, findings)
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
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise InputError(f"spec {path} cannot be read ({error.strerror}); check the path.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"spec {path} is no valid YAML: {' '.join(str(error).split())}.") from None
    where = str(path)
    fields = _mapping(document, where, ("species", "orthologs", "filters"))
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
        orthologs=[_file(text, folder, f"{where}, orthologs") for text in _list(fields, "orthologs", where)],
        filters=_filters(fields.get("filters") or {}, f"{where}, filters"),
    )


class _Loader(yaml.SafeLoader):
    """YAML whose mappings name no key twice: PyYAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} occurs twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _source(species: str, document: Any, folder: Path, where: str) -> Source:
    fields = _mapping(document, where, (*_ANNOTATED, *_LISTED))
    if set(fields) not in (set(_ANNOTATED), set(_LISTED)):
        raise InputError(
            f"{where}: it has {', '.join(fields) or 'nothing'}; expected `annotation` and `genome`, or `transcripts`"
            " and `coordinates`."
        )
    return Source(species, {key: _file(text, folder, f"{where}, {key}") for key, text in fields.items()})


def _filters(document: Any, where: str) -> Filters:
    fields = _mapping(document, where, tuple(Filters.__dataclass_fields__))
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


def _mapping(document: Any, where: str, keys: tuple[str, ...]) -> dict[str, Any]:
    """``document`` as a mapping with no key but ``keys``."""
    if not isinstance(document, dict):
        raise InputError(f"{where}: found {document!r}; expected keys and values ({', '.join(keys)}).")
    for key in document:
        if key not in keys:
            near = difflib.get_close_matches(str(key), keys, n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise InputError(f"{where}: unknown key {key!r}{hint}; expected {', '.join(keys)}.")
    return document


def _list(fields: Mapping[str, Any], key: str, where: str) -> list[Any]:
    value = fields.get(key) or []
    if not isinstance(value, list):
        raise InputError(f"{where}: {key} is {value!r}; expected a list, such as [{value}].")
    return value


def _file(text: Any, folder: Path, where: str) -> File:
    if not isinstance(text, str) or not text:
        raise InputError(f"{where}: found {text!r}; expected the path of a file.")
    for match in _VARIABLE.finditer(text):
        if (match[1] or match[2]) not in os.environ:
            raise InputError(f"{where}: {text!r} needs the variable {match[0]}, which is not set; export it first.")
    base = Path.cwd() if text.startswith("$") else folder
    path = base / Path(os.path.expandvars(text)).expanduser()
    if not path.is_file():
        what = "is no regular file" if path.exists() else "does not exist"
        raise InputError(f"{where}: {path} {what}; expected a file (paths are relative to {base}).")
    return File(text, path)
