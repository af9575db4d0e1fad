"""Helpers shared by several systems: building networks, precision, weights of a bundle, losses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.bundle import Bundle
from ..imaging.intensities import background_of
from ..networks.unet3d import UNet3D
from ..runtime.errors import BadInput

TYPICAL_DVR = 1.0  # output of a generator before training (ours): the middle of the DVR range
TYPICAL_ERROR = 0.05  # its scale before training (ours), in DVR
SMALLEST_SCALE = 1e-3  # in DVR (ours): far below any error, so that the logarithm stays finite


def build_generator(settings: dict[str, Any], channels: int, scale: bool = False) -> UNet3D:
    """Build the 3D U-Net of a recipe; before training its output is a typical DVR.

    Args:
        settings: width, levels, order and further arguments of UNet3D.
        channels: number of input channels.
        scale: also predict the scale of the error; before training that is the same everywhere.

    Returns:
        The network, with one output channel, or two with the scale.
    """
    network = UNet3D(in_channels=channels, out_channels=1, scale=scale, **settings)
    init_output_bias(network.last, TYPICAL_DVR)
    if network.scale is not None:
        nn.init.zeros_(network.scale.weight)
        init_output_bias(network.scale, math.log(TYPICAL_ERROR))
    return network


def laplace_loss(error: Tensor, log_scale: Tensor) -> Tensor:
    """Negative log-likelihood of absolute errors under Laplace distributions, without its constant.

    Args:
        error: absolute errors, any shape.
        log_scale: logarithm of the scale b of each, same shape; the SD is sqrt(2) b.

    Returns:
        error / b + log b of each, same shape.
    """
    log_scale = log_scale.clamp(min=math.log(SMALLEST_SCALE))
    return error * torch.exp(-log_scale) + log_scale


def lesion_mean_loss(error: Tensor, labels: Tensor) -> Tensor:
    """Squared error of the mean of each lesion, averaged over the lesions: a small one counts as much as a large one.

    Args:
        error: predicted minus measured, (1, 1, I, J, K).
        labels: numbers of the lesions, int64 (1, 1, I, J, K): 0 outside, then 1, 2, ... without gaps.

    Returns:
        A single number; 0 if there is no lesion.
    """
    inside = labels > 0
    lesion = labels[inside] - 1
    voxels = torch.bincount(lesion)
    means = error.new_zeros(voxels.numel()).index_add(0, lesion, error[inside]) / voxels
    return means.square().sum() / max(voxels.numel(), 1)


def init_output_bias(last: nn.Conv2d | nn.Conv3d, value: float) -> None:
    """Initialise the bias of the last convolution, so that the initial output has this mean.

    Args:
        last: a convolution with bias.
        value: mean of the output before training.
    """
    assert last.bias is not None
    nn.init.constant_(last.bias, value)


def inside(inputs: Tensor, intensity: dict[str, Any]) -> Tensor:
    """Derive the brain mask from prepared MRI: voxels where any channel is not background.

    Args:
        inputs: prepared MRI, (N, C, ...).
        intensity: group `data.intensity` of the recipe, which sets the value of the background.

    Returns:
        Mask, (N, 1, ...), 0 or 1 in the type of `inputs`.
    """
    return (inputs != background_of(intensity)).any(dim=1, keepdim=True).to(inputs.dtype)


def parameters(network: nn.Module) -> int:
    """Count the trainable parameters of a network.

    Args:
        network: any network.

    Returns:
        Number of parameters that receive gradients.
    """
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def mean_over(mask: Tensor, values: Tensor) -> Tensor:
    """Average values over a mask.

    Args:
        mask: 0 and 1, or weights.
        values: same shape as the mask.

    Returns:
        A single number; 0 if the mask is empty.
    """
    return (values * mask).sum() / mask.sum().clamp(min=1)


def select_measures(measures: Mapping[str, float | None], names: Sequence[str]) -> dict[str, float]:
    """Select measures by name.

    Args:
        measures: None for a measure that is undefined, such as SSIM of lesions if there are none.
        names: measures to select.

    Returns:
        The selected measures; nan for None.
    """
    chosen = {name: measures[name] for name in names}
    return {name: math.nan if value is None else float(value) for name, value in chosen.items()}


def precision(wish: str, device: torch.device) -> torch.dtype:
    """Choose the precision of autocast: half precision on a GPU if the recipe asks for it, float32 elsewhere.

    Args:
        wish: `auto` is bfloat16 on GPUs that support it; `float16` is used on GPUs only; `bfloat16` on any device.
        device: device of the computation.

    Returns:
        float32, bfloat16 or float16.
    """
    if wish == "bfloat16" or (wish == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported()):
        return torch.bfloat16
    return torch.float16 if wish == "float16" and device.type == "cuda" else torch.float32


def use_memory_format(network: nn.Module, wish: str, device: torch.device, kind: torch.dtype) -> None:
    """Lay the weights of a network out as its device computes fastest; values and names stay.

    On a CPU nothing changes: `networks.fast_convolution` has its own layout, and torch's channels-last GroupNorm is
    inaccurate there. On a GPU `auto` is channels-last in half precision, which tensor cores read without transposing.

    Args:
        network: on its device.
        wish: a recipe's `memory_format`: auto, contiguous or channels_last.
        device: what it computes on.
        kind: what autocast computes in.
    """
    if device.type != "cuda" or not (wish == "channels_last" or (wish == "auto" and kind is not torch.float32)):
        return
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() in formats:
                parameter.data = parameter.data.contiguous(memory_format=formats[parameter.dim()])


def autocast(device: torch.device, kind: torch.dtype) -> AbstractContextManager[Any]:
    """Context of mixed precision.

    Args:
        device: device of the computation.
        kind: bfloat16 or float16; float32 changes nothing.

    Returns:
        Context manager for the forward pass.
    """
    return nullcontext() if kind is torch.float32 else torch.autocast(device.type, dtype=kind)


def infer(network: nn.Module, inputs: Tensor, kind: torch.dtype) -> Tensor:
    """Predict with a network in evaluation mode, without gradients.

    A CPU predicts in float32 whatever the recipe trained in: a map must not depend on which CPU made it.

    Args:
        network: is left in evaluation mode.
        inputs: (N, C, ...), on any device.
        kind: precision of the computation on a GPU.

    Returns:
        Output, float32 on the device of the network.
    """
    device = next(network.parameters()).device
    kind = torch.float32 if device.type == "cpu" else kind
    network.eval()
    with torch.no_grad(), autocast(device, kind):
        return network(inputs.to(device)).float()


def load_weights(network: nn.Module, weights: dict[str, Tensor], bundle: Bundle) -> None:
    """Load weights of a bundle into a network.

    Args:
        network: network with the described architecture.
        weights: tensors by the names of the network's state dict.
        bundle: source of the weights, named in the error.

    Raises:
        BadInput: the weights belong to another network.
    """
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise other_network(bundle) from error


def other_network(bundle: Bundle) -> BadInput:
    """Build the error for weights that belong to another network.

    Args:
        bundle: source of the weights.

    Returns:
        The error, to be raised by the caller.
    """
    return BadInput(
        f"The model {bundle.path} has weights of another network than it describes. Get the bundle again, "
        f"or use its architecture: {bundle.description['architecture']}."
    )


def distributed(network: nn.Module, device: torch.device) -> nn.Module:
    """Wrap a network so that the processes of `torchrun` share gradients (DistributedDataParallel).

    Args:
        network: network on `device`.
        device: device of this process.

    Returns:
        The wrapped network.
    """
    from torch.nn.parallel import DistributedDataParallel

    return DistributedDataParallel(network, device_ids=[device.index] if device.type == "cuda" else None)


def combine_losses(output: Tensor, pixel: Tensor, adversarial: Tensor, at_most: float = 0.0) -> tuple[Tensor, float]:
    """Combine the two losses of a generator and compare their gradients at its output.

    The gradients at the output are needed for the step anyway, so the comparison is free.

    Args:
        output: the generator's output, of any shape, with its graph.
        pixel: weighted pixel loss (L1, ...), a single number.
        adversarial: weighted adversarial loss, a single number.
        at_most: ratio of the two gradients to which a larger adversarial one is scaled down; 0: any ratio.

    Returns:
        A loss with the gradients of `pixel + adversarial` (its value is meaningless), and the ratio of the norms of the
        two gradients at the output before it is limited, adversarial over pixel; above 1 the discriminator dominates.
    """
    (of_pixel,) = torch.autograd.grad(pixel, output)
    (of_adversarial,) = torch.autograd.grad(adversarial, output)
    ratio = float(of_adversarial.norm() / of_pixel.norm().clamp(min=1e-30))
    return (output * (of_pixel + limiting_factor(ratio, at_most) * of_adversarial)).sum(), ratio


def limiting_factor(ratio: float, at_most: float) -> float:
    """Return the factor that brings a ratio of gradients down to a limit.

    Args:
        ratio: 0 or more.
        at_most: limit; 0: none.

    Returns:
        Factor in (0, 1].
    """
    return at_most / ratio if 0 < at_most < ratio else 1.0


def cross_entropy_to(logits: Tensor, label: float) -> Tensor:
    """Adversarial cross-entropy of a discriminator's output to one label.

    Args:
        logits: output of the discriminator before a sigmoid, any shape.
        label: 1 for real, 0 for generated.

    Returns:
        A single number, with gradients.
    """
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))
