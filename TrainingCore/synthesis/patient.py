"""Reading what belongs to one patient, and everything that can be said about it before the slow steps begin."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..bundle import Bundle
from ..case import MRI
from ..errors import BadInput
from ..files import sha256
from ..imaging import transforms
from ..imaging.checks import check_different_images, refuse_label_map
from ..imaging.volumes import Volume, content_sha256, read_volume


@dataclass
class Patient:
    """What was given: volumes as read, a transform where one was given, warnings, and facts for the provenance.

    flair_to_t1: 4x4 RAS mm, a point of T1w space -> the point of the FLAIR that shows it; None: to be found.
    simulated: whether a file beside an image says that a phantom made it.
    """

    t1w: Volume
    flair: Volume
    lesions: Volume | None = None
    dvr: Volume | None = None
    brain: Volume | None = None
    flair_to_t1: np.ndarray | None = None
    simulated: bool = False
    warnings: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def anonymous_warnings(self) -> list[str]:
        """The warnings without file names, which may name a person: for what is kept and passed on."""
        volumes = (self.t1w, self.flair, self.lesions, self.dvr, self.brain)
        names = sorted({volume.name for volume in volumes if volume is not None and volume.name}, key=len, reverse=True)
        sentences = []
        for sentence in self.warnings:
            for name in names:
                sentence = sentence.replace(f" {name}", "")
            sentences.append(sentence)
        return sentences


def read_patient(options: argparse.Namespace, bundle: Bundle) -> Patient:
    """Read every file that was given. Raises BadInput with one sentence where one cannot be used."""
    unknown = [name for name in bundle.description["inputs"] if name not in MRI]
    if unknown:
        raise BadInput(f"The model {bundle.path} needs {', '.join(unknown)}, which synthesize does not read.")
    paths = {"t1w": options.t1, "flair": options.flair, "lesions": options.lesions, "dvr": options.dvr}
    paths["brain"] = options.brain_mask
    words = {"t1w": "T1w", "flair": "FLAIR", "lesions": "lesion mask", "dvr": "measured DVR", "brain": "brain mask"}
    read = {
        name: read_volume(path, words[name], mask=name in {"lesions", "brain"})
        for name, path in paths.items()
        if path is not None
    }
    for name in MRI:
        refuse_label_map(read[name], words[name])
    patient = Patient(**read, simulated=any(says_simulated(path) for path in paths.values() if path is not None))
    for name, volume in read.items():
        patient.warnings += [f"The {words[name]} {volume.name} {note}." for note in volume.notes]
    same = check_different_images(patient.t1w, patient.flair)
    if same:
        patient.warnings.append(same)
    if options.flair_to_t1 is not None:
        patient.flair_to_t1 = read_transform(options.flair_to_t1)
    patient.facts = {
        name: {
            "sha256": sha256(paths[name]) if paths[name].is_file() else content_sha256(volume),
            "shape": list(volume.data.shape),
            "spacing_mm": [round(float(mm), 4) for mm in volume.spacing],
        }
        for name, volume in read.items()
    }
    return patient


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
    return np.eye(4) if given == "identity" else transforms.read_transform(given)
