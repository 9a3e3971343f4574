"""Tables of orthologous and homologous genes in published formats, which are recognised by their columns.

=====================  ===============================================================================================
ours                   species_a, gene_id_a, species_b, gene_id_b, homology_type (pairs); species, gene_id, group
Ensembl Compara        gene_stable_id, species, homology_gene_stable_id, homology_species, homology_type, among others
Ensembl BioMart        Gene stable ID; Mouse gene stable ID and Mouse homology type, and so on for each other species;
                       through its API ensembl_gene_id; mmusculus_homolog_ensembl_gene, mmusculus_homolog_orthology_type
NCBI gene_orthologs    tax_id, GeneID, relationship, Other_tax_id, Other_GeneID
NCBI HomoloGene        no header: group, taxonomy number, GeneID, symbol, protein gi, protein accession
TOGA                   t_gene, q_gene, orthology_class (:mod:`orthrus.prepare.toga_orthologs`)
=====================  ===============================================================================================

As orthologs, a group stands for its pairs of genes of different species. As homologs, a pair stands for a group of two,
and paralogs are included.
"""

import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orthrus.errors import InputError
from orthrus.genome.findings import Findings
from orthrus.genome.tables import read_columns, read_header, read_tsv
from orthrus.prepare.species_names import SpeciesNames
from orthrus.spec_file import File
from orthrus.store import HOMOLOG_SCHEMA, ORTHOLOG_SCHEMA, sha256

_COMPARA = ("gene_stable_id", "species", "homology_gene_stable_id", "homology_species", "homology_type")
_OURS = ("gene_id_a", "species_a", "gene_id_b", "species_b", "homology_type")  # in Compara's order
_NCBI = ("tax_id", "GeneID", "relationship", "Other_tax_id", "Other_GeneID")
_BIOMART_GENE = ("Gene stable ID", "Gene stable ID version", "ensembl_gene_id", "ensembl_gene_id_version")
_BIOMART_OTHER = re.compile(r"^(?:(?P<web>.+) gene stable ID(?: version)?|(?P<api>[a-z0-9]+)_homolog_ensembl_gene)$")
_BIOMART_KIND = ("{} homology type", "{}_homolog_orthology_type")
_NO_ORTHOLOGS = r"paralog|gene_split|related"  # terms of Compara, and ours for all but NCBI's orthologs
_HOMOLOGENE = ("group", "species", "gene_id", "symbol", "protein_gi", "protein_accession")
_MAX_PAIRS = 50_000_000


