from __future__ import annotations

import pytest
import torch
from torch import nn

from TrainingCore.networks.inference import tiled_forward
from TrainingCore.networks.unet3d import UNet3D


@pytest.mark.parametrize(
    ("shape", "tile", "overlap"), [((40, 33, 20), 24, 12), ((24, 24, 50), 24, 8), ((9, 9, 9), 24, 8)]
)
def test_tiles_give_the_whole_volumes_result_where_the_network_looks_no_further_than_the_halo(shape, tile, overlap):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv3d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv3d(4, 3, 3, padding=1)).requires_grad_(
        False
    )
    x = torch.randn(2, 2, *shape)
    assert float((tiled_forward(network, x, tile, overlap) - network(x)).abs().max()) < 1e-5


def test_generator_in_tiles_is_near_the_whole_volume():
    torch.manual_seed(0)
    network = UNet3D(width=8, levels=3).requires_grad_(False)
    x = torch.nn.functional.interpolate(torch.randn(1, 2, 12, 8, 12), scale_factor=4, mode="trilinear")
    whole, tiled = network(x), tiled_forward(network, x, 32, 16)
    correlation = torch.corrcoef(torch.stack((whole.flatten(), tiled.flatten())))[0, 1]
    assert tiled.shape == whole.shape
    assert float(correlation) > 0.9


def test_no_seam_is_left_between_tiles_of_a_network_that_does_nothing():
    x = torch.rand(1, 1, 30, 30, 30)
    assert torch.allclose(tiled_forward(lambda v: v, x, 16, 5), x, atol=1e-6)


def test_an_overlap_as_large_as_the_tile_is_refused():
    with pytest.raises(ValueError, match="overlap"):
        tiled_forward(lambda v: v, torch.zeros(1, 1, 8, 8, 8), 8, 8)
