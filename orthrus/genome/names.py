"""Names of genes and transcripts, without what some files add to them: prefixes, versions, the mark of a copy.

GFF3 ids are unique in the whole file, so Ensembl, WormBase and NCBI put the type of feature in front: ``gene:``,
``Transcript:``, ``rna-``. Ids of Ensembl and RefSeq may have a version (``ENSG00000182378.15``), and GENCODE's lifted
annotation adds another (``_2``). The pseudoautosomal genes of chrY are copies of those of chrX: GENCODE marks them with
``_PAR_Y``, and did so before release 25 with an R in the id (``ENSGR0000182378``).
"""

from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

Names: TypeAlias = pa.StringArray | pa.ChunkedArray

_PREFIX = r"^(?:(?i:gene|transcript|mrna|cds|ncrna|rrna|trna|pseudogene):|(?:rna|gene|id|cds)-)"
_VERSIONED = r"(?:ENS[A-Z]*\d{11}|MGP_\w+_[GT]\d{7}|[NX][MRP]_\d+)"
_VERSION = rf"^({_VERSIONED})\.\d+(?:_\d+)?(_PAR_Y)?$"


def without_prefix(names: Names) -> Names:
    """Names without the prefix of GFF3 ids that gives the type of feature."""
    return pc.replace_substring_regex(names, _PREFIX, "")


def without_version(names: Names) -> Names:
    """Names, with the version removed from ids of Ensembl and RefSeq."""
    return pc.replace_substring_regex(names, _VERSION, r"\1\2")


def without_number(names: Names) -> Names:
    """Names without a number after the last dot, which may be a version or a part of the name."""
    return pc.replace_substring_regex(names, r"^(.+)\.\d+$", r"\1")


def one_gene(gene_ids: Names) -> Names:
    """Gene ids without their version and without the mark of a copy on chrY, so that ids of one gene are equal."""
    on_x = without_copy(without_version(gene_ids))
    return without_version(pc.replace_substring_regex(on_x, r"^ENSGR(\d{10}(?:\.\d+)?)$", r"ENSG0\1"))


def without_copy(names: Names) -> Names:
    """Names without GENCODE's mark of a copy on chrY."""
    return pc.replace_substring_regex(names, "_PAR_Y$", "")


def find(names: Names, among: Names, groups: tuple[Names, Names] | None = None) -> pa.Array:
    """The index ``among`` M others of each of N ``names``, int32 (N,), null for names that are not found.

    Names match if they are equal; else if they are equal without prefix and version; else if they are equal without a
    number after the last dot of one of them, and no other name matches. With ``groups``, such as the species of both
    sides, names match only within the same group. Of equal names the first is used.
    """
    names, among = _array(names), _array(among)
    mine, theirs = (None, None) if groups is None else map(_array, groups)

    def look_up(wanted: pa.Array, known: pa.Array) -> pa.Array:
        return pc.index_in(_key(wanted, mine), value_set=_key(known, theirs), skip_nulls=True)

    found = look_up(names, among)
    if found.null_count:
        plain, known = (without_version(without_prefix(each)) for each in (names, among))
        found = pc.coalesce(found, look_up(plain, known))
    if found.null_count:
        found = pc.coalesce(found, look_up(names, _unambiguous(without_number(among), theirs)))
        found = pc.coalesce(found, look_up(without_number(names), among))
    return found


def _array(names: Names) -> pa.Array:
    return names.combine_chunks() if isinstance(names, pa.ChunkedArray) else names


def _key(names: pa.Array, groups: pa.Array | None) -> pa.Array:
    return names if groups is None else pc.binary_join_element_wise(groups, names, "\t")


def _unambiguous(names: pa.Array, groups: pa.Array | None) -> pa.Array:
    """The names, null where another name of the group is equal."""
    counts = _key(names, groups).value_counts()
    repeated = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    return pc.if_else(pc.is_in(_key(names, groups), value_set=repeated), None, names)
