"""Trained models on the visits of a cohort: open them, predict, measure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..data.bundle import Bundle, fitted_sha256
from ..data.case import Case
from ..data.cohort import Cohort, Visit, how_to_get
from ..data.run import bundle_of, run_of_bundle
from ..evaluation.lesion_geometry import FEATURES, GEOMETRY
from ..evaluation.task import SYNTHETIC, ModelImages, Pooled, Task
from ..evaluation.tasks import common_task
from ..imaging.fingerprints import images_fitted_to, images_of_bundle, people_with_images
from ..imaging.preparation import load_visit, refuse_other_maps
from ..prediction.cases import outputs_on_grid, predict_case
from ..prediction.model import TrainedModel
from ..reporting.slice_figures import Slices, axial_slices
from ..runtime.errors import BadInput

Tell = Callable[[float, str], None]


@dataclass
class Candidate:
    """A trained model under the name that the report gives it.

    Attributes:
        name: name in the report.
        bundle: the trained model.
        trained_on: training people by cohort folder if it is part of a run, to recognise in-sample results.
    """

    name: str
    bundle: Bundle
    trained_on: Mapping[str, set[str]] = field(default_factory=dict)
    _model: TrainedModel | None = field(default=None, repr=False)

    def load(self, device: str) -> None:
        """Load the weights onto a device.

        Args:
            device: `auto`, `cpu`, `cuda`, ...
        """
        self._model = TrainedModel.load(self.bundle, device)

    @property
    def model(self) -> TrainedModel:
        """The model, once its weights were read."""
        assert self._model is not None, "load comes first"
        return self._model

    @property
    def data(self) -> dict[str, Any]:
        """Inputs, target and intensity rule, as a recipe's `data` names them."""
        about = self.bundle.description
        return {"inputs": list(about["inputs"]), "target": about["output"], "intensity": about["intensity"]}

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

    def prepare(self, visit: Visit, mri: Sequence[str]) -> Case:
        """Read a visit on this model's grid with its intensity rule.

        Args:
            visit: a visit of the cohort.
            mri: names of the images to read.

        Returns:
            The prepared visit with its masks.

        Raises:
            BadInput: a file is missing or cannot be used.
        """
        case = load_visit(visit, self.shape, self.spacing, self.bundle.description["intensity"], mri)
        if self.data["target"] == "dvr":
            refuse_other_maps(case, visit)
        return case

    def facts(self) -> dict[str, Any]:
        """What a report says of the model besides its results."""
        about = self.bundle.description
        return {
            "description": f"{about['name']}. Trained on {about['training_data']}.",
            "system": about["system"],
            "weights_sha256": self.bundle.sha256,
            "fitted_sha256": fitted_sha256(about),
            "simulated_training_data": self.bundle.simulated,
        }

    def in_sample_warning(self, cohort: Cohort) -> str:
        """Write a warning if people of a cohort were used for training.

        Args:
            cohort: visits to evaluate on.

        Returns:
            A sentence, or an empty string.
        """
        folder = "" if cohort.path is None else str(cohort.path.resolve())
        seen = self.trained_on.get(folder, set()) & set(cohort.people)
        seen |= people_with_images(cohort, images_of_bundle(self.bundle.description))
        if not seen:
            return ""
        return (
            f"{self.name} was trained on {len(seen)} of these {len(cohort.people)} people: its results are in-sample "
            "and say little about people it has never seen."
        )

    def fitted_warning(self, cohort: Cohort) -> str:
        """Write a warning if the intervals or the estimate of myelin loss were fitted to people of a cohort.

        Args:
            cohort: visits to evaluate on.

        Returns:
            A sentence, or an empty string.
        """
        seen = people_with_images(cohort, images_fitted_to(self.bundle.description))
        if not seen:
            return ""
        return (
            f"{self.name} has intervals or an estimate of myelin loss that were fitted to {len(seen)} of these "
            f"{len(cohort.people)} people: how often the intervals hold, and r of the estimate, are flattered here."
        )


def open_candidate(path: Path, name: str = "") -> Candidate:
    """Open a bundle or the best epoch of a finished run.

    Args:
        path: folder or .zip of a bundle, name of a supplied bundle, or folder of a run.
        name: name in the report; empty: that of the folder.

    Returns:
        The model; its weights are not loaded yet.

    Raises:
        BadInput: it is neither a bundle nor a finished run.
    """
    bundle = Bundle.open(bundle_of(path))
    run = run_of_bundle(bundle.path)
    trained_on = {} if run is None else run.trained_people()
    return Candidate(name or path.resolve().name.removesuffix(".zip"), bundle, trained_on)


