"""Models from the Hugging Face hub: fetched once, cached, and compared with their checksums."""

import hashlib
import logging
from pathlib import Path

from orthrus.errors import InputError

logger = logging.getLogger(__name__)

_FILES = ["config.json", "model.safetensors", "pytorch_model.bin"]
_WEIGHTS = _FILES[1:]


def cached(repository: str) -> Path | None:
    """The folder of a repository that the cache holds with its weights, None without the repository or the extra."""
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ImportError:
        return None
    try:
        folder = Path(snapshot_download(repository, allow_patterns=_FILES, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    return folder if any((folder / name).exists() for name in _WEIGHTS) else None


def fetch(repository: str) -> Path:
    """The folder of a repository ``owner/name``, from the cache or, the first time, from the hub.

    Raises InputError without the extra ``hub``, if it cannot be fetched, or if a file is not what its checksum says.
    """
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    except ImportError:
        raise InputError(
            f"{repository} is fetched from the Hugging Face hub by huggingface_hub, which is not installed; install"
            " the extra `hub`"
        ) from None
    try:
        folder = cached(repository)
        if folder is None:
            logger.info("fetching %s from the Hugging Face hub, once", repository)
            folder = Path(snapshot_download(repository, allow_patterns=_FILES))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise InputError(
            f"{repository} is nothing on this disk and cannot be fetched from the Hugging Face hub ({reason}); check"
            " the name and the network, or name a folder or checkpoint"
        ) from None
    for name in _FILES:
        if (folder / name).exists():
            _verify(folder / name, repository)
    return folder


def _verify(path: Path, repository: str) -> None:
    """Compare a cached file with its name in the cache: the SHA-256 of a large file, git's blob id of a small one.

    A cache on a disk without symbolic links keeps no such names, and is taken as it is.
    """
    if not path.is_symlink():
        return
    blob = path.resolve()
    content = blob.read_bytes()
    digests = {
        64: lambda: hashlib.sha256(content).hexdigest(),
        40: lambda: hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest(),
    }
    digest = digests.get(len(blob.name))
    if digest is not None and digest() != blob.name:
        raise InputError(
            f"{path} of {repository} does not match its checksum: the cached file is damaged. Delete {blob} and run"
            " the command again, which fetches it anew."
        )
