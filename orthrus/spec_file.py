"""YAML files written by users: checks for repeated and unknown keys, and finds the files that they name.

Paths in them are relative to the folder of the file; ``$VAR``, ``${VAR}`` and ``~`` are expanded. A path that begins
with a variable is relative to the working folder, as in a shell.
"""

import json
import os
import re
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from orthrus.errors import InputError, did_you_mean

_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")


@dataclass(frozen=True)
class File:
    """A file: its name in the spec and its path."""

    given: str
    path: Path


def parse_json(text: str | bytes) -> Any:
    """The document in ``text``; every error is a ValueError, also that of brackets nested thousands deep."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def load_yaml(path: Path, what: str) -> Any:
    """The document in a YAML file; raises InputError, which calls the file ``what``, if it cannot be read."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise InputError(f"{what} {path} cannot be read ({error.strerror}); check the path.") from None
    except RecursionError:
        raise InputError(f"{what} {path} is nested too deeply to be read; expected a few levels.") from None
    except (yaml.YAMLError, ValueError) as error:  # the latter of text that is not UTF-8, of dates and of numbers
        raise InputError(f"{what} {path} is no valid YAML: {' '.join(str(error).split())}.") from None


def mapping(document: Any, where: str, keys: tuple[str, ...]) -> dict[str, Any]:
    """``document`` as a mapping with only ``keys``; raises InputError with the nearest key for another one."""
    if not isinstance(document, dict):
        raise InputError(f"{where}: found {document!r}; expected keys and values ({', '.join(keys)}).")
    for key in document:
        if key not in keys:
            raise InputError(f"{where}: unknown key {key!r}{did_you_mean(str(key), keys)}; expected {', '.join(keys)}.")
    return document


def find_file(text: Any, folder: Path, where: str) -> File:
    """The file that a spec in ``folder`` names; raises InputError if it, or a variable in its path, does not exist."""
    if not isinstance(text, str) or not text:
        raise InputError(f"{where}: found {text!r}; expected the path of a file.")
    for match in _VARIABLE.finditer(text):
        if (match[1] or match[2]) not in os.environ:
            raise InputError(f"{where}: {text!r} needs the variable {match[0]}, which is not set; export it first.")
    base = Path.cwd() if text.startswith("$") else folder
    try:
        path = base / Path(os.path.expandvars(text)).expanduser()
    except RuntimeError:
        raise InputError(f"{where}: {text!r} is in the home of a user that is not known; expected a path.") from None
    if not path.is_file():
        what = "is no regular file" if path.exists() else "does not exist"
        raise InputError(f"{where}: {path} {what}; expected a file (paths are relative to {base}).")
    return File(text, path)


class _Loader(yaml.SafeLoader):
    """A loader that refuses repeated keys, of which PyYAML would silently keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} occurs twice", node.start_mark)
        return super().construct_mapping(node, deep)
