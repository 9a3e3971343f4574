"""The speed of matrix products on a device."""

import logging
import time

import torch

_log = logging.getLogger(__name__)


def product_flops(device: torch.device, dtype: torch.dtype, side: int) -> float:
    """FLOP/s of the product of two square matrices, the fastest of three after a warm-up."""
    square = torch.ones(side, side, device=device, dtype=dtype)

    def seconds() -> float:
        started = time.perf_counter()
        float((square @ square)[0, 0])  # waits for the device
        return time.perf_counter() - started

    seconds()
    return 2 * side**3 / min(seconds() for _ in range(3))


def warn_of_slow_bf16(device: torch.device) -> None:
    """Log a warning if bfloat16 products are slower than float32 products, as on a CPU that emulates them."""
    if device.type != "cpu":
        return
    slower = product_flops(device, torch.float32, 256) / product_flops(device, torch.bfloat16, 256)
    if slower > 1.5:
        _log.warning(
            "this CPU emulates bfloat16: its products take %.0f times as long as those of float32; use precision 32"
            " (`fit --trainer.precision 32-true`, `embed --precision 32`)",
            slower,
        )
