"""All gene pairs and gene groups of a spec: from its tables, and from TOGA's annotation."""

import pyarrow as pa
import pyarrow.compute as pc

from orthrus.genome.annotation import read_annotation
from orthrus.genome.coordinates import read_coordinates
from orthrus.genome.findings import Findings
from orthrus.genome.gxf import gene_numbers
from orthrus.genome.headers import read_headers
from orthrus.genome.tables import read_tsv
from orthrus.prepare.spec import Source, Spec
from orthrus.prepare.toga_orthologs import ReferenceGenes, pairs_of_names, pairs_of_table
from orthrus.store import HOMOLOG_SCHEMA, ORTHOLOG_SCHEMA

_ENSEMBL_GENE = r"^ENS[A-Z]*G\d{11}(\.\d+)?$"


def read_orthologs(spec: Spec, numbers: "GeneNumbers", findings: dict[str, Findings]) -> pa.Table:
    """Pairs of orthologous genes, columns as in ORTHOLOG_SCHEMA; notes go to ``findings``, by table or source.

    If TOGA's genes follow from the names of its projections, its annotation and the reference's are read for them.
    """
    tables = [ORTHOLOG_SCHEMA.empty_table()]
    for t in spec.orthologs:
        pairs = t.pairs(spec.names, findings.setdefault(t.file.given, Findings()))
        tables.append(numbers.replaced(pairs, ("species_a", "gene_id_a"), ("species_b", "gene_id_b")))
    genes: dict[str, ReferenceGenes] = {}
    for source in spec.chosen:
        if source.reference is not None:
            tables.append(_of_toga(source, source.reference, spec, genes, findings.setdefault(source.name, Findings())))
    return pa.concat_tables(tables)


def read_homologs(spec: Spec, numbers: "GeneNumbers", findings: dict[str, Findings]) -> pa.Table:
    """Groups of homologous genes, columns as in HOMOLOG_SCHEMA; notes go to ``findings``, by table."""
    tables = [
        numbers.replaced(t.groups(spec.names, findings.setdefault(t.file.given, Findings())), ("species", "gene_id"))
        for t in spec.homologs
    ]
    return pa.concat_tables([HOMOLOG_SCHEMA.empty_table(), *tables])


class GeneNumbers:
    """Translates the GeneIDs of NCBI's tables to the gene ids of a spec's annotations, such as RefSeq's GTF.

    An annotation is read when a table first needs it, once for all tables.
    """

    def __init__(self, spec: Spec) -> None:
        self._sources = spec.sources
        self._of_species: dict[str, dict[str, str]] = {}

    def replaced(self, table: pa.Table, *columns: tuple[str, str]) -> pa.Table:
        """``table`` with gene ids in place of GeneIDs; each of ``columns`` is a column of species and one of genes."""
        for species, gene_id in columns:
            genes = table[gene_id]
            is_number = pc.match_substring_regex(genes, r"^\d+$")
            for name in pc.unique(table[species].filter(is_number)).to_pylist():
                known = self._known(name)
                mine = pc.and_(pc.equal(table[species], name), is_number)
                row = pc.index_in(genes, value_set=pa.array(known.keys(), pa.string()))
                genes = pc.if_else(mine, pc.coalesce(pa.array(known.values(), pa.string()).take(row), genes), genes)
            table = table.set_column(table.column_names.index(gene_id), gene_id, genes)
        return table

    def _known(self, species: str) -> dict[str, str]:
        """The gene ids of a species by GeneID."""
        if species not in self._of_species:
            mine = [s for s in self._sources if s.species == species and s.format in (None, "gtf", "gff3")]
            found = [gene_numbers(source.annotation) for source in mine if source.annotation]
            self._of_species[species] = {number: gene for each in reversed(found) for number, gene in each.items()}
        return self._of_species[species]


def _of_toga(
    source: Source, reference: str, spec: Spec, genes: dict[str, ReferenceGenes], findings: Findings
) -> pa.Table:
    orthology = source.files.get("orthology")
    if orthology:
        stated = read_tsv(orthology.path, ("t_gene",))["t_gene"]
        if pc.all(pc.match_substring_regex(stated, _ENSEMBL_GENE)).as_py():  # the ids of the store
            return pairs_of_table(orthology.path, source.species, reference, _reference_genes([]))
    if reference not in genes:
        genes[reference] = _reference_genes([s for s in spec.sources if s.species == reference])
    if orthology:
        return pairs_of_table(orthology.path, source.species, reference, genes[reference])
    models = read_annotation(source.files["annotation"].path, Findings(), format="toga")
    return pairs_of_names(models, source.species, reference, genes[reference], findings)


def _reference_genes(sources: list[Source]) -> ReferenceGenes:
    """The names of transcripts and genes in ``sources``."""
    names = [_names(source) for source in sources]
    empty = pa.array([], pa.string())
    return ReferenceGenes(
        *(pa.concat_arrays([empty, *columns]) for columns in zip(*names, strict=True)) if names else 3 * [empty]
    )


def _names(source: Source) -> tuple[pa.Array, pa.Array, pa.Array]:
    if source.annotation:
        models = read_annotation(source.annotation, Findings(), format=source.format, genes=source.genes)
        return models.transcript_id, models.gene_id, models.gene_name
    path = {key: file.path for key, file in source.files.items()}
    table = (
        read_coordinates(path["coordinates"], source.species, path["transcripts"])
        if "coordinates" in path
        else read_headers(path["transcripts"], source.species)
    )
    return pa.array(table.transcript_id), pa.array(table.gene_id), pa.array(table.gene_name)
