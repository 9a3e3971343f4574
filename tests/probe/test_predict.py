"""Answers of a head that `orthrus probe` left, about transcripts however they are given."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import orthrus
import orthrus.models
from orthrus.cli import main
from orthrus.errors import InputError
from orthrus.models import shipped_heads
from orthrus.nn.checkpoints import export_encoder, save_encoder
from orthrus.store import TranscriptStore
from tests.nn.test_checkpoints import make_encoder


def test_a_task_of_the_model_is_found_by_its_name(
    lab: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shipped_heads(lab / "encoder") == ["length"]
    output = tmp_path / "p.tsv"
    given = [f"--model={lab / 'encoder'}", f"--input={lab / 'store'}", "--task=length", f"--output={output}"]
    assert main(["predict", *given, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["outputs"] == [str(output)]
    table = pd.read_csv(output, sep="\t")
    store = TranscriptStore.open(lab / "store")
    assert table["transcript_id"].tolist() == store.column("transcript_id")
    assert list(table.columns) == ["transcript_id", "gene_name", "value", "low", "high", "percentile"]
    assert ((table["low"] <= table["value"]) & (table["value"] <= table["high"])).all()
    assert table["percentile"].between(0, 100).all()


def test_the_command_and_python_say_the_same_of_a_head_folder(lab: Path) -> None:
    store = TranscriptStore.open(lab / "store")
    by_name = orthrus.predict(store, "length", lab / "encoder")
    by_folder = orthrus.predict(lab / "store", str(lab / "probe" / "head"), lab / "encoder", level=0.5)
    pd.testing.assert_frame_equal(
        orthrus.predict(store, str(lab / "probe"), lab / "encoder", level=0.5)[by_folder.columns], by_folder
    )
    assert np.allclose(by_name["value"], by_folder["value"])
    assert ((by_name["high"] - by_name["low"]) >= (by_folder["high"] - by_folder["low"])).all()
    assert orthrus.predict(["ACGTACGT"], "length", lab / "encoder")["transcript_id"].tolist() == ["0"]


def test_an_exported_model_has_its_heads(lab: Path, tmp_path: Path) -> None:
    export_encoder(lab / "encoder", tmp_path / "exported")
    expected = orthrus.predict(["ACGTACGT"], "length", lab / "encoder")
    pd.testing.assert_frame_equal(orthrus.predict(["ACGTACGT"], "length", tmp_path / "exported"), expected)


def test_a_head_of_another_model_is_refused(lab: Path, tmp_path: Path) -> None:
    other = make_encoder(6)
    other.norm_f.bias.data += 1
    save_encoder(other, tmp_path / "other")
    with pytest.raises(InputError, match="vectors of two encoders are not interchangeable"):
        orthrus.predict(["ACGT"], str(lab / "probe" / "head"), tmp_path / "other")


def test_an_unknown_task_names_those_there_are(lab: Path) -> None:
    with pytest.raises(InputError, match="has the heads length"):
        orthrus.predict(["ACGT"], "half_life", lab / "encoder")


def test_heads_that_ship_fit_the_model_that_ships() -> None:
    for model in orthrus.models.known_models():
        if model.place == "shipped":
            assert model.folder is not None
            for task in shipped_heads(model.folder):
                assert len(orthrus.predict(["ACGT"], task, model.name)) >= 1
