"""The public API is documented: each function and method says what it does, and names each of its arguments.

The public API is what ``import orthrus`` gives and what the modules of docs/api.md define.
"""

import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

import orthrus
from tests.docs.conftest import REPOSITORY


def modules() -> Iterator[ModuleType]:
    block = (REPOSITORY / "docs/api.md").read_text(encoding="utf-8").split(".. rubric:: Modules")[1]
    for name in re.findall(r"^   ([a-z][\w.]+)$", block, re.MULTILINE):
        yield importlib.import_module(f"orthrus.{name}")


def named_objects() -> Iterator[tuple[str, Any]]:
    for name in orthrus.__all__:
        yield f"orthrus.{name}", getattr(orthrus, name)
    for module in modules():
        own = [name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
        for name in getattr(module, "__all__", own):
            if not name.startswith("_"):
                yield f"{module.__name__}.{name}", getattr(module, name)


def test_the_reference_has_every_public_name() -> None:
    listed = set((REPOSITORY / "docs/api.md").read_text(encoding="utf-8").split())
    assert set(orthrus.__all__) - {"__version__"} <= listed


def documented() -> dict[str, tuple[Callable[..., Any], str]]:
    """Functions, methods and hand-written constructors of the public API, with the text that documents them."""
    found = {}
    for path, thing in named_objects():
        if inspect.isfunction(thing):
            found[path] = thing, inspect.getdoc(thing) or ""
        elif inspect.isclass(thing):
            for name, method in vars(thing).items():
                function = getattr(method, "__func__", method)
                if not inspect.isfunction(function) or not function.__module__.startswith("orthrus"):
                    continue
                if name == "__init__":
                    found[path] = function, inspect.getdoc(thing) or ""
                elif not name.startswith("_"):
                    found[f"{path}.{name}"] = function, inspect.getdoc(getattr(thing, name)) or ""
    return found


FUNCTIONS = documented()


def test_the_public_api_is_found() -> None:
    assert {"orthrus.embed", "orthrus.TranscriptStore.open", "orthrus.prepare.prepare"} <= set(FUNCTIONS)


@pytest.mark.parametrize("path", sorted(FUNCTIONS))
def test_a_docstring_names_every_argument(path: str) -> None:
    function, text = FUNCTIONS[path]
    arguments = [name for name in inspect.signature(function).parameters if name not in ("self", "cls")]
    assert text, f"{path} has no docstring"
    assert not [name for name in arguments if not re.search(rf"\b{name}\b", text)]
