"""Digital people at two visits, made ready once and kept: any number of models can then be measured on them.

Each visit goes the way of a patient in `synthesize` (registration, bias field, the model's grid), and the pair the way
of `change` (T1w to T1w, half-way space, lesions matched). The head lies differently at each visit. What does not
depend on a model is kept in one .npz per person.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation
from threadpoolctl import threadpool_limits

from TrainingCore.imaging.aligned import AlignedPatient
from TrainingCore.imaging.brain_mask import Brain
from TrainingCore.imaging.labelling import label_lesions
from TrainingCore.imaging.registration import Registration, register
from TrainingCore.imaging.volumes import Volume
from TrainingCore.patient.preparation import align_patient
from TrainingCore.phantom.patient import body, simulate_with_truth
from TrainingCore.phantom.people import Person, draw_people
from TrainingCore.phantom.pet import true_dvr
from TrainingCore.phantom.randomness import stream
from TrainingCore.prediction.model import TrainedModel
from TrainingCore.prediction.volume import predict_patient
from TrainingCore.runtime.files import atomic_path
from TrainingCore.study.changes import lesion_changes
from TrainingCore.study.halfway import HalfWay, half_way
from TrainingCore.study.lesion_matching import match_lesions

SPACING = 1.0  # mm, of the half-way space, as `change` has it
TURN_DEGREES, SHIFT_MM = 3.0, 4.0  # SD of the head's position at a visit (ours)
MRI = ("t1w", "flair")


@dataclass(frozen=True)
class Cohort:
    """Which digital people: site, scanners of the two visits in turn (empty: the site's), whether brains change."""

    site: str
    scanners: str
    changes: bool
    people: int
    seed: int
    size: int = 96

    @property
    def name(self) -> str:
        """Folder of what is kept of it."""
        how = "changing" if self.changes else "rescanned"
        return f"{self.site}-on-{self.scanners or 'own'}-{how}-seed{self.seed}-size{self.size}"


def prepared(cohort: Cohort, work: Path) -> Iterator[dict[str, Any]]:
    """What is kept of each person, made where it is not there yet."""
    for label, person in draw_people(cohort.site, cohort.seed, cohort.people, 0):
        path = work / cohort.name / f"{label}.npz"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            kept = _prepare(replace(person, scanners=cohort.scanners, changes=cohort.changes), cohort.size)
            with atomic_path(path) as temporary, open(temporary, "wb") as stream_out:
                np.savez_compressed(stream_out, **kept)
            print(f"prepared {cohort.name} {label}", flush=True)
        with np.load(path, allow_pickle=False) as kept:
            yield {"person": label, **{name: kept[name] for name in kept.files}}


def measured(kept: dict[str, Any], model: TrainedModel) -> tuple[list[dict[str, Any]], float]:
    """Rows of `change` with the true means and the MRI of each lesion, and the difference of NAWM.

    Rows also hold person, true_before, true_after (DVR before the scanner) and t1w_before, flair_after, ... (means over
    the lesion as a share of NAWM).
    """
    maps = [predict_patient(model, _aligned(kept, visit), False, False, print).mean(False) for visit in (0, 1)]
    space = HalfWay(kept["to_before"], kept["to_after"], tuple(kept["labels_0"].shape), kept["affine"])
    volumes = [Volume(image, kept[f"world_{visit}"], "map") for visit, image in enumerate(maps)]
    dvr = [np.where(kept["inside"], image, 0.0) for image in (space.before(volumes[0]), space.after(volumes[1]))]
    rows = lesion_changes((kept["labels_0"], kept["labels_1"]), (dvr[0], dvr[1]), space.affine)
    for index, row in enumerate(rows):
        row |= {"person": str(kept["person"]), "volume_mm3": max(row["volume_before_mm3"], row["volume_after_mm3"])}
        row |= {name: float(kept["features"][index, place]) for place, name in enumerate(FEATURES)}
    nawm = [float(image[kept["nawm"]].mean()) for image in dvr]
    return [row for row in rows if row["difference"] is not None], nawm[1] - nawm[0]


FEATURES = ("true_before", "true_after", *(f"{name}_{when}" for name in MRI for when in ("before", "after")))


def _prepare(person: Person, size: int) -> dict[str, Any]:
    visits = [_scan(person, visit, size) for visit in (1, 2)]
    fixed, moving = (visit["raw"]["t1w"] for visit in visits)
    matrix = register(fixed, moving, visits[0]["brain"], contrast="second visit's", reference="first visit's").matrix
    space = half_way(matrix, visits[0]["brain"], visits[1]["brain"], SPACING)
    onto = (space.before, space.after)
    labels = [onto[i](visit["labels"], "nearest").astype(np.int16) for i, visit in enumerate(visits)]
    brains = [onto[i](visit["brain"]) > 0.5 for i, visit in enumerate(visits)]
    white = [onto[i](visit["nawm"]) > 0.9 for i, visit in enumerate(visits)]
    inside, nawm = brains[0] & brains[1], white[0] & white[1]
    images = [onto[i](visit["true"]) for i, visit in enumerate(visits)]
    for name in MRI:
        for i, visit in enumerate(visits):
            image = onto[i](visit["aligned"].on_reference_grid(name))
            images.append(image / np.median(image[nawm]))
    means = []
    for match in match_lesions(labels[0], labels[1]):
        sides = [np.isin(side, ids) & (side > 0) for side, ids in zip(labels, (match.before, match.after))]
        union = (sides[0] | sides[1]) & inside
        means.append([float(image[union].mean()) if union.any() else np.nan for image in images])
    kept = {
        "to_before": space.to_before, "to_after": space.to_after, "affine": space.affine,
        "labels_0": labels[0], "labels_1": labels[1], "inside": inside, "nawm": nawm,
        "features": np.array(means, float).reshape(-1, len(FEATURES)),
    }  # fmt: skip
    for i, visit in enumerate(visits):
        aligned = visit["aligned"]
        kept |= {f"{name}_{i}": aligned.images[name].data for name in MRI}
        kept |= {f"world_{i}": aligned.images["t1w"].affine, f"flair_matrix_{i}": aligned.matrix("flair")}
        kept[f"brain_{i}"] = visit["brain"].data > 0.5
    return kept


def _scan(person: Person, visit: int, size: int) -> dict[str, Any]:
    """One visit: images as read, aligned patient, masks and the true DVR, in the head's place at that visit."""
    case, _scene = simulate_with_truth(person, visit, size, MRI)
    whole, lesions, _ = body(person, visit, size)
    with threadpool_limits(limits=1):
        true = true_dvr(whole, lesions, person.seed)
    world = _position(person.seed, visit) @ case.affine

    def volume(data: np.ndarray, name: str) -> Volume:
        return Volume(np.asarray(data, np.float32), world, name)

    images = {name: volume(case.volumes[name], name) for name in MRI}
    brain = volume(case.volumes["brain"], "brain")
    near = ndimage.binary_dilation(case.volumes["lesions"])
    labels, _volumes = label_lesions(case.volumes["lesions"], case.voxel_volume)
    return {
        "raw": images,
        "aligned": align_patient(images, brain),
        "brain": brain,
        "labels": volume(labels, "lesions"),
        "nawm": volume(ndimage.binary_erosion(case.volumes["white_matter"] & ~near), "NAWM"),
        "true": volume(true, "true DVR"),
    }


def _position(seed: int, visit: int) -> np.ndarray:
    """Where the head lies at a visit, 4x4 RAS mm; never as the atlas has it, or one visit would be resampled less."""
    random, place = stream(seed, "position", visit), np.eye(4)
    place[:3, :3] = Rotation.from_rotvec(random.normal(0.0, TURN_DEGREES, 3), degrees=True).as_matrix()
    place[:3, 3] = random.normal(0.0, SHIFT_MM, 3)
    return place


def _aligned(kept: dict[str, Any], visit: int) -> AlignedPatient:
    world = kept[f"world_{visit}"]
    images = {name: Volume(kept[f"{name}_{visit}"], world, name) for name in MRI}
    brain = Brain(Volume(kept[f"brain_{visit}"].astype(np.float32), world, "brain"), "given")
    flair = Registration(kept[f"flair_matrix_{visit}"], "rigid", 0.0, 1.0)
    return AlignedPatient(images, brain, {"flair": flair})


def options(description: str | None) -> argparse.ArgumentParser:
    """What the studies of two visits have in common."""
    chosen = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    chosen.add_argument("--model", default="demonstration", help="bundle folder, .zip or name")
    chosen.add_argument("--work", type=Path, required=True, help="folder in which prepared people are kept")
    chosen.add_argument("--people", type=int, default=12, help="of each cohort")
    chosen.add_argument("--seed", type=int, default=4711)
    return chosen
