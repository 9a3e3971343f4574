import json
from pathlib import Path

import pytest
import torch

from orthrus import MambaEncoder, load_encoder
from orthrus.errors import InputError
from orthrus.nn.checkpoints import save_encoder, stored_readout
from orthrus.nn.projection import Projection
from orthrus.nn.readouts import check_readouts, read_out, widths

READOUT = "last.mean+lengths"


def projected_encoder(readout: str = READOUT, d_in: int = 14) -> MambaEncoder:
    torch.manual_seed(0)
    encoder = MambaEncoder(6, 8, 2).eval()
    encoder.projection = Projection(readout, d_in, d_out=5)
    torch.nn.init.normal_(encoder.projection.mean)
    return encoder


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    tracks = torch.zeros(2, 6, 30)
    tracks[:, 0] = 1
    tracks[:, 4, 6:15:3] = 1
    return tracks, torch.tensor([30, 21])


def test_it_is_a_linear_map_onto_the_unit_sphere() -> None:
    encoder = projected_encoder()
    assert encoder.projection is not None
    vectors = torch.randn(4, 14)
    mapped = (vectors - encoder.projection.mean) @ encoder.projection.linear.weight.T
    torch.testing.assert_close(encoder.projection(vectors), mapped / mapped.norm(dim=1, keepdim=True))
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(encoder.projection(vectors), mapped / mapped.norm(dim=1, keepdim=True))


def test_it_is_a_readout_beside_others_or_alone() -> None:
    encoder = projected_encoder()
    assert encoder.projection is not None
    names = ["last.max+projection", "projection", READOUT]
    check_readouts(encoder, names)
    joined, alone, plain = read_out(encoder, *batch(), names)
    torch.testing.assert_close(alone, encoder.projection(plain))
    torch.testing.assert_close(joined[:, 8:], alone)
    assert [x.shape[1] for x in (joined, alone, plain)] == widths(encoder, names) == [13, 5, 14]
    (only,) = read_out(encoder, *batch(), ["projection"])
    torch.testing.assert_close(only, alone)


def test_a_folder_has_it(tmp_path: Path) -> None:
    encoder = projected_encoder()
    save_encoder(encoder, tmp_path / "encoder", readout=f"{READOUT}+projection")
    loaded = load_encoder(tmp_path / "encoder")
    assert loaded.config == encoder.config
    assert stored_readout(tmp_path / "encoder") == f"{READOUT}+projection"
    (before,), (after,) = (read_out(each, *batch(), ["projection"]) for each in (encoder, loaded))
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    assert loaded.projection is not None
    assert not any(parameter.requires_grad for parameter in loaded.projection.parameters())


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (MambaEncoder(6, 8, 2), "this encoder has none; `orthrus project` fits one"),
        (projected_encoder(d_in=9), "takes 9 numbers; last.mean[+]lengths has 14"),
        (projected_encoder("last.median"), "expected last, average or layerN"),
        (projected_encoder("projection"), "is not a readout of an encoder alone"),
    ],
)
def test_one_that_does_not_fit_is_an_error(encoder: MambaEncoder, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_readouts(encoder, ["projection"])


@pytest.mark.parametrize(
    ("projection", "message"),
    [
        ({"readout": READOUT, "d_in": 14, "d_out": 1_000_000_000}, "d_out is 1,000,000,000; an encoder has at most"),
        ({"readout": READOUT, "d_in": 14, "d_out": 0}, "d_out of the projection must be at least 1, got 0"),
        ({"readout": 3, "d_in": 14, "d_out": 5}, "the readout of the projection is 3; expected text"),
        ({"readout": READOUT, "d_in": 1.5, "d_out": 5}, "not the configuration of an encoder"),
        ({"width": 3}, "not the configuration of an encoder"),
        ("wide", "not the configuration of an encoder"),
    ],
)
def test_a_configuration_from_elsewhere_is_checked(projection: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        MambaEncoder.from_config({**projected_encoder().config, "projection": projection})


def test_a_folder_whose_weights_are_of_another_size_is_refused(tmp_path: Path) -> None:
    save_encoder(projected_encoder(), tmp_path / "encoder")
    config = json.loads((tmp_path / "encoder" / "config.json").read_text())
    config["orthrus"]["encoder"]["projection"]["d_out"] = 7
    (tmp_path / "encoder" / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"projection.linear.weight \(5, 14\) instead of \(7, 14\)"):
        load_encoder(tmp_path / "encoder")
