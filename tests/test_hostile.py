"""Names that look like Rich's markup, disks that take nothing: what a user sees is one true line."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from orthrus import MambaEncoder
from orthrus.cli import main
from orthrus.nn.checkpoints import save_encoder
from orthrus.store import StoreBuilder
from tests.builders import build_store


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("hostile") / "encoder"
    save_encoder(MambaEncoder(6, 8, 1), folder)
    return folder


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_store(tmp_path_factory.mktemp("hostile") / "store").path


@pytest.mark.parametrize("name", ["[/red]x", "[bold]", ":cat:", "[link=http://x]", "\\[a]", "[/]"])
def test_names_that_look_like_markup_are_shown_as_they_are(
    name: str, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with StoreBuilder(tmp_path / "store") as builder:
        codes = np.tile(np.arange(1, 5, dtype=np.uint8), 9)
        for i in range(3):
            builder.add(
                codes, transcript_id=f"{name}{i}", gene_id=name, gene_name=name, species=name, biotype=name, source=name
            )
        builder.finish()
    assert main(["inspect", str(tmp_path / "store")]) == 0
    assert name in capsys.readouterr().out
    assert main(["inspect", str(tmp_path / "store"), "--transcript", f"{name}1"]) == 0
    assert name in capsys.readouterr().out
    fasta = tmp_path / f"{name}.fa"
    fasta.parent.mkdir(parents=True, exist_ok=True)
    fasta.write_text(f">{name}\nACGTACGT\n>empty{name}\n\n")
    output = tmp_path / "e.parquet"
    assert main(["embed", "--checkpoint", str(encoder), "--input", str(fasta), "--output", str(output)]) == 0
    assert f"empty{name}" in capsys.readouterr().err
    assert main(["embed", "--checkpoint", name, "--input", str(fasta), "--output", str(output), "--overwrite"]) == 2
    assert name in capsys.readouterr().err


@pytest.mark.timeout(60)
def test_a_name_of_any_length_is_told_at_once(
    encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = "h" * 200_000
    fasta = tmp_path / "long.fa"
    fasta.write_text(f">{name}\nACGTACGT\n>empty{name}\n")
    output = tmp_path / "e.parquet"
    assert main(["embed", "--checkpoint", str(encoder), "--input", str(fasta), "--output", str(output)]) == 0
    assert f"empty{name}" in "".join(capsys.readouterr().err.split())


@pytest.fixture(params=["full", "read-only"])
def useless_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A mounted file system that takes nothing more."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {done.stderr}")
    if request.param == "full":
        fill = ["dd", "if=/dev/zero", f"of={folder}/ballast"]
        assert "No space" in subprocess.run(fill, capture_output=True, text=True, check=False).stderr
    else:
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


Command = Callable[[Path, Path, Path], list[str]]
COMMANDS: dict[str, Command] = {
    "embed": lambda store, encoder, out: [
        "embed", "--checkpoint", str(encoder), "--input", str(store), "--output", f"{out}/e.parquet",
    ],
    "export": lambda store, encoder, out: ["export", "--checkpoint", str(encoder), "--output", f"{out}/exported"],
    "analyse": lambda store, encoder, out: ["analyse", str(store), "--output", f"{out}/analysis"],
    "merge": lambda store, encoder, out: ["merge", str(store), "--output", f"{out}/merged"],
    "fit": lambda store, encoder, out: [
        "fit", "--config=conf/fit/demo.yaml", f"--data.store={store}", f"--trainer.default_root_dir={out}/run",
        "--trainer.accelerator=cpu",
    ],
}  # fmt: skip


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_disk_that_takes_nothing_is_one_line_and_status_2(
    command: str, useless_disk: Path, encoder: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(useless_disk.rglob("*"))
    assert main(COMMANDS[command](store, encoder, useless_disk)) == 2
    err = capsys.readouterr().err
    assert "cannot be written" in err
    assert any(reason in err for reason in ("No space left on device", "Read-only file system"))
    assert "Traceback" not in err
    assert sorted(useless_disk.rglob("*")) == before
