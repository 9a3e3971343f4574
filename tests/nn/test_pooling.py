import pytest
import torch

from orthrus.errors import InputError
from orthrus.nn.pooling import mean_pool, region_pool
from orthrus.nn.stem import BaseStem


def test_mean_pool_counts_own_positions() -> None:
    hidden = torch.tensor([[[1.0], [3.0], [torch.nan]], [[1.0], [2.0], [6.0]]])
    assert mean_pool(hidden, torch.tensor([2, 3])).tolist() == [[2.0], [3.0]]


def test_mean_pool_of_bfloat16_is_summed_in_float32() -> None:
    hidden = torch.full((1, 1000, 1), 1.0, dtype=torch.bfloat16)
    assert mean_pool(hidden, torch.tensor([1000])).item() == 1


def region_tracks() -> torch.Tensor:
    tracks = torch.zeros(4, 6, 12)
    tracks[0, 4, [2, 5]] = 1  # 5'UTR 0-2, CDS 2-8, 3'UTR 8-10
    tracks[1, 4, [0, 3]] = 1  # no 5'UTR; CDS 0-5, its last codon cut by the end
    tracks[2, 4, 11] = 1  # only padding is marked: no CDS
    return tracks


def test_region_pool() -> None:
    hidden = torch.arange(12.0).repeat(4, 1)[:, :, None]
    lengths = torch.tensor([10, 5, 4, 12])
    assert region_pool(hidden, *BaseStem(6, 1).tokens(region_tracks(), lengths)).tolist() == [
        [0.5, 4.5, 8.5],
        [2.0, 2.0, 2.0],
        [1.5, 1.5, 1.5],
        [5.5, 5.5, 5.5],
    ]


def test_region_pool_needs_regions() -> None:
    with pytest.raises(InputError, match="needs the regions of the tokens"):
        region_pool(torch.zeros(1, 3, 2), torch.tensor([3]))