def open_candidates(first: Path, name: str, compare: Sequence[str]) -> list[Candidate]:
    """Open the model to evaluate and the models to compare it with.

    Args:
        first: bundle or run to evaluate.
        name: its name in the report; empty: that of its folder.
        compare: further models as NAME=PATH.

    Returns:
        The models, the first one first.

    Raises:
        BadInput: a model cannot be opened, an entry is not NAME=PATH, or two models have one name.
    """
    candidates = [open_candidate(first, name)]
    for entry in compare:
        label, equals, path = entry.partition("=")
        if not equals or not label or not path:
            raise BadInput(f"--compare {entry}: write it as NAME=PATH, for example --compare linear=runs/linear.")
        candidates.append(open_candidate(Path(path), label))
    names = [candidate.name for candidate in candidates]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise BadInput(
            f"Two models are called {repeated[0]!r}. Give the first another --name or use other --compare names."
        )
    return candidates


def inputs_of(candidates: Sequence[Candidate]) -> list[str]:
    """List the inputs of all models.

    Args:
        candidates: opened models.

    Returns:
        Names of MRI contrasts, each once.
    """
    return list(dict.fromkeys(name for candidate in candidates for name in candidate.data["inputs"]))


def common_task_of(candidates: Sequence[Candidate]) -> Task:
    """Choose the task by which the models are measured.

    Args:
        candidates: opened models.

    Returns:
        The task common to all models.

    Raises:
        BadInput: the models have different targets.
    """
    targets = sorted({candidate.data["target"] for candidate in candidates})
    if len(targets) > 1:
        raise BadInput(f"These models have different targets ({', '.join(targets)}) and cannot be compared.")
    return common_task({"data": candidate.data} for candidate in candidates)


def volumes_needed(candidates: Sequence[Candidate], task: Task) -> list[str]:
    """List the volumes that a visit must have to be measured.

    Args:
        candidates: opened models.
        task: their task.

    Returns:
        Names of volumes, each once.
    """
    return list(dict.fromkeys([*inputs_of(candidates), candidates[0].data["target"], "brain", *task.needs]))


def choose_visits(
    cohort: Cohort, people: Sequence[str], visits: Sequence[str], needs: Sequence[str]
) -> tuple[Cohort, int]:
    """Select visits by person and session, and leave out those that lack a volume.

    Args:
        cohort: all visits.
        people: labels, with or without `sub-`; empty: all.
        visits: session labels, with or without `ses-`; empty: all.
        needs: names of the volumes that a visit must have.

    Returns:
        The visits that can be measured; number of chosen visits that cannot.

    Raises:
        BadInput: a person or session does not exist, or no chosen visit can be measured.
    """
    labels = {name.removeprefix("sub-") for name in people}, {name.removeprefix("ses-") for name in visits}
    for kind, names, known in zip(
        ("person", "visit"), labels, (cohort.people, {visit.visit for visit in cohort}), strict=True
    ):
        missing = sorted(names - set(known))
        if missing:
            raise BadInput(f"{cohort.path} has no {kind} {missing[0]!r}. Leave out --people and --visits to take all.")
    chosen = [v for v in cohort if (not labels[0] or v.person in labels[0]) and (not labels[1] or v.visit in labels[1])]
    if not chosen:
        raise BadInput(f"None of the chosen people in {cohort.path} has such a visit. Leave out --visits to use all.")
    ready = [visit for visit in chosen if set(needs) <= set(visit.files)]
    if not ready:
        missing = sorted(set(needs) - set(chosen[0].files))
        message = f"No visit of {cohort.path} can be compared: {chosen[0].label} lacks {', '.join(missing)}."
        message += how_to_get(missing)
        if "dvr" in needs:
            message += " It is compared with a measured DVR map (derivatives, stat-dvr_desc-measured_mimap)."
        raise BadInput(message)
    return Cohort(ready, cohort.path), len(chosen) - len(ready)


def finest(candidates: Sequence[Candidate]) -> Candidate:
    """Find the model with the smallest voxels; quantitative maps are compared on its grid.

    Args:
        candidates: opened models.

    Returns:
        One of them.
    """
    return min(candidates, key=lambda model: model.spacing)


@dataclass
class Measured:
    """Measurements: rows by model, slices by model, and lesional voxels; the latter two in the order of the visits."""

    rows: Pooled
    slices: dict[str, list[Slices]]
    loads: list[int]


