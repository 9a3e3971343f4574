import ctypes
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from orthrus.training.callbacks.freed_memory import FreedMemory


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def trainer(device: str) -> Any:
    return SimpleNamespace(strategy=SimpleNamespace(root_device=torch.device(device)))


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library has no malloc_trim")
def test_what_lies_free_between_blocks_in_use_goes_back_to_the_system() -> None:
    blocks = [bytearray(100_000) for _ in range(2000)]  # small enough for the heap, unlike one large block
    kept = blocks[::2]
    del blocks
    before = resident_bytes()
    callback = FreedMemory()
    for device, batch, given_back in (("cpu", 0, False), ("cuda", 9, False), ("cpu", 9, True)):
        callback.on_train_batch_end(trainer(device), cast(Any, None), None, None, batch)
        assert (before - resident_bytes() > 80e6) == given_back
    assert len(kept) == 1000
