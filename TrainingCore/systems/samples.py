"""One visit as input of a training step: tensors, and the voxels that patches can be centred on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ..data.case import MASKS, Case
from ..imaging.labelling import label_lesions

LESION_VOXELS = 3  # smallest lesion with a mean of its own, in voxels of the training grid (ours): fewer are noise


class Masks(MutableMapping[str, torch.Tensor]):
    """Masks of one visit by name, each made a tensor when it is first asked for: a system that takes a few slices of
    many visits reads two masks of the five or six that a visit has."""

    def __init__(self, arrays: Mapping[str, np.ndarray], device: Any) -> None:
        self._found: dict[str, np.ndarray | torch.Tensor] = dict(arrays)
        self._device = device

    def __getitem__(self, name: str) -> torch.Tensor:
        mask = self._found[name]
        if not isinstance(mask, torch.Tensor):
            mask = self._found[name] = _tensor(mask, self._device)
        return mask

    def __setitem__(self, name: str, mask: torch.Tensor) -> None:
        self._found[name] = mask

    def __delitem__(self, name: str) -> None:
        del self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


@dataclass
class Sample:
    """One visit on a device.

    Attributes:
        inputs: (1, C, I, J, K) rescaled MRI.
        target: (1, 1, I, J, K), DVR or rescaled MRI.
        masks: name -> (1, 1, I, J, K) as float, of those the visit has.
        spacing: edge of a voxel in mm; larger than the recipe's where a brain did not fit.
    """

    inputs: torch.Tensor
    target: torch.Tensor
    masks: MutableMapping[str, torch.Tensor]
    spacing: float = 1.0

    @property
    def brain(self) -> torch.Tensor:
        """(1, 1, I, J, K) brain mask as float."""
        return self.masks["brain"]

    @cached_property
    def lesions(self) -> torch.Tensor:
        """(1, 1, I, J, K) mask of lesions, hyperintensities or tumour as float; empty if none is known."""
        return self.masks.get("lesions", torch.zeros_like(self.brain))

    @cached_property
    def nawm(self) -> torch.Tensor:
        """(1, 1, I, J, K) mask of the white matter without lesions as float; empty if no white matter is known."""
        known = self.masks.get("nawm", self.masks.get("white_matter", torch.zeros_like(self.brain)))
        return known * (1 - self.lesions) * self.brain

    @cached_property
    def lesion_centres(self) -> np.ndarray:
        """(L, 3) centres of gravity of the lesions in voxels."""
        return lesion_centres(self.lesions[0, 0].cpu().numpy() > 0.5)

    @cached_property
    def lesion_labels(self) -> torch.Tensor:
        """(1, 1, I, J, K) int64, numbers of the lesions in the brain of at least LESION_VOXELS voxels."""
        mask = ((self.lesions > 0.5) & (self.brain > 0.5))[0, 0].cpu().numpy()
        labels, _ = label_lesions(mask, 1.0, LESION_VOXELS)
        return torch.from_numpy(labels.astype(np.int64))[None, None].to(self.lesions.device)

    @cached_property
    def white_matter(self) -> np.ndarray:
        """(W, 3) voxel indices of the white matter, which always includes the lesions (Soulier et al. 2024)."""
        white_matter = self.masks.get("white_matter", torch.zeros_like(self.brain))
        return np.argwhere(np.maximum(white_matter.cpu().numpy(), self.lesions.cpu().numpy())[0, 0] > 0.5)


def make_sample(case: Case, inputs: list[str], target: str, device: Any = "cpu") -> Sample:
    """Turn a Case into a Sample.

    Args:
        case: a prepared visit.
        inputs: names of the volumes that become channels, in this order.
        target: name of the volume to predict.
        device: torch device, or its name.

    Returns:
        The visit on the device; masks are moved there when they are first used.
    """
    return Sample(
        inputs=_on_device(np.stack([case.volumes[name] for name in inputs])[None], device),
        target=_tensor(case.volumes[target], device),
        masks=Masks({name: case.volumes[name] for name in MASKS if name in case.volumes}, device),
        spacing=float(np.linalg.norm(case.affine[:3, 0])),
    )


def joined(batch: list[Sample]) -> Sample:
    """Join several visits to one Sample of (N, ...) tensors.

    Args:
        batch: visits on one grid.

    Returns:
        The joined Sample; a mask that a visit lacks is empty.
    """
    if len(batch) == 1:
        return batch[0]
    names = {name for sample in batch for name in sample.masks}
    return Sample(
        inputs=torch.cat([sample.inputs for sample in batch]),
        target=torch.cat([sample.target for sample in batch]),
        masks={
            name: torch.cat(
                [
                    sample.nawm if name == "nawm" else sample.masks.get(name, torch.zeros_like(sample.brain))
                    for sample in batch
                ]
            )
            for name in sorted(names)
        },
        spacing=max(sample.spacing for sample in batch),
    )


def _tensor(array: np.ndarray, device: Any) -> torch.Tensor:
    return _on_device(np.ascontiguousarray(array, np.float32)[None, None], device)


def _on_device(array: np.ndarray, device: Any) -> torch.Tensor:
    """An array as a tensor; to a GPU through pinned memory, so that the copy does not wait for the network."""
    tensor = torch.from_numpy(array)
    if torch.device(device).type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def lesion_centres(lesions: np.ndarray) -> np.ndarray:
    """Compute the centres of gravity of the lesions of a mask.

    Args:
        lesions: mask, (I, J, K).

    Returns:
        Centres in voxels, (L, 3); (0, 3) if there is no lesion.
    """
    labels, volumes = label_lesions(lesions, 1.0)
    if len(volumes) == 0:
        return np.zeros((0, 3))
    voxels = np.argwhere(labels > 0)
    which = labels[labels > 0]
    counts = np.bincount(which, minlength=len(volumes) + 1)[1:]
    sums = [np.bincount(which, weights=voxels[:, axis], minlength=len(volumes) + 1)[1:] for axis in range(3)]
    return np.stack(sums, axis=1) / counts[:, None]


def dvr_errors(predicted: torch.Tensor, sample: Sample) -> dict[str, float]:
    """Mean absolute error of a prediction over the brain and over its lesions.

    Args:
        predicted: (1, 1, I, J, K), DVR or the target's unit.
        sample: the visit, with target and masks.

    Returns:
        `l1` over the brain; `lesion_l1` over the lesions, nan if there is none.
    """
    error = (predicted - sample.target).abs()
    lesions = sample.lesions * sample.brain
    in_lesions = float((error * lesions).sum() / lesions.sum()) if lesions.any() else math.nan
    return {"l1": float((error * sample.brain).sum() / sample.brain.sum()), "lesion_l1": in_lesions}
