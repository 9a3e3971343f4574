"""What the documents say of inputs holds: their specs are read, their tables of columns are those of the readers."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from orthrus.cli.parser import build_parser
from orthrus.cli.table import COMMANDS
from orthrus.errors import InputError
from orthrus.genome.annotation import FORMATS
from orthrus.genome.coordinates import read_coordinates
from orthrus.genome.filters import Filters
from orthrus.genome.findings import Findings
from orthrus.prepare.gene_tables import RelationTable
from orthrus.prepare.spec import load_spec
from orthrus.prepare.species_names import SpeciesNames
from orthrus.spec_file import File
from orthrus.store.layout import TRANSCRIPT_SCHEMA

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "data" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(path: Path, *languages: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)
    return [text for language, text in found if language in languages]


def specs() -> Iterator[Any]:
    """Every YAML block that is of a spec; one without species is of a spec with the species that its tables name."""
    for path in DOCUMENTS:
        for n, block in enumerate(blocks(path, "yaml")):
            document = yaml.safe_load(block)
            if isinstance(document, dict) and {"species", "orthologs"} & set(document):
                yield pytest.param(document, id=f"{path.name} {n}")


def table_under(path: Path, heading: str) -> list[list[str]]:
    """The cells of the first table under a heading, without its header."""
    lines = path.read_text().split(f"\n{heading}\n", 1)[1].splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[first + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return rows


def quoted(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def files_of(document: Any) -> Iterator[str]:
    """Every text that may name a file."""
    if isinstance(document, dict):
        for value in document.values():
            yield from files_of(value)
    elif isinstance(document, list):
        for value in document:
            yield from files_of(value)
    elif isinstance(document, str) and "." in document:
        yield document


@pytest.mark.parametrize("document", specs())
def test_every_spec_is_one(document: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orthrus.prepare.spec.require_mmseqs", lambda: "mmseqs")
    for name in files_of(document):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("species_a\tgene_id_a\tspecies_b\tgene_id_b\thomology_type\n")
        if path.suffix == ".gz":
            path.write_bytes(b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0")
    stub = {"annotation": "stub.gtf", "genome": "stub.fa"}
    for name in stub.values():
        (tmp_path / name).touch()
    document = {"species": {"human": stub, "mouse": stub}, **document}
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    assert load_spec(tmp_path / "spec.yaml").sources


def test_the_readme_shows_the_defaults_of_filters() -> None:
    (block,) = [b for b in blocks(ROOT / "README.md", "yaml") if "min_length" in b]
    stated = yaml.safe_load(block)["filters"]
    assert set(stated) == set(Filters.__dataclass_fields__)
    defaults = Filters()
    assert frozenset(stated["biotypes"]) == defaults.biotypes
    for name in ("min_length", "max_length"):
        assert stated[name] == getattr(defaults, name)


def test_the_formats_are_those_that_there_are() -> None:
    rows = table_under(ROOT / "docs" / "formats.md", "## Annotation: `annotation` with `genome`")
    assert {quoted(row[0])[0] for row in rows} == set(FORMATS)


def test_the_columns_of_a_coordinate_table_and_which_are_optional(tmp_path: Path) -> None:
    rows = table_under(ROOT / "data" / "README.md", "## Coordinate tables")
    columns = [name for row in rows for name in quoted(row[0])]
    optional = [name for row in rows if row[1].startswith("optional") for name in quoted(row[0])]
    assert optional == ["gene_id", "species", "length"]
    values = {
        "transcript_id": "t1", "gene_id": "G1", "gene_name": "N1", "species": "cat", "length": "12",
        "cds_start": "0", "cds_end": "9", "exon_ends": "5,12",
    }  # fmt: skip
    assert set(columns) == set(values)
    (tmp_path / "t.fa").write_text(">t1 up to the first blank\nATGAAATAAGGG\n")

    def read(*left_out: str) -> Any:
        kept = [name for name in columns if name not in left_out]
        text = "\t".join(kept) + "\n" + "\t".join(values[name] for name in kept) + "\n"
        (tmp_path / "t.tsv").write_text(text)
        return read_coordinates(tmp_path / "t.tsv", "dog", tmp_path / "t.fa")

    whole = read()
    assert (whole.gene_id, whole.species, whole.length.tolist()) == (["G1"], ["cat"], [12])
    assert read("length").length.tolist() == [12]
    assert read("species").species == ["dog"]
    assert read("gene_id").gene_id == ["N1"]
    for name in ("transcript_id", "cds_start", "cds_end"):
        with pytest.raises(InputError, match=f"no column '{name}'"):
            read(name)


NAMES = SpeciesNames(["human", "mouse"], {})


@pytest.mark.parametrize(
    "row", table_under(ROOT / "docs" / "formats.md", "## Orthologs and homologs"), ids=lambda row: row[0][:20]
)
def test_every_table_of_genes_is_read_by_the_columns_that_are_named(row: list[str], tmp_path: Path) -> None:
    what, columns = row[0], quoted(row[1])
    filled = {
        "species": "homo_sapiens", "species_a": "human", "species_b": "mouse", "homology_species": "mus_musculus",
        "tax_id": "9606", "Other_tax_id": "10090", "relationship": "Ortholog",
    }  # fmt: skip
    if "groups" in what:
        lines = ["\t".join(columns), "human\tA\tg", "mouse\tB\tg"]
    elif what.startswith("HomoloGene"):
        lines = ["3\t9606\t34\tA\t1\tNP_1.1", "3\t10090\t35\tB\t2\tNP_2.1"]
    else:
        columns = [name for name in columns if not name.startswith("...")]
        lines = [
            "\t".join(columns),
            "\t".join(filled.get(n, "ortholog_one2one" if "type" in n else "A") for n in columns),
        ]
    path = tmp_path / "table.tsv"
    path.write_text("\n".join(lines) + "\n")
    table = RelationTable(File("table.tsv", path), "human" if "BioMart" in what else None)
    found: pa.Table = table.pairs(NAMES, Findings())
    assert {found["species_a"][0].as_py(), found["species_b"][0].as_py()} == {"human", "mouse"}
    assert len(table.groups(NAMES, Findings())) == 2


def test_the_columns_of_a_store_are_named() -> None:
    (line,) = [
        line for line in (ROOT / "docs" / "data.md").read_text().splitlines() if "| `transcripts.parquet`" in line
    ]
    assert [name for name in quoted(line) if name != "transcripts.parquet"][: len(TRANSCRIPT_SCHEMA)] == [
        *TRANSCRIPT_SCHEMA.names
    ]


def commands() -> Iterator[Any]:
    """Every command of the documents that is given in a code block, with its options."""
    for path in DOCUMENTS:
        for block in blocks(path, "", "sh", "bash", "console"):
            for line in block.replace("\\\n", " ").splitlines():
                if re.match(r"orthrus (prepare|merge|download|inspect|analyse|variant|neighbours)\b", line):
                    yield pytest.param(line, id=f"{path.name}: {line[:40]}")


@pytest.mark.parametrize("line", commands())
def test_every_option_of_a_documented_command_is_there(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(line, comments=True)
    with pytest.raises(SystemExit) as left:
        build_parser(COMMANDS, "").parse_args([words[1], "--help"])
    assert left.value.code == 0
    known = capsys.readouterr().out
    for word in words[2:]:
        if word.startswith("--"):
            assert re.search(rf"{word.split('=')[0]}\b", known), f"{word} is no option of {words[1]}"
