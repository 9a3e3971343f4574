"""Vectors of every base, and their files."""

from pathlib import Path

import numpy as np
import pytest
import torch

from orthrus.cli import main
from orthrus.embedding.per_base import embed_bases, token_of_base
from orthrus.genome.codes import annotate, encode_bases
from orthrus.nn.checkpoints import load_encoder, save_encoder
from orthrus.nn.encoder import MambaEncoder
from orthrus.nn.tracks import codes_to_tracks
from tests.builders import build_store
from tests.nn.test_checkpoints import make_encoder


@pytest.mark.parametrize(
    ("cds", "expected"), [((4, 10), [0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4]), (None, [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3])]
)
def test_bases_have_the_vector_of_their_codon(cds: tuple[int, int] | None, expected: list[int]) -> None:
    torch.manual_seed(0)
    encoder = MambaEncoder(6, 8, 1, stem="codon").eval()
    codes = annotate(encode_bases("ACGTATGTAAC", "x"), cds, ())
    assert (token_of_base(encoder, codes) - token_of_base(encoder, codes)[0]).tolist() == expected
    tracks = codes_to_tracks(torch.from_numpy(codes)[None], 6)
    with torch.inference_mode():
        hidden = encoder(tracks, torch.tensor([11]))[0].half().numpy()
    assert np.array_equal(embed_bases(encoder, codes), hidden[token_of_base(encoder, codes)])


def test_the_command_writes_a_float16_array_a_transcript(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr", reason="the extra zarr is not installed")
    save_encoder(make_encoder(6), tmp_path / "encoder")
    store = build_store(tmp_path / "store", n_genes=3)
    given = ["embed", f"--model={tmp_path / 'encoder'}", f"--input={store.path}", "--per-base"]
    for name in ("b.npz", "b.zarr"):
        assert main([*given, f"--output={tmp_path / name}"]) == 0
        assert main([*given, f"--output={tmp_path / name}"]) == 2
        assert main([*given, f"--output={tmp_path / name}", "--overwrite"]) == 0
    found = np.load(tmp_path / "b.npz"), zarr.open_group(tmp_path / "b.zarr", mode="r")
    encoder = load_encoder(tmp_path / "encoder")
    for i, name in enumerate(store.column("transcript_id")):
        expected = embed_bases(encoder, store.codes(i))
        assert expected.shape == (store.lengths[i], 16)
        for each in found:
            assert each[name].dtype == np.float16
            assert np.array_equal(np.asarray(each[name]), expected)
    assert main([*given, f"--output={tmp_path / 'b.parquet'}"]) == 2
