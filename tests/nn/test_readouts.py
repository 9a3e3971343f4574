import pytest
import torch

from orthrus import MambaEncoder
from orthrus.errors import InputError
from orthrus.nn.pooling import max_pool, mean_pool, region_pool
from orthrus.nn.readouts import check_readouts, read_out, widths


@pytest.fixture(scope="module")
def encoder() -> MambaEncoder:
    torch.manual_seed(0)
    return MambaEncoder(6, 8, 2).eval()


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    tracks = torch.zeros(2, 6, 30)
    tracks[:, 0] = 1
    tracks[:, 4, 6:15:3] = 1
    return tracks, torch.tensor([30, 21])


def test_each_readout_is_its_layer_pooled(encoder: MambaEncoder) -> None:
    tracks, lengths = batch()
    embedding, one, two = encoder.hidden_layers(tracks, lengths, [0, 1, 2])
    last = encoder(tracks, lengths)
    average = (torch.nn.functional.layer_norm(one, (8,)) + torch.nn.functional.layer_norm(two, (8,))) / 2
    expected = {
        "last.mean": encoder.represent(tracks, lengths),
        "last.regions": region_pool(last, *encoder.tokens(tracks, lengths)),
        "last.cds": region_pool(last, *encoder.tokens(tracks, lengths))[:, 8:16],
        "layer0.mean": mean_pool(embedding, lengths),
        "layer2.max": max_pool(two, lengths),
        "average.mean": mean_pool(average, lengths),
    }
    found = read_out(encoder, tracks, lengths, list(expected))
    for name, vectors in zip(expected, found, strict=True):
        torch.testing.assert_close(vectors, expected[name])
    assert [vectors.shape[1] for vectors in found] == widths(encoder, list(expected)) == [8, 24, 8, 8, 8, 8]
    torch.testing.assert_close(read_out(encoder, tracks, lengths, ["last.mean"])[0], expected["last.mean"])


def test_lengths_say_whether_exons_are_known(encoder: MambaEncoder) -> None:
    tracks, lengths = batch()
    tracks[0, 5, [9, 29]] = 1  # the second transcript's exons are unknown
    (found,) = read_out(encoder, tracks, lengths, ["lengths"])
    counts = torch.tensor([[30.0, 6, 9, 15, 2], [21, 6, 9, 6, 0]])
    torch.testing.assert_close(found, torch.cat([counts.log1p(), torch.tensor([[1.0], [0.0]])], dim=1))
    assert widths(encoder, ["lengths"]) == [6]


def test_max_pool_counts_own_positions() -> None:
    hidden = torch.tensor([[[1.0], [3.0], [9.0]], [[-1.0], [-2.0], [-6.0]]])
    assert max_pool(hidden, torch.tensor([2, 3])).tolist() == [[3.0], [-1.0]]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["last.median"], "expected last, average or layerN, a dot, and mean, max, cds, regions; or lengths"),
        (["first.mean"], "'first.mean': expected last"),
        (["layer3.mean"], "this encoder has layer0"),
        (["last.mean", "last.mean"], "each once"),
        ([], "at least one"),
    ],
)
def test_readouts_that_there_are_not_are_errors(encoder: MambaEncoder, names: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_readouts(encoder, names)


def test_regions_need_the_cds_track() -> None:
    with pytest.raises(InputError, match="regions needs the CDS track, and this encoder has 4"):
        check_readouts(MambaEncoder(4, 8, 1), ["last.regions"])
