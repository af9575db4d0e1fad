"""One visit as a training step sees it: tensors, and the places patches may be centred on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..case import Case
from ..evaluation.lesions import label_lesions


@dataclass
class Sample:
    """One visit on a device.

    inputs: (1, C, I, J, K) rescaled MRI; target: (1, 1, I, J, K) DVR; brain, lesions: (1, 1, I, J, K) masks as float;
    lesion_centres: (L, 3) centres of gravity in voxels; white_matter: (W, 3) voxel indices, lesions included.
    """

    inputs: torch.Tensor
    target: torch.Tensor
    brain: torch.Tensor
    lesions: torch.Tensor
    lesion_centres: np.ndarray
    white_matter: np.ndarray


def make_sample(case: Case, inputs: list[str], target: str, device: Any = "cpu") -> Sample:
    """Turn a Case into a Sample; the white matter always includes the lesions (Soulier et al. 2024)."""
    lesions = case.volumes["lesions"]
    white_matter = case.volumes["white_matter"] | lesions
    return Sample(
        inputs=torch.from_numpy(np.stack([case.volumes[name] for name in inputs])[None]).to(device),
        target=_tensor(case.volumes[target], device),
        brain=_tensor(case.volumes["brain"], device),
        lesions=_tensor(lesions, device),
        lesion_centres=lesion_centres(lesions),
        white_matter=np.argwhere(white_matter),
    )


def _tensor(array: np.ndarray, device: Any) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32)[None, None]).to(device)


def lesion_centres(lesions: np.ndarray) -> np.ndarray:
    """Centres of gravity of the lesions of a mask, (L, 3) in voxels; (0, 3) where there is none."""
    labels, volumes = label_lesions(lesions, 1.0)
    if len(volumes) == 0:
        return np.zeros((0, 3))
    places = np.argwhere(labels > 0)
    which = labels[labels > 0]
    counts = np.bincount(which, minlength=len(volumes) + 1)[1:]
    sums = [np.bincount(which, weights=places[:, axis], minlength=len(volumes) + 1)[1:] for axis in range(3)]
    return np.stack(sums, axis=1) / counts[:, None]


def dvr_errors(predicted: torch.Tensor, sample: Sample) -> dict[str, float]:
    """Mean absolute DVR error over the brain (`l1`) and over its lesions (`lesion_l1`, nan where there is none)."""
    error = (predicted - sample.target).abs()
    lesions = sample.lesions * sample.brain
    in_lesions = float((error * lesions).sum() / lesions.sum()) if lesions.any() else math.nan
    return {"l1": float((error * sample.brain).sum() / sample.brain.sum()), "lesion_l1": in_lesions}
