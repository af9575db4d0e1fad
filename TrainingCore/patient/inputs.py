"""Read the images of one patient and run all checks that do not need the slow processing steps."""

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
from ..imaging.placement import in_reference_world, place, refuse_lost_header
from ..imaging.reading import read_named
from ..imaging.transforms import read_transform as read_itk
from ..imaging.volumes import Volume, content_sha256
from ..imaging.working_grid import grid_only, is_fine, working_copy
from ..runtime.errors import BadInput
from ..runtime.files import is_alone, sha256


@dataclass
class PatientImages:
    """Input images of a patient, with warnings and facts for the provenance.

    Attributes:
        images: MRI by volume name.
        lesions: lesion mask, or None.
        lesion_space: BIDS name of the image that the mask was drawn on; None: see `placement.place`.
        dvr: measured DVR, or None.
        brain: brain mask, or None.
        label_map: tissue label map, or None.
        transforms: 4x4 RAS mm by image, mapping points of T1w space to points of the image; images without a
            transform are registered.
        simulated: whether a BIDS sidecar marks an image as simulated.
        generated: inputs that a model generated (`flair`, `lesions`).
        warnings: sentences for the report.
        facts: SHA-256, shape and spacing of each file.
        grids: original grids of images that are processed at about 1 mm.
    """

    images: dict[str, Volume]
    lesions: Volume | None = None
    dvr: Volume | None = None
    brain: Volume | None = None
    label_map: Volume | None = None
    transforms: dict[str, np.ndarray] = field(default_factory=dict)
    simulated: bool = False
    generated: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    grids: dict[str, Volume] = field(default_factory=dict)
    lesion_space: str | None = None

    def work_on_about_1_mm(self) -> None:
        """Downsample images finer than needed by block averaging; `grids` keeps their original grids."""
        for name, image in self.images.items():
            if is_fine(image):
                self.grids[name], self.images[name] = grid_only(image), working_copy(image)

    @property
    def own_grids(self) -> dict[str, Volume]:
        """Every image with its original grid (without values if it was downsampled)."""
        return self.images | self.grids

    @property
    def reference(self) -> str:
        """Name of the image whose grid the results are on: the T1w or its substitute, see `reference_of`."""
        return reference_of(self.images) or next(iter(self.images))

    def anonymous_warnings(self) -> list[str]:
        """The warnings without file names, which may identify a person, for reports and provenance."""
        volumes = (*self.images.values(), self.lesions, self.dvr, self.brain, self.label_map)
        names = sorted({volume.name for volume in volumes if volume is not None and volume.name}, key=len, reverse=True)
        sentences = []
        for sentence in self.warnings:
            for name in names:
                sentence = sentence.replace(f" {name}", "")
            sentences.append(sentence)
        return sentences


def read_patient(
    files: Mapping[str, Path],
    bundle: Bundle,
    transforms: Mapping[str, str] | None = None,
    completed: bool = False,
    lesion_space: str | None = None,
) -> PatientImages:
    """Read and check the files of a patient.

    Args:
        files: file by volume name: MRI, `lesions`, `dvr`, `brain`, `label_map`.
        bundle: model that will be used.
        transforms: `identity` or an ITK transform file by image, for images that need no registration.
        completed: whether another model will fill in a missing FLAIR.
        lesion_space: BIDS name of the image that the lesion mask was drawn on; None to take it from name and grid.

    Returns:
        The images, with warnings and facts.

    Raises:
        BadInput: a file is missing or cannot be used.
    """
    paths = dict(files)
    _check_complete(paths, bundle, completed)
    read = in_reference_world({name: read_named(path, name) for name, path in paths.items()}, reference_of(paths))
    images = {name: volume for name, volume in read.items() if name in ALL_MRI}
    for name, image in images.items():
        refuse_label_map(image, word_of(name))
    patient = PatientImages(
        images,
        lesions=read.get("lesions"),
        dvr=read.get("dvr"),
        brain=read.get("brain"),
        label_map=read.get("label_map"),
        simulated=any(_is_marked_simulated(path) for path in paths.values()),
        lesion_space=lesion_space,
    )
    for name, volume in read.items():
        patient.warnings += [f"The {word_of(name)} {volume.name} {note}." for note in volume.notes]
    same = check_different_images(images["t1w"], images["flair"]) if {"t1w", "flair"} <= set(images) else ""
    if same:
        patient.warnings.append(same)
    patient.transforms = {name: transform_or_identity(source) for name, source in (transforms or {}).items()}
    patient.facts = {
        name: {
            "sha256": sha256(paths[name]) if is_alone(paths[name]) else content_sha256(volume),
            "shape": list(volume.data.shape),
            "spacing_mm": [round(float(mm), 4) for mm in volume.spacing],
        }
        for name, volume in read.items()
    }
    _check_headers(patient)
    if bundle.description["output"] == "dvr":
        patient.work_on_about_1_mm()
    return patient


def _check_headers(patient: PatientImages) -> None:
    """Raise BadInput if a mask or map has lost its header, before the slow steps start."""
    if patient.lesions is not None:
        place(patient.lesions, "lesion mask", patient.images, patient.reference, patient.lesion_space)
    if patient.dvr is not None:
        refuse_lost_header(patient.dvr, "measured DVR", {patient.reference: patient.images[patient.reference]})


def _check_complete(available: Container[str], bundle: Bundle, completed: bool) -> None:
    """Raise BadInput if an input of the model is missing, or the T1w that defines the grid of a myelin map.

    Args:
        available: names of the available volumes.
        bundle: the model.
        completed: whether another model will fill in a missing FLAIR.
    """
    about = bundle.description
    needed = [*about["inputs"], *(["t1w"] if about["output"] == "dvr" else [])]
    missing = [name for name in dict.fromkeys(needed) if name not in available]
    if completed and "t1w" in available:
        missing = [name for name in missing if name != "flair"]
    if not missing:
        return
    images = " and ".join(f"the {word_of(name)} ({option_of(name)})" for name in missing)
    hint = ""
    if missing == ["flair"]:
        hint = ", or synthesize it from the T1w with --complete-with MODEL (the result is flagged)"
    raise BadInput(f"The model {about['name']} needs {images}. Give {'them' if len(missing) > 1 else 'it'}{hint}.")


def _is_marked_simulated(image: Path) -> bool:
    """Check whether the BIDS sidecar of an image (same name, .json) marks it as simulated."""
    sidecar = image.with_name(image.name.split(".")[0] + ".json")
    try:
        content = json.loads(sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False  # no sidecar, or an invalid one, which is not checked at this point
    return isinstance(content, dict) and content.get("Simulated") is True


def transform_or_identity(source: str) -> np.ndarray:
    """Read a transform.

    Args:
        source: `identity`, or a linear ITK transform file.

    Returns:
        4x4 matrix, RAS mm.

    Raises:
        BadInput: the file is missing or not a linear transform.
    """
    return np.eye(4) if source == "identity" else read_itk(source)
