import pytest
import torch

from orthrus.nn import products
from orthrus.nn.products import product_flops, warn_of_slow_bf16

CPU = torch.device("cpu")


def test_a_product_has_a_speed() -> None:
    assert 1e6 < product_flops(CPU, torch.float32, 64) < 1e15


@pytest.mark.parametrize(("bf16", "said"), [(1e9, "take 40 times as long"), (80e9, "")])
def test_a_cpu_that_emulates_bfloat16_is_named(
    bf16: float, said: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    speeds = {torch.float32: 40e9, torch.bfloat16: bf16}
    monkeypatch.setattr(products, "product_flops", lambda device, dtype, side: speeds[dtype])
    warn_of_slow_bf16(CPU)
    assert (said in caplog.text) if said else not caplog.text
