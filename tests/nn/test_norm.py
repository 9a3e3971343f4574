import pytest
import torch
from torch import nn

from orthrus.nn.norm import BatchNorm


def both() -> tuple[BatchNorm, nn.BatchNorm1d]:
    theirs = nn.BatchNorm1d(5).double()
    with torch.no_grad():
        theirs.weight.copy_(torch.rand(5))
        theirs.bias.copy_(torch.rand(5))
    ours = BatchNorm(5).double()
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def test_one_process_is_torchs_batchnorm_values_gradients_and_state() -> None:
    ours, theirs = both()
    for step in range(3):
        x = torch.randn(6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(step)) + 3
        got, expected = (x.clone().requires_grad_() for _ in range(2))
        y, y_expected = ours(got), theirs(expected)
        torch.testing.assert_close(y, y_expected, rtol=0, atol=1e-12)
        for output in (y, y_expected):
            output.pow(3).sum().backward()
        torch.testing.assert_close(got.grad, expected.grad, rtol=0, atol=1e-10)
    for name, parameter in theirs.named_parameters():
        torch.testing.assert_close(ours.get_parameter(name).grad, parameter.grad, rtol=0, atol=1e-10)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=0, atol=1e-12)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def test_a_large_mean_costs_no_precision() -> None:
    x = torch.randn(64, 5, generator=torch.Generator().manual_seed(0))
    y = BatchNorm(5)((x.double() + 1000).float())
    torch.testing.assert_close(y, BatchNorm(5)(x), rtol=0, atol=2e-3)


@pytest.mark.parametrize("rows", [0, 1])
def test_too_few_rows_for_a_variance_are_finite(rows: int) -> None:
    norm = BatchNorm(5)
    x = torch.ones(rows, 5, requires_grad=True)
    norm(x).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert all(value.isfinite().all() for value in norm.state_dict().values())
    assert norm.num_batches_tracked == rows


def test_bfloat16_in_and_out_with_float32_moments() -> None:
    x = torch.randn(16, 5, generator=torch.Generator().manual_seed(0)).bfloat16()
    norm = BatchNorm(5)
    y = norm(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(norm.running_mean, 0.1 * x.float().mean(0))
