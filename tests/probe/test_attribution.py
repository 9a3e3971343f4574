"""Attributions of a head's value, and what variants do to it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from orthrus.cli import main
from orthrus.genome.codes import annotate, encode_bases
from orthrus.nn.encoder import MambaEncoder
from orthrus.probe.attribution import METHODS, attribute
from orthrus.probe.head import Head, HeadDocument
from orthrus.store import TranscriptStore

SEQUENCE = "CCGCCATGGCAAAATTTGGGCCCTAAGATTACA"


def head(encoder: MambaEncoder, readout: str = "last.mean") -> Head:
    rng = np.random.default_rng(0)
    description = HeadDocument(
        task="regression", target="noise", target_names=["noise"], source="", licence="", readout=readout,
        n_features=encoder.d_model, model=None, model_sha256=None, split="family", seed=0,
        rows={"train": 1, "validation": 1, "test": 1}, penalties=[1.0], scores={},
    )  # fmt: skip
    d = encoder.d_model
    return Head(
        description, rng.normal(size=d), np.ones(d), rng.normal(size=(d, 1)), np.array([0.5]), np.ones((1, 1)),
        np.linspace(-1, 1, 201)[:, None],
    )  # fmt: skip


@pytest.mark.parametrize("stem", ["base", "codon"])
@pytest.mark.parametrize("method", METHODS)
def test_attributions_are_of_bases_and_integrals_add_up(stem: str, method: str) -> None:
    pytest.importorskip("captum", reason="the extra attribution is not installed")
    torch.manual_seed(0)
    encoder = MambaEncoder(6, 16, 1, stem=stem).eval()
    codes = annotate(encode_bases(SEQUENCE, "x"), (5, 26), (20, len(SEQUENCE)))
    of_base, value = attribute(encoder, head(encoder), codes, method=method, steps=200)  # type: ignore[arg-type]
    assert of_base.shape == (len(SEQUENCE),)
    assert np.isfinite(of_base).all()
    if stem == "codon":
        assert np.allclose(of_base[5:26].reshape(-1, 3).std(axis=1), 0)
    if method == "integrated-gradients":
        first = encoder.embedding.embed
        encoder.embedding.embed = lambda tracks, lengths: torch.zeros_like(first(tracks, lengths))  # type: ignore[method-assign]
        _, baseline = attribute(encoder, head(encoder), codes, method="gradient-x-input")
        assert of_base.sum() == pytest.approx(value - baseline, abs=0.02 * abs(value - baseline))


def test_the_commands_attribute_and_mutate(lab: Path, tmp_path: Path) -> None:
    store = TranscriptStore.open(lab / "store")
    name = store.column("transcript_id")[3]
    given = [name, f"--model={lab / 'encoder'}", f"--input={lab / 'store'}", "--task=length"]
    assert main(["attribute", *given, f"--output={tmp_path / 'a.tsv'}", "--method=gradient-x-input"]) == 0
    table = pd.read_csv(tmp_path / "a.tsv", sep="\t")
    assert "".join(table["base"]) == store.sequence(3)
    plots = [tmp_path / "m.png", tmp_path / "m.html"]
    for plot in plots:
        output = tmp_path / f"{plot.suffix[1:]}.tsv"
        assert main(["mutagenesis", *given, "--window=2-6", f"--output={output}", f"--plot={plot}"]) == 0
        scores = pd.read_csv(output, sep="\t")
        assert len(scores) == 3 * 5
        assert {(row.pos, row.ref, row.alt) for row in scores.itertuples()} == {
            (pos, store.sequence(3)[pos - 1], alt)
            for pos in range(2, 7)
            for alt in "ACGT"
            if alt != store.sequence(3)[pos - 1]
        }
    assert plots[0].read_bytes().startswith(b"\x89PNG")
    assert "data:image/png" in plots[1].read_text()
    variants = tmp_path / "v.tsv"
    row = scores.iloc[0]
    variants.write_text(f"transcript_id\tpos\tref\talt\n{name}\t{row.pos}\t{row.ref}\t{row.alt}\n")
    assert main(["variant", *given[1:], f"--variants={variants}", f"--output={tmp_path / 's.tsv'}"]) == 0
    scored = pd.read_csv(tmp_path / "s.tsv", sep="\t").iloc[0]
    assert scored["value_change"] == pytest.approx(row["value_change"], abs=1e-5)
    assert main(["mutagenesis", *given, "--window=x", f"--output={tmp_path / 'x.tsv'}"]) == 2
