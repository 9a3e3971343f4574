from pathlib import Path

import pytest

from orthrus import TranscriptStore
from tests.builders import build_store
from tests.training.runs import TWO_RANKS, fit, metrics, output_of, start

PROBE = "--trainer.callbacks+=orthrus.training.callbacks.online_probe.OnlineProbe"


@pytest.fixture
def probe(tmp_path: Path) -> list[str]:
    labelled = TranscriptStore.open(build_store(tmp_path / "labelled", n_genes=40).path)
    rows = zip(labelled.column("transcript_id"), labelled.lengths, strict=True)
    lines = ["transcript_id\tlength", *(f"{name}\t{length}" for name, length in rows)]
    (tmp_path / "labels.tsv").write_text("\n".join(lines))
    (tmp_path / "size.yaml").write_text("labels: labels.tsv\ntarget: length\ntask: regression\n")
    options = {"task": tmp_path / "size.yaml", "store": labelled.path, "every_n_steps": 3, "n_transcripts": 90}
    return [PROBE, *(f"--trainer.callbacks.{name}={value}" for name, value in options.items())]


def test_scores_are_logged_before_training_and_every_so_many_steps(
    probe: list[str], tmp_path: Path, store: Path
) -> None:
    assert fit(tmp_path / "run", store, *probe, "--trainer.max_steps=7") == 0
    rows = [row for row in metrics(tmp_path / "run") if row["probe/size/pearson_r"]]
    assert [row["step"] for row in rows] == ["0", "2", "5"]
    assert all(-1 <= float(row["probe/size/pearson_r"]) <= 1 for row in rows)


def test_probing_changes_nothing_in_training(probe: list[str], tmp_path: Path, store: Path) -> None:
    assert fit(tmp_path / "probed", store, *probe) == 0
    assert fit(tmp_path / "plain", store) == 0
    probed, plain = (
        [row["train/loss"] for row in metrics(tmp_path / name) if row["train/loss"]] for name in ("probed", "plain")
    )
    assert probed == plain


def test_labels_of_other_transcripts_are_refused_before_training(
    probe: list[str], tmp_path: Path, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "labels.tsv").write_text("transcript_id\tlength\nX1\t1\nX2\t2\n")
    assert fit(tmp_path / "run", store, *probe) == 2
    assert "X1" in capsys.readouterr().err


@pytest.mark.dist
@pytest.mark.slow
def test_other_ranks_wait_for_the_probe(probe: list[str], tmp_path: Path, store: Path) -> None:
    run = tmp_path / "run"
    assert start(run, store, *TWO_RANKS, *probe).wait(timeout=300) == 0, output_of(run)
    assert sum(bool(row["probe/size/r2"]) for row in metrics(run)) == 2
