import io
import sys

import pytest
from rich.progress import track

from orthrus.messages import messages


class Notebook(io.StringIO):
    """The stderr of a notebook's kernel: it says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_a_bar_leaves_one_line_in_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = Notebook()
    monkeypatch.setattr(sys, "stderr", stderr)
    for _ in track(range(50), "embedding", console=messages()):
        pass
    assert stderr.getvalue().count("embedding") == 1
    assert "\x1b" not in stderr.getvalue()
    assert "\r" not in stderr.getvalue()