@dataclass(frozen=True)
class RelationTable:
    """A table of the spec.

    ``species`` is the species of the first column of a BioMart table; ``by_symbol``: HomoloGene's symbols, not its
    GeneIDs, are the ids of genes.
    """

    file: File
    species: str | None = None
    by_symbol: bool = False

    def pairs(self, names: SpeciesNames, findings: Findings) -> pa.Table:
        """Orthologous genes, columns as in :data:`orthrus.store.ORTHOLOG_SCHEMA`.

        Omitted rows are noted in ``findings``. Raises InputError if the table cannot be read, or has no species of the
        spec.
        """
        header = read_header(self.file.path)
        if _is_grouped(header):
            return _pairs_of_groups(self.groups(names, findings), self.file)
        pairs = self._rows(header, names, findings)
        other = pc.match_substring_regex(pairs["homology_type"], _NO_ORTHOLOGS)
        findings.noted.add(
            "rows of an ortholog table that are of paralogs or other relatives, ignored",
            pairs["gene_id_a"].filter(other).to_pylist(),
        )
        return pairs.filter(pc.invert(other))

    def groups(self, names: SpeciesNames, findings: Findings) -> pa.Table:
        """Homologous genes with their group, columns as in :data:`orthrus.store.HOMOLOG_SCHEMA`. Errors as for pairs.

        Group names include the checksum of the file, so that groups of other tables and stores differ.
        """
        header = read_header(self.file.path)
        if _is_grouped(header):
            groups = self._grouped(header, names, findings)
        else:
            pairs = self._rows(header, names, findings)
            number = pc.cast(pa.array(np.arange(len(pairs))), pa.string())
            groups = pa.concat_tables(
                pa.table([pairs[f"species_{side}"], pairs[f"gene_id_{side}"], number], schema=HOMOLOG_SCHEMA)
                for side in "ab"
            )
        unique = pc.binary_join_element_wise(sha256(self.file.path)[:12], groups["group"], ":")
        return groups.set_column(groups.column_names.index("group"), "group", unique)

    def _grouped(self, header: list[str], names: SpeciesNames, findings: Findings) -> pa.Table:
        if set(HOMOLOG_SCHEMA.names) <= set(header):
            table, gene_id = read_tsv(self.file.path, HOMOLOG_SCHEMA.names), "gene_id"
        else:
            table, gene_id = read_columns(self.file.path, _HOMOLOGENE), "symbol" if self.by_symbol else "gene_id"
        species = names.translate(table["species"])
        rows = pa.table([species, table[gene_id], table["group"]], schema=HOMOLOG_SCHEMA)
        return self._of_known_species(rows, table["species"], pc.is_valid(species), findings)

    def _rows(self, header: list[str], names: SpeciesNames, findings: Findings) -> pa.Table:
        """The rows of a table of pairs, including paralogs."""
        if set(_COMPARA) <= set(header):
            return self._between_species(read_tsv(self.file.path, _COMPARA).select(_COMPARA), names, findings)
        if set(_NCBI) <= set(header):
            table = read_tsv(self.file.path, _NCBI)
            kind = pc.if_else(pc.equal(pc.utf8_lower(table["relationship"]), "ortholog"), "ortholog", "related")
            columns = [*(table[name] for name in ("GeneID", "tax_id", "Other_GeneID", "Other_tax_id")), kind]
            return self._between_species(pa.table(columns, _COMPARA), names, findings)
        if set(_BIOMART_GENE) & set(header):
            return self._biomart(header, names, findings)
        table = read_tsv(self.file.path, ORTHOLOG_SCHEMA.names)
        return self._between_species(table.select(_OURS), names, findings)

    def _between_species(self, table: pa.Table, names: SpeciesNames, findings: Findings) -> pa.Table:
        """The rows of a table with columns in Compara's order where both species are in the spec."""
        gene_a, species_a, gene_b, species_b, kind = table.columns
        a, b = names.translate(species_a), names.translate(species_b)
        rows = pa.table([a, gene_a, b, gene_b, kind], schema=ORTHOLOG_SCHEMA)
        foreign = pc.if_else(pc.is_null(a), species_a, species_b)
        return self._of_known_species(rows, foreign, pc.and_(pc.is_valid(a), pc.is_valid(b)), findings)

    def _biomart(self, header: list[str], names: SpeciesNames, findings: Findings) -> pa.Table:
        if self.species is None:
            raise InputError(
                f"{self.file.path} is from BioMart and does not say of which species its first genes are; give it"
                f" as {{table: {self.file.given}, species: NAME}}."
            )
        own = next(name for name in _BIOMART_GENE if name in header)
        matches = [match for name in reversed(header) if (match := _BIOMART_OTHER.match(name))]
        others = {match["web"] or match["api"]: match[0] for match in matches}
        types = {name: kind.format(name) for name in others for kind in _BIOMART_KIND if kind.format(name) in header}
        table = read_tsv(self.file.path, [own, *others.values(), *types.values()])
        if not others:
            raise InputError(
                f"{self.file.path} has no column such as 'Mouse gene stable ID'; add homologues in BioMart."
            )
        parts, labels = [], []
        for name, column in others.items():
            is_paralog = name.endswith(" paralogue")
            label = pa.chunked_array([pa.array([name] * len(table), pa.string())])
            own_species = pa.chunked_array([pa.array([self.species] * len(table), pa.string())])
            kind = (
                table[types[name]]
                if name in types
                else pa.array(["paralog" if is_paralog else "ortholog"] * len(table))
            )
            sides = [
                own_species,
                table[own],
                own_species if is_paralog else names.translate(label),
                table[column],
                kind,
            ]
            found = pc.and_(pc.not_equal(table[column], ""), pc.not_equal(table[own], ""))
            parts.append(pa.table(sides, schema=ORTHOLOG_SCHEMA).filter(found))
            labels.append(label.filter(found))
        rows = pa.concat_tables(parts)
        label = pa.chunked_array([chunk for column in labels for chunk in column.chunks], pa.string())
        return self._of_known_species(rows, label, pc.is_valid(rows["species_b"]), findings)

    def _of_known_species(
        self, rows: pa.Table, foreign: pa.ChunkedArray, known: pa.ChunkedArray, findings: Findings
    ) -> pa.Table:
        """The ``known`` ones of ``rows``; the species in ``foreign`` is noted for the others."""
        other = pc.unique(foreign.filter(pc.invert(known))).to_pylist()
        if not pc.any(known, min_count=0).as_py():
            raise InputError(
                f"{self.file.path}: every row is about a species that the spec does not name"
                f" ({', '.join(other[:4]) or 'there is none'}); say under `aliases` which is which, such as"
                " `aliases: {mouse: [mus_musculus, Mouse, 10090]}`."
            )
        findings.noted.add_counted(
            "rows of a table of genes about species that the spec does not name, ignored", len(rows) - _n(known), other
        )
        return rows.filter(known)


