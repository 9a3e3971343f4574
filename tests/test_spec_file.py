"""YAML that a person writes, and YAML that nobody would."""

from pathlib import Path

import pytest

from orthrus import InputError
from orthrus.prepare import load_spec
from orthrus.spec_file import find_file, load_yaml, parse_json


def test_nesting_beyond_all_measure_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "deep.yaml").write_text("[" * 5000 + "]" * 5000)
    with pytest.raises(InputError, match="nested too deeply"):
        load_yaml(tmp_path / "deep.yaml", "spec")


@pytest.mark.parametrize("name", ["a\\tb", "a\\nb", " "])
def test_a_species_name_that_cannot_be_printed_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(f'species: {{"{name}": {{transcripts: a.fa}}}}\n')
    with pytest.raises(InputError, match="no name of a species"):
        load_spec(tmp_path / "spec.yaml")


@pytest.mark.parametrize("value", ["9" * 5000, "2020-99-99"])
def test_values_that_yaml_itself_cannot_make_are_errors_of_one_line(value: str, tmp_path: Path) -> None:
    (tmp_path / "s.yaml").write_text(f"key: {value}\n")
    with pytest.raises(InputError, match="is no valid YAML"):
        load_yaml(tmp_path / "s.yaml", "spec")


def test_the_home_of_nobody_is_no_path(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="spec: '~nobody-of-this-name/x' is in the home of a user that is not known"):
        find_file("~nobody-of-this-name/x", tmp_path, "spec")


def test_every_error_of_json_is_a_value_error() -> None:
    for text in ("[" * 100_000, "9" * 5000, "{", "", b"\xff"):
        with pytest.raises(ValueError, match=r"."):
            parse_json(text)
