"""The plots of an analysis, one PNG a table. The colours can be distinguished with every kind of colour vision."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orthrus.analyse.content import REGIONS
from orthrus.genome.genetic_code import CODONS, amino_acids

REGION_COLOURS = dict(zip(REGIONS, ("#E69F00", "#0072B2", "#009E73"), strict=True))
TEXT_COLOUR, INK, SOFT, GRID = "#CC4466", "#1C2530", "#5A6672", "#E4E7EA"
_MAX_SPECIES = 8


def draw(document: Mapping[str, Any], pairs: pd.DataFrame, folder: Path) -> None:
    """Draw ``compression.png``, ``composition.png``, ``codons.png`` and, if there are pairs, ``similarity.png``."""
    compression, composition, codons = (
        pd.DataFrame(document[name]) for name in ("compression", "composition", "codons")
    )
    names = list(dict.fromkeys(composition["species"]))[:_MAX_SPECIES]
    _draw_compression(compression, names, document, folder / "compression.png")
    _draw_composition(composition, names, folder / "composition.png")
    _draw_codons(codons, names, folder / "codons.png")
    if len(pairs):
        _draw_similarity(pairs, folder / "similarity.png")


def _figure(width: float, height: float, title: str) -> Figure:
    figure = Figure(figsize=(width, height), dpi=160, layout="constrained")
    figure.suptitle(title, fontsize=11.5, fontweight="bold", color=INK, x=0.012, ha="left")
    return figure


def _bare(panel: Axes, xlabel: str) -> None:
    panel.spines[:].set_visible(False)
    panel.grid(color=GRID, linewidth=0.8)
    panel.set_axisbelow(True)
    panel.tick_params(length=0, labelsize=8.5, labelcolor=SOFT)
    panel.set_xlabel(xlabel, fontsize=9, color=SOFT)


def _draw_compression(table: pd.DataFrame, names: list[str], document: Mapping[str, Any], path: Path) -> None:
    figure = _figure(
        10.5, 2.2 + 0.42 * max(len(names), 5),
        f"Structure: bits a symbol over the bits of a uniform one, {document['symbols']:,} symbols a sample",
    )  # fmt: skip
    lines, dots = figure.subplots(1, 2)
    huffman = table[table["method"] == "huffman"]
    for species, region, colour, label in [
        ("English", "text", TEXT_COLOUR, "English text"),
        *((names[0], region, REGION_COLOURS[region], f"{names[0]} {region}") for region in REGIONS),
    ]:
        rows = huffman[(huffman["species"] == species) & (huffman["region"] == region)]
        if len(rows):
            block = rows["k"] * np.log2(27 if region == "text" else 4)
            lines.plot(block, rows["of_uniform"], "o-", color=colour, markersize=3.5, linewidth=1.6, label=label)
            lines.plot(block, rows["shuffled_of_uniform"], ":", color=colour, linewidth=1.2)
    _bare(lines, "bits of a block of k symbols, uniform")
    lines.set_ylim(top=1.3)  # above it, the table of codes is larger than the sample
    lines.set_title("Huffman code of k-mers (dotted: symbols in random order)", fontsize=9, color=SOFT, loc="left")
    lines.legend(fontsize=8, frameon=False, labelcolor=INK)
    lzma = table[table["method"] == "lzma"]
    for region, colour in REGION_COLOURS.items():
        rows = lzma[(lzma["region"] == region) & lzma["species"].isin(names)]
        dots.plot(rows["of_uniform"], rows["species"].map(names.index), "o", color=colour, markersize=6)
    dots.axvline(lzma.loc[lzma["region"] == "text", "of_uniform"].item(), color=TEXT_COLOUR, linewidth=1.6)
    dots.axvline(1, color=SOFT, linewidth=1, linestyle=(0, (1, 2)))
    dots.set_yticks(range(len(names)), names)
    dots.set_ylim(len(names) - 0.4, -0.6)
    _bare(dots, "share of uniform (line: English text; dotted: no structure found)")
    dots.set_title("LZMA, by species and region", fontsize=9, color=SOFT, loc="left")
    figure.savefig(path)


def _draw_composition(table: pd.DataFrame, names: list[str], path: Path) -> None:
    figure = _figure(7.5, 1.6 + 0.5 * len(names), "GC content, mean and quartiles over transcripts")
    panel = figure.subplots()
    for offset, (region, colour) in zip((-0.2, 0, 0.2), REGION_COLOURS.items(), strict=True):
        rows = table[(table["region"] == region) & table["gc"].notna() & table["species"].isin(names)]
        y = rows["species"].map(names.index) + offset
        panel.hlines(y, rows["gc_q1"], rows["gc_q3"], color=colour, linewidth=2, alpha=0.5)
        panel.plot(rows["gc"], y, "o", color=colour, markersize=5, label=region)
    panel.set_yticks(range(len(names)), names)
    panel.set_ylim(len(names) - 0.4, -0.6)
    panel.legend(fontsize=8.5, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    _bare(panel, "GC")
    figure.savefig(path)


def _draw_codons(table: pd.DataFrame, names: list[str], path: Path) -> None:
    acids = amino_acids().tolist()
    order = sorted((i for i in range(64) if acids[i] not in "*MW"), key=lambda i: (acids[i], CODONS[i]))
    usage = table.pivot_table(index="species", columns="codon", values="relative_usage", dropna=False)
    matrix = usage.reindex(index=names, columns=[CODONS[i] for i in order]).to_numpy(dtype=float)
    figure = _figure(12.5, 1.9 + 0.32 * len(names), "Codon usage relative to the mean of an amino acid's codons (RSCU)")
    panel = figure.subplots()
    image = panel.imshow(matrix, cmap="PuOr_r", vmin=0, vmax=2, aspect="auto")
    panel.set_xticks(range(len(order)), [f"{acids[i]} {CODONS[i]}" for i in order], rotation=90, fontsize=7)
    panel.set_yticks(range(len(names)), names, fontsize=8.5)
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)
    letters = [acids[i] for i in order]
    for x in range(1, len(order)):
        if letters[x] != letters[x - 1]:
            panel.axvline(x - 0.5, color="white", linewidth=1.5)
    figure.colorbar(image, ax=panel, shrink=0.9, pad=0.01, extend="max")
    figure.savefig(path)


def _draw_similarity(pairs: pd.DataFrame, path: Path) -> None:
    figure = _figure(7.5, 3.2, "12-mers that two transcripts share, over the smaller set")
    panel = figure.subplots()
    edges = np.linspace(0, 1, 26).tolist()
    colours = {"isoforms": "#0072B2", "orthologs": "#D55E00", "unrelated": "#8A949E"}
    for kind, rows in pairs.groupby("kind"):
        values = rows["containment"]
        panel.hist(values, edges, weights=np.full(len(values), 1 / len(values)), histtype="step", linewidth=1.8,
                   color=colours[str(kind)], label=f"{kind} ({len(values):,} pairs)")  # fmt: skip
    panel.legend(fontsize=8.5, frameon=False)
    panel.set_ylabel("share of pairs", fontsize=9, color=SOFT)
    _bare(panel, "containment")
    figure.savefig(path)
