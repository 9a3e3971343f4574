"""TOGA's annotation of a query genome: transcripts of a reference species, projected through genome alignments.

The name of a projection has the reference's transcript, its gene if the input had that in the name, and the alignment
chain: ``ENST00000367064.CD55.8``, ``ENST00000539924.5.12``, or, since TOGA2, ``NM_001291281.3#FOXO6#5``, perhaps
followed by ``#paralog`` or ``#retro``. Files are BED12, genePred or GTF; the sequences are coding sequences only.
Kirilenko et al. 2023, Science 380, eabn3107; github.com/hillerlab/TOGA.
"""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orthrus.genome.models import NAMED_AFTER_ITSELF, Reading

_KNOWN = r"ENS[A-Z]*T\d{11}(?:\.\d+)?|(?:rna-)?[NX][MR]_\d+(?:\.\d+)?"
_TOGA1 = rf"^(?P<transcript>{_KNOWN}|[^.]+)(?:\.(?P<symbol>.+))?\.(?P<chain>-?\d+)(?P<kind>)$"
_TOGA2 = r"^(?P<transcript>[^#]+)(?:#(?P<symbol>[^#]*))?#(?P<chain>\d+(?:,\d+)*)(?:#(?P<kind>\w+))?$"
_CERTAIN = rf"^(?:(?:{_KNOWN})\..+\.-?\d+|(?:{_KNOWN})(?:#[^#]*)?#\d+(?:,\d+)*(?:#\w+)?)$"
_SEVERAL_CHAINS = r"^-1$|,"


def are_projections(names: pa.StringArray) -> bool:
    """Whether all names are certainly those of TOGA's projections: each has more than a transcript's id and version."""
    return bool(pc.all(pc.match_substring_regex(names, _CERTAIN), min_count=1).as_py())


def parse_projections(names: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Parse names of projections into columns ``transcript``, ``symbol``, ``chain`` and ``kind``.

    Transcript and gene symbol are the reference's. All are null where a name is not a projection's; symbol and kind
    ("paralog", "retro") are null where the name has none.
    """
    matches = [pc.extract_regex(names, pattern) for pattern in (_TOGA2, _TOGA1)]
    columns = {}
    for field in ("transcript", "symbol", "chain", "kind"):
        value = pc.coalesce(*(pc.struct_field(match, [field]) for match in matches))
        columns[field] = pc.if_else(pc.equal(value, ""), None, value)
    return pa.table(columns)


def as_projections(reading: Reading) -> Reading:
    """Transcripts of any format as projections, with the reference's symbol as gene name and no known gene.

    Projections with the same symbol and chain are of one gene; :func:`orthrus.genome.genes.with_genes` joins others by
    their place. Projections in pieces on several chains are refused, because the file does not hold their whole
    sequence.
    """
    models = reading.models
    parsed = parse_projections(models.transcript_id)
    in_pieces = np.asarray(pc.fill_null(pc.match_substring_regex(parsed["chain"], _SEVERAL_CHAINS), False))
    place = pc.binary_join_element_wise(parsed["symbol"], parsed["chain"], ".").combine_chunks()
    doubtful = {reason: found for reason, found in reading.doubtful.items() if reason != NAMED_AFTER_ITSELF}
    return Reading(
        replace(
            models,
            gene_id=place,
            gene_known=np.zeros(len(models), dtype=bool),
            gene_name=pc.fill_null(parsed["symbol"], "").combine_chunks(),
        ),
        refused={"TOGA projections in pieces, on several chains": in_pieces, **reading.refused},
        doubtful={**doubtful, "transcripts not named as TOGA names them": np.asarray(pc.is_null(parsed["chain"]))},
    )
