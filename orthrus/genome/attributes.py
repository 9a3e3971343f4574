"""The ninth column of GTF (``key "value"; key value``) and GFF3 (``key=value;key=value``), by regular expression."""

import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from orthrus.errors import InputError


@dataclass(frozen=True)
class Dialect:
    """How one of the two formats writes an attribute, and by which one (``parent``) an exon names its transcript.

    Formatted with a key, both patterns find its ``value``, ``general`` perhaps as ``bare``. ``usual`` is what nearly
    every file has, and quicker: the regular expression engine searches for its literal beginning.
    """

    name: str
    parent: str
    usual: str
    general: str


# The lazy prefix steps over quoted values whole, so that a `;` or a key inside one is not taken for a real one.
GTF = Dialect(
    name="GTF",
    parent="transcript_id",
    usual=r'; {key} "(?P<value>[^"]+)"',
    general=r'^(?:[^"]|"[^"]*")*?(?:^|;)\s*{key}\s+(?:"(?P<value>[^"]*)"|(?P<bare>[^";\s]+))',
)
GFF3 = Dialect(
    name="GFF3",
    parent="Parent",
    usual=r";{key}=(?P<value>[^;]+)",
    general=r"(?:^|;)\s*{key}=(?P<value>)(?P<bare>[^;]*)",
)


def dialect_of(attributes: str, path: Path) -> Dialect:
    """The dialect of a file by its first attribute column; raises InputError if it is neither."""
    if re.match(r"\s*[^\s=\";]+=", attributes):
        return GFF3
    if re.match(r"\s*[^\s=\";]+\s+\S", attributes):
        return GTF
    raise InputError(
        f'{path}: attributes {attributes[:60]!r} are neither GTF (gene_id "X";) nor GFF3 (ID=X); expected one of them.'
    )


def attribute(column: pa.ChunkedArray, dialect: Dialect, *keys: str) -> pa.StringArray:
    """The value of the first of ``keys`` that each row has, null without one or where it is empty."""
    texts = column.combine_chunks()
    found = pa.nulls(len(texts), pa.string())
    for key in keys:
        if found.null_count:
            found = pc.coalesce(found, _values(texts, dialect, key))
    return found


def _values(texts: pa.StringArray, dialect: Dialect, key: str) -> pa.StringArray:
    value = pc.struct_field(pc.extract_regex(texts, dialect.usual.format(key=key)), ["value"])
    match = pc.extract_regex(texts.filter(pc.is_null(value)), dialect.general.format(key=key))
    general, bare = (pc.struct_field(match, [name]) for name in ("value", "bare"))
    general = pc.if_else(pc.equal(general, ""), bare, general)
    return pc.replace_with_mask(value, pc.is_null(value), pc.if_else(pc.equal(general, ""), None, general))


def gene_number(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """NCBI's GeneID in a GFF3 ``Dbxref``, null without one."""
    pattern = r"(?:^|;)\s*[Dd]bxref=(?:[^;]*,)?GeneID:(?P<id>\d+)"
    return pc.struct_field(pc.extract_regex(column, pattern), ["id"])
