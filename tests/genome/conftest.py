from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from orthrus.genome.annotation import read_annotation
from orthrus.genome.findings import Findings
from orthrus.genome.models import TranscriptModels

Read = Callable[..., tuple[TranscriptModels, Findings]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Reads an annotation given as lines."""

    def read(
        lines: Iterable[str], name: str = "a.gtf", format: str | None = None, genes: Path | None = None
    ) -> tuple[TranscriptModels, Findings]:
        path, findings = tmp_path / name, Findings()
        path.write_text("".join(f"{line}\n" for line in lines))
        return read_annotation(path, findings, format=format, genes=genes), findings

    return read
