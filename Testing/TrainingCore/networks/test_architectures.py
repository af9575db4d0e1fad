from __future__ import annotations

import pytest
import torch

from TrainingCore.networks.patch_discriminator import PatchDiscriminator
from TrainingCore.networks.unet3d import UNet3D


def trainable(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def test_generator_has_exactly_the_papers_number_of_parameters():
    assert trainable(UNet3D()) == 16_471_077


def test_generator_in_the_order_of_the_papers_prose_has_900_fewer():
    assert trainable(UNet3D(order="cgr")) == 16_470_177


@pytest.mark.parametrize("strides", [None, (3, 3, 3, 3)])
def test_discriminator_has_exactly_the_papers_number_of_parameters_whatever_the_strides(strides):
    assert trainable(PatchDiscriminator(strides=strides)) == 4_653_441


@pytest.mark.parametrize("order", ["gcr", "cgr"])
@pytest.mark.parametrize("width", [4, 8, 12, 16])
def test_generator_of_any_width_keeps_the_size_of_its_input(width, order):
    assert UNet3D(width=width, order=order)(torch.zeros(1, 2, 16, 32, 16)).shape == (1, 1, 16, 32, 16)


def test_generator_takes_sizes_that_16_does_not_divide():
    volume = torch.randn(1, 2, 33, 18, 47)
    assert UNet3D(width=4)(volume).shape == (1, 1, 33, 18, 47)


def test_generator_refuses_an_unknown_order():
    with pytest.raises(ValueError, match="order"):
        UNet3D(order="crg")


def test_discriminator_gives_one_probability_per_patch():
    probability = PatchDiscriminator()(torch.randn(5, 3, 16, 16, 16))
    assert probability.shape == (5, 1)
    assert bool(((probability > 0) & (probability < 1)).all())


def test_stride_two_puts_eight_times_as_many_weights_of_the_last_block_to_use_as_stride_three():
    def learning(strides: tuple[int, ...]) -> int:
        torch.manual_seed(0)
        network = PatchDiscriminator(strides=strides)
        network(torch.randn(4, 3, 16, 16, 16)).sum().backward()
        taps = network.blocks[-1][0].weight.grad.abs().sum(dim=(0, 1))
        return int((taps > 0).sum())

    assert learning((3, 3, 3, 3)) == 1
    assert learning((2, 2, 2, 2)) == 8


def test_discriminator_refuses_strides_that_do_not_end_in_one_voxel():
    with pytest.raises(ValueError, match="to 2, not to 1"):
        PatchDiscriminator(strides=(2, 2, 2, 1))
    with pytest.raises(ValueError, match="4 strides"):
        PatchDiscriminator(strides=(2, 2))
