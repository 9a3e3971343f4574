"""The spec of ``orthrus prepare``: a YAML file that is checked completely, with its files, before any is read."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from orthrus.errors import InputError
from orthrus.genome.annotation import FORMATS
from orthrus.genome.codes import CdsFrame
from orthrus.genome.filters import Filters
from orthrus.genome.findings import Findings
from orthrus.genome.genetic_code import TABLES, GeneticCodes
from orthrus.genome.tables import read_header, read_tsv
from orthrus.genome.transcripts import annotated_contigs, is_annotation, listed_transcripts
from orthrus.prepare.clustering import Clustering, require_mmseqs
from orthrus.prepare.doubts import doubting
from orthrus.prepare.gene_tables import RelationTable
from orthrus.prepare.species_names import SpeciesNames, stated_taxon
from orthrus.prepare.splicer import Splicer, chunked
from orthrus.recipes import find_recipe
from orthrus.spec_file import File, find_file, load_yaml, mapping
from orthrus.store import Chunk

_ANNOTATED = ("annotation", "genome")
_OF_ANNOTATION = ("format", "genes", "reference", "orthology")
_LISTED = ("transcripts", "coordinates")


@dataclass(frozen=True)
class Source:
    """A source of transcripts of a species: ``files`` by their key in the spec.

    ``format`` is the format of the annotation (:data:`orthrus.genome.annotation.FORMATS`), None to recognise it by
    content; ``reference`` the species whose transcripts TOGA projected; ``genetic_codes`` the codes of its CDSs.
    """

    species: str
    files: Mapping[str, File]
    format: str | None = None
    reference: str | None = None
    genetic_codes: GeneticCodes = field(default_factory=GeneticCodes)

    @property
    def name(self) -> str:
        """The value of the store's ``source`` column: the file that names the transcripts, as written in the spec."""
        return self._main.given

    @property
    def short_name(self) -> str:
        """That file with its folder, for messages."""
        return "/".join(self._main.path.parts[-2:])

    @property
    def _main(self) -> File:
        return self.files["annotation" if "annotation" in self.files else "transcripts"]

    def chunks(self, filters: Filters, findings: Findings, splicer: Splicer, cds_frame: CdsFrame) -> Iterator[Chunk]:
        """Stream the transcripts of the source; implausible results are noted in ``findings``."""
        chunks = self._chunks(filters, findings, splicer, cds_frame)
        return doubting(chunks, findings, coding_only=self.format == "toga", cds_frame=cds_frame)

    def _chunks(self, filters: Filters, findings: Findings, splicer: Splicer, cds_frame: CdsFrame) -> Iterator[Chunk]:
        path = {key: file.path for key, file in self.files.items()}
        if "annotation" in path:
            contigs = annotated_contigs(
                path["annotation"], path["genome"], filters, findings,
                format=self.format, genes=self.genes, cds_frame=cds_frame,
            )  # fmt: skip
            return splicer.chunks(contigs, self.species, self.name, self.genetic_codes)
        listed = listed_transcripts(
            path["transcripts"], path.get("coordinates"), self.species, filters, findings, cds_frame
        )
        return chunked(listed, self.name, self.genetic_codes.default)

    @property
    def annotation(self) -> Path | None:
        """The annotation that the transcripts are, or the mRNAs were, spliced by; None for other mRNAs."""
        file = self.files.get("annotation") or self.files.get("coordinates")
        return file.path if file and ("annotation" in self.files or is_annotation(file.path)) else None

    @property
    def genes(self) -> Path | None:
        """The table of the transcripts' genes."""
        file = self.files.get("genes") or self.files.get("orthology")
        return file.path if file else None


@dataclass(frozen=True)
class Spec:
    """The content of a store: the ``chosen`` ones of all ``sources``; the others may help to find their relations."""

    sources: list[Source]
    chosen: list[Source]
    orthologs: list[RelationTable]
    homologs: list[RelationTable]
    clustering: Clustering | None
    names: SpeciesNames
    filters: Filters
    cds_frame: CdsFrame
    join_similar: bool

    @property
    def files(self) -> Iterable[File]:
        """Every file that is read, in order."""
        tables = [*self.orthologs, *self.homologs]
        return [*(file for source in self.chosen for file in source.files.values()), *(t.file for t in tables)]


