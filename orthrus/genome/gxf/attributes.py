"""The ninth column of GTF (``key "value"; key value``) and GFF3 (``key=value;key=value``), by regular expression."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class Dialect:
    """How one of the two formats writes an attribute; ``parent`` is the attribute by which an exon names its
    transcript.

    Each pattern, formatted with a key, finds the ``value`` of that key; ``general`` may find it as ``bare``. ``first``
    and ``usual`` match nearly every file and are faster, because the regular expression engine searches for their
    literal beginning.
    """

    name: str
    parent: str
    first: str
    usual: str
    general: str


# The lazy prefix skips quoted values as a whole, so that a `;` or a key inside quotes is not read as a real one.
GTF = Dialect(
    name="GTF",
    parent="transcript_id",
    first=r'^{key} "(?P<value>[^"]+)"',
    usual=r'; {key} "(?P<value>[^"]+)"',
    general=r'^(?:[^"]|"[^"]*")*?(?:^|;)\s*{key}\s+(?:"(?P<value>[^"]*)"|(?P<bare>[^";\s]+))',
)
GFF3 = Dialect(
    name="GFF3",
    parent="Parent",
    first=r"^{key}=(?P<value>[^;]+)",
    usual=r";{key}=(?P<value>[^;]+)",
    general=r"(?:^|;)\s*{key}=(?P<value>)(?P<bare>[^;]*)",
)


def dialect_of(attributes: str) -> Dialect | None:
    """The dialect of a ninth column; None if the column does not show it."""
    if re.match(r"\s*[^\s=\";]+=", attributes):
        return GFF3
    if re.match(r"\s*[^\s=\";]+\s+\S", attributes):
        return GTF
    return None


def attribute(column: pa.ChunkedArray, dialect: Dialect, *keys: str) -> pa.StringArray:
    """The value of the first of ``keys`` in each row, null where there is none or it is empty."""
    texts = column.combine_chunks()
    found = pa.nulls(len(texts), pa.string())
    for key in keys:
        if found.null_count:
            found = pc.coalesce(found, _values(texts, dialect, key))
    return found


def _values(texts: pa.StringArray, dialect: Dialect, key: str) -> pa.StringArray:
    leads = len(texts) > 0 and texts[0].as_py().startswith(key)
    quick, other = (dialect.first, dialect.usual) if leads else (dialect.usual, dialect.first)
    value = _matched(texts, quick, key)
    for pattern in (other, dialect.general):
        if value.null_count:
            absent = pc.is_null(value)
            value = pc.replace_with_mask(value, absent, _matched(texts.filter(absent), pattern, key))
    return value


def _matched(texts: pa.StringArray, pattern: str, key: str) -> pa.StringArray:
    """What a pattern finds in each row, null where it finds nothing."""
    match = pc.extract_regex(texts, pattern.format(key=key))
    found = pc.struct_field(match, ["value"])
    if "<bare>" not in pattern:  # the other patterns find no empty values
        return found
    found = pc.if_else(pc.equal(found, ""), pc.struct_field(match, ["bare"]), found)
    return pc.if_else(pc.equal(found, ""), None, found)


def bare_id(column: pa.ChunkedArray) -> pa.StringArray:
    """The id of a ninth column that holds only an id, as AUGUSTUS writes it in rows of genes and transcripts."""
    match = pc.extract_regex(column.combine_chunks(), r'^\s*(?P<id>[^\s=";]+)\s*;?\s*$')
    found = pc.struct_field(match, ["id"])
    return pc.if_else(pc.equal(found, "."), None, found)


def gene_number(column: pa.ChunkedArray, dialect: Dialect) -> pa.ChunkedArray:
    """NCBI's GeneID in GFF3's ``Dbxref`` or GTF's ``db_xref``, null without one."""
    begins = r"[Dd]bxref=(?:[^;]*,)?" if dialect is GFF3 else r'[Dd]b_?xref "(?:[^"]*,)?'
    pattern = rf"(?:^|;)\s*{begins}GeneID:(?P<id>\d+)"
    return pc.struct_field(pc.extract_regex(column, pattern), ["id"])


def unescaped(texts: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """GFF3's values (or a dictionary of them) with escapes such as %3B replaced by their characters."""
    if isinstance(texts, pa.DictionaryArray):
        return pa.DictionaryArray.from_arrays(texts.indices, unescaped(texts.dictionary))
    if not pc.any(pc.match_substring(texts, "%")).as_py():
        return texts
    return pa.array([None if text is None else unquote(text) for text in texts.to_pylist()], pa.string())