def measure_candidates(
    candidates: Sequence[Candidate], task: Task, cohort: Cohort, uncertainty: bool, tell: Tell
) -> Measured:
    """Predict and measure every visit with every model.

    Models of a task with a common grid are measured on the finest one, others each on its own grid and with its own
    intensity rule.

    Args:
        candidates: loaded models.
        task: the task of all models.
        cohort: visits that have all `volumes_needed`.
        uncertainty: also predict augmented variants.
        tell: called with the finished share, 0 to 1, and a message.

    Returns:
        Rows, slices and lesion loads.

    Raises:
        BadInput: an image cannot be used.
        MyelinSynthError: a prediction failed.
    """
    names = [candidate.name for candidate in candidates]
    measured = Measured({name: {"visits": [], "lesions": []} for name in names}, {name: [] for name in names}, [])
    context = _context(candidates, task, cohort)
    for index, visit in enumerate(cohort):
        message = f"{visit.label}, visit {index + 1} of {len(cohort)}"

        def report(share: float, index: int = index, message: str = message) -> None:
            tell((index + share) / len(cohort), message)

        _measure_visit(visit, candidates, task, uncertainty, context, measured, report)
    return measured


def _context(candidates: Sequence[Candidate], task: Task, cohort: Cohort) -> Any:
    if task.prepare is None:
        return None
    reference, mri = finest(candidates), [*inputs_of(candidates), candidates[0].data["target"]]
    known = [visit for visit in cohort if task.prepared_from in ("", visit.info.get("group"))]
    return task.prepare(reference.prepare(visit, mri) for visit in known)


def _measure_visit(
    visit: Visit,
    candidates: Sequence[Candidate],
    task: Task,
    uncertainty: bool,
    context: Any,
    measured: Measured,
    report: Callable[[float], None],
) -> None:
    target = candidates[0].data["target"]
    mri = list(dict.fromkeys([*inputs_of(candidates), target]))
    reference = finest(candidates)
    prepared = {reference.key: reference.prepare(visit, mri)}
    measured.loads.append(int(np.count_nonzero(prepared[reference.key].volumes.get("lesions", 0))))
    for index, candidate in enumerate(candidates):
        report(index / len(candidates))
        if candidate.key not in prepared:
            prepared[candidate.key] = candidate.prepare(visit, mri)
        case, outputs = prepared[candidate.key], predict_case(candidate.model, prepared[candidate.key], uncertainty)
        if task.common_grid:
            case, outputs = prepared[reference.key], outputs_on_grid(outputs, case, prepared[reference.key])
        row, lesions = task.measure(case, outputs, candidate.data, context)
        measured.rows[candidate.name]["visits"].append(row)
        measured.rows[candidate.name]["lesions"].extend(lesions)
        measured.slices[candidate.name].append(slice_of(case, outputs, task, context, candidate.data, visit.label))


def slice_of(case: Case, outputs: ModelImages, task: Task, context: Any, data: dict[str, Any], title: str) -> Slices:
    """Cut the axial slice with most lesional voxels out of a visit, with everything that the task shows of it.

    Args:
        case: the visit.
        outputs: what the model predicted, on the grid of the case.
        task: task of the model.
        context: what `task.prepare` returned, or None.
        data: {inputs, target, intensity} of the model.
        title: title of the picture.

    Returns:
        The slices of all images.
    """
    images = task.images(case, outputs, context)
    synthetic = images.pop(SYNTHETIC, None)
    return axial_slices(case, synthetic, title, data["inputs"], data["target"], images)


def warnings_of(
    candidates: Sequence[Candidate], task: Task, cohort: Cohort, left_out: int, rows: Pooled | None = None
) -> list[str]:
    """Collect what a reader must know before the results.

    Args:
        candidates: opened models.
        task: their task.
        cohort: visits that were measured.
        left_out: number of visits that lack an image or mask.
        rows: visits and lesions by model, as measured.

    Returns:
        Sentences about in-sample people, visits left out, lesions without geometry, grids or intensities that differ.
    """
    notes = [note for each in candidates for note in (each.in_sample_warning(cohort), each.fitted_warning(cohort))]
    warnings = [note for note in notes if note]
    if left_out:
        warnings.append(f"{left_out} visits lack an image or mask and were left out.")
    lesions = next(iter(rows.values()))["lesions"] if rows else []
    placeless = {row["person"] for row in lesions if row.get(f"{GEOMETRY}{FEATURES[-1]}", 0.0) is None}
    if placeless:
        warnings.append(
            f"{len(placeless)} people have no masks of white and grey matter: their lesions are left out of everything "
            "that is compared with geometry. Run preprocess, which makes the masks."
        )
    if len({candidate.key for candidate in candidates}) > 1:
        reference = finest(candidates)
        grid = f"{' x '.join(map(str, reference.shape))} voxels of {reference.spacing:g} mm"
        where = (
            f"all maps were compared on {grid} ({reference.name})."
            if task.common_grid
            else "each was measured on its own: compare with care."
        )
        warnings.append(f"The models differ in grid or intensities; {where}")
    return warnings
