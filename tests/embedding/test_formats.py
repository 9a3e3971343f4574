import io
import zipfile

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from orthrus.embedding.file import read_embeddings
from orthrus.errors import InputError
from orthrus.genome import files

IDS = ["a", "b", "c"]
VECTORS = np.arange(6, dtype=np.float64).reshape(3, 2)


@pytest.mark.parametrize(
    "arrays",
    [
        {"embeddings": VECTORS, "transcript_id": IDS},
        {"X": VECTORS, "names": np.array(IDS), "loss": np.zeros(3)},
        {"z": VECTORS, "genes": np.array(IDS)},
    ],
    ids=["ours", "by name", "the only ones"],
)
def test_npz(tmp_path, arrays):
    np.savez(tmp_path / "e.npz", **arrays)
    found = read_embeddings(tmp_path / "e.npz")
    assert found.transcript_ids == ("a", "b", "c")
    np.testing.assert_array_equal(found.matrix, VECTORS)
    assert found.matrix.dtype == np.float32
    assert found.metadata == {"file": str(tmp_path / "e.npz")}


def test_npy_with_ids_beside_it_or_row_numbers(tmp_path):
    np.save(tmp_path / "e.npy", VECTORS)
    assert read_embeddings(tmp_path / "e.npy").transcript_ids == ("0", "1", "2")
    (tmp_path / "e.ids.txt").write_text("a\nb\nc\n")
    assert read_embeddings(tmp_path / "e.npy").transcript_ids == ("a", "b", "c")
    (tmp_path / "e.ids.txt").write_text("a\nb\n")
    with pytest.raises(InputError, match="2 ids for the 3 vectors"):
        read_embeddings(tmp_path / "e.npy")


@pytest.mark.filterwarnings("ignore:.*infer_string")
def test_anndata_with_its_other_vectors_as_readouts(tmp_path):
    anndata = pytest.importorskip("anndata", reason="the extra anndata is not installed")
    data = anndata.AnnData(VECTORS.astype(np.float32), obsm={"X_pca": VECTORS[:, :1] * 2})
    data.obs_names = IDS
    with pd.option_context("future.infer_string", False):  # anndata 0.12 does not write pandas 3's strings
        data.obs = pd.DataFrame({"gene_name": pd.Categorical(["G1", None, "G2"]), "length": [9, np.nan, 3]})
        data.obs.index, data.var.index = (pd.Index(list(names), dtype=object) for names in (IDS, "01"))
        data.write_h5ad(tmp_path / "e.h5ad")
    found = read_embeddings(tmp_path / "e.h5ad")
    assert (found.gene_name, found.length) == (("G1", None, "G2"), (9, None, 3))
    assert found.transcripts["gene_name"].to_pylist() == ["G1", None, "G2"]
    assert found.transcript_ids == ("a", "b", "c")
    assert {name: matrix.shape for name, matrix in found.all_readouts.items()} == {"X": (3, 2), "X_pca": (3, 1)}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": VECTORS, "b": VECTORS, "ids": IDS}, r"no array of vectors.*it holds a float64\(3, 2\), b"),
        ({"X": VECTORS}, "no array of ids"),
        ({"X": VECTORS, "ids": IDS[:2]}, r"shape \(3, 2\) for 2 ids"),
        ({"X": VECTORS, "ids": ["a", "a", "b"]}, "1 transcript ids occur more than once"),
        ({"X": VECTORS * np.nan, "ids": IDS}, "3 of 3 vectors hold a value that is not finite"),
        ({"X": np.array(IDS, dtype=object), "ids": IDS}, "cannot be read as .npz"),
    ],
)
def test_files_that_do_not_fit_are_named_errors(tmp_path, arrays, message):
    np.savez(tmp_path / "e.npz", **arrays)
    with pytest.raises(InputError, match=message):
        read_embeddings(tmp_path / "e.npz")


@pytest.mark.parametrize("name", ["e.npz", "e.npy", "e.h5ad"])
def test_files_of_another_format_are_errors(tmp_path, name):
    (tmp_path / name).write_text("no such thing")
    with pytest.raises(InputError, match=name):
        read_embeddings(tmp_path / name)


def test_an_archive_that_expands_beyond_all_proportion_or_says_so_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "e.npz"
    np.savez_compressed(path, X=np.zeros((1 << 12, 1 << 9)), ids=IDS)
    monkeypatch.setattr(files, "HARMLESS", 1 << 20)
    with pytest.raises(InputError, match="expands to more than"):
        read_embeddings(path)
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": (10**12, 10**3)})
    (tmp_path / "e.npy").write_bytes(stream.getvalue())
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X.npy", stream.getvalue())
    for name in ("e.npy", "e.npz"):
        with pytest.raises(InputError, match=f"{name} cannot be read"):
            read_embeddings(tmp_path / name)


def test_shapes_that_an_h5ad_declares_allocate_nothing(tmp_path, monkeypatch):
    anndata, h5py = pytest.importorskip("anndata"), pytest.importorskip("h5py")
    path = tmp_path / "e.h5ad"
    with h5py.File(path, "w") as file:
        file.create_dataset("X", shape=(10**9, 512), dtype="f4", chunks=(1000, 512), compression="gzip")
    with pytest.raises(InputError, match=r"e\.h5ad \(.* bytes\) expands to more than"):
        read_embeddings(path)
    with pd.option_context("future.infer_string", False):
        obs, var = (
            pd.DataFrame(index=pd.Index(list(names), dtype=object))
            for names in (map(str, range(300)), map(str, range(10**4)))
        )
        anndata.AnnData(sparse.csr_matrix((300, 10**4), dtype="f4"), obs=obs, var=var).write_h5ad(
            path, compression="gzip"
        )
    monkeypatch.setattr(files, "HARMLESS", 2 << 20)
    monkeypatch.setattr(files, "MAX_RATIO", 1)
    with pytest.raises(InputError, match="expands to more than"):  # 12 MB once it is dense
        read_embeddings(path)


def test_a_header_that_breaks_off_is_an_error(tmp_path):
    np.save(tmp_path / "e.npy", VECTORS)
    (tmp_path / "e.npy").write_bytes((tmp_path / "e.npy").read_bytes().replace(b")", b"("))
    with pytest.raises(InputError, match=r"cannot be read as \.npy"):
        read_embeddings(tmp_path / "e.npy")


def test_numbered_columns_are_read_by_their_numbers(tmp_path):
    header = ["transcript_id", *(f"embedding_{i}" for i in (0, 1, 10, 2, 3, 4, 5, 6, 7, 8, 9))]
    (tmp_path / "e.csv").write_text(",".join(header) + "\nt,0,1,10,2,3,4,5,6,7,8,9\n")
    assert read_embeddings(tmp_path / "e.csv").matrix.tolist() == [list(range(11))]
