"""A long sequence read piece by piece is the one read at once."""

import pytest
import torch

from orthrus import MambaEncoder
from orthrus.nn import encoder as encoders


@pytest.mark.parametrize("backend", ["plain", "numba"])
@pytest.mark.parametrize("piece", [7, 64])
def test_pieces_give_what_the_whole_gives(backend: str, piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORTHRUS_SCAN", backend)
    torch.manual_seed(0)
    encoder = MambaEncoder(6, 16, 3).eval()
    with torch.no_grad():
        for layer in encoder.layers:  # a state that lasts longer than a piece
            layer.mixer.dt_proj.bias -= 3
    tracks_BCL = torch.randint(0, 2, (2, 6, 150)).float()
    lengths_B = torch.tensor([150, 90])
    with torch.inference_mode():
        whole_BLD = encoder(tracks_BCL, lengths_B)
        monkeypatch.setattr(encoders, "PIECE", piece)
        pieces_BLD = encoder(tracks_BCL, lengths_B)
    torch.testing.assert_close(pieces_BLD[0], whole_BLD[0], rtol=0, atol=2e-5)
    torch.testing.assert_close(pieces_BLD[1, :90], whole_BLD[1, :90], rtol=0, atol=2e-5)


def test_the_state_matters_beyond_a_piece() -> None:
    torch.manual_seed(0)
    encoder = MambaEncoder(6, 16, 1).eval()
    tracks_BCL = torch.randint(0, 2, (1, 6, 40)).float()
    with torch.inference_mode():
        whole_BLD = encoder(tracks_BCL, torch.tensor([40]))
        cut_BLD = encoder(tracks_BCL[:, :, 20:], torch.tensor([20]))
    assert (whole_BLD[:, 30:] - cut_BLD[:, 10:]).abs().max() > 1e-4  # five times what pieces may differ by


def test_gradients_and_bidirectional_encoders_take_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    for bidirectional in (False, True):
        encoder = MambaEncoder(6, 8, 1, bidirectional=bidirectional)
        tracks_BCL = torch.randint(0, 2, (1, 6, 40)).float()
        encoder.represent(tracks_BCL, torch.tensor([40])).sum().backward()
        expected = encoder.embedding.weight.grad
        monkeypatch.setattr(encoders, "PIECE", 8)
        encoder.zero_grad()
        encoder.represent(tracks_BCL, torch.tensor([40])).sum().backward()
        torch.testing.assert_close(encoder.embedding.weight.grad, expected)
        with torch.inference_mode():
            assert encoder(tracks_BCL, torch.tensor([40])).isfinite().all()
        monkeypatch.undo()
