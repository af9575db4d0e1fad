"""Reading what belongs to one patient, and everything that can be said about it before the slow steps begin."""

from __future__ import annotations

import json
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..data.bundle import Bundle
from ..data.case import ALL_MRI, reference_of, word_of
from ..data.inputs import option_of
from ..imaging.checks import check_different_images, refuse_label_map
from ..imaging.placement import in_one_world, place, refuse_lost_header
from ..imaging.reading import read_named
from ..imaging.transforms import read_transform as read_itk
from ..imaging.volumes import Volume, content_sha256
from ..imaging.working_grid import grid_only, is_fine, working_copy
from ..runtime.errors import BadInput
from ..runtime.files import sha256


@dataclass
class PatientImages:
    """What was given: volumes as read, transforms where they were given, warnings, and facts for the provenance.

    images: MRI by volume name; transforms: by image, 4x4 RAS mm, a point of T1w space -> the point of the image that
    shows it; images without one are registered. simulated: whether a file beside an image says that a phantom made it;
    made: what a model made; grids: own grids of images that are worked on at about 1 mm.
    """

    images: dict[str, Volume]
    lesions: Volume | None = None
    dvr: Volume | None = None
    brain: Volume | None = None
    label_map: Volume | None = None
    transforms: dict[str, np.ndarray] = field(default_factory=dict)
    simulated: bool = False
    made: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    grids: dict[str, Volume] = field(default_factory=dict)

    def work_on_about_1_mm(self) -> None:
        """Replace images that are finer than the steps need by means of blocks; `grids` keeps their own grids."""
        for name, image in self.images.items():
            if is_fine(image):
                self.grids[name], self.images[name] = grid_only(image), working_copy(image)

    @property
    def own_grids(self) -> dict[str, Volume]:
        """Every image, with its own grid (and no values where it was replaced by means of blocks)."""
        return self.images | self.grids

    @property
    def reference(self) -> str:
        """Name of the image whose grid the results lie on: the T1w, or what `reference_of` takes for it."""
        return reference_of(self.images) or next(iter(self.images))

    def anonymous_warnings(self) -> list[str]:
        """The warnings without file names, which may name a person: for what is kept and passed on."""
        volumes = (*self.images.values(), self.lesions, self.dvr, self.brain, self.label_map)
        names = sorted({volume.name for volume in volumes if volume is not None and volume.name}, key=len, reverse=True)
        sentences = []
        for sentence in self.warnings:
            for name in names:
                sentence = sentence.replace(f" {name}", "")
            sentences.append(sentence)
        return sentences


def read_patient(
    files: Mapping[str, Path], bundle: Bundle, transforms: Mapping[str, str] | None = None, completed: bool = False
) -> PatientImages:
    """Read every file that was given.

    Args:
        files: by volume name: MRI, `lesions`, `dvr`, `brain`, `label_map`.
        bundle: the model that the patient is read for.
        transforms: `identity` or an ITK transform file by image, for those that need no registration.
        completed: whether another model fills in a missing FLAIR.

    Returns:
        The volumes as read, with warnings and facts.

    Raises:
        BadInput: a file is missing or cannot be used; one sentence.
    """
    paths = dict(files)
    check_complete(paths, bundle, completed)
    read = in_one_world({name: read_named(path, name) for name, path in paths.items()}, reference_of(paths))
    images = {name: volume for name, volume in read.items() if name in ALL_MRI}
    for name, image in images.items():
        refuse_label_map(image, word_of(name))
    patient = PatientImages(
        images,
        lesions=read.get("lesions"),
        dvr=read.get("dvr"),
        brain=read.get("brain"),
        label_map=read.get("label_map"),
        simulated=any(says_simulated(path) for path in paths.values()),
    )
    for name, volume in read.items():
        patient.warnings += [f"The {word_of(name)} {volume.name} {note}." for note in volume.notes]
    same = check_different_images(images["t1w"], images["flair"]) if {"t1w", "flair"} <= set(images) else ""
    if same:
        patient.warnings.append(same)
    patient.transforms = {name: read_transform(given) for name, given in (transforms or {}).items()}
    patient.facts = {
        name: {
            "sha256": sha256(paths[name]) if paths[name].is_file() else content_sha256(volume),
            "shape": list(volume.data.shape),
            "spacing_mm": [round(float(mm), 4) for mm in volume.spacing],
        }
        for name, volume in read.items()
    }
    check_places(patient)
    if bundle.description["output"] == "dvr":
        patient.work_on_about_1_mm()
    return patient


def check_places(patient: PatientImages) -> None:
    """Raise BadInput where a mask or map has lost its header, before anything slow begins."""
    if patient.lesions is not None:
        place(patient.lesions, "lesion mask", patient.images, patient.reference)
    if patient.dvr is not None:
        refuse_lost_header(patient.dvr, "measured DVR", {patient.reference: patient.images[patient.reference]})


def check_complete(given: Container[str], bundle: Bundle, completed: bool) -> None:
    """Raise BadInput where an image is missing that the model needs, or the T1w that a myelin map lies on."""
    about = bundle.description
    needed = [*about["inputs"], *(["t1w"] if about["output"] == "dvr" else [])]
    missing = [name for name in dict.fromkeys(needed) if name not in given]
    if completed and "t1w" in given:
        missing = [name for name in missing if name != "flair"]
    if not missing:
        return
    wanted = " and ".join(f"the {word_of(name)} ({option_of(name)})" for name in missing)
    hint = ""
    if missing == ["flair"]:
        hint = ", or a model that makes one from the T1w with --complete-with (the map is marked as resting on it)"
    raise BadInput(f"The model {about['name']} needs {wanted}. Give {'them' if len(missing) > 1 else 'it'}{hint}.")


def says_simulated(image: Path) -> bool:
    """Whether the BIDS sidecar of an image (same name, .json) says that it is simulated."""
    sidecar = image.with_name(image.name.split(".")[0] + ".json")
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # no sidecar, or one that is not ours to judge
    return isinstance(content, dict) and content.get("Simulated") is True


def read_transform(given: str) -> np.ndarray:
    """`identity`, or the 4x4 (RAS mm) of a linear ITK transform file. Raises BadInput."""
    return np.eye(4) if given == "identity" else read_itk(given)
