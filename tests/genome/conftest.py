from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import pytest

from orthrus.errors import InputError
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


def returns_transcripts_or_the_error(path: Path, text: bytes, format: str | None) -> None:
    """What reading a damaged annotation must do."""
    path.write_bytes(text)
    with suppress(InputError):
        models = read_annotation(path, Findings(), format=format)
        assert len(models) > 0
        assert (models.exon_starts < models.exon_ends).all()
        assert (models.lengths > 0).all()
