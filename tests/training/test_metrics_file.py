"""metrics.csv has every row, also after a disk that was full."""

import csv
import errno
from pathlib import Path
from typing import Any

import pytest

from orthrus.training.metrics_file import MetricsFile


def rows(file: MetricsFile) -> list[dict[str, str]]:
    with file.path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_columns_that_come_later_are_added_to_all_rows(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path)
    for step, metrics in enumerate([{"a": 1.0}, {"b": 2.0}, {"a": 3.0, "b": 4.0}]):
        file.log_metrics(metrics, step)
        file.save()
    assert rows(file) == [
        {"step": "0", "a": "1.0", "b": ""},
        {"step": "1", "a": "", "b": "2.0"},
        {"step": "2", "a": "3.0", "b": "4.0"},
    ]
    assert MetricsFile(tmp_path).version == 1


def test_a_row_that_is_given_twice_is_written_once(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path)
    for _ in range(2):
        file.log_metrics({"a": 1.0}, 0)
        file.save()
    assert len(rows(file)) == 1


def test_a_full_disk_costs_no_row_and_leaves_none_in_halves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = MetricsFile(tmp_path)
    file.log_metrics({"a": 0.5}, 0)
    file.save()
    whole = file.path.read_bytes()
    write = csv.DictWriter.writerows

    def half(self: Any, some: Any) -> None:
        self.writer.writerow(["1", "0."])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(csv.DictWriter, "writerows", half)
    for step in (1, 2):
        file.log_metrics({"a": step}, step)
        file.save()
        assert file.path.read_bytes() == whole
    assert caplog.text.count("training goes on and keeps its rows in memory") == 1
    monkeypatch.setattr(csv.DictWriter, "writerows", write)
    file.save()
    assert [row["step"] for row in rows(file)] == ["0", "1", "2"]
