from pathlib import Path

import torch

from orthrus import MambaEncoder
from orthrus.training.callbacks.throughput import peak_flops, training_flops
from tests.training.runs import fit, metrics


def test_flops_are_six_a_weight_of_a_matrix_product() -> None:
    d, inner, rank, state = 16, 32, 1, 16
    products = 2 * d * inner + inner * (rank + 2 * state) + rank * inner + inner * d
    assert training_flops(MambaEncoder(6, d, 3)) == 6 * (3 * products + 6 * d)


def test_a_cpu_has_no_peak_that_is_known() -> None:
    assert peak_flops(torch.device("cpu")) is None


def test_rates_are_logged_as_shares(tmp_path: Path, store: Path) -> None:
    assert fit(tmp_path / "run", store) == 0
    rows = [row for row in metrics(tmp_path / "run") if row["perf/nt_per_s"]]
    assert len(rows) == 4
    for row in rows:
        assert float(row["perf/nt_per_s"]) > 0
        assert 0 <= float(row["perf/loader_wait"]) < 1
        assert 0 <= float(row["perf/padding"]) < 0.5
