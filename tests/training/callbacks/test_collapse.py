from pathlib import Path

import pytest
import torch

from orthrus.training.callbacks.collapse import centred_rank, embedding_spread
from tests.training.runs import fit, metrics


def test_spread_is_one_for_even_directions_and_zero_for_one() -> None:
    generator = torch.Generator().manual_seed(0)
    even_ND = torch.randn(4000, 32, generator=generator)
    assert float(embedding_spread(even_ND)) == pytest.approx(1, abs=0.02)
    assert float(embedding_spread(torch.ones(50, 32) * torch.arange(1, 51)[:, None])) == pytest.approx(0, abs=1e-5)


def test_rank_counts_the_directions_in_which_embeddings_differ() -> None:
    generator = torch.Generator().manual_seed(0)
    for directions in (1, 3):
        basis = torch.linalg.qr(torch.randn(16, directions, generator=generator)).Q
        embedding_ND = 7 + torch.randn(4000, directions, generator=generator) @ basis.T
        assert float(centred_rank(embedding_ND)) == pytest.approx(directions, rel=0.01)


def test_a_run_logs_both_and_warns_once_while_collapsed(
    tmp_path: Path, store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert fit(tmp_path / "run", store, "--collapse.every_n_steps=1", "--collapse.min_rank=1000") == 0
    rows = [row for row in metrics(tmp_path / "run") if row["train/effective_rank"]]
    assert [row["step"] for row in rows] == ["0", "1", "2", "3"]
    assert all(float(row["train/embedding_std"]) > 0 for row in rows)
    assert all(0.1 < float(row["train/contrastive_std"]) <= 1 for row in rows)
    assert caplog.text.count("embeddings collapse at step 1") == 1
    assert caplog.text.count("embeddings collapse") == 1
    caplog.clear()
    assert fit(tmp_path / "sound", store, "--collapse.every_n_steps=1") == 0
    assert "collapse" not in caplog.text


def test_projections_that_collapse_are_told_of_by_the_name_of_their_term(
    tmp_path: Path, store: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert fit(tmp_path / "run", store, "--collapse.every_n_steps=1", "--collapse.min_projection_std=1.1") == 0
    assert caplog.text.count("projections of contrastive collapse at step 1: spread 0.") == 1
    assert caplog.text.count(" collapse at step") == 1
