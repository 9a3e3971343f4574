"""Compiled functions run wherever the package is installed, whether they can be kept or not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = "import numpy as np; from orthrus.genome.kmers import splitmix64; print(splitmix64(np.uint64(0)))"
READ_ONLY = "mount --bind {package} {package} && mount -o remount,bind,ro {package}"
FULL = "mount -t tmpfs -o size=12k tmpfs {kept}"


def run(repository: Path, kept: Path, *mounts: str, **env: str) -> None:
    """Call a compiled function in a process without a home, that has these file systems mounted for itself."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("mounting needs root and unshare")
    prepared = " && ".join(mounts).format(package=repository / "orthrus", kept=kept)
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("NUMBA", "XDG"))}
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", f'{prepared} || exit 77; exec "$0" -c "$1"', sys.executable, PROGRAM],
        cwd=repository, env=clean | {"HOME": "/proc/none"} | env, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 77:
        pytest.skip(f"no file system can be mounted here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{0xE220A8397B1DCDAF}\n"  # of the first number of SplitMix64 from 0


def test_where_nothing_can_be_written_functions_are_kept_in_a_folder_of_the_users_own(
    repository: Path, tmp_path: Path
) -> None:
    run(repository, tmp_path, READ_ONLY, TMPDIR=str(tmp_path))
    (own,) = tmp_path.iterdir()
    assert own.stat().st_mode & 0o777 == 0o700
    assert [path for path in own.rglob("*.nbi") if path.name.startswith("kmers.splitmix64")]


def test_a_folder_that_others_may_write_to_is_not_used(repository: Path, tmp_path: Path) -> None:
    own = tmp_path / f"orthrus-numba-{os.geteuid()}"
    own.mkdir()
    own.chmod(0o777)
    run(repository, tmp_path, READ_ONLY, TMPDIR=str(tmp_path))
    assert not list(own.iterdir())


def test_a_full_disk_costs_the_cache_alone(repository: Path, tmp_path: Path) -> None:
    run(repository, tmp_path, FULL, NUMBA_CACHE_DIR=str(tmp_path))
