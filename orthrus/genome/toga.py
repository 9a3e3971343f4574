"""TOGA's annotation of a query genome: transcripts of a reference species, found again through genome alignments.

A projection is named after the reference's transcript, its gene where the input had that in the name, and the
alignment chain: ``ENST00000367064.CD55.8``, ``ENST00000539924.5.12``, or, since TOGA2, ``NM_001291281.3#FOXO6#5``,
perhaps followed by ``#paralog`` or ``#retro``. Files are BED12 or genePred; the sequences are coding ones only.
Kirilenko et al. 2023, Science 380, eabn3107; github.com/hillerlab/TOGA.
"""

from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from orthrus.genome.models import Reading
from orthrus.genome.ucsc import LAYOUTS, read_ucsc

TOGA_LAYOUTS = tuple(chain.from_iterable(LAYOUTS.values()))

_KNOWN = r"ENS[A-Z]*T\d{11}(?:\.\d+)?|(?:rna-)?[NX][MR]_\d+(?:\.\d+)?"
_TOGA1 = rf"^(?P<transcript>{_KNOWN}|[^.]+)(?:\.(?P<symbol>.+))?\.(?P<chain>-?\d+)(?P<kind>)$"
_TOGA2 = r"^(?P<transcript>[^#]+)(?:#(?P<symbol>[^#]*))?#(?P<chain>\d+(?:,\d+)*)(?:#(?P<kind>\w+))?$"
_CERTAIN = rf"^(?:(?:{_KNOWN})\..+\.-?\d+|(?:{_KNOWN})(?:#[^#]*)?#\d+(?:,\d+)*(?:#\w+)?)$"
_SEVERAL_CHAINS = r"^-1$|,"


def are_projections(names: pa.StringArray) -> bool:
    """Whether transcripts called so are beyond doubt TOGA's: all have more than a transcript's id and its version."""
    return bool(pc.all(pc.match_substring_regex(names, _CERTAIN), min_count=1).as_py())


def parse_projections(names: pa.Array | pa.ChunkedArray) -> pa.Table:
    """What projections' names say, a row each: the reference's ``transcript`` and gene ``symbol``, ``chain``, ``kind``.

    All are null where a name is no projection's, symbol and kind ("paralog", "retro") where it has none.
    """
    matches = [pc.extract_regex(names, pattern) for pattern in (_TOGA2, _TOGA1)]
    columns = {}
    for field in ("transcript", "symbol", "chain", "kind"):
        value = pc.coalesce(*(pc.struct_field(match, [field]) for match in matches))
        columns[field] = pc.if_else(pc.equal(value, ""), None, value)
    return pa.table(columns)


def read_toga(path: Path) -> Reading:
    """Projections as transcript models, their gene's name as the reference's symbol, their gene not named.

    Projections in pieces on several chains are refused: what the file holds of them is not their sequence.
    """
    reading = read_ucsc(path, TOGA_LAYOUTS)
    models = reading.models
    parsed = parse_projections(models.transcript_id)
    in_pieces = np.asarray(pc.fill_null(pc.match_substring_regex(parsed["chain"], _SEVERAL_CHAINS), False))
    return Reading(
        models.with_genes(
            pa.nulls(len(models), pa.string()),
            pc.fill_null(parsed["symbol"], "").combine_chunks(),
            models.biotype,
        ),
        refused={"TOGA projections in pieces, on several chains": in_pieces, **reading.refused},
        doubtful={"transcripts not named as TOGA names them": np.asarray(pc.is_null(parsed["chain"]))},
    )
