"""The models of an evaluation: a bundle or a run by name, and its map of a visit on any grid."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..data.bundle import Bundle
from ..data.case import Case
from ..data.cohort import Cohort, Visit
from ..data.run import Run
from ..evaluation.tasks import predict

SMALLEST_SHARE = 0.05  # of a voxel inside the coarser brain, below which a resampled value is not used (ours)


@dataclass
class Model:
    """A trained model under the name the report gives it.

    trained_on: (cohort folder, people) where a Run says so, to tell when a model meets people it learnt from.
    """

    name: str
    bundle: Bundle
    trained_on: tuple[Path, frozenset[str]] | None = None
    _system: Any = field(default=None, repr=False)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels of the grid the model works on."""
        return tuple(self.bundle.description["grid"]["shape"])

    @property
    def spacing(self) -> float:
        """Voxel edge of that grid in mm."""
        return float(self.bundle.description["grid"]["spacing_mm"])

    @property
    def key(self) -> str:
        """Equal for models that see a visit alike: grid and intensity rule."""
        return json.dumps([self.shape, self.spacing, self.bundle.description["intensity"]], sort_keys=True)

    @property
    def inputs(self) -> list[str]:
        """The MRI the model sees, in the order of its channels."""
        return list(self.bundle.description["inputs"])

    def load(self, visit: Visit, inputs: Sequence[str]) -> Case:
        """A visit on this model's grid with its intensity rule; inputs: the MRI to read, this model's among them."""
        return visit.load(self.shape, self.spacing, self.bundle.description["intensity"], inputs)

    def prepare(self, device: Any) -> None:
        """Read the weights onto a device."""
        self._system = self.bundle.load_system(device)

    @property
    def makes(self) -> str:
        """What comes out: `dvr` or an MRI."""
        return str(self.bundle.description["output"])

    @property
    def system(self) -> Any:
        """The system with its weights, once `prepare` has read them."""
        return self._system

    def predict(self, case: Case) -> np.ndarray:
        """Synthetic target, float32 (I, J, K), of a visit loaded by this model; outside the brain it means nothing."""
        return predict(self._system, case, self.inputs)

    def answers(self, case: Case) -> tuple[np.ndarray, list[np.ndarray]]:
        """What `predict` gives, and the maps of every member for the visit as it is, mirrored, and of other contrasts.

        All float32 (I, J, K); their spread says how firmly the model stands by its answer (prediction/uncertainty.py).
        """
        import torch

        from .uncertainty import variants

        if getattr(self._system, "from_masks", False):  # masks have no variants
            return self.predict(case), []

        inputs = np.stack([case.volumes[name] for name in self.inputs]).astype(np.float32)
        device = getattr(self._system, "device", "cpu")
        members = getattr(self._system, "members", [self._system])
        maps = []
        for changed, mirrored in variants(inputs, np.asarray(case.volumes["brain"], bool), self.inputs):
            given = torch.from_numpy(np.ascontiguousarray(changed[None])).to(device)
            for member in members:
                one = member.predict(given)[0, 0].float().cpu().numpy()
                maps.append(np.ascontiguousarray(one[::-1]) if mirrored else one)
        return np.asarray(np.mean(maps[: len(members)], axis=0), np.float32), maps

    def facts(self) -> dict[str, Any]:
        """What a report says of the model besides its results."""
        about = self.bundle.description
        words = f"{about['name']}. Trained on {about['training_data']}."
        return {
            "description": words,
            "system": about["system"],
            "weights_sha256": self.bundle.sha256,
            "simulated_training_data": self.bundle.simulated,
        }

    def seen_before(self, cohort: Cohort) -> str:
        """A warning where people of this cohort were trained on, else nothing."""
        if self.trained_on is None or cohort.path is None or self.trained_on[0] != cohort.path.resolve():
            return ""
        seen = self.trained_on[1] & set(cohort.people)
        if not seen:
            return ""
        return (
            f"{self.name} was trained on {len(seen)} of these {len(cohort.people)} people: its figures say how well it "
            "remembers, not how well it does on people it has never seen."
        )


def open_model(path: Path, name: str = "") -> Model:
    """Open a bundle (folder, .zip, name) or a finished run; the name defaults to that of its folder.

    Raises BadInput where it is neither.
    """
    trained_on = None
    if (path / "run.json").is_file():
        run = Run.open(path)
        bundle = Bundle.open(run.bundle_path("best"))
        if run.facts.get("data"):
            trained_on = (Path(run.facts["data"]), frozenset(run.facts["people"]["training"]))
    else:
        bundle = Bundle.open(path)
    return Model(name or path.resolve().name.removesuffix(".zip"), bundle, trained_on)


def finest(models: list[Model]) -> Model:
    """The model with the smallest voxels: its grid is the one all are compared on."""
    return min(models, key=lambda model: model.spacing)


def on_grid_of(case: Case, own: Case, prediction: np.ndarray) -> np.ndarray:
    """A prediction made on the grid of `own` at the voxels of `case`, float32 (I, J, K).

    Linear interpolation among the brain's voxels alone, as what a network says outside the brain means nothing:
    the masked map divided by the mask, both resampled.
    """
    if own.shape == case.shape and np.allclose(own.affine, case.affine, atol=1e-4):
        return prediction
    from ..imaging.volumes import Volume, resample

    brain = own.volumes["brain"].astype(np.float32)
    values, share = (
        resample(Volume(array, own.affine), case.shape, case.affine) for array in (prediction * brain, brain)
    )
    usable = share > SMALLEST_SHARE
    return np.where(usable, values / np.where(usable, share, 1), 0).astype(np.float32)
