"""Downloads from a real server on this machine: whole and right, or not there, whatever happens on the way."""

import hashlib
import multiprocessing
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from orthrus.cli import main
from orthrus.errors import InputError
from orthrus.prepare import download as module
from orthrus.prepare import load_spec
from orthrus.prepare.download import DownloadSource, download, load_sources

DATA = random.Random(0).randbytes(3_000_000)


@dataclass
class Behaviour:
    """What a server does: the files it has, how many bytes of each of the next bodies it sends before it hangs up."""

    files: dict[str, bytes]
    cuts: list[int] = field(default_factory=list)
    ranges: bool = True
    etag: str | None = '"one"'
    asked: list[str | None] = field(default_factory=list)
    hang: float = 0.0


class Handler(BaseHTTPRequestHandler):
    """Files with ranges, for :class:`Behaviour`."""

    def __init__(self, behaviour: Behaviour, *args: Any) -> None:
        self.behaviour = behaviour
        super().__init__(*args)

    def do_GET(self) -> None:
        does = self.behaviour
        wanted = self.headers.get("Range")
        does.asked.append(wanted)
        if self.path not in does.files:
            self.send_error(404)
            return
        data = does.files[self.path]
        same = self.headers.get("If-Range") == does.etag
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and does.ranges and same else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        if does.etag:
            self.send_header("ETag", does.etag)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        body = data[start:]
        self.wfile.write(body[: does.cuts.pop(0)] if does.cuts else body)
        self.wfile.flush()
        time.sleep(does.hang)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.01)


def serve(behaviour: Behaviour, port: int = 0) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, behaviour))
    Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture
def behaviour() -> Behaviour:
    sums = f"{hashlib.md5(DATA).hexdigest()}  ./big.gz\n{hashlib.sha256(b'small').hexdigest()} *small.txt\n"
    return Behaviour({"/v1/big.gz": DATA, "/v1/small.txt": b"small", "/v1/SUMS": sums.encode()})


@pytest.fixture
def source(behaviour: Behaviour, monkeypatch: pytest.MonkeyPatch) -> Iterator[DownloadSource]:
    server = serve(behaviour)
    url = f"http://127.0.0.1:{server.server_port}/v1"
    yield DownloadSource("set", "a set", "1", "its page", "free", url, ("big.gz", "small.txt"), checksums="SUMS")
    server.shutdown()
    server.server_close()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_files_come_whole_and_are_not_fetched_again(
    source: DownloadSource, behaviour: Behaviour, tmp_path: Path
) -> None:
    paths = download(source, tmp_path)
    assert [path.read_bytes() for path in paths] == [DATA, b"small"]
    assert paths[0] == tmp_path / "set" / "big.gz"
    behaviour.asked.clear()
    download(source, tmp_path)
    assert behaviour.asked == [None]  # the checksums alone
    paths[1].write_bytes(b"changed")
    download(source, tmp_path)
    assert paths[1].read_bytes() == b"small"
    assert names(tmp_path) == {"big.gz", "small.txt"}


def test_a_broken_connection_is_taken_up_where_it_broke(
    source: DownloadSource, behaviour: Behaviour, tmp_path: Path
) -> None:
    behaviour.cuts = [10_000, 1_200_000, 500_000]  # the first is longer than the checksums
    download(source, tmp_path)
    assert (tmp_path / "set/big.gz").read_bytes() == DATA
    assert behaviour.asked == [None, None, "bytes=1200000-", "bytes=1700000-", None]


@pytest.mark.parametrize(("ranges", "etag"), [(False, '"one"'), (True, None)])
def test_a_server_without_ranges_sends_all_again(
    source: DownloadSource, behaviour: Behaviour, tmp_path: Path, ranges: bool, etag: str | None
) -> None:
    behaviour.ranges, behaviour.etag, behaviour.cuts = ranges, etag, [10_000, 1_000_000]
    download(source, tmp_path)
    assert (tmp_path / "set/big.gz").read_bytes() == DATA
    assert names(tmp_path) == {"big.gz", "small.txt"}


