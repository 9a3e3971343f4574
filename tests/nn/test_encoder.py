import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from orthrus.errors import InputError
from orthrus.nn.encoder import MambaEncoder
from orthrus.nn.mamba import Mamba
from orthrus.nn.mamba2 import Mamba2
from orthrus.nn.pooling import region_pool
from orthrus.scan.reverse import reverse_rows


def make_encoder(bidirectional: bool = False, n_tracks: int = 6, dtype: torch.dtype = torch.float32) -> MambaEncoder:
    torch.manual_seed(1)
    encoder = MambaEncoder(n_tracks, d_model=20, n_layers=2, bidirectional=bidirectional)
    for parameter in encoder.parameters():  # away from the initialisation, where much is 0 or 1
        nn.init.normal_(parameter, parameter.mean().item() if parameter.ndim < 3 else 0.0, 0.2)
    return encoder.to(dtype)


def make_batch(lengths: list[int], positions: int | None = None, n_tracks: int = 6) -> tuple[Tensor, Tensor]:
    """Tracks with rubbish where the padding is."""
    generator = torch.Generator().manual_seed(2)
    tracks = torch.rand(len(lengths), n_tracks, positions or max(lengths), generator=generator)
    return tracks, torch.tensor(lengths)


@pytest.mark.shared
@pytest.mark.parametrize("backend", ["plain", "numba"])
@pytest.mark.parametrize("n_tracks", [4, 6])
def test_equals_the_published_encoder(
    shared: Path, monkeypatch: pytest.MonkeyPatch, n_tracks: int, backend: str
) -> None:
    monkeypatch.setenv("ORTHRUS_SCAN", backend)
    with np.load(shared / "golden" / f"encoder_{n_tracks}track.npz") as stored:
        golden = {name: torch.from_numpy(stored[name]) for name in stored.files}
    state = {name.removeprefix("state."): x for name, x in golden.items() if name.startswith("state.")}
    layers = {name.split(".")[1] for name in state if name.startswith("layers.")}
    encoder = MambaEncoder(n_tracks, len(state["norm_f.weight"]), len(layers))
    encoder.load_state_dict(state)

    tracks, lengths = golden["x_BCL"], golden["lengths_B"]
    own = torch.arange(tracks.shape[2]) < lengths[:, None]
    torch.testing.assert_close(encoder(tracks, lengths)[own], golden["hidden_BLD"][own], rtol=0, atol=5e-6)
    representation = encoder.represent(tracks, lengths)
    torch.testing.assert_close(representation, golden["representation_BD"], rtol=0, atol=5e-6)
    representation.square().sum().backward()
    gradients = {name.removeprefix("grad."): x for name, x in golden.items() if name.startswith("grad.")}
    parameters = dict(encoder.named_parameters())
    assert gradients
    for name, gradient in gradients.items():
        torch.testing.assert_close(parameters[name].grad, gradient, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    ("n_tracks", "d_model", "n_layers", "count"), [(6, 512, 6, 10_179_072), (4, 256, 3, 1_316_608)]
)
def test_published_sizes(n_tracks: int, d_model: int, n_layers: int, count: int) -> None:
    assert MambaEncoder(n_tracks, d_model, n_layers).n_parameters == count


def test_published_initialisation() -> None:
    mixer = MambaEncoder(6, 64, 4).layers[0].mixer
    torch.testing.assert_close(mixer.A_log[3].exp(), torch.arange(1.0, 17.0))
    delta = nn.functional.softplus(mixer.dt_proj.bias)
    assert delta.min() >= 1e-4
    assert 0.001 < delta.median() < 0.1
    bound = (1 / 128) ** 0.5 / 4**0.5  # of out_proj: kaiming over 128 inputs, divided by the root of 4 layers
    assert 0.9 * bound < mixer.out_proj.weight.abs().max() <= bound


