import pytest
import torch
from torch import Tensor

from orthrus.errors import InputError
from orthrus.nn.encoder import MambaEncoder
from orthrus.nn.mamba2 import Mamba2, ssd
from orthrus.scan.reverse import reverse_rows
from tests.oracles import ssd as oracle


def make_inputs(positions: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    torch.manual_seed(positions)
    x, delta = torch.randn(2, positions, 3, 4), torch.rand(2, positions, 3)
    B, C = torch.randn(2, positions, 5), torch.randn(2, positions, 5)
    return [v.to(dtype).requires_grad_() for v in (x, delta, -16 * torch.rand(3), B, C)]


@pytest.mark.parametrize("positions", [1, 2, 3, 5, 8, 9, 40])
def test_ssd_equals_the_literal_recurrence(positions: int) -> None:
    inputs = make_inputs(positions)
    got, expected = ssd(*inputs, chunk=8), oracle.ssd(*inputs)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)
    direction = torch.randn_like(got)
    for gradient, wanted in zip(
        torch.autograd.grad(got, inputs, direction), torch.autograd.grad(expected, inputs, direction), strict=True
    ):
        torch.testing.assert_close(gradient, wanted, rtol=0, atol=1e-11)


def test_ssd_in_single_precision_over_many_chunks() -> None:
    double, single = make_inputs(1000), [v.detach().float() for v in make_inputs(1000)]
    expected = ssd(*double)
    assert (ssd(*single) - expected).norm() / expected.norm() < 1e-5


def make_encoder(bidirectional: bool) -> MambaEncoder:
    torch.manual_seed(0)
    return MambaEncoder(6, 16, 2, bidirectional, mixer=lambda width, both: Mamba2(width, both, d_state=8, d_head=8))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_and_batch_change_nothing(bidirectional: bool) -> None:
    encoder = make_encoder(bidirectional)
    tracks, lengths = torch.rand(3, 6, 90), torch.tensor([70, 90, 5])
    together = encoder.represent(tracks, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = encoder.represent(tracks[row : row + 1, :, :length], lengths[row : row + 1])
        torch.testing.assert_close(together[row], alone[0], rtol=0, atol=1e-5)


def test_bidirectional_mixer_with_equal_directions_commutes_with_reversal() -> None:
    torch.manual_seed(0)
    mixer = Mamba2(16, bidirectional=True, d_state=8, d_head=8)
    assert mixer.reverse is not None
    mixer.reverse.load_state_dict({name: mixer.state_dict()[name] for name in mixer.reverse.state_dict()})
    hidden, lengths = torch.randn(2, 12, 16), torch.tensor([12, 7])
    own = torch.arange(12) < lengths[:, None]
    got = mixer(reverse_rows(hidden, lengths), lengths)
    torch.testing.assert_close(got[own], reverse_rows(mixer(hidden, lengths), lengths)[own], rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_precisions(dtype: torch.dtype) -> None:
    encoder = make_encoder(bidirectional=True)
    tracks, lengths = torch.rand(2, 6, 30), torch.tensor([30, 11])
    expected = encoder.represent(tracks, lengths)
    got = encoder.to(dtype).represent(tracks, lengths)
    torch.testing.assert_close(got.float(), expected, rtol=0, atol=0.05)


def test_config_rebuilds_the_encoder() -> None:
    encoder = make_encoder(bidirectional=True)
    rebuilt = MambaEncoder.from_config(encoder.config)
    rebuilt.load_state_dict(encoder.state_dict())
    assert rebuilt.config == encoder.config
    assert encoder.config["mixer"]["class_path"] == "orthrus.nn.mamba2.Mamba2"


def test_heads_that_do_not_fit() -> None:
    with pytest.raises(InputError, match="heads of 64 channels do not divide the 32 inner channels"):
        Mamba2(16)
