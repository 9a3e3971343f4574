"""Analysis of the sequences of a store: structure, composition and similarity, as tables and plots.

The output folder has ``analysis.json``, and a CSV and a PNG each of ``compression``, ``composition``, ``codons`` and
``similarity``. Everything is measured on samples of one random transcript with a CDS for each gene, with a seed that
the output states, so memory and time do not grow with the store: about 3 s a species on one core.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.progress import track
from rich.table import Table

from orthrus.analyse.compression import REFERENCE_TEXT, Sample, bases, compress, read_text
from orthrus.analyse.content import REGIONS, composition, one_of_each_gene, relative_usage, similarities
from orthrus.analyse.plots import draw
from orthrus.errors import InputError
from orthrus.genome.codes import Codes
from orthrus.genome.codons import codon_counts, regions
from orthrus.genome.genetic_code import CODONS, amino_acids
from orthrus.messages import messages
from orthrus.output import atomic_folder, reserve_folder
from orthrus.store import TranscriptStore

ANALYSIS_FILE = "analysis.json"
TABLES = ("compression", "composition", "codons", "similarity")
MAX_GENES = 5_000  # genes of a species, for composition and codons
MAX_SPECIES = 12
ENGLISH = "English"


def analyse(
    store: TranscriptStore,
    output: Path,
    text: Path | None = None,
    symbols: int | None = None,
    pairs: int = 500,
    seed: int = 0,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Analyse the largest species of a store, write the folder ``output``, and return the content of its
    ``analysis.json``.

    ``symbols`` is the size of each compressed sample, by default the length of the ``text``. Longer samples compress
    better, so all have one size, and the output names regions with fewer symbols. Raises InputError if no transcript
    has a CDS, or if ``output`` exists and ``overwrite`` is false.
    """
    with reserve_folder(output, ANALYSIS_FILE, overwrite):
        document, tables = _measure(store, text, symbols, pairs, seed)
        with atomic_folder(output) as folder:
            for name, rows in tables.items():
                pd.DataFrame(rows).to_csv(folder / f"{name}.csv", index=False)
            content = json.dumps(document, indent=2, allow_nan=False) + "\n"
            (folder / ANALYSIS_FILE).write_text(content, encoding="utf-8")
            draw(document, pd.DataFrame(tables["similarity"]), folder)
    return document


def _measure(
    store: TranscriptStore, text: Path | None, symbols: int | None, pairs: int, seed: int
) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """The document of an analysis, and its tables by name."""
    generator = np.random.default_rng(seed)
    english = read_text(text)
    n_symbols = min(symbols or len(english.symbols), len(english.symbols))
    english = Sample(english.symbols[:n_symbols], english.alphabet)
    coding = np.bincount(store.species[store.cds[:, 0] >= 0], minlength=len(store.species_names))
    chosen = [s for s in np.argsort(-coding, kind="stable")[:MAX_SPECIES].tolist() if coding[s]]
    if not chosen:
        raise InputError(f"no transcript of {store.path} has a CDS; regions and codons need one")
    tables: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    tables["compression"] += _compression(ENGLISH, "text", english, generator)
    for species in track(chosen, "species", console=messages(), transient=True):
        name = store.species_names[species] or "unnamed species"
        rows, genetic_code = one_of_each_gene(store, species, generator)
        cut = (regions(store.codes(row)) for row in rows[:MAX_GENES].tolist())
        of_region = dict(zip(REGIONS, zip(*cut, strict=True), strict=True))
        for region, parts in of_region.items():
            tables["composition"].append({"species": name, "region": region, **composition(parts)})
            tables["compression"] += _compression(name, region, Sample(_joined(parts, n_symbols), 4), generator)
        tables["codons"] += _codons(name, of_region["CDS"], genetic_code)
    tables["similarity"] += similarities(store, pairs, generator)
    document = {
        "format_version": 1,
        "store": str(store.path),
        "seed": seed,
        "text": REFERENCE_TEXT if text is None else str(text),
        "symbols": n_symbols,
        "max_genes": MAX_GENES,
        "species_left_out": [name for s, name in enumerate(store.species_names) if s not in chosen],
        **{name: tables[name] for name in ("compression", "composition", "codons")},
        "similarity": _summary(tables["similarity"]),
    }
    return document, tables


def _joined(parts: Sequence[Codes], n_symbols: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The first ``n_symbols`` bases of the parts end to end."""
    kept, n = [np.empty(0, dtype=np.uint8)], 0
    for part in parts:
        if n >= n_symbols:
            break
        kept.append(bases(part))
        n += len(kept[-1])
    return np.concatenate(kept)[:n_symbols]


def _compression(species: str, region: str, sample: Sample, generator: np.random.Generator) -> list[dict[str, Any]]:
    n = len(sample.symbols)
    if n < 1000:
        return []
    return [{"species": species, "region": region, "symbols": n, **row} for row in compress(sample, generator)]


def _codons(species: str, coding: Sequence[Codes], genetic_code: int) -> list[dict[str, Any]]:
    counts = np.sum([codon_counts(codes) for codes in coding], axis=0)
    usage = relative_usage(counts, genetic_code)
    return [
        {
            "species": species,
            "codon": CODONS[i],
            "amino_acid": str(amino_acids(genetic_code)[i]),
            "per_thousand": float(1000 * counts[i] / max(counts.sum(), 1)),
            "relative_usage": None if np.isnan(usage[i]) else float(usage[i]),
        }
        for i in range(64)
    ]


def _summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Quartiles of the similarities of each kind of pair."""
    summary = []
    for kind in dict.fromkeys(row["kind"] for row in rows):
        row: dict[str, Any] = {"kind": kind, "pairs": sum(each["kind"] == kind for each in rows)}
        for measure in ("jaccard", "containment"):
            values = [each[measure] for each in rows if each["kind"] == kind]
            row |= dict(zip((f"{measure}_q1", f"{measure}_median", f"{measure}_q3"),
                            np.quantile(values, [0.25, 0.5, 0.75]).tolist(), strict=True))  # fmt: skip
        summary.append(row)
    return summary


def describe_analysis(document: Mapping[str, Any]) -> Table:
    """A table of structure by species and region, for the terminal."""
    table = Table(
        title=f"Bits over those of uniform symbols, {document['symbols']:,} symbols a sample",
        caption="in brackets: the same symbols in random order. Lower: more structure. Huffman: the best k.",
    )
    table.add_column("species")
    table.add_column("region")
    for name in ("symbols", "Huffman", "LZMA", "zstd"):
        table.add_column(name, justify="right")
    rows = pd.DataFrame(document["compression"])
    for (species, region), group in rows.groupby(["species", "region"], sort=False):
        best = group.loc[group.groupby("method")["of_uniform"].idxmin()].set_index("method")
        cells = [
            f"{best['of_uniform'][method]:.3f} ({best['shuffled_of_uniform'][method]:.3f})"
            for method in ("huffman", "lzma", "zstd")
        ]
        table.add_row(str(species), str(region), f"{group['symbols'].iloc[0]:,}", *cells)
    return table
