"""Every code block of the README and of docs/ does what it says: Python runs, YAML is read, commands are understood.

A block that needs what a test cannot have stands behind ``<!-- not run: the reason -->``.
"""

import gzip
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from orthrus.cli import main
from orthrus.cli.parser import build_parser, check_names
from orthrus.cli.table import COMMANDS
from orthrus.prepare import load_spec
from orthrus.probe.tasks import read_task
from orthrus.study.spec import read_study
from tests.docs.conftest import REPOSITORY

PAGES = [
    *sorted(REPOSITORY.glob("*.md")),
    *sorted(REPOSITORY.glob("docs/*.md")),
    *sorted(REPOSITORY.glob("data/**/*.md")),
]
_BLOCK = re.compile(
    r"^(?P<skip><!-- not run: [^\n]*? -->\n)?```(?P<language>[\w{}-]*)[^\n]*\n(?P<text>.*?)^```", re.M | re.S
)
_PATH = re.compile(
    r"[\w${}/.-]+\.(?:gtf|gff3|fa|fna|2bit|tsv|bed|txt|data|csv|parquet)(?:\.gz)?\b|[\w${}/.-]+\.gff\.gz"
)
_LIGHTNING = {command.name for command in COMMANDS if command.lightning}


class Block(NamedTuple):
    page: str
    line: int
    language: str
    text: str
    skip: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks_of(path: Path) -> Iterator[Block]:
    text = path.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        line = text[: found.start("text")].count("\n")
        yield Block(
            str(path.relative_to(REPOSITORY)), line, found["language"], found["text"], (found["skip"] or "").strip("\n")
        )


BLOCKS = [block for path in PAGES for block in blocks_of(path)]


def of(*languages: str) -> list[Block]:
    return [block for block in BLOCKS if block.language in languages]


@pytest.mark.parametrize("page", sorted({block.page for block in of("python")}))
def test_python_runs_from_the_top_of_a_page_to_its_end(page: str, demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(demo)
    names: dict[str, object] = {}
    for block in of("python"):
        if block.page == page and not block.skip:
            exec(compile("\n" * block.line + block.text, REPOSITORY / page, "exec"), names)


@pytest.mark.parametrize("block", of("yaml"), ids=str)
def test_yaml_is_read_by_what_it_is_for(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if block.skip:
        pytest.skip(block.skip)
    document = yaml.safe_load(block.text)
    monkeypatch.chdir(tmp_path)
    for name in ("ORTHRUS_SHARED", "ORTHRUS_DATA", "MRNABENCH"):
        monkeypatch.setenv(name, str(tmp_path / name))
    for name in _PATH.findall(block.text):  # the files that it names are there, and empty
        path = tmp_path / re.sub(r"\$\{(\w+)\}", r"\1", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(b"") if path.suffix == ".gz" else b"")
    file = tmp_path / "block.yaml"
    file.write_text(block.text)
    keys = set(document)
    if "species" in keys:
        load_spec(file)
    elif keys & {"orthologs", "homologs"}:  # the rest of a spec
        (tmp_path / "any.fa").touch()
        file.write_text(
            yaml.safe_dump({"species": {name: {"transcripts": "any.fa"} for name in document["aliases"]}} | document)
        )
        load_spec(file)
    elif keys & {"model", "trainer", "data", "objective"}:
        with pytest.raises(SystemExit) as stop:
            main(["fit", "--config=fit/demo", f"--config={file}", "--print_config"])
        assert stop.value.code == 0, capsys.readouterr().err
    elif "labels" in keys:
        read_task(file)
    elif "nucleotides" in keys:
        assert read_study(file).fits()
    else:
        pytest.fail(f"{block} has {', '.join(keys)}: of what is it a part?")


def commands() -> Iterator[tuple[Block, list[str]]]:
    for block in of("", "bash", "sh"):
        text = block.text.replace("\\\n", " ")
        for line in text.splitlines():
            words = shlex.split(re.sub(r"\s>.*$| && .*$", "", line), comments=True) if "orthrus " in line else []
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words = words[1:]
            if words and words[0] == "orthrus":
                yield block, words[1:]


@pytest.mark.parametrize(
    ("block", "args"), commands(), ids=lambda value: str(value) if isinstance(value, Block) else ""
)
def test_commands_are_understood(block: Block, args: list[str]) -> None:
    if block.skip:
        pytest.skip(block.skip)
    args = [arg for arg in args if arg not in ("[--workers", "N]", "...", "…")]
    check_names(COMMANDS, args)
    if args[0] not in _LIGHTNING and "--help" not in args:
        assert build_parser(COMMANDS, "0").parse_args(args)


def test_the_settings_of_training_commands_are_lightnings(capsys: pytest.CaptureFixture[str]) -> None:
    shown = {}
    for block, args in commands():
        if args[0] == "fit" and not {"--help", "--print_config"} & set(args):
            settings = {each.split("=")[0] for each in args if each.startswith(("--model", "--data", "--trainer"))}
            shown[str(block)] = settings - {"--data.accept_changes"}
    with pytest.raises(SystemExit):
        main(["fit", "--help-all"])
    known = capsys.readouterr().out
    for where, settings in shown.items():
        for setting in settings:
            stem = setting.split(".init_args")[0]
            assert stem in known or ".objective." in stem, f"{where}: {setting}"
