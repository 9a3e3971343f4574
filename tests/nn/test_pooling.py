import pytest
import torch

from orthrus.errors import InputError
from orthrus.nn.pooling import mean_pool, region_pool
from orthrus.nn.stem import CODING, BaseStem


def test_mean_pool_counts_own_positions() -> None:
    hidden = torch.tensor([[[1.0], [3.0], [torch.nan]], [[1.0], [2.0], [6.0]]])
    assert mean_pool(hidden, torch.tensor([2, 3])).tolist() == [[2.0], [3.0]]


def test_mean_pool_of_bfloat16_is_summed_in_float32() -> None:
    hidden = torch.full((1, 1000, 1), 1.0, dtype=torch.bfloat16)
    assert mean_pool(hidden, torch.tensor([1000])).item() == 1


def region_tracks() -> torch.Tensor:
    tracks = torch.zeros(4, 6, 12)
    tracks[0, 4, [3, 6]] = 1  # 5'UTR 0-3, CDS 3-9, 3'UTR 9-10
    tracks[1, 4, [0, 3]] = 1  # no 5'UTR; CDS 0-5, its last codon cut by the end
    tracks[2, 4, 11] = 1  # only padding is marked: no CDS
    return tracks


def test_region_pool() -> None:
    hidden = torch.arange(12.0).repeat(4, 1)[:, :, None]
    lengths = torch.tensor([10, 5, 4, 12])
    assert region_pool(hidden, *BaseStem(6, 1).tokens(region_tracks(), lengths)).tolist() == [
        [1.0, 5.5, 9.0],
        [2.0, 2.0, 2.0],
        [1.5, 1.5, 1.5],
        [5.5, 5.5, 5.5],
    ]


def test_what_is_left_of_a_codon_that_is_cut_off_at_the_start_is_no_utr() -> None:
    tracks = torch.zeros(3, 6, 10)
    for row, first in enumerate((1, 2, 3)):
        tracks[row, 4, first : first + 4 : 3] = 1
    regions = BaseStem(6, 4).tokens(tracks, torch.tensor([10, 10, 10])).region_BT
    assert [row.tolist().index(CODING) for row in regions] == [0, 0, 3]


def test_region_pool_needs_regions() -> None:
    with pytest.raises(InputError, match="needs the regions of the tokens"):
        region_pool(torch.zeros(1, 3, 2), torch.tensor([3]))
