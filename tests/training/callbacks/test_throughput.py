import itertools
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from orthrus import MambaEncoder
from orthrus.loading.batch import PairBatch
from orthrus.training.callbacks.throughput import Throughput, peak_flops, training_flops
from tests.training.runs import fit, metrics


def test_flops_are_six_a_weight_of_a_matrix_product() -> None:
    d, inner, rank, state = 16, 32, 1, 16
    products = 2 * d * inner + inner * (rank + 2 * state) + rank * inner + inner * d
    assert training_flops(MambaEncoder(6, d, 3)) == 6 * (3 * products + 6 * d)


def test_a_gpu_that_is_known_has_the_peak_of_its_data_sheet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100 PCIe")
    assert peak_flops(torch.device("cuda", 7), torch.bfloat16) == 756e12


def test_utilisation_is_of_what_a_product_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that says 1 ms between any two of its readings makes one product of 1024 wide 2.1 TFLOP/s."""
    ticks = itertools.count()
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks) / 1000)
    peak_flops.cache_clear()
    assert peak_flops(torch.device("cpu"), torch.float32) == pytest.approx(2 * 1024**3 * 1000)
    peak_flops.cache_clear()


def test_the_host_reads_counts_at_logging_steps_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a GPU it would otherwise wait for every step to end before it starts the next."""
    read: list[Tensor] = []
    monkeypatch.setattr(Tensor, "__int__", lambda tensor: read.append(tensor) or 1)
    trainer = SimpleNamespace(_logger_connector=SimpleNamespace(should_update_logs=False))
    throughput, lengths = Throughput(), torch.tensor([3, 4])
    batch = PairBatch(torch.zeros(2, 4), torch.zeros(2, 4), lengths, torch.zeros(1), torch.zeros(1))
    for number in range(3):
        throughput.on_train_batch_start(trainer, None, batch, number)
        throughput.on_train_batch_end(trainer, None, None, batch, number)
    assert not read
    assert throughput._nt.tolist() == 21


def test_rates_are_logged_as_shares(tmp_path: Path, store: Path) -> None:
    assert fit(tmp_path / "run", store) == 0
    rows = [row for row in metrics(tmp_path / "run") if row["train/nt_per_s"]]
    assert len(rows) == 4
    for row in rows:
        assert float(row["train/nt_per_s"]) > 0
        assert float(row["train/mfu"]) > 0
        assert 0 <= float(row["perf/loader_wait"]) < 1
        assert 0 <= float(row["perf/padding"]) < 0.5
