"""A vector for every base: the hidden states of transcripts, in half precision, without pooling.

L positions (nt), T tokens, D model width. A ``.npz`` file has an array float16 (L, D) for each transcript id, a
``.zarr`` folder a group of such arrays, compressed and chunked along the bases. A transcript of 2 kb at width 512 takes
2 MB. With the codon stem the three bases of a codon have the same vector.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from orthrus.embedding.embed import in_frame, progress_bar
from orthrus.errors import InputError
from orthrus.genome.codes import Codes
from orthrus.nn.encoder import MambaEncoder
from orthrus.nn.stem import coding_interval
from orthrus.nn.tracks import codes_to_tracks
from orthrus.output import atomic_file, atomic_folder, reserve_file, reserve_folder
from orthrus.store import TranscriptStore

_CHUNK = 4_096  # bases


def embed_bases(encoder: MambaEncoder, codes: Codes) -> NDArray[np.float16]:
    """Hidden states after the final norm for each base of one transcript, float16 (L, D)."""
    device = encoder.norm_f.weight.device
    with torch.inference_mode():
        tracks_1CL = codes_to_tracks(torch.from_numpy(codes.copy())[None].to(device), encoder.n_tracks)
        hidden_TD = encoder(tracks_1CL, torch.tensor([len(codes)]))[0].half().cpu().numpy()
    vectors: NDArray[np.float16] = hidden_TD[token_of_base(encoder, codes)]
    return vectors


def token_of_base(encoder: MambaEncoder, codes: Codes) -> NDArray[np.int64]:
    """The token of the encoder that contains each base, int64 (L,)."""
    if encoder.embedding.name == "base":
        return np.arange(len(codes))
    tracks_1CL = codes_to_tracks(torch.from_numpy(codes.copy())[None], encoder.n_tracks)
    lacking = int(-coding_interval(tracks_1CL, torch.tensor([len(codes)]))[0][0] % 3)
    return (np.arange(len(codes)) + lacking) // 3


def write_per_base(encoder: MambaEncoder, store: TranscriptStore, path: Path, overwrite: bool = False) -> None:
    """Write the vectors of every base of a store's transcripts, whole or not at all.

    Raises InputError if ``path`` ends in neither ``.npz`` nor ``.zarr``, if it exists without ``overwrite``, or if zarr
    is not installed.
    """
    if path.suffix == ".npz":
        _write_npz(encoder, store, path, overwrite)
    elif path.suffix == ".zarr":
        _write_zarr(encoder, store, path, overwrite)
    else:
        raise InputError(f"output {path} ends in {path.suffix!r}; expected .npz or .zarr for vectors of every base")


def _write_npz(encoder: MambaEncoder, store: TranscriptStore, path: Path, overwrite: bool) -> None:
    with (
        reserve_file(path, overwrite, (".npz",)),
        atomic_file(path) as scratch,
        zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name, vectors in _each(encoder, store):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, vectors, allow_pickle=False)


def _write_zarr(encoder: MambaEncoder, store: TranscriptStore, path: Path, overwrite: bool) -> None:
    try:
        import zarr
    except ImportError:
        raise InputError(f"{path}: Zarr needs zarr: pip install zarr; or choose .npz") from None
    with reserve_folder(path, "zarr.json", overwrite), atomic_folder(path) as folder:
        group = zarr.open_group(folder, mode="w")
        for name, vectors in _each(encoder, store):
            group.create_array(name, data=vectors, chunks=(min(_CHUNK, len(vectors)), vectors.shape[1]))


def _each(encoder: MambaEncoder, store: TranscriptStore) -> Iterator[tuple[str, NDArray[np.float16]]]:
    """Ids and vectors, with a progress bar."""
    with progress_bar() as progress:
        task = progress.add_task("embedding bases", total=len(store))
        for i, name in enumerate(store.column("transcript_id")):
            yield name, embed_bases(encoder, in_frame(encoder.cds_frame, store, i))
            progress.advance(task)
