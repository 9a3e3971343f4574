"""NCBI's GeneIDs of genes whose id in an annotation is another, as in RefSeq's GTF, whose gene_id is a symbol."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from orthrus.genome.files import open_bytes
from orthrus.genome.gxf.attributes import attribute, gene_number
from orthrus.genome.gxf.lines import blocks, dialect_of_file
from orthrus.genome.gxf.rows import parse_rows
from orthrus.genome.names import without_prefix


def gene_numbers(path: Path) -> dict[str, str]:
    """The ``gene_id`` that a GTF or GFF3 file gives to each GeneID (``db_xref "GeneID:1"``, ``Dbxref=GeneID:1``).

    Of a number that several ids have, the first; of other files, none. Raises InputError for rows that cannot be read.
    """
    dialect = dialect_of_file(path)
    found: dict[str, str] = {}
    if dialect is None:
        return found
    with open_bytes(path) as stream:
        for block in blocks(stream, path):
            if b"GeneID:" not in block:
                continue
            attributes = parse_rows(block, path, dialect)["attributes"]
            attributes = attributes.filter(pc.match_substring(attributes, "GeneID:"))
            table = pa.table(
                [gene_number(attributes, dialect), without_prefix(attribute(attributes, dialect, "gene_id", "geneID"))],
                ["number", "gene_id"],
            )
            for row in table.drop_null().group_by(["number", "gene_id"], use_threads=False).aggregate([]).to_pylist():
                found.setdefault(row["number"], row["gene_id"])
    return found
