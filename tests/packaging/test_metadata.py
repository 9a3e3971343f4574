"""What the project says of itself in more than one place is the same in all of them."""

import re
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
tomllib = pytest.importorskip("tomllib")  # of Python 3.11

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
RECIPE = yaml.safe_load((REPOSITORY / "conda/recipe.yaml").read_text().replace("${{ version }}", "VERSION"))


def test_the_conda_recipe_has_the_dependencies_of_the_project():
    ours = dict(map(split, PROJECT["dependencies"]))
    theirs = dict(split(line.replace(" ", "")) for line in RECIPE["requirements"]["run"])
    theirs["torch"] = theirs.pop("pytorch")
    assert theirs.pop("python") == PROJECT["requires-python"]
    assert {name: theirs[name] for name in ours} == ours
    assert set(theirs) - set(ours) == {"docstring_parser", "typeshed-client"}, "what jsonargparse[signatures] adds"


def split(requirement):
    name, bound = re.fullmatch(r"([\w.-]+?)(?:\[\w+\])?([<>=].*)?", requirement).groups()
    return name, bound or ""


def test_one_version_everywhere():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert citation["version"] == RECIPE["context"]["version"] == PROJECT["version"]


def test_the_paper_is_cited_by_its_journal():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())["preferred-citation"]
    assert PROJECT["urls"]["Paper"].endswith(citation["doi"])
    assert (citation["journal"], citation["year"]) == ("Nature Methods", 2026)
