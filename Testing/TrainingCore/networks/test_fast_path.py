"""The fast CPU path gives torch's own numbers, forward and backward, whatever the shape, order or memory format."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from TrainingCore.networks import fast_convolution
from TrainingCore.networks.fast_convolution import joined_convolution, normalised_convolution, upsampled_convolution
from TrainingCore.networks.group_norm import channel_moments, each_voxel, scale_and_shift, upsampled_channel_moments
from TrainingCore.networks.unet3d import UNet3D

LAST = torch.channels_last_3d


def random_norm(groups: int, channels: int, dtype: torch.dtype = torch.float64) -> nn.GroupNorm:
    norm = nn.GroupNorm(groups, channels).to(dtype)
    nn.init.normal_(norm.weight)
    nn.init.normal_(norm.bias)
    return norm


def upsample(x: torch.Tensor) -> torch.Tensor:
    return F.interpolate(x, scale_factor=2, mode="trilinear", align_corners=False)


def assert_close(a: torch.Tensor, b: torch.Tensor, tolerance: float) -> None:
    assert float((a.detach() - b.detach()).abs().max()) <= tolerance * max(1.0, float(b.detach().abs().max()))


@pytest.mark.parametrize("threads", [1, 2])
def test_own_group_norm_is_right_on_channels_last_volumes_where_torchs_is_not_trusted(threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        torch.manual_seed(0)
        x = (torch.randn(1, 32, 64, 64, 64) + 2).relu_().to(memory_format=LAST)
        norm = random_norm(8, 32, torch.float32)
        truth = F.group_norm(x.double().contiguous(), 8, norm.weight.double(), norm.bias.double())
        scale, shift = scale_and_shift(*channel_moments(x), norm)
        own = x * each_voxel(scale, x) + each_voxel(shift, x)
        assert float((own - truth).detach().abs().max()) < 1e-5
    finally:
        torch.set_num_threads(before)


def test_own_group_norm_is_right_far_from_zero():
    x = torch.randn(1, 8, 16, 16, 16) + 1000
    _, variance = channel_moments(x)
    assert_close(variance, x.double().var((2, 3, 4), correction=0), 1e-5)


@pytest.mark.parametrize("shape", [(1, 8, 1, 1, 1), (2, 8, 3, 4, 5)])
def test_moments_of_the_upsampled_map_come_from_the_map_itself(shape):
    x = torch.randn(shape, dtype=torch.float64)
    mean, variance = upsampled_channel_moments(x)
    assert_close(mean, upsample(x).mean((2, 3, 4)), 1e-12)
    assert_close(variance, upsample(x).var((2, 3, 4), correction=0), 1e-12)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 3), (5, 4, 6)])
def test_convolution_of_an_upsampled_map_is_exact_up_to_its_borders(shape):
    x, weight = torch.randn(2, 3, *shape, dtype=torch.float64), torch.randn(4, 3, 3, 3, 3, dtype=torch.float64)
    assert_close(upsampled_convolution(x, weight), F.conv3d(upsample(x), weight, padding=1), 1e-12)


def test_gradients_of_the_normalised_convolution_are_exact():
    norm, weight = random_norm(2, 4), torch.randn(3, 4, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    x = torch.randn(2, 4, 3, 2, 4, dtype=torch.float64, requires_grad=True)

    def run(x, scale, shift, weight):
        norm_ = nn.GroupNorm(2, 4).double()
        del norm_.weight, norm_.bias
        norm_.weight, norm_.bias = scale, shift
        return normalised_convolution(x, norm_, weight)

    assert torch.autograd.gradcheck(run, (x, norm.weight, norm.bias, weight))


@pytest.mark.parametrize("depth", [2, 3, 8])
def test_a_small_volume_in_two_halves_has_the_gradients_of_the_plain_operators(depth):
    norm, weight = random_norm(2, 4), torch.randn(3, 4, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    x = torch.randn(1, 4, depth, 3, 5, dtype=torch.float64).to(memory_format=LAST).requires_grad_()
    inputs = (x, norm.weight, norm.bias, weight)
    fast, plain = normalised_convolution(x, norm, weight), F.conv3d(norm(x), weight, padding=1)
    assert_close(fast, plain, 1e-12)
    along = torch.randn_like(plain)
    for ours, theirs in zip(torch.autograd.grad(fast, inputs, along), torch.autograd.grad(plain, inputs, along)):
        assert_close(ours, theirs, 1e-11)


@pytest.mark.parametrize("few", [0, 1024])
def test_gradients_of_the_joined_convolution_are_those_of_the_plain_operators(few, monkeypatch):
    monkeypatch.setattr(fast_convolution, "FEW_VOXELS", few)
    norm, weight = random_norm(2, 10), torch.randn(3, 10, 3, 3, 3, dtype=torch.float64, requires_grad=True)
    deep = torch.randn(2, 6, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    skip = torch.randn(2, 4, 4, 6, 8, dtype=torch.float64, requires_grad=True)
    inputs = (deep, skip, norm.weight, norm.bias, weight)
    fast = joined_convolution(deep, skip, norm, weight)
    plain = F.conv3d(norm(torch.cat((upsample(deep), skip), dim=1)), weight, padding=1)
    assert_close(fast, plain, 1e-12)
    along = torch.randn_like(plain)
    for ours, theirs in zip(torch.autograd.grad(fast, inputs, along), torch.autograd.grad(plain, inputs, along)):
        assert_close(ours, theirs, 1e-11)


def network_of_random_norms(dtype: torch.dtype) -> UNet3D:
    torch.manual_seed(1)
    network = UNet3D(width=8).to(dtype)
    for name, parameter in network.named_parameters():
        if ".norm." in name:
            nn.init.normal_(parameter, 1.0, 0.3)
    return network


@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_whole_generator_has_the_gradients_of_its_plain_twin(checkpointing, monkeypatch):
    monkeypatch.setattr(fast_convolution, "FEW_VOXELS", 100)
    network = network_of_random_norms(torch.float64)
    x = torch.randn(1, 2, 16, 24, 33, dtype=torch.float64)
    gradients = []
    for fast in (True, False):
        network.fast, network.checkpointing = fast, checkpointing and fast
        gradients.append(torch.autograd.grad(network(x).square().mean(), list(network.parameters())))
    for ours, theirs in zip(*gradients):
        assert_close(ours, theirs, 1e-10)


@pytest.mark.parametrize("batch", [1, 3])
def test_the_fast_generator_is_within_1e_5_of_double_precision_with_and_without_gradients(batch, monkeypatch):
    monkeypatch.setattr(fast_convolution, "FEW_VOXELS", 100)
    network = network_of_random_norms(torch.float32)
    x = torch.randn(batch, 2, 32, 32, 16)
    with_gradients = network(x)
    with torch.inference_mode():
        without = network(x)
        network.fast = False
        truth = network.double()(x.double())
    assert_close(with_gradients, truth, 1e-5)
    assert_close(without, truth, 1e-5)


def test_under_bfloat16_only_the_products_are_rounded(monkeypatch):
    monkeypatch.setattr(fast_convolution, "FEW_VOXELS", 100)
    network = network_of_random_norms(torch.float32)
    x, errors, gradients = torch.randn(1, 2, 32, 32, 16), [], []
    truth = network(x).detach()
    for fast in (True, False):
        network.fast = fast
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = network(x)
        errors.append(float((output.detach().float() - truth).abs().mean() / truth.abs().mean()))
        (output.float() - truth - 1).square().mean().backward()
        gradients.append(torch.cat([weight.grad.flatten() for weight in network.parameters()]))
        assert all(weight.grad.dtype is torch.float32 for weight in network.parameters())
        network.zero_grad()
        assert output.dtype is torch.float32
        steps = output.detach().to(torch.bfloat16).float() != output.detach()
        assert steps.float().mean() > 0.5, "the map itself is not rounded, on a GPU neither"
    assert 0 < errors[0] < errors[1] < 0.05
    assert float(F.cosine_similarity(*gradients, dim=0)) > 0.98


def test_inference_leaves_the_input_as_it_was():
    network, x = UNet3D(width=4), torch.randn(1, 2, 16, 16, 16).to(memory_format=LAST)
    before = x.clone()
    with torch.no_grad():
        network(x)
    assert torch.equal(x, before)


def test_memory_format_of_the_input_or_the_weights_changes_nothing_and_the_state_is_the_same():
    network = network_of_random_norms(torch.float32)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    x = torch.randn(1, 2, 32, 16, 16)
    for fast in (True, False):
        network.fast = fast
        with torch.inference_mode():
            assert_close(network(x.to(memory_format=LAST)), network(x), 1e-6)
    network.to(memory_format=LAST)
    with torch.inference_mode():
        assert_close(network(x), UNet3D.forward(network, x.clone()), 1e-6)
    assert list(state) == list(network.state_dict())
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_two_runs_on_the_same_threads_give_the_same_bits():
    network, x = network_of_random_norms(torch.float32), torch.randn(1, 2, 16, 32, 16)
    first, second = (torch.autograd.grad(network(x).sum(), list(network.parameters())) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second))
