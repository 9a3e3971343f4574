"""Outputs are whole or not there, and made by one process at a time, whatever happens to the others."""

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from orthrus import output as outputs
from orthrus.errors import InputError
from orthrus.output import (
    atomic_file,
    atomic_folder,
    hold,
    remove_leftovers,
    reserve_file,
    reserve_folder,
    temporary_folder,
    write_table,
    write_text,
    writing,
)

HOLDER = """
import sys, time
from pathlib import Path
from orthrus.output import atomic_folder
with atomic_folder(Path(sys.argv[1])) as folder:
    (folder / "half").write_text("half")
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that makes ``tmp_path / "out"``."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path / "out"], stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait(timeout=60)


def foreign_lock(place: Path) -> Path:
    """The lock of a process of another machine, as it leaves it."""
    place.mkdir()
    (place / "holder").write_text("process 7 on elsewhere, of me, since yesterday")
    lock = place / "lock"
    lock.write_text("filelock/2\npid=7\nhost=elsewhere\nmode=lease\ntoken=a\nduration=60.0\n")
    return lock


def test_what_another_process_makes_is_refused_naming_it_and_left_to_it(
    other: subprocess.Popen[str], tmp_path: Path
) -> None:
    for attempt in (atomic_file, atomic_folder):
        with pytest.raises(InputError) as refused, attempt(tmp_path / "out"):
            pass
        for part in (f"process {other.pid} on {socket.gethostname()}", "since 20", f"remove {tmp_path}/.out.partial"):
            assert part in str(refused.value)
    assert (tmp_path / ".out.partial/new/half").exists()


def test_what_a_killed_process_left_is_named_and_removed_at_the_next_start(
    other: subprocess.Popen[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other.kill()
    other.wait(timeout=60)
    with atomic_folder(tmp_path / "out") as folder:
        (folder / "whole").touch()
    assert f"{tmp_path}/.out.partial held what a killed process left (new)" in caplog.text
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "whole"]


def test_an_interrupted_process_leaves_nothing(other: subprocess.Popen[str], tmp_path: Path) -> None:
    other.send_signal(signal.SIGINT)
    other.wait(timeout=60)
    assert not list(tmp_path.iterdir())


def test_a_lock_of_another_machine_is_taken_over_only_when_nobody_touches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lock = foreign_lock(tmp_path / ".out.partial")
    lock.write_text(lock.read_text().replace("60.0", "0.4"))
    monkeypatch.setattr(outputs, "LEASE_SECONDS", 0.4)
    monkeypatch.setattr(outputs, "_PROMPT", 0.1)
    over = threading.Event()

    def beat() -> None:
        while not over.wait(0.05):
            os.utime(lock)

    heart = threading.Thread(target=beat)
    heart.start()
    try:
        with pytest.raises(InputError, match="process 7 on elsewhere, of me, since yesterday"), hold(tmp_path / "out"):
            pass
    finally:
        over.set()
        heart.join()
    with hold(tmp_path / "out"):
        assert "waiting" in caplog.text
    assert not list(tmp_path.iterdir())


def test_a_process_whose_lock_was_taken_over_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("theirs")

    def go_on_too_late() -> None:
        with atomic_file(tmp_path / "out") as scratch:
            scratch.write_text("ours")
            (tmp_path / ".out.partial/lock").unlink()
            (tmp_path / ".out.partial/lock").write_text("filelock/2\npid=7\nhost=elsewhere\nmode=lease\n")

    with pytest.raises(InputError, match="another process took over its lock"):
        go_on_too_late()
    assert (tmp_path / "out").read_text() == "theirs"


def test_a_folder_whose_replacement_was_killed_halfway_is_put_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ".out.partial/old").mkdir(parents=True)
    (tmp_path / ".out.partial/old/precious").touch()
    with hold(tmp_path / "out"):
        assert (tmp_path / "out/precious").exists()
    assert "is put back" in caplog.text


def test_holds_of_one_process_nest_and_parts_are_kept_after_an_error(tmp_path: Path) -> None:
    def fail() -> None:
        with hold(tmp_path / "out", keep=True) as place, reserve_file(tmp_path / "out", False, ("",)):
            (place / "part").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with hold(tmp_path / "out", keep=True) as place:
        assert (place / "part").exists()
    assert not list(tmp_path.iterdir())


def test_folders_made_for_an_output_that_failed_are_gone(tmp_path: Path) -> None:
    def fail() -> None:
        with atomic_file(tmp_path / "a/b/out"):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT])
def test_a_disk_that_takes_no_more_is_said_in_a_line_and_the_old_file_stays(tmp_path: Path, code: int) -> None:
    write_text("old", tmp_path / "out")

    def fill() -> None:
        with atomic_file(tmp_path / "out") as scratch:
            scratch.write_text("new")
            raise OSError(code, os.strerror(code))

    with pytest.raises(InputError, match=f"out cannot be written .{os.strerror(code)}.; what was there before"):
        fill()
    assert (tmp_path / "out").read_text() == "old"


@pytest.mark.parametrize("text", ["I/O error: No space left on device (os error 28)", "30, Read-only file system"])
def test_libraries_that_word_the_disks_errors_themselves_are_understood(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x cannot be written \((No space|Read-only)"), writing(tmp_path / "x"):
        raise RuntimeError(text)
    with pytest.raises(RuntimeError, match="another"), writing(tmp_path / "x"):
        raise RuntimeError("another")


def test_an_error_of_reading_is_not_called_one_of_writing(tmp_path: Path) -> None:
    def read() -> None:
        with atomic_file(tmp_path / "out"):
            raise PermissionError(errno.EACCES, "Permission denied", "/somewhere/else")

    with pytest.raises(PermissionError):
        read()


def test_what_exists_is_refused_while_it_is_held(tmp_path: Path) -> None:
    (tmp_path / "out.tsv").touch()
    with pytest.raises(InputError, match="pass --overwrite"), reserve_file(tmp_path / "out.tsv", overwrite=False):
        pass
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis").touch()
    with pytest.raises(InputError, match=r"has no meta\.json"), reserve_folder(tmp_path / "out", "meta.json", True):
        pass


def test_temporary_folders_are_private_and_those_of_killed_processes_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code = "import os\nfrom orthrus.output import temporary_folder\nwith temporary_folder(): os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code], env=os.environ | {"TMPDIR": str(tmp_path)}, check=False)
    (left,) = tmp_path.iterdir()
    with temporary_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert not left.exists()
        assert f"{left}, which a process that is dead now left" in caplog.text
        remove_leftovers(tmp_path)
        assert folder.exists()
    assert not list(tmp_path.iterdir())


def test_numbers_in_text_have_the_digits_that_an_encoder_gives(tmp_path: Path) -> None:
    table = pa.table({"id": ["a", "b"], "n": [1, 16_777_217], "value": [0.1 + 0.2, None]})
    for name in ("t.tsv", "t.parquet"):
        write_table(table, tmp_path / name)
    assert (tmp_path / "t.tsv").read_text() == "id\tn\tvalue\na\t1\t0.3\nb\t16777217\t\n"
    assert pq.read_table(tmp_path / "t.parquet").equals(table)


def test_outputs_follow_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_text("x", tmp_path / "file")
        with atomic_folder(tmp_path / "folder"):
            pass
    finally:
        os.umask(old)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o750
