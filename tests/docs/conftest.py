"""A working folder as `make demo` leaves it, but for the training."""

import gzip
from pathlib import Path

import pytest
import torch

from orthrus.nn.encoder import MambaEncoder
from orthrus.prepare import prepare

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, the checkpoint of a small encoder, and the FASTAs of the demo with ten transcripts each."""
    folder = tmp_path_factory.mktemp("demo")
    prepare("prepare/demo", folder / "stores/demo", workers=1)
    encoder = MambaEncoder(d_model=8, n_layers=1)
    state = {f"encoder.{name}": value for name, value in encoder.state_dict().items()}
    checkpoint = folder / "runs/demo/checkpoints/last.ckpt"
    checkpoint.parent.mkdir(parents=True)
    torch.save({"state_dict": state, "orthrus": {"encoder": encoder.config}}, checkpoint)
    for fasta in sorted((REPOSITORY / "data/demo").glob("*.fa.gz")):
        copy = folder / fasta.relative_to(REPOSITORY)
        copy.parent.mkdir(parents=True, exist_ok=True)
        records = gzip.decompress(fasta.read_bytes()).split(b">")[:11]
        copy.write_bytes(gzip.compress(b">".join(records)))
        table = fasta.name.replace(".fa.gz", ".tsv.gz")
        (copy.parent / table).symlink_to(fasta.parent / table)
    return folder