def _n(mask: pa.ChunkedArray) -> int:
    return pc.sum(mask, min_count=0).as_py() or 0


def _is_grouped(header: list[str]) -> bool:
    """Whether a table has groups: ours by its columns, HomoloGene, which has no header, by its first row."""
    homologene = len(header) == len(_HOMOLOGENE) and all(field.isdigit() for field in header[:3])
    return homologene or set(HOMOLOG_SCHEMA.names) <= set(header)


def _pairs_of_groups(groups: pa.Table, file: File) -> pa.Table:
    """All pairs of genes of different species in a group; the kind of orthology follows from their numbers."""
    codes = {
        name: groups[name].combine_chunks().dictionary_encode().indices.to_numpy() for name in ("group", "species")
    }
    order = np.lexsort([codes["species"], codes["group"]])
    group, species = codes["group"][order], codes["species"][order]
    _, first, size = np.unique(group, return_index=True, return_counts=True)
    if int((size.astype(np.int64) ** 2).sum()) > _MAX_PAIRS:
        raise InputError(
            f"{file.path} has groups of up to {size.max():,} genes, too many to pair each with each; give them under"
            " `homologs`, and under `orthologs` a table of pairs."
        )
    first, size = np.repeat(first, size), np.repeat(size, size)  # of each row's group
    left = np.repeat(np.arange(len(group)), size)
    right = np.arange(len(left)) + np.repeat(first - (np.cumsum(size) - size), size)
    apart = species[left] < species[right]
    left, right = left[apart], right[apart]
    _, of_species, n_genes = np.unique(np.stack([group, species]), axis=1, return_inverse=True, return_counts=True)
    many = n_genes[of_species.reshape(-1)] > 1
    kinds = np.array(["ortholog_one2one", "ortholog_one2many", "ortholog_many2many"], dtype=object)
    sides = {side: groups.take(pa.array(order[rows])) for side, rows in (("a", left), ("b", right))}
    return pa.table(
        [
            *(sides[side][name] for side in "ab" for name in ("species", "gene_id")),
            pa.array(kinds[many[left].astype(int) + many[right]], pa.string()),
        ],
        schema=ORTHOLOG_SCHEMA,
    )
