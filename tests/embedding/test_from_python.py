"""`orthrus.embed` of whatever holds transcripts."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import orthrus
from orthrus.errors import InputError
from orthrus.nn.checkpoints import save_encoder
from tests.builders import build_store
from tests.nn.test_checkpoints import make_encoder

ORF = "CCGCC" + "ATG" + "GCA" * 120 + "TAA"
SEQUENCES = [ORF + "GATTACA", "ACGU" * 9, "G"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "six"
    save_encoder(make_encoder(6), folder)
    return folder


def test_sequences_give_an_array_in_their_order(model: Path) -> None:
    vectors = orthrus.embed(SEQUENCES, model)
    assert vectors.shape == (3, 16)
    assert vectors.dtype == np.float32
    for sequence, vector in zip(SEQUENCES, vectors, strict=True):
        assert np.allclose(orthrus.embed(sequence, model)[0], vector, atol=1e-5)
        assert np.allclose(orthrus.embed([sequence.replace("U", "T")], model)[0], vector, atol=1e-5)


def test_a_fasta_gives_a_frame_of_its_ids_and_the_same_vectors(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "some.fa"
    path.write_text("".join(f">t{n}\n{each}\n" for n, each in enumerate(SEQUENCES)))
    for given in (path, str(path)):
        frame = orthrus.embed(given, model)
        assert frame.index.tolist() == ["t0", "t1", "t2"]
        assert np.allclose(frame.to_numpy(), orthrus.embed(SEQUENCES, model), atol=1e-5)


def test_it_is_said_when_no_sequence_has_a_cds(model: Path, caplog: pytest.LogCaptureFixture) -> None:
    orthrus.embed(["ACGT"], model)
    assert "do not rely on predictions" in caplog.text
    caplog.clear()
    orthrus.embed(["ACGT", "ATG" + "GCT" * 100 + "TAA"], model)
    assert not caplog.text


def test_the_open_reading_frame_counts_and_can_be_left_out(model: Path) -> None:
    found, stated, none = (
        orthrus.embed(SEQUENCES[:1], model),
        orthrus.embed(pd.DataFrame({"sequence": SEQUENCES[:1], "cds_start": 5, "cds_end": len(ORF)}), model).to_numpy(),
        orthrus.embed(SEQUENCES[:1], model, cds="none"),
    )
    assert np.allclose(found, stated, atol=1e-6)
    assert not np.allclose(found, none, atol=1e-3)


def test_a_data_frame_keeps_its_index_and_takes_coordinates_or_tracks(model: Path) -> None:
    sequence = "ACGTACGTACGT"
    cds, splice = np.zeros(12), np.zeros(12)
    cds[3:9:3], splice[[5, 11]] = 1, 1
    coordinates = pd.DataFrame(
        {"sequence": [sequence], "cds_start": [3], "cds_end": [9], "exon_ends": [[6, 12]]}, index=["mine"]
    )
    tracks = pd.DataFrame({"sequence": [sequence], "cds": [cds], "splice": [splice]}, index=["mine"])
    found = [orthrus.embed(frame, model) for frame in (coordinates, tracks)]
    assert found[0].index.tolist() == ["mine"]
    assert np.array_equal(found[0].to_numpy(), found[1].to_numpy())


def test_names_of_sequences_are_the_index(model: Path) -> None:
    frame = orthrus.embed({"MYC": SEQUENCES[0], "KRAS": SEQUENCES[1]}, model)
    assert frame.index.tolist() == ["MYC", "KRAS"]
    assert np.allclose(frame.to_numpy(), orthrus.embed(SEQUENCES[:2], model), atol=1e-5)


def test_what_pandas_lacks_is_unknown(model: Path) -> None:
    known = {"sequence": ["ACGT", "ACGT"]}
    none = orthrus.embed(pd.DataFrame(known), model, cds="none")
    for name, value in (("exon_ends", np.array([4])), ("cds", np.zeros(4))):
        frame = orthrus.embed(pd.DataFrame({**known, name: [value, np.nan]}), model, cds="none")
        assert np.allclose(frame.to_numpy()[1], none.to_numpy()[1], atol=1e-5)


def test_a_store_and_an_encoder_are_taken_as_they_are(model: Path, tmp_path: Path) -> None:
    store = build_store(tmp_path / "store", n_genes=4)
    frame = orthrus.embed(store, orthrus.load_model(model))
    assert frame.index.tolist() == store.column("transcript_id")
    assert np.allclose(frame.to_numpy(), orthrus.embed(store.path, model).to_numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("given", "options", "message"),
    [
        (["ACGT", "MKL"], {}, "sequence 1: letter"),
        ([], {}, "no sequence"),
        (["ACGT", ""], {}, "sequence 1: sequence is ''"),
        (["ACGT"], {"cds": "guess"}, "expected 'longest-orf' or 'none'"),
        (["ACGT"], {"readout": "layer9.mean"}, "layer9.mean"),
        (pd.DataFrame({"seq": ["ACGT"]}), {}, "column 'sequence'"),
        (pd.DataFrame({"sequence": ["ACGT"], "cds_start": [2], "cds_end": [9]}), {}, "does not lie"),
        (pd.DataFrame({"sequence": ["ACGT"], "cds_start": [0]}), {}, "the CDS is 0 to None"),
        (pd.DataFrame({"sequence": ["ACGT"], "exon_ends": [[2, 9]]}), {}, "row 0: exon_ends is .*the length, 4"),
        (pd.DataFrame({"sequence": ["ACGT"], "exon_ends": ["2,4"]}), {}, "exon_ends is '2,4'"),
        (pd.DataFrame({"sequence": ["ACGT"], "exon_ends": [[2, np.nan]]}), {}, "exon_ends is .*whole numbers"),
        (pd.DataFrame({"sequence": ["ACGT"], "cds": [[0, 1]]}), {}, "row 0: cds has 2 values for 4 nt"),
        (pd.DataFrame({"sequence": ["ACGT"], "splice": ["end"]}), {}, "splice is 'end'"),
        ({"MYC": 3}, {}, "row MYC: sequence is 3"),
        ("nowhere.fa", {}, "nowhere.fa"),
    ],
)
def test_what_cannot_be_embedded_is_said(model: Path, given: object, options: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        orthrus.embed(given, model, **options)  # type: ignore[arg-type]