@pytest.mark.parametrize("bidirectional", [False, True])
def test_padding_and_batch_change_nothing(bidirectional: bool) -> None:
    encoder = make_encoder(bidirectional)
    tracks, lengths = make_batch([17, 40, 3], positions=50)
    together = encoder.represent(tracks, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = encoder.represent(tracks[row : row + 1, :, :length], lengths[row : row + 1])
        torch.testing.assert_close(together[row], alone[0], rtol=0, atol=1e-5)


def test_causal_encoder_sees_the_left_alone_and_a_bidirectional_one_both_sides() -> None:
    tracks, lengths = make_batch([30])
    changed = tracks.clone()
    changed[:, :, 20] = 1 - changed[:, :, 20]
    for bidirectional in (False, True):
        encoder = make_encoder(bidirectional)
        moved = (encoder(tracks, lengths) - encoder(changed, lengths)).abs().amax(dim=-1)[0]
        assert bool(moved[:20].max() > 1e-4) == bidirectional
        assert moved[20:].min() > 0


def swap_directions(encoder: MambaEncoder) -> MambaEncoder:
    swapped = MambaEncoder.from_config(encoder.config)
    state = encoder.state_dict()

    def other(name: str) -> str:
        reversed_name = name.replace("mixer.reverse.", "mixer.")
        if reversed_name != name:
            return reversed_name
        turned = name.replace("mixer.", "mixer.reverse.")
        return turned if turned in state else name

    swapped.load_state_dict({name: state[other(name)] for name in state})
    return swapped


def test_reversing_rows_and_directions_reverses_the_hidden_states() -> None:
    encoder = make_encoder(bidirectional=True)
    tracks, lengths = make_batch([17, 40, 3], positions=50)
    reversed_tracks = reverse_rows(tracks.transpose(1, 2), lengths).transpose(1, 2)
    expected = reverse_rows(encoder(tracks, lengths), lengths)
    got = swap_directions(encoder)(reversed_tracks, lengths)
    own = torch.arange(50) < lengths[:, None]
    assert (encoder(tracks, lengths) - expected).abs().max() > 0.1  # the two directions differ
    torch.testing.assert_close(got[own], expected[own], rtol=0, atol=2e-5)


def test_reverse_rows() -> None:
    x = torch.arange(10.0).reshape(2, 5, 1)
    reversed_x = reverse_rows(x, torch.tensor([3, 5]))
    assert reversed_x[:, :, 0].tolist() == [[2, 1, 0, 3, 4], [9, 8, 7, 6, 5]]
    assert torch.equal(reverse_rows(reversed_x, torch.tensor([3, 5])), x)


def test_bidirectional_mixer_is_the_sum_of_two_causal_ones() -> None:
    torch.manual_seed(0)
    both, forward, backward = Mamba(12, bidirectional=True), Mamba(12), Mamba(12)
    state = both.state_dict()
    forward.load_state_dict({name: x for name, x in state.items() if not name.startswith("reverse.")})
    backward.load_state_dict(
        {name: state.get(f"reverse.{name}", x) for name, x in state.items() if not name.startswith("reverse.")}
    )
    hidden, lengths = torch.randn(2, 9, 12), torch.tensor([9, 9])
    expected = forward(hidden, lengths) + backward(hidden.flip(1), lengths).flip(1)
    torch.testing.assert_close(both(hidden, lengths), expected, rtol=0, atol=1e-5)


def test_double_precision_agrees_with_single() -> None:
    tracks, lengths = make_batch([30, 12])
    single, double = make_encoder(), make_encoder(dtype=torch.float64)
    torch.testing.assert_close(
        single.represent(tracks, lengths).double(), double.represent(tracks, lengths), rtol=0, atol=1e-5
    )


def test_bfloat16_autocast_trains() -> None:
    encoder = make_encoder(bidirectional=True)
    tracks, lengths = make_batch([30, 12])
    with torch.autocast("cpu", torch.bfloat16):
        representation = encoder.represent(tracks, lengths)
    torch.testing.assert_close(representation.float(), encoder.represent(tracks, lengths), rtol=0, atol=0.1)
    representation.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in encoder.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_on_a_cpu(dtype: torch.dtype) -> None:
    encoder = make_encoder(bidirectional=True)
    tracks, lengths = make_batch([30, 12])
    expected = encoder.represent(tracks, lengths)
    got = encoder.to(dtype).represent(tracks, lengths)
    torch.testing.assert_close(got.float(), expected, rtol=0, atol=0.1)


def test_integer_tracks() -> None:
    encoder = make_encoder()
    tracks = torch.randint(0, 2, (2, 6, 8), dtype=torch.uint8)
    lengths = torch.tensor([8, 5])
    assert torch.equal(encoder.represent(tracks, lengths), encoder.represent(tracks.float(), lengths))


def test_nan_stays_in_its_row() -> None:
    encoder = make_encoder(bidirectional=True)
    tracks, lengths = make_batch([9, 9])
    tracks[1, 0, 4] = torch.nan
    representation = encoder.represent(tracks, lengths)
    assert representation[0].isfinite().all()
    assert representation[1].isnan().all()


def test_gradient_checkpointing_changes_nothing() -> None:
    tracks, lengths = make_batch([30, 12])
    gradients = []
    for checkpointing in (False, True):
        encoder = make_encoder(bidirectional=True)
        encoder.gradient_checkpointing = checkpointing
        encoder.represent(tracks, lengths).square().sum().backward()
        gradients.append([parameter.grad for parameter in encoder.parameters()])
    for plain, checkpointed in zip(*gradients, strict=True):
        assert torch.equal(plain, checkpointed)


def test_hidden_layers() -> None:
    encoder = make_encoder()
    tracks, lengths = make_batch([30, 12])
    last, embedded = encoder.hidden_layers(tracks, lengths, [2, 0])
    torch.testing.assert_close(encoder.norm_f(last), encoder(tracks, lengths))
    torch.testing.assert_close(embedded, encoder.embedding(tracks.transpose(1, 2)))
    with pytest.raises(InputError, match=r"no layer 3: this encoder has layers 0 .* to 2"):
        encoder.hidden_layers(tracks, lengths, [0, 3])


def test_represent_by_region() -> None:
    encoder = make_encoder()
    tracks, lengths = make_batch([30, 12])
    regions = encoder.represent(tracks, lengths, pool=region_pool)
    assert regions.shape == (2, 60)
    torch.testing.assert_close(regions, region_pool(encoder(tracks, lengths), *encoder.tokens(tracks, lengths)))


@pytest.mark.parametrize("bidirectional", [False, True])
def test_config_rebuilds_the_encoder(bidirectional: bool) -> None:
    encoder = MambaEncoder(4, 16, 2, bidirectional, mixer=lambda width, both: Mamba(width, both, d_state=8, expand=1))
    rebuilt = MambaEncoder.from_config(json.loads(json.dumps(encoder.config)))
    rebuilt.load_state_dict(encoder.state_dict())
    assert rebuilt.config == encoder.config


@pytest.mark.parametrize(
    "config",
    [{}, {"n_tracks": 6}, {**MambaEncoder(6, 8, 1).config, "mixer": {"class_path": "os.system", "init_args": {}}}],
)
def test_config_of_something_else_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(InputError, match="not the configuration of an encoder"):
        MambaEncoder.from_config(config)


@pytest.mark.parametrize(
    ("shape", "lengths", "message"),
    [
        ((0, 6, 9), [], "empty batch"),
        ((1, 5, 9), [9], "encoder takes 6 tracks, got 5"),
        ((2, 6, 9), [9, 0], "row 1 has length 0"),
        ((2, 6, 9), [10, 3], "row 0 has length 10, beyond the 9 positions"),
        ((2, 6, 9), [9], r"one length a row, got shapes \(2, 6, 9\) and \(1,\)"),
        ((6, 9), [9], "expected tracks"),
    ],
)
def test_bad_batches(shape: tuple[int, ...], lengths: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_encoder().represent(torch.zeros(shape), torch.tensor(lengths, dtype=torch.long))


@pytest.mark.parametrize("sizes", [(0, 8, 1), (6, 0, 1), (6, 8, -1)])
def test_bad_sizes(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(InputError, match="must be at least 1"):
        MambaEncoder(*sizes)


@pytest.mark.slow
def test_compiled_encoder_is_the_same() -> None:
    """The scans run as they are, between compiled graphs."""
    encoder = make_encoder(bidirectional=True)
    tracks, lengths = make_batch([30, 12])
    compiled = torch.compile(encoder, backend="aot_eager")
    results = []
    for call in (encoder, compiled):
        encoder.zero_grad()
        hidden = call(tracks, lengths)
        hidden.square().sum().backward()
        results.append([hidden.detach(), *(parameter.grad.clone() for parameter in encoder.parameters())])
    for plain, same in zip(*results, strict=True):
        torch.testing.assert_close(same, plain)


@pytest.mark.gpu
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("mixer", [Mamba, Mamba2])
def test_a_gpu_gives_the_vectors_and_gradients_of_the_cpu(mixer: type[nn.Module], bidirectional: bool) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    torch.manual_seed(0)
    encoder = MambaEncoder(6, 64, 2, bidirectional, mixer=mixer)
    tracks, lengths = make_batch([300, 17, 256])
    found = []
    for device in ("cpu", "cuda"):
        encoder = encoder.to(device)
        vectors = encoder.represent(tracks.to(device), lengths.to(device))
        gradients = torch.autograd.grad(vectors.square().sum(), list(encoder.parameters()))
        found.append([vectors.detach().cpu(), *(gradient.cpu() for gradient in gradients)])
    for on_cpu, on_gpu in zip(*found, strict=True):
        torch.testing.assert_close(on_gpu, on_cpu, rtol=1e-3, atol=1e-4 * float(on_cpu.abs().max()))
