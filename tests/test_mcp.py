"""`orthrus mcp` through the official SDK's client, over stdio as an agent's program starts it."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from orthrus.cli import main
from orthrus.cli.agents import Answers
from orthrus.errors import InputError
from orthrus.nn.checkpoints import save_encoder
from tests.builders import build_store
from tests.nn.test_checkpoints import make_encoder

mcp = pytest.importorskip("mcp", reason="the extra mcp is not installed")

SEQUENCE = "CCACC" + "ATG" + "GCA" * 101 + "TAA" + "GATTACA"


def test_a_client_gets_answers_and_refusals_over_stdio(tmp_path: Path) -> None:
    root = tmp_path / "served"
    root.mkdir()
    (tmp_path / "secret.fa").write_text(">s\nACGT\n")
    (root / "link.fa").symlink_to(tmp_path / "secret.fa")
    (root / "mine.fa").write_text(f">mine\n{SEQUENCE}\n")
    save_encoder(make_encoder(6), tmp_path / "encoder")
    store = build_store(tmp_path / "store", n_genes=4)
    assert (
        main(["embed", f"--model={tmp_path / 'encoder'}", f"--input={store.path}", f"--output={root / 'e.npz'}"]) == 0
    )
    (root / "linked").mkdir()
    for file in store.path.iterdir():
        (root / "linked" / file.name).symlink_to(file)
    calls: dict[str, tuple[str, dict[str, Any]]] = {
        "embed": ("embed", {"sequences": [SEQUENCE, "ACGT"]}),
        "file": ("embed", {"path": "mine.fa"}),
        "neighbours": ("neighbours", {"embeddings": "e.npz", "path": "mine.fa", "k": 2}),
        "variant": ("variant", {"sequence": SEQUENCE, "variants": [{"pos": 6, "ref": "A", "alt": "C"}]}),
        "outside": ("embed", {"path": "../secret.fa"}),
        "absolute": ("embed", {"path": str(tmp_path / "secret.fa")}),
        "through a link": ("embed", {"path": "link.fa"}),
        "linked files": ("embed", {"path": "linked"}),
        "too many": ("embed", {"sequences": ["ACGT"] * 1000}),
        "too long": ("embed", {"sequences": ["A" * 1_000_001]}),
        "no task": ("predict", {"task": "half_life", "sequences": ["ACGT"]}),
        "a folder as task": ("predict", {"task": str(tmp_path), "sequences": ["ACGT"]}),
        "two records": ("embed", {"sequences": ["ACGT\n>x\nACGT"]}),
    }

    async def talk() -> tuple[set[str], dict[str, Any]]:
        command = ["-m", "orthrus", "mcp", "--root", str(root), "--model", str(tmp_path / "encoder"), "--device", "cpu"]
        server = mcp.stdio_client(mcp.StdioServerParameters(command=sys.executable, args=command))
        async with mcp.Client(server) as client:
            tools = {tool.name for tool in (await client.list_tools()).tools}
            return tools, {name: await client.call_tool(*call) for name, call in calls.items()}

    tools, found = asyncio.run(talk())
    assert tools == {"embed", "neighbours", "predict", "variant"}

    def said(name: str) -> str:
        assert found[name].is_error, name
        return str(found[name].content[0].text)

    answers = {name: found[name].structured_content for name in ("embed", "file", "neighbours", "variant")}
    assert not any(found[name].is_error for name in answers)
    assert [len(vector) for vector in answers["embed"]["vectors"]] == [16, 16]
    assert answers["file"]["vectors"][0] == pytest.approx(answers["embed"]["vectors"][0], abs=1e-5)
    assert [row["rank"] for row in answers["neighbours"]["rows"]] == [1, 2]
    assert answers["variant"]["rows"][0]["consequence"] == "start_lost"
    assert answers["variant"]["rows"][0]["hgvs"] == "sequence_0:c.1A>C"
    for name in ("outside", "absolute", "through a link", "linked files"):
        assert "not in the folder that is served" in said(name)
    assert "1,000 transcripts" in said("too many")
    assert "1,000,001 nt" in said("too long")
    assert "this model has none" in said("no task")
    assert "this model has none" in said("a folder as task")
    assert "characters other than letters" in said("two records")


def test_a_variant_changes_a_label_of_a_head_that_has_several(tmp_path: Path) -> None:
    answers = Answers(tmp_path, None, "cpu")
    names = answers._head("localization").description.target_names
    change = [
        answers.variant([{"pos": 6, "ref": "A", "alt": "C"}], SEQUENCE, task="localization", label=name)["rows"][0]
        for name in names[:2]
    ]
    assert change[0]["value_change"] != change[1]["value_change"]
    with pytest.raises(InputError, match="has the labels"):
        answers.variant([{"pos": 6, "ref": "A", "alt": "C"}], SEQUENCE, task="localization")
