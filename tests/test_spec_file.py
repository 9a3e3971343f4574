"""YAML that a person writes, and YAML that nobody would."""

from pathlib import Path

import pytest

from orthrus import InputError
from orthrus.prepare import load_spec
from orthrus.spec_file import load_yaml


def test_nesting_beyond_all_measure_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "deep.yaml").write_text("[" * 5000 + "]" * 5000)
    with pytest.raises(InputError, match="nested too deeply"):
        load_yaml(tmp_path / "deep.yaml", "spec")


@pytest.mark.parametrize("name", ["a\\tb", "a\\nb", " "])
def test_a_species_name_that_cannot_be_printed_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(f'species: {{"{name}": {{transcripts: a.fa}}}}\n')
    with pytest.raises(InputError, match="no name of a species"):
        load_spec(tmp_path / "spec.yaml")
