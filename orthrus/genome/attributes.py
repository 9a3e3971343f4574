"""The ninth column of GTF (``key "value"; key value``) and GFF3 (``key=value;key=value``), by regular expression."""

import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from orthrus.errors import InputError


@dataclass(frozen=True)
class Dialect:
    """How one of the two formats writes an attribute: ``pattern`` takes the key, groups ``quoted`` and ``bare``."""

    name: str
    pattern: str


# The lazy prefix steps over quoted values whole, so that a `;` or a key inside one is not taken for a real one.
GTF = Dialect("GTF", r'^(?:[^"]|"[^"]*")*?(?:^|;)\s*{key}\s+(?:"(?P<quoted>[^"]*)"|(?P<bare>[^";\s]+))')
GFF3 = Dialect("GFF3", r"(?:^|;)\s*{key}=(?P<quoted>)(?P<bare>[^;]*)")


def dialect_of(attributes: str, path: Path) -> Dialect:
    """The dialect of a file by its first attribute column; raises InputError if it is neither."""
    if re.match(r"\s*[^\s=\";]+=", attributes):
        return GFF3
    if re.match(r"\s*[^\s=\";]+\s+\S", attributes):
        return GTF
    raise InputError(
        f'{path}: attributes {attributes[:60]!r} are neither GTF (gene_id "X";) nor GFF3 (ID=X); expected one of them.'
    )


def attribute(column: pa.ChunkedArray, dialect: Dialect, *keys: str) -> pa.ChunkedArray:
    """The value of the first of ``keys`` that each row has, null without one or where it is empty."""
    found = pa.nulls(len(column), pa.string())
    for key in keys:
        match = pc.extract_regex(column, dialect.pattern.format(key=key))
        quoted, bare = (pc.struct_field(match, [name]) for name in ("quoted", "bare"))
        value = pc.if_else(pc.equal(quoted, ""), bare, quoted)
        found = pc.coalesce(found, pc.if_else(pc.equal(value, ""), None, value))
        if found.null_count == 0:
            break
    return found


def gene_number(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """NCBI's GeneID in a GFF3 ``Dbxref``, null without one."""
    pattern = r"(?:^|;)\s*[Dd]bxref=(?:[^;]*,)?GeneID:(?P<id>\d+)"
    return pc.struct_field(pc.extract_regex(column, pattern), ["id"])
