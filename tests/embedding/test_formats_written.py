"""Embeddings written and read back, in every format, and what cannot be written."""

from pathlib import Path

import numpy as np
import pytest

import orthrus
from orthrus.cli import main
from orthrus.embedding.file import Embeddings
from orthrus.embedding.formats import SUFFIXES
from orthrus.errors import InputError
from orthrus.nn.checkpoints import save_encoder
from tests.builders import build_store
from tests.nn.test_checkpoints import make_encoder

pytestmark = pytest.mark.filterwarnings("ignore:.*infer_string")  # anndata 0.12 needs it

_NOISE = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
EMBEDDINGS = Embeddings(
    ("a", "b", "c"), _NOISE[:, :3], {"checkpoint": "x.ckpt"}, species=("human",) * 3,
    gene_id=("g1", "g1", "g2"), gene_name=("G1", "G1", 'G "2"'), family_id=("f", "f", "g"),
    biotype=("protein_coding",) * 3, length=(900, 800, 700), cds_length=(300, 300, 0), readout="last.mean",
    readouts={"layer1.max": _NOISE[:, 3:]},
)  # fmt: skip


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_is_read_back(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"e{suffix}"
    orthrus.write_embeddings(EMBEDDINGS, path)
    found = orthrus.read_embeddings(path)
    assert found.transcript_ids == EMBEDDINGS.transcript_ids
    assert np.array_equal(found.matrix, EMBEDDINGS.matrix)
    assert np.array_equal(found.readouts["layer1.max"], EMBEDDINGS.readouts["layer1.max"])
    for name in ("species", "gene_id", "gene_name", "family_id", "biotype", "length", "cds_length"):
        assert getattr(found, name) == getattr(EMBEDDINGS, name)
    if suffix not in (".csv", ".tsv"):
        assert (found.metadata["checkpoint"], found.readout) == ("x.ckpt", "last.mean")


@pytest.mark.parametrize("suffix", [".parquet", ".npz", ".h5ad"])
def test_a_readout_that_was_chosen_keeps_its_name(tmp_path: Path, suffix: str) -> None:
    for number, chosen in enumerate((EMBEDDINGS, EMBEDDINGS.with_readout("layer1.max"))):
        orthrus.write_embeddings(chosen, tmp_path / f"{number}{suffix}")
        found = orthrus.read_embeddings(tmp_path / f"{number}{suffix}")
        orthrus.write_embeddings(found.with_readout("layer1.max"), tmp_path / f"{number}again{suffix}")
        again = orthrus.read_embeddings(tmp_path / f"{number}again{suffix}")
        assert found.all_readouts.keys() == chosen.all_readouts.keys()
        assert (again.readout, again.metadata["checkpoint"]) == ("layer1.max", "x.ckpt")
        assert np.array_equal(again.matrix, EMBEDDINGS.readouts["layer1.max"])


def test_a_file_that_is_there_stays_unless_it_may_be_replaced(tmp_path: Path) -> None:
    orthrus.write_embeddings(EMBEDDINGS, tmp_path / "e.npz")
    with pytest.raises(InputError, match="exists"):
        orthrus.write_embeddings(EMBEDDINGS, tmp_path / "e.npz")
    orthrus.write_embeddings(EMBEDDINGS, tmp_path / "e.npz", overwrite=True)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_command_writes_what_its_output_ends_in(tmp_path: Path, suffix: str) -> None:
    save_encoder(make_encoder(6), tmp_path / "encoder")
    store = build_store(tmp_path / "store", n_genes=4)
    output = tmp_path / f"e{suffix}"
    given = ["embed", f"--model={tmp_path / 'encoder'}", f"--input={store.path}"]
    assert main([*given, f"--output={output}"]) == 0
    found = orthrus.read_embeddings(output)
    assert found.transcript_ids == tuple(store.column("transcript_id"))
    assert found.length == tuple(store.lengths.tolist())
    assert found.biotype == tuple(store.column("biotype"))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["encoder", "store", output.name])


@pytest.mark.parametrize("name", ["e.xlsx", "e", "e.npy"])
def test_an_unknown_ending_is_refused_before_work(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    save_encoder(make_encoder(6), tmp_path / "encoder")
    store = build_store(tmp_path / "store", n_genes=4)
    arguments = [f"--model={tmp_path / 'encoder'}", f"--input={store.path}", f"--output={tmp_path / name}"]
    assert main(["embed", *arguments]) == 2
    assert "expected .parquet" in capsys.readouterr().err
    assert not (tmp_path / name).exists()
