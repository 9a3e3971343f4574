import itertools
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from orthrus import MambaEncoder
from orthrus.loading.batch import PairBatch
from orthrus.nn.tracks import codes_to_tracks
from orthrus.training.callbacks.throughput import Throughput, peak_flops, training_flops
from tests.training.runs import fit, metrics


def test_flops_are_six_a_weight_of_a_matrix_product() -> None:
    d, inner, rank, state = 16, 32, 1, 16
    products = 2 * d * inner + inner * (rank + 2 * state) + rank * inner + inner * d
    assert training_flops(MambaEncoder(6, d, 3)) == 6 * (3 * products + 6 * d)


def test_flops_of_codons_are_those_that_pytorch_counts() -> None:
    encoder = MambaEncoder(6, 32, 2, stem="codon")
    codes_BL = torch.randint(1, 5, (2, 300), dtype=torch.uint8)
    with FlopCounterMode(display=False) as counter:
        encoder(codes_to_tracks(codes_BL, 6), torch.tensor([300, 300]))
    looked_up = 3 * 2 * 125 * 64 * 32  # the vectors of words with unknown bases, made anew at every call
    assert training_flops(encoder) == pytest.approx(3 * (counter.get_total_flops() - looked_up) / 600, rel=0.02)


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
    trainer = SimpleNamespace(
        _logger_connector=SimpleNamespace(should_update_logs=False),
        fit_loop=SimpleNamespace(_should_accumulate=lambda: False),
    )
    throughput, lengths = Throughput(), torch.tensor([3, 4])
    batch = PairBatch(torch.zeros(2, 4), torch.zeros(2, 4), lengths, torch.zeros(1), torch.zeros(1))
    for number in range(3):
        throughput.on_train_batch_start(trainer, None, batch, number)
        throughput.on_train_batch_end(trainer, None, None, batch, number)
    assert not read
    assert throughput._nt.tolist() == 21


def test_rates_are_those_of_whole_steps(tmp_path: Path, store: Path) -> None:
    halves = ["--trainer.accumulate_grad_batches=2", "--trainer.val_check_interval=4", "--collapse.every_n_steps=1"]
    assert fit(tmp_path / "two", store, *halves) == 0
    rows = [row for row in metrics(tmp_path / "two") if row["train/nt_per_s"]]
    assert [row["step"] for row in rows] == ["0", "1", "2", "3"]
    assert [row["step"] for row in metrics(tmp_path / "two") if row["train/embedding_std"]] == ["0", "1", "2", "3"]
    assert fit(tmp_path / "one", store, "--trainer.max_steps=8") == 0
    single = [float(row["perf/pairs_per_step"]) for row in metrics(tmp_path / "one") if row["perf/pairs_per_step"]]
    of_two = [single[i] + single[i + 1] for i in range(0, 8, 2)]
    assert [float(row["perf/pairs_per_step"]) for row in rows] == of_two


def test_rates_are_logged_as_shares(tmp_path: Path, store: Path) -> None:
    assert fit(tmp_path / "run", store) == 0
    rows = [row for row in metrics(tmp_path / "run") if row["train/nt_per_s"]]
    assert len(rows) == 4
    for row in rows:
        assert float(row["train/nt_per_s"]) > 0
        assert float(row["train/mfu"]) > 0
        assert 0 <= float(row["perf/loader_wait"]) < 1
        assert 0 <= float(row["perf/padding"]) < 0.5
