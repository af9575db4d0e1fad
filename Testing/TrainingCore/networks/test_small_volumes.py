"""In bfloat16 on a CPU, gradients are right for volumes of any size, where torch alone returns unset memory."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from TrainingCore.networks import fast_convolution
from TrainingCore.networks.fast_convolution import normalised_convolution, padded_convolution
from TrainingCore.networks.grid_discriminator import GridDiscriminator
from TrainingCore.networks.patch_discriminator import PatchDiscriminator
from TrainingCore.networks.small_volumes import Conv3d
from TrainingCore.networks.unet3d import UNet3D
from TrainingCore.networks.vnet import VNet

SMALL = [(2, 1, 2), (2, 2, 2), (2, 8, 8), (8, 2, 2), (1, 1, 1)]


def leave_large_values_in_freed_memory() -> None:
    """Memory that the next tensors get and that nobody sets."""
    kept = [torch.full((count,), 1e30) for count in (1_000, 30_000, 110_592, 221_184, 442_368, 900_000)]
    del kept


def gradients(module: nn.Module, x: Tensor, reduced: bool) -> Tensor:
    module.zero_grad()
    torch.manual_seed(3)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=reduced):
        output = module(x)
    wanted = torch.randn(output.shape)
    leave_large_values_in_freed_memory()
    output.backward(wanted.to(output.dtype))
    return torch.cat([parameter.grad.flatten() for parameter in module.parameters() if parameter.grad is not None])


def assert_same_direction(module: nn.Module, x: Tensor, cosine: float) -> None:
    truth = gradients(module, x, reduced=False)
    for _ in range(6):
        found = gradients(module, x, reduced=True)
        assert float(found.abs().max()) < 3 * float(truth.abs().max())
        assert float(nn.functional.cosine_similarity(truth, found, dim=0)) > cosine


class Padded(Conv3d):
    def forward(self, x: Tensor) -> Tensor:
        return padded_convolution(x, self.weight, self.bias)


class Normalised(Conv3d):
    """The fast path, which names the type of its products itself."""

    def __init__(self, *arguments: int, **named: int) -> None:
        super().__init__(*arguments, **named)
        self.norm = nn.GroupNorm(4, arguments[0])

    def forward(self, x: Tensor) -> Tensor:
        kind = torch.bfloat16 if torch.is_autocast_enabled("cpu") else torch.float32
        with torch.autocast("cpu", enabled=False):
            return normalised_convolution(x, self.norm, self.weight, kind)


@pytest.mark.parametrize("size", SMALL)
@pytest.mark.parametrize("kind", [Conv3d, Padded, Normalised])
def test_one_convolution_of_a_small_volume(kind, size):
    torch.manual_seed(1)
    assert_same_direction(
        kind(16, 24, 3, padding=1), torch.randn(2, 16, *size), 0.999 if kind is not Normalised else 0.9
    )


@pytest.mark.parametrize(("stride", "size"), [(3, (1, 2, 2)), (3, (8, 2, 2)), (2, (2, 2, 2))])
def test_strides_of_the_patch_discriminator(stride, size):
    torch.manual_seed(1)
    assert_same_direction(Conv3d(32, 64, 3, stride=stride, padding=1), torch.randn(7, 32, *size), 0.999)


@pytest.fixture(params=[True, False], ids=["fast", "plain"])
def unet(request, monkeypatch):
    monkeypatch.setattr(fast_convolution, "FEW_VOXELS", 100)
    torch.manual_seed(1)
    network = UNet3D(width=8)
    network.fast = request.param
    return network


def test_a_unet_whose_deepest_maps_are_two_voxels_deep(unet):
    assert_same_direction(unet, torch.randn(1, 2, 32, 32, 16), 0.6)


def test_a_unet_whose_deepest_map_is_a_single_voxel_learns(unet):
    assert gradients(unet, torch.randn(1, 2, 16, 16, 16), reduced=False).isfinite().all()


def test_the_other_networks():
    torch.manual_seed(1)
    assert_same_direction(GridDiscriminator(in_channels=5), torch.randn(8, 5, 16, 16, 16), 0.8)
    assert_same_direction(
        PatchDiscriminator(strides=(3, 3, 3, 3), widths=(8, 16, 32, 64)), torch.randn(8, 3, 16, 16, 16), 0.8
    )
    assert_same_direction(VNet(2, 1, width=8, levels=5), torch.randn(1, 2, 32, 32, 32), 0.9)


def test_larger_volumes_keep_their_type_and_bits():
    torch.manual_seed(1)
    own, x = Conv3d(4, 8, 3, padding=1), torch.randn(1, 4, 4, 4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, expected = own(x), nn.Conv3d.forward(own, x)
        tiny = own(x[:, :, :2])
    assert found.dtype is tiny.dtype is torch.bfloat16
    assert torch.equal(found, expected)
    assert torch.equal(own(x), nn.Conv3d.forward(own, x))


@pytest.mark.parametrize(("stride", "size"), [(1, (1, 1, 1)), (2, (1, 1, 1)), (2, (2, 2, 2)), (3, (1, 2, 2))])
def test_a_single_voxel_is_a_matrix_product_with_the_same_result(stride, size, monkeypatch):
    torch.manual_seed(1)
    own, x = Conv3d(8, 12, 3, stride=stride, padding=1), torch.randn(5, 8, *size, requires_grad=True)

    def all_values(output: Tensor) -> Tensor:
        parts = torch.autograd.grad(output.square().sum(), [x, own.weight, own.bias])
        return torch.cat([output.flatten(), *(part.flatten() for part in parts)])

    expected = all_values(nn.Conv3d.forward(own, x))
    monkeypatch.setattr(torch.nn.functional, "conv3d", None)
    assert own(x).shape == (5, 12, 1, 1, 1)
    assert torch.allclose(all_values(own(x)), expected, atol=1e-5)