def load_spec(path: Path, only: Sequence[str] = ()) -> Spec:
    """Read the spec at ``path``, or the shipped one with that name, for all of its species or ``only`` some.

    Raises InputError naming the first key or value that is wrong, or the first file that is missing.
    """
    path = find_recipe(path)
    document = load_yaml(path, "spec")
    where = str(path)
    keys = ("species", "orthologs", "homologs", "aliases", "filters", "cds_frame", "join_similar")
    fields = mapping(document, where, keys)
    species = fields.get("species")
    if not isinstance(species, dict) or not species:
        raise InputError(f"{where}: `species` is {species!r}; expected a species' name with its files, at least one.")
    folder = path.absolute().parent
    aliases = _aliases(fields.get("aliases") or {}, f"{where}, aliases")
    odd = [name for name in map(str, species) if not name.strip() or any(ord(letter) < 32 for letter in name)]
    if odd:
        raise InputError(f"{where}: {odd[0]!r} is no name of a species; expected letters that can be printed.")
    known = [*map(str, species), *aliases]
    for name in only:
        if name not in map(str, species):
            raise InputError(f"{where} has no species {name!r}; expected some of {', '.join(map(str, species))}.")
    sources = [
        _source(str(name), source, folder, known, f"{where}, species {name}")
        for name, sources in species.items()
        for source in (sources if isinstance(sources, list) and sources else [sources])
    ]
    tables = {key: _tables(fields, key, folder, known, where) for key in ("orthologs", "homologs")}
    return Spec(
        sources=sources,
        chosen=[source for source in sources if not only or source.species in only],
        **tables,
        clustering=_clustering(fields, f"{where}, homologs"),
        names=_species_names(known, aliases, sources if any(tables.values()) else []),
        filters=_filters(fields.get("filters") or {}, f"{where}, filters"),
        cds_frame=_cds_frame(fields.get("cds_frame", "annotated"), where),
        join_similar=_switch(fields, "join_similar", True, where),
    )


def _cds_frame(given: Any, where: str) -> CdsFrame:
    if given not in get_args(CdsFrame):
        raise InputError(f"{where}: cds_frame is {given!r}; expected one of {', '.join(get_args(CdsFrame))}.")
    frame: CdsFrame = given
    return frame


def _tables(fields: Mapping[str, Any], key: str, folder: Path, known: list[str], where: str) -> list[RelationTable]:
    tables = []
    for entry in _list(fields, key, where):
        if key == "homologs" and isinstance(entry, dict) and "mmseqs2" in entry:
            continue
        here = f"{where}, {key}"
        entry = mapping(entry, here, ("table", "species", "by")) if isinstance(entry, dict) else {"table": entry}
        species, by = entry.get("species"), entry.get("by", "id")
        if species is not None and species not in known:
            raise InputError(f"{here}: species is {species!r}; expected one of the spec's, {', '.join(known)}.")
        if by not in ("id", "symbol"):
            raise InputError(f"{here}: by is {by!r}; expected `id` or `symbol`.")
        tables.append(RelationTable(find_file(entry.get("table"), folder, here), species, by_symbol=by == "symbol"))
    return tables


def _clustering(fields: Mapping[str, Any], where: str) -> Clustering | None:
    """The clustering among the homologs: ``{mmseqs2: {min_identity: 0.3, coverage: 0.8}}``."""
    entries = [entry for entry in fields.get("homologs") or [] if isinstance(entry, dict) and "mmseqs2" in entry]
    if not entries:
        return None
    if len(entries) > 1 or len(entries[0]) > 1:
        raise InputError(f"{where}: expected `mmseqs2` once and by itself, such as {{mmseqs2: {{min_identity: 0.3}}}}.")
    values = mapping(entries[0]["mmseqs2"] or {}, f"{where}, mmseqs2", tuple(Clustering.__dataclass_fields__))
    for name, value in values.items():
        if type(value) not in (int, float) or not 0 < value <= 1:
            raise InputError(f"{where}, mmseqs2: {name} is {value!r}; expected a fraction, above 0 and at most 1.")
    require_mmseqs()
    return Clustering(**values)


