"""Descriptions for the terminal: the contents of a store, and one transcript with its tracks."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from orthrus.genome.codes import BASE_BITS, BASES, SPLICE_BIT, Codes, codon_starts
from orthrus.genome.findings import shown
from orthrus.genome.genetic_code import amino_acids, codon_numbers
from orthrus.store.pairs import PairIndex
from orthrus.store.reader import TranscriptStore

_LINE = 60
_SPECIES_SHOWN = 12
_REASONS_SHOWN = 10
_PAIR_MEANING = {
    "splice": "two isoforms of one gene",
    "ortholog": "transcripts of two orthologous genes",
    "self": "transcripts that have no partner but themselves",
}


def describe_store(store: TranscriptStore) -> RenderableType:
    """Tables of a store's species, positive pairs, lengths, families, dropped transcripts and sources."""
    meta = store.meta
    pairs = PairIndex(store).count()
    sources = [(source["path"], source["bytes"], source["sha256"][:12]) for source in meta.get("sources", ())]
    parts: list[RenderableType] = [
        Text.assemble((str(store.path), "bold"), f"  {len(store):,} transcripts, {store.lengths.sum():,} nt"),
        _species_table(store),
        _table("Positive pairs", ("kind", "pairs", ""), [(k, pairs[k], text) for k, text in _PAIR_MEANING.items()]),
        _length_table(store),
        _family_table(store),
    ]
    if "similar_sequences" in meta:
        parts.append(Text(_similar_line(meta["similar_sequences"])))
    parts.extend(_dropped_tables(store))
    parts.extend(Text.assemble(("note  ", "yellow"), line) for line in meta.get("warnings", ()))
    if sources:
        parts.append(_table("Sources", ("file", "bytes", "sha256"), sources))
    parts.append(Text(f"format {meta['format_version']}, made by {meta.get('created_by', 'unknown')}", style="dim"))
    return _spaced(parts)


def describe_transcript(store: TranscriptStore, transcript_id: str) -> RenderableType:
    """One transcript: its names, regions and exons, and its sequence with the tracks below.

    Positions count from 1 here, with ends included. Raises InputError, naming similar ids, if there is no such
    transcript.
    """
    i = store.index_of(transcript_id)
    row = {name: values[0] for name, values in store.transcripts.slice(i, 1).to_pydict().items()}
    facts = Table.grid(padding=(0, 2))
    for name in ("gene_id", "gene_name", "species", "biotype", "family_id", "source"):
        facts.add_row(Text(name.removesuffix("_id").replace("_", " "), style="dim"), row[name] or "-")
    length, start, end = row["length"], row["cds_start"], row["cds_end"]
    regions = [("mRNA", 0, length)]
    if start >= 0:
        regions = [("5' UTR", 0, start), ("CDS", start, end), ("3' UTR", end, length)]
    ends = row["exon_ends"]
    exons = [(str(n), a, b) for n, (a, b) in enumerate(zip([0, *ends], ends, strict=False), start=1)]
    return _spaced(
        [
            Text.assemble((row["transcript_id"], "bold"), f"  {length:,} nt"),
            facts,
            _interval_table("region", regions),
            _interval_table("exon", exons) if exons else Text("exons unknown: no splice track"),
            _sequence(store.codes(i), end, row["genetic_code"]),
        ]
    )


def _species_table(store: TranscriptStore) -> Table:
    """One row a species, the largest first, the smallest ones together."""
    names = np.array(store.species_names)
    members, first = store.array("members"), store.array("first")
    isoforms = np.diff(first)
    of_gene = store.species[members[first[:-1]]]  # (G,)
    with_cds = np.bincount(store.species, weights=store.cds[:, 0] >= 0, minlength=len(names))
    transcripts = np.bincount(store.species, minlength=len(names))
    largest = np.argsort(-transcripts, kind="stable")
    shown = [(str(names[i]), np.array([i])) for i in largest[:_SPECIES_SHOWN]]
    if len(largest) > _SPECIES_SHOWN:
        shown.append((f"({len(largest) - _SPECIES_SHOWN} others)", largest[_SPECIES_SHOWN:]))
    rows: list[tuple[str | int | float, ...]] = []
    for name, species in shown:
        mine = isoforms[np.isin(of_gene, species)]
        rows.append(
            (
                name,
                int(transcripts[species].sum()),
                int(with_cds[species].sum()),
                len(mine),
                int((mine > 1).sum()),
                float(mine.mean()),
                int(mine.max()),
            )
        )
    header = ("species", "transcripts", "with CDS", "genes", "with isoforms", "isoforms/gene", "most")
    return _table("Species", header, rows)


