import os
from pathlib import Path

import pytest

from orthrus.errors import InputError
from orthrus.genome.files import open_bytes


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = os.open(tmp_path / "pipe", os.O_RDWR)  # so that opening it to read does not wait
    try:
        with pytest.raises(InputError, match="is a pipe"), open_bytes(tmp_path / "pipe"):
            pass
    finally:
        os.close(writer)
