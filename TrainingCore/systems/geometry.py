"""Regression of mean lesion DVR on size, distances and tissue fractions, without MRI intensities.

    DVR of lesion = a + b . geometry (see evaluation.lesion_geometry), least squares over the training lesions

Every voxel of a lesion gets this value; white matter, grey matter and fluid get their means. PET blurs small lesions
with their surroundings, so geometry alone correlates with measured DVR. Only a model that beats it is informative about
myelin.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from ..data.bundle import Bundle
from ..data.case import Case
from ..data.recipe import load_recipe
from ..evaluation.lesion_geometry import FEATURES, lesion_geometry
from ..imaging.labelling import label_lesions
from ..runtime.errors import BadInput
from .linear import solve
from .parts import other_network
from .samples import Sample, dvr_errors
from .system import System
from .tensors import Tensors
from .training_progress import TrainingProgress

FULL_WEIGHT_MM3 = 50.0  # smaller lesions, of which few voxels were measured, count less in proportion (ours)
TISSUES = ("white_matter", "grey_matter", "fluid")


class Geometry(System):
    """A closed form: each training step adds the lesions of a visit to the normal equations."""

    name = "geometry"
    from_masks = True
    progress_losses: ClassVar = {"lesion_l1": "lesion L1 {:.3f}"}
    epochs = 1

    def __init__(self, recipe: dict[str, Any], device: Any = "cpu") -> None:
        super().__init__(recipe, device)
        terms = len(FEATURES) + 1
        self.products = torch.zeros(terms, terms, dtype=torch.float64)
        self.moments = torch.zeros(terms, dtype=torch.float64)
        self.coefficients = torch.zeros(terms, dtype=torch.float64)
        self.sums = torch.zeros(len(TISSUES), 2, dtype=torch.float64)  # of DVR and of voxels

    def distribute(self) -> None:
        """Raises BadInput: it takes seconds in one process."""
        raise BadInput("The regression on geometry takes seconds and runs in one process. Start it without torchrun.")

    def training_step(
        self, batch: list[Sample], progress: TrainingProgress, rng: np.random.Generator
    ) -> dict[str, float]:
        """Add the lesions and tissues of the visits; returns the mean absolute error of their lesions' mean DVR."""
        errors: list[float] = []
        for sample in batch:
            masks = _masks(sample.masks)
            dvr = sample.target[0, 0].cpu().numpy().astype(float)
            for row, mask in enumerate(_tissues(masks).values()):
                self.sums[row] += torch.tensor([dvr[mask].sum(), float(mask.sum())])
            labels, terms, weights = self._terms(masks, sample.spacing)
            if len(terms) == 0:
                continue
            means = np.bincount(labels.ravel(), dvr.ravel())[1:] / np.bincount(labels.ravel())[1:]
            self.products += torch.from_numpy((terms * weights[:, None]).T @ terms)
            self.moments += torch.from_numpy((terms * weights[:, None]).T @ means)
            self.coefficients = solve(self.products, self.moments)
            errors += np.abs(terms @ self.coefficients.numpy() - means).tolist()
        return {"lesion_l1": float(np.mean(errors)) if errors else 0.0}

    def _terms(self, masks: Mapping[str, np.ndarray], spacing: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Labels (I, J, K) of the lesions, their terms [1, geometry] (n, F + 1) and weights (n,)."""
        labels, volumes = label_lesions(masks["lesions"], spacing**3)
        affine = np.diag([spacing, spacing, spacing, 1.0])
        features = lesion_geometry(labels, masks["brain"], masks["white_matter"], masks["grey_matter"], affine)
        terms = np.column_stack([np.ones(len(features)), features])
        return labels, terms, np.minimum(volumes / FULL_WEIGHT_MM3, 1.0)

    def predict(self, inputs: Tensor) -> Tensor:
        """Refuse to predict: there is nothing to predict from MRI alone.

        Raises:
            BadInput: always.
        """
        raise BadInput(
            "The regression on geometry uses masks only, not MRI. It can only be used as a comparator in evaluate."
        )

    def _predict_masks(self, masks: Mapping[str, np.ndarray], spacing: float) -> np.ndarray:
        """DVR map, float32 (I, J, K), from masks by name; a mask that a visit lacks is empty. 0 outside the brain."""
        whole = {"brain": np.asarray(masks["brain"], bool)}
        nothing = np.zeros_like(whole["brain"])
        whole |= {
            name: np.asarray(masks.get(name, nothing), bool) & whole["brain"]
            for name in ("lesions", "white_matter", "grey_matter")
        }
        dvr = np.zeros(nothing.shape, np.float32)
        for (total, voxels), mask in zip(self.sums.tolist(), _tissues(whole).values()):
            dvr[mask] = total / max(voxels, 1.0)
        labels, terms, _weights = self._terms(whole, spacing)
        values = np.append(0.0, terms @ self.coefficients.numpy()).astype(np.float32)
        return np.where(labels > 0, values[labels], dvr)

    def predict_case(self, case: Case) -> np.ndarray:
        """Predict the DVR map of a prepared visit on a grid of any spacing."""
        return self._predict_masks(case.volumes, float(np.linalg.norm(case.affine[:3, 0])))

    def validation_step(self, sample: Sample) -> dict[str, float]:
        """Mean absolute DVR error over the brain and over its lesions."""
        masks = _masks(sample.masks)
        predicted = torch.from_numpy(self._predict_masks(masks, sample.spacing)).to(sample.target.device)
        return dvr_errors(predicted[None, None], sample)

    def weights(self) -> Tensors:
        """The coefficients, a constant first, and the sums behind the tissues' means."""
        return {"coefficients": self.coefficients, "tissues": self.sums}

    def state(self) -> tuple[Tensors, dict[str, Any]]:
        """Everything a resumed run needs."""
        return {"products": self.products, "moments": self.moments, **self.weights()}, {}

    def load_state(self, tensors: Tensors, facts: dict[str, Any]) -> None:
        """Restore a checkpoint."""
        self.products, self.moments = tensors["products"], tensors["moments"]
        self.coefficients, self.sums = tensors["coefficients"], tensors["tissues"]

    def start_from(self, bundle: Bundle) -> None:
        """Refuse to start from a bundle, because the solution has a closed form.

        Raises:
            BadInput: always.
        """
        raise BadInput("The regression on geometry is solved directly. Leave out --start-from.")

    @classmethod
    def from_bundle(cls, bundle: Bundle, device: Any = "cpu") -> Geometry:
        """Load the regression of a bundle."""
        system, weights = cls(load_recipe("geometry"), device), bundle.weights()
        for name, own in system.weights().items():
            if name not in weights or weights[name].shape != own.shape:
                raise other_network(bundle)
        system.coefficients, system.sums = weights["coefficients"].double(), weights["tissues"].double()
        return system

    def inference_networks(self) -> Mapping[str, nn.Module]:
        """Empty: the regression has no network."""
        return {}

    def architecture(self) -> dict[str, Any]:
        """Settings that a bundle needs to rebuild the regression."""
        return {"regression": {"terms": ["constant", *FEATURES]}}

    def describe(self) -> dict[str, Any]:
        """Parameter counts and settings to print."""
        return super().describe() | {"trainable parameters": {"regression": len(self.coefficients)}}

    def settings(self) -> dict[str, Any]:
        """Output, in the words of the other DVR systems."""
        return {"schedule": "none (no discriminator)"}


def _masks(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Masks of a sample as arrays, bool (I, J, K); what the visit lacks is empty."""
    brain = tensors["brain"][0, 0].cpu().numpy() > 0.5
    names = [name for name in ("lesions", "white_matter", "grey_matter") if name in tensors]
    masks = {name: (tensors[name][0, 0].cpu().numpy() > 0.5) & brain for name in names}
    nothing = np.zeros_like(brain)
    return {"brain": brain, **{name: masks.get(name, nothing) for name in ("lesions", "white_matter", "grey_matter")}}


def _tissues(masks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Masks of TISSUES without lesions and without overlap."""
    white = masks["white_matter"] & ~masks["lesions"]
    grey = masks["grey_matter"] & ~masks["lesions"] & ~white
    return {"white_matter": white, "grey_matter": grey, "fluid": masks["brain"] & ~masks["lesions"] & ~white & ~grey}