def _length_table(store: TranscriptStore) -> Table:
    quantiles = np.quantile(store.lengths, [0, 0.05, 0.25, 0.5, 0.75, 0.95, 1]).round().astype(int).tolist()
    return _table("Lengths (nt)", ("shortest", "5 %", "25 %", "median", "75 %", "95 %", "longest"), [quantiles])


def _family_table(store: TranscriptStore) -> Table:
    size = np.bincount(store.family)
    pairs = np.unique(store.family.astype(np.int64) * len(store.species_names) + store.species)
    n_species = np.bincount(pairs // len(store.species_names))
    largest = int(size.argmax())
    row = (len(size), int((n_species > 1).sum()), int(size[largest]), store.family_names[largest].as_py())
    header = ("families", "multi-species", "most transcripts", "in family")
    return _table("Families, the unit of every split", header, [row])


def _similar_line(joined: Mapping[str, int]) -> str:
    if not joined["genes"]:
        return "No two families have transcripts that share most of their 21-mers."
    return (
        f"{joined['genes']:,} genes share most of a transcript's 21-mers with a gene of another family: joined into"
        f" {joined['families']:,} families, {joined['fewer']:,} fewer than by names."
    )


def _dropped_tables(store: TranscriptStore) -> list[Table]:
    """The reasons, the most frequent first, each with its source or the number of sources."""
    by_reason: dict[str, list[dict[str, Any]]] = {}
    for row in store.table("dropped").to_pylist():
        by_reason.setdefault(row["reason"], []).append(row)
    counts = sorted(((sum(row["count"] for row in rows), reason) for reason, rows in by_reason.items()), reverse=True)
    lines: list[tuple[int, str, str, str]] = []
    for count, reason in counts[:_REASONS_SHOWN]:
        rows = by_reason[reason]
        source = rows[0]["source"].rpartition("/")[2] if len(rows) == 1 else f"{len(rows)} sources"
        lines.append((count, reason, source, shown(rows[0]["examples"])))
    if rest := counts[_REASONS_SHOWN:]:
        lines.append((sum(count for count, _ in rest), f"({len(rest)} other reasons)", "dropped.parquet", ""))
    return [_table("Left out", ("transcripts", "why", "of", "for example"), lines)] if lines else []


def _sequence(codes: Codes, cds_end: int, genetic_code: int) -> Text:
    """Lines of sequence, and below them the amino acids of codons and the last bases of exons, if any."""
    letters = np.array(list(BASES))[codes & BASE_BITS]
    protein, splice = np.full(len(codes), " "), np.full(len(codes), " ")
    codons = codon_starts(codes)
    protein[codons] = "."  # a CDS whose end is not known may end within a codon
    whole = codons[codons + 3 <= cds_end]
    protein[whole] = amino_acids(genetic_code)[codon_numbers(codes, whole)]
    splice[(codes & SPLICE_BIT) > 0] = "|"
    text = Text("Sequence; beneath it amino acids at codon starts, | at exons' last bases\n")
    for start in range(0, len(codes), _LINE):
        stop = min(start + _LINE, len(codes))
        text.append(f"\n{start + 1:>7,}  {''.join(letters[start:stop])}  {stop:,}")
        for marks, style in ((protein, "green"), (splice, "red")):
            line = "".join(marks[start:stop]).rstrip()
            if line:
                text.append(f"\n{'':9}{line}", style=style)
    text.no_wrap = True
    return text


def _interval_table(name: str, intervals: Iterable[tuple[str, int, int]]) -> Table:
    rows = [(label, start + 1, end, end - start) for label, start, end in intervals if end > start]
    return _table(None, (name, "from", "to", "nt"), rows)


def _table(title: str | None, header: Sequence[str], rows: Iterable[Sequence[str | int | float]]) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, padding=(0, 2, 0, 0))
    rows = list(rows)
    for name, value in zip(header, rows[0], strict=True):
        table.add_column(Text(name, style="dim"), justify="left" if isinstance(value, str) else "right")
    for row in rows:
        table.add_row(*(_shown(value) for value in row))
    return table


def _shown(value: str | int | float) -> Text:
    return Text(value if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else f"{value:.2f}")


def _spaced(parts: Iterable[RenderableType]) -> Group:
    return Group(*(piece for part in parts for piece in (part, Text(""))))
