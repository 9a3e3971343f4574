"""Tab-separated tables with a header line, as text columns; plain, gzip or bgzip."""

import difflib
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from orthrus.errors import InputError
from orthrus.genome.files import open_bytes


def read_tsv(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> pa.Table:
    """The ``required`` and those of the ``optional`` columns that are there, all as strings; others are ignored.

    Raises InputError naming a missing column and the nearest there is, or the first line with too few or many fields.
    """
    bad: list[tuple[int, int]] = []
    with open_bytes(path) as stream:
        header = stream.readline().decode("utf-8-sig", "replace").rstrip("\r\n").split("\t")
        for name in required:
            if name not in header:
                near = difflib.get_close_matches(name, header, n=1)
                hint = f" (did you mean {near[0]!r}?)" if near else ""
                raise InputError(
                    f"{path} has no column {name!r}{hint}; expected a tab-separated table with a header line and the"
                    f" columns {', '.join(required)}. It has {', '.join(map(repr, header[:8]))[:200]}."
                )
        repeated = [name for name in (*required, *optional) if header.count(name) > 1]
        if repeated:
            raise InputError(f"{path} has the column {repeated[0]!r} twice; expected it once.")

        def refuse(row: csv.InvalidRow) -> str:
            bad.append((row.number + 1, row.actual_columns))  # numbers count from 1, without the header line
            return "error"

        names = [name for name in header if name in (*required, *optional)]
        try:
            return csv.read_csv(
                stream,
                csv.ReadOptions(column_names=header, use_threads=False),
                csv.ParseOptions(
                    delimiter="\t", quote_char=False, double_quote=False, invalid_row_handler=refuse
                ),
                csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), include_columns=names, null_values=[]
                ),
            )
        except pa.ArrowInvalid as error:
            if bad:
                raise InputError(
                    f"{path}, line {bad[0][0]}: {bad[0][1]} tab-separated fields; expected {len(header)} as in the"
                    " header."
                ) from None
            if "Empty CSV" in str(error):
                raise InputError(f"{path} has a header and no rows; expected some.") from None
            raise InputError(f"{path} cannot be read as a table ({' '.join(str(error).split())}).") from None
