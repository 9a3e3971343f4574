"""Downloads public data: files appear only when complete and compared with the publisher's checksums.

A file is downloaded as ``NAME.part``. After an interrupted download, the next one continues it if the server still has
the same file (by ETag or date). pooch compares it with its checksum and renames it.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pooch
import requests
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table
from rich.text import Text
from urllib3.exceptions import HTTPError

from orthrus.errors import InputError
from orthrus.messages import messages
from orthrus.output import hold
from orthrus.spec_file import load_yaml, mapping

_KEYS = ("title", "version", "homepage", "licence", "url", "checksums", "folders", "files")
_ATTEMPTS = 5
_PAUSE = 2.0  # seconds before the second attempt, twice that before the third, ...
_TIMEOUT = (20, 60)  # seconds to connect, and without a byte
_BLOCK = 1 << 20


@dataclass(frozen=True)
class DownloadSource:
    """Files of one publisher in the folder ``url`` or, with ``folders``, in each of many folders below it."""

    name: str
    title: str
    version: str
    homepage: str
    licence: str
    url: str
    files: tuple[str, ...]
    checksums: str | None = None
    folders: bool = False


def load_sources(path: Path) -> dict[str, DownloadSource]:
    """The sources of a table such as ``data/sources.yaml``, by name; raises InputError naming an error in it."""
    document = load_yaml(path, "sources")
    if not isinstance(document, dict) or not document:
        raise InputError(f"{path}: found {document!r}; expected sources by name.")
    sources = {}
    for name, entry in document.items():
        fields = mapping(entry, f"{path}, {name}", _KEYS)
        missing = [key for key in _KEYS if key not in ("checksums", "folders") and not fields.get(key)]
        if missing:
            raise InputError(f"{path}, {name}: it has no {', '.join(missing)}.")
        for key in _KEYS[:-2]:
            if not isinstance(fields.get(key, ""), str | int | float | None):
                raise InputError(f"{path}, {name}: {key} is {fields[key]!r}; expected text.")
        if type(fields.get("folders", False)) is not bool:
            raise InputError(f"{path}, {name}: folders is {fields['folders']!r}; expected true or false.")
        fields |= {key: str(fields[key]) for key in _KEYS[:-2] if fields.get(key)}
        if not isinstance(fields["files"], list) or not all(isinstance(file, str) for file in fields["files"]):
            raise InputError(f"{path}, {name}: files is {fields['files']!r}; expected a list of their names.")
        for part in (str(name), *fields["files"]):
            _refuse_way_out(part, f"{path}, {name}")
        sources[str(name)] = DownloadSource(str(name), **{**fields, "files": tuple(fields["files"])})
    return sources


def download(source: DownloadSource, output: Path, folders: Sequence[str] = ()) -> list[Path]:
    """Download the files of ``source`` to ``output/NAME`` (and folders in it) with progress, and return their paths.

    Existing files are kept if they match their checksum. Raises InputError if ``folders`` do not fit the source, or if
    a file does not exist, does not match its checksum, or cannot be downloaded or written.
    """
    if bool(folders) != source.folders:
        raise InputError(
            f"{source.name} is a source of many folders; name those you want, --folder FOLDER ... (see"
            f" {source.homepage})."
            if source.folders
            else f"{source.name} is one folder; leave --folder out."
        )
    for folder in folders:
        _refuse_way_out(folder, f"--folder of {source.name}")
    pooch.get_logger().setLevel("WARNING")
    messages(soft_wrap=True).print(f"{source.name}: {source.licence}", style="dim", highlight=False)
    paths = []
    with _progress() as progress:
        for folder in folders or ("",):
            url = "/".join(part for part in (source.url, folder) if part)
            target = output / source.name / folder
            known = dict(_published(f"{url}/{source.checksums}", source)) if source.checksums else {}
            for name in source.files:
                if source.checksums and name not in known:
                    raise InputError(
                        f"{url}/{source.checksums} does not list {name} with an MD5, SHA-1 or SHA-256; correct the"
                        " table of sources, or leave `checksums` out of it to compare nothing."
                    )
                paths.append(_fetch(f"{url}/{name}", target / name, known.get(name), source, progress))
    return paths


def _refuse_way_out(name: str, where: str) -> None:
    """Raise InputError if a file of this name would be written outside its folder."""
    parts = name.replace("\\", "/").split("/")
    if ".." in parts or "" in parts or ":" in parts[0] or "\0" in name:
        raise InputError(f"{where}: {name!r} leads out of the folder that is downloaded to; expected a path within it.")


def _published(url: str, source: DownloadSource) -> Iterator[tuple[str, str]]:
    """Names and checksums (``md5:...``) of a list in the format of md5sum and similar programs."""
    try:
        response = requests.get(url, timeout=_TIMEOUT)
        response.raise_for_status()
    except requests.RequestException as error:
        raise _refusal(url, source, error) from None
    kinds = {32: "md5", 40: "sha1", 64: "sha256"}
    for line in response.text.splitlines():
        digest, _, name = line.strip().partition(" ")
        if len(digest) in kinds:
            yield name.strip().removeprefix("*").removeprefix("./"), f"{kinds[len(digest)]}:{digest}"


def _fetch(url: str, path: Path, checksum: str | None, source: DownloadSource, progress: Progress) -> Path:
    task = progress.add_task(path.name, total=None)
    part = path.with_name(path.name + ".part")
    try:
        with hold(path) as place:
            if not path.exists() or (checksum and not pooch.hashes.hash_matches(path, checksum)):
                pooch.retrieve(url, checksum, path.name, place, downloader=_Resumed(part, progress, task))
                (place / path.name).replace(path)
    except (requests.RequestException, HTTPError) as error:
        raise _refusal(url, source, error) from None
    except InputError:
        raise
    except ValueError:  # pooch raises it if the checksum differs
        raise InputError(
            f"{url} does not match its checksum ({checksum}), so it was not kept; fetch it again, or see"
            f" {source.homepage} for a newer version."
        ) from None
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error}); what came is kept in {part.name}.") from None
    size = path.stat().st_size
    progress.update(task, completed=size, total=size)
    return path


def _refusal(url: str, source: DownloadSource, error: Exception) -> InputError:
    response = getattr(error, "response", None)
    if response is not None:
        return InputError(
            f"{url}: the server says {response.status_code} {response.reason}; see {source.homepage} for where it is"
            " now, and correct the table of sources."
        )
    why = "no connection to its server, or it broke" if isinstance(error, requests.ConnectionError) else error
    return InputError(f"{url} could not be fetched ({why}); run the same command again, which goes on from here.")


class _Resumed:
    """A downloader for pooch that continues an earlier one's ``part``."""

    def __init__(self, part: Path, progress: Progress, task: TaskID) -> None:
        self._part, self._validator = part, part.with_name(part.name + ".validator")
        self._progress, self._task = progress, task

    def __call__(self, url: str, output_file: str, pooch: Any) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                self._go_on(url)
                break
            except (requests.ConnectionError, requests.Timeout, HTTPError):
                if attempt == _ATTEMPTS:
                    raise
                time.sleep(_PAUSE * attempt)
        self._part.replace(output_file)
        self._validator.unlink(missing_ok=True)

    def _go_on(self, url: str) -> None:
        headers = {"Accept-Encoding": "identity"}  # the bytes of the file
        have = self._part.stat().st_size if self._part.exists() and self._validator.exists() else 0
        if have:
            headers |= {"Range": f"bytes={have}-", "If-Range": self._validator.read_text()}
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
            if have and response.status_code == requests.codes.requested_range_not_satisfiable:
                self._part.unlink()
                raise requests.ConnectionError("what was fetched before is not of this file")
            response.raise_for_status()
            if response.headers.get("Content-Range", "").startswith(f"bytes {have}-") and have:
                mode = "ab"
            else:
                mode, have = "wb", 0
                self._remember(response)
            length = response.headers.get("Content-Length")
            total = have + int(length) if length else None
            self._progress.update(self._task, completed=have, total=total)
            with self._part.open(mode) as stream:
                for block in response.raw.stream(_BLOCK, decode_content=False):
                    stream.write(block)
                    self._progress.advance(self._task, len(block))
        found = self._part.stat().st_size
        if total is not None and found != total:
            raise requests.ConnectionError(f"{found:,} bytes came of {total:,}")

    def _remember(self, response: requests.Response) -> None:
        """Record the header that identifies this version of the server's file."""
        tag = response.headers.get("ETag", "")
        validator = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
        self._validator.unlink(missing_ok=True)
        if validator:
            self._validator.write_text(validator)


def describe_sources(sources: Iterable[DownloadSource]) -> Table:
    """A table of the sources, for the terminal."""
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("source", header_style="dim", no_wrap=True)
    table.add_column("what", header_style="dim")
    for source in sources:
        what = Text.assemble(source.title, (f"\n{source.version}", "dim"))
        table.add_row(Text(source.name), what.append("; by --folder", "dim") if source.folders else what)
    return table


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=messages(),
    )
