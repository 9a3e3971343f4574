import pytest
import torch
from torch import nn

from orthrus.nn.baselines import DilatedResNet, Saluki


@pytest.fixture(params=[Saluki, DilatedResNet])
def network(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    built: nn.Module = request.param(n_tracks=6, d_model=16).eval()
    return built


def test_padding_has_no_effect(network: nn.Module) -> None:
    lengths = torch.tensor([130, 1, 65, 64, 7])
    tracks = torch.randn(5, 6, 130)
    together = network.represent(tracks, lengths)  # type: ignore[operator]
    assert together.shape == (5, 16)
    for row, length in enumerate(lengths.tolist()):
        alone = network.represent(tracks[row : row + 1, :, :length], lengths[row : row + 1])  # type: ignore[operator]
        torch.testing.assert_close(together[row], alone[0], atol=1e-5, rtol=1e-4)
    padded = torch.cat([tracks, torch.full((5, 6, 50), torch.nan)], dim=2)
    torch.testing.assert_close(network.represent(padded, lengths), together, atol=1e-5, rtol=1e-4)  # type: ignore[operator]


def test_every_position_and_parameter_counts(network: nn.Module) -> None:
    tracks = torch.randn(2, 6, 96, requires_grad=True)
    network.represent(tracks, torch.tensor([96, 80])).square().sum().backward()  # type: ignore[operator]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
    assert tracks.grad is not None
    reached = tracks.grad.abs().sum(dim=1) > 0
    assert reached[1].tolist()[80:] == [False] * 16
    if isinstance(network, DilatedResNet):  # a maximum passes some positions over
        assert reached[0].all()


def test_sizes_as_published() -> None:
    assert sum(p.numel() for p in Saluki().parameters()) == 6 * 64 * 5 + 6 * (64 * 64 * 5 + 64) + 7 * 128 + 2 * (
        3 * 64 * 64 + 3 * 64
    )


def test_the_gru_ends_at_the_five_prime_end() -> None:
    """Saluki reads a transcript backwards: with one block its last step has the first positions."""
    torch.manual_seed(0)
    network = Saluki(n_tracks=4, d_model=8, n_blocks=1).eval()
    tracks, lengths = torch.randn(1, 4, 200), torch.tensor([200])
    before = network.represent(tracks, lengths)
    changed = []
    for position in (2, 197):
        other = tracks.clone()
        other[0, :, position] += 1
        changed.append(float((network.represent(other, lengths) - before).norm().detach()))
    assert changed[0] > 10 * changed[1]
