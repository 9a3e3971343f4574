import random

import numpy as np
import torch

from orthrus.training.callbacks.random_states import read_states, write_states


def draw() -> list[float]:
    return [
        float(torch.rand(())), float(torch.randn(())), random.random(), random.gauss(0, 1),
        float(np.random.rand()), float(np.random.randn()),
    ]  # fmt: skip


def test_generators_go_on_from_a_state_that_was_saved(tmp_path: object) -> None:
    draw()
    torch.save(read_states(), f"{tmp_path}/states")
    expected = [draw(), draw()]
    write_states(torch.load(f"{tmp_path}/states", weights_only=True))
    assert [draw(), draw()] == expected