def test_a_file_that_changed_meanwhile_is_fetched_anew(
    source: DownloadSource, behaviour: Behaviour, tmp_path: Path
) -> None:
    behaviour.cuts = [10_000, *[100_000] * 5]
    with pytest.raises(InputError, match="run the same command again, which goes on from here"):
        download(source, tmp_path)
    assert names(tmp_path) == {"big.gz.part", "big.gz.part.validator"}
    newer = DATA[::-1]
    behaviour.files |= {"/v1/big.gz": newer}
    behaviour.files["/v1/SUMS"] = f"{hashlib.md5(newer).hexdigest()}  big.gz\n{'0' * 32}  other\n".encode()
    behaviour.etag = '"two"'
    download(DownloadSource(**{**vars(source), "files": ("big.gz",)}), tmp_path)
    assert (tmp_path / "set/big.gz").read_bytes() == newer


def test_what_does_not_match_its_checksum_is_not_kept(
    source: DownloadSource, behaviour: Behaviour, tmp_path: Path
) -> None:
    behaviour.files["/v1/big.gz"] = DATA[:-1] + b"?"
    with pytest.raises(InputError, match=r"big.gz does not match its checksum \(md5:"):
        download(source, tmp_path)
    assert names(tmp_path) == set()


def test_what_is_not_there_is_said(source: DownloadSource, behaviour: Behaviour, tmp_path: Path) -> None:
    del behaviour.files["/v1/small.txt"]
    with pytest.raises(InputError, match=r"small.txt: the server says 404 Not Found; see its page for where"):
        download(source, tmp_path)
    assert names(tmp_path) == {"big.gz"}
    for sums in (b"no checksums here", b"20577 1954 big.gz\n"):  # the latter is Ensembl's, by `sum`
        behaviour.files["/v1/SUMS"] = sums
        with pytest.raises(InputError, match=r"SUMS does not list big.gz with an MD5.* leave `checksums` out"):
            download(source, tmp_path)
    del behaviour.files["/v1/SUMS"]
    with pytest.raises(InputError, match="SUMS: the server says 404"):
        download(source, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        download(DownloadSource(**{**vars(source), "checksums": None}), tmp_path / "file")


def test_a_source_of_folders(source: DownloadSource, behaviour: Behaviour, tmp_path: Path) -> None:
    behaviour.files |= {"/v1/A/x__y/small.txt": b"a", "/v1/B/z/small.txt": b"b"}
    many = DownloadSource(**{**vars(source), "folders": True, "checksums": None, "files": ("small.txt",)})
    paths = download(many, tmp_path, ["A/x__y", "B/z"])
    assert [path.read_bytes() for path in paths] == [b"a", b"b"]
    assert paths[0] == tmp_path / "set/A/x__y/small.txt"
    with pytest.raises(InputError, match="name those you want, --folder"):
        download(many, tmp_path)
    with pytest.raises(InputError, match="set is one folder; leave --folder out"):
        download(source, tmp_path, ["A"])


def _serve_until_killed(behaviour: Behaviour, ports: Any) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, behaviour))
    ports.put(server.server_port)
    server.serve_forever()


@pytest.mark.dist
def test_a_server_killed_midway(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ports = context.Queue()
    slow = Behaviour({"/big.gz": DATA}, cuts=[2_000_000], hang=60)
    process = context.Process(target=_serve_until_killed, args=(slow, ports), daemon=True)
    process.start()
    port = ports.get(timeout=30)
    source = DownloadSource("set", "a set", "1", "its page", "free", f"http://127.0.0.1:{port}", ("big.gz",))
    part = tmp_path / "set/big.gz.part"
    failures: list[InputError] = []

    def fetch() -> None:
        try:
            download(source, tmp_path)
        except InputError as error:
            failures.append(error)

    thread = Thread(target=fetch)
    thread.start()
    end = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size >= 1 << 20) and time.monotonic() < end:
        time.sleep(0.02)
    process.kill()
    thread.join(timeout=60)
    assert "could not be fetched" in str(failures[0])
    kept = part.stat().st_size
    assert kept >= 1 << 20
    assert names(tmp_path) == {"big.gz.part", "big.gz.part.validator"}
    again = Behaviour({"/big.gz": DATA})
    server = serve(again, port)
    download(source, tmp_path)
    server.shutdown()
    server.server_close()
    assert again.asked == [f"bytes={kept}-"]
    assert (tmp_path / "set/big.gz").read_bytes() == DATA