def _species_names(known: list[str], aliases: Mapping[str, list[str]], sources: list[Source]) -> SpeciesNames:
    """The names of the spec's species, those that the tables of coordinates name, and the taxa of the annotations."""
    tables = [s.files["coordinates"].path for s in sources if "coordinates" in s.files and not s.annotation]
    listed = [read_tsv(path, ["species"])["species"] for path in tables if "species" in read_header(path)]
    stated = {source.species: stated_taxon(source.annotation) for source in sources if source.annotation}
    return SpeciesNames(
        [*(name for column in listed for name in column.unique().to_pylist() if name), *known],
        aliases,
        {species: taxon for species, taxon in stated.items() if taxon},
    )


def _aliases(document: Any, where: str) -> dict[str, list[str]]:
    if not isinstance(document, dict):
        raise InputError(f"{where}: found {document!r}; expected species' names, each with a list of others.")
    return {str(name): list(map(str, _list(document, name, where))) for name in document}


def _source(species: str, document: Any, folder: Path, known: list[str], where: str) -> Source:
    fields = dict(mapping(document, where, (*_ANNOTATED, *_OF_ANNOTATION, *_LISTED, "genetic_code")))
    genetic_codes = _genetic_codes(fields.pop("genetic_code", {}), "annotation" in fields, where)
    optional = _OF_ANNOTATION if "annotation" in fields else ()
    if {key for key in fields if key not in optional} not in (set(_ANNOTATED), set(_LISTED), {"transcripts"}):
        raise InputError(
            f"{where}: it has {', '.join(fields) or 'nothing'}; expected `annotation` and `genome`, or `transcripts`"
            " and, but for headers of GENCODE or Ensembl, `coordinates`."
        )
    reference = fields.pop("reference", None)
    format = _format(fields.pop("format", "toga" if reference else None), where)
    files = {key: find_file(text, folder, f"{where}, {key}") for key, text in fields.items()}
    if "orthology" in files and reference is None:
        raise InputError(f"{where}: it has `orthology` without `reference`; name the species that TOGA started from.")
    if reference is not None and (format != "toga" or "genes" in files):
        raise InputError(f"{where}: `reference` goes with an annotation by TOGA, which names its genes by itself.")
    if reference is not None and reference not in known and "orthology" not in files:
        raise InputError(
            f"{where}: reference is {reference!r}; expected one of the spec's species ({', '.join(known)}), or give"
            " TOGA's orthology table as `orthology`."
        )
    return Source(species, files, format, reference, genetic_codes)


def _genetic_codes(document: Any, by_contig: bool, where: str) -> GeneticCodes:
    """``2``, or ``{MT: 2}``, ``{default: 12, MT: 3}``."""
    tables = {str(name): table for name, table in document.items()} if isinstance(document, dict) else None
    for table in [document] if tables is None else tables.values():
        if type(table) is not int or table not in TABLES:
            raise InputError(
                f"{where}: genetic_code is {table!r}; expected the number of one of NCBI's translation tables"
                f" ({', '.join(map(str, TABLES))}), or one for each contig, such as {{MT: 2}}."
            )
    if tables is None:
        return GeneticCodes(document)
    if not by_contig and tables:
        raise InputError(f"{where}: genetic_code names contigs, which mRNAs have none of; expected a number.")
    return GeneticCodes(tables.pop("default", None), tables)


def _format(given: Any, where: str) -> str | None:
    names = {name.lower(): name for name in FORMATS}
    if given is not None and str(given).lower() not in names:
        raise InputError(f"{where}: format is {given!r}; expected one of {', '.join(FORMATS)}, or none to detect it.")
    return names[str(given).lower()] if given is not None else None


def _switch(fields: Mapping[str, Any], key: str, default: bool, where: str) -> bool:
    value = fields.get(key, default)
    if type(value) is not bool:
        raise InputError(f"{where}: {key} is {value!r}; expected true or false.")
    return value


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
    _switch(fields, "primary_contigs", False, where)
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