def test_the_table_and_the_spec_that_uses_it(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sources = load_sources(repository / "data/sources.yaml")
    for source in sources.values():
        assert source.url.startswith("https://")
        for name in source.files if not source.folders else ():
            path = tmp_path / source.name / name
            path.parent.mkdir(exist_ok=True)
            path.touch()
    monkeypatch.setenv("ORTHRUS_DATA", str(tmp_path))
    spec = load_spec(repository / "conf/prepare/published.yaml")  # finds every file that it names
    assert len({source.species for source in spec.sources}) == 10
    used = {file.path.relative_to(tmp_path).parts[0] for file in spec.files}
    assert used == {name for name in sources if not name.startswith("toga")}
    monkeypatch.chdir(repository)
    assert main(["download"]) == 0
    assert "gencode-human" in capsys.readouterr().out
    assert main(["download", "gencode-humna"]) == 2
    assert (
        "has no source 'gencode-humna' (did you mean 'gencode-human'?); expected some of gencode-human, "
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found None; expected sources by name"),
        ("a: {ur: x}", r"unknown key 'ur' \(did you mean 'url'\?\)"),
        ("a: {url: x, files: []}", "it has no title, version, homepage, licence, files"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        load_sources(tmp_path / "t.yaml")


def test_a_server_that_cannot_be_reached_is_said_plainly(tmp_path: Path) -> None:
    source = DownloadSource("x", "t", "1", "h", "l", "http://127.0.0.1:9/v1", ("a.gz",))
    with pytest.raises(
        InputError, match=r"a\.gz could not be fetched \(no connection to its server, or it broke\); run"
    ):
        download(source, tmp_path)


@pytest.mark.parametrize("name", ["../outside.gz", "a/../../outside.gz", "/etc/outside.gz", "..\\outside.gz", "C:/x"])
def test_a_name_that_leads_out_of_the_folder_is_refused(name: str, tmp_path: Path) -> None:
    fields = "title: t\n  version: '1'\n  homepage: h\n  licence: l\n  url: http://127.0.0.1:9/v1\n"
    for text in (f"x:\n  {fields}  files: ['{name}']\n", f"'{name}':\n  {fields}  files: [a.gz]\n"):
        (tmp_path / "sources.yaml").write_text(text)
        with pytest.raises(InputError, match="leads out of the folder"):
            load_sources(tmp_path / "sources.yaml")
    source = DownloadSource("x", "t", "1", "h", "l", "http://127.0.0.1:9/v1", ("a.gz",), folders=True)
    with pytest.raises(InputError, match="leads out of the folder"):
        download(source, tmp_path / "out", [name])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_signal_while_a_file_comes_leaves_its_part_for_the_next_start(
    number: signal.Signals, status: int, behaviour: Behaviour, tmp_path: Path
) -> None:
    behaviour.hang = 20.0
    slow = serve(behaviour)
    table = tmp_path / "sources.yaml"
    url = f"http://127.0.0.1:{slow.server_address[1]}/v1"
    table.write_text(f"x: {{title: t, version: '1', homepage: h, licence: l, url: '{url}', files: [big.gz]}}\n")
    behaviour.cuts = [2_000_000]  # whole chunks of what the client writes
    command = ["download", "x", "--table", str(table), "--output", str(tmp_path / "out")]
    process = subprocess.Popen(
        [sys.executable, "-m", "orthrus", *command],
        stderr=subprocess.DEVNULL,
    )
    part = tmp_path / "out/x/big.gz.part"
    deadline = time.monotonic() + 60
    while (not part.exists() or part.stat().st_size < 500_000) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(timeout=60) == status
    assert part.exists()
    behaviour.hang = 0.0
    assert main(command) == 0
    assert (tmp_path / "out/x/big.gz").read_bytes() == DATA
    assert behaviour.asked[-1] is not None  # a range: it went on
    assert [path.name for path in (tmp_path / "out/x").iterdir()] == ["big.gz"]
