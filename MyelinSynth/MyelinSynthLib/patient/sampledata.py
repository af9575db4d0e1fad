"""The sample patient that is part of the module: simulated, and loaded without internet."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import Any

import slicer

from ..errors import SynthesisError
from ..words import _
from .nodes import Patient

FOLDER = Path(__file__).resolve().parents[2] / "Resources" / "SamplePatient"
CATEGORY, NAME = "MyelinSynth", "MyelinSynth simulated patient"
FILES = ("T1w", "FLAIR", "lesions", "measured_DVR")  # keys in sample_patient.json, in the order of Patient
SIMULATED_ATTRIBUTE = "MyelinSynth.Simulated"


@functools.lru_cache(maxsize=1)
def _description() -> dict[str, Any]:
    try:
        return json.loads((FOLDER / "sample_patient.json").read_text(encoding="utf-8"))["Files"]
    except (OSError, ValueError, KeyError) as error:
        raise SynthesisError(_incomplete()) from error


def _incomplete() -> str:
    return _("The sample patient is missing or damaged in this installation of MyelinSynth. Reinstall the extension.")


def nodeNames() -> dict[str, str]:
    """Return the node name for each key in FILES; every name says "simulated"."""
    return {
        "T1w": _("Simulated patient T1w"),
        "FLAIR": _("Simulated patient FLAIR"),
        "lesions": _("Simulated patient lesions"),
        "measured_DVR": _("Simulated patient measured DVR"),
    }


def registerSampleData(sampleDataLogic: Any) -> None:
    """Offer the sample patient in the Sample Data module.

    The URIs are files of this installation; Sample Data copies them to its cache and checks their SHA-256.

    Args:
        sampleDataLogic: the class `SampleData.SampleDataLogic`.

    Raises:
        SynthesisError: the installation lacks the description of the sample patient.
    """
    files = _description()
    sampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=NAME,
        uris=[(FOLDER / files[key]["file"]).as_uri() for key in FILES],
        fileNames=[f"myelinsynth_{files[key]['file']}" for key in FILES],
        nodeNames=[nodeNames()[key] for key in FILES],
        checksums=[f"SHA256:{files[key]['sha256']}" for key in FILES],
        loadFileTypes=["VolumeFile"] * len(FILES),
        thumbnailFileName=str(FOLDER.parent / "Icons" / "MyelinSynth.png"),
    )


def loadSamplePatient() -> Patient:
    """Load the sample patient from the installation.

    Returns:
        Its nodes, with display nodes.

    Raises:
        SynthesisError: a file is missing or damaged; nodes loaded so far are removed.
    """
    nodes: list[Any] = []
    try:
        for key in FILES:
            nodes.append(_load(FOLDER / _description()[key]["file"], _description()[key]["sha256"], nodeNames()[key]))
    except BaseException:
        for node in nodes:
            slicer.mrmlScene.RemoveNode(node)
        raise
    for node in nodes:
        node.CreateDefaultDisplayNodes()
    return Patient(*nodes)


def _load(path: Path, sha256: str, name: str) -> Any:
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise SynthesisError(_incomplete())
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", slicer.mrmlScene.GenerateUniqueName(name))
    storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
    storage.SetFileName(str(path))
    storage.SetSingleFile(1)
    if not storage.ReadData(node) or node.GetImageData() is None:
        slicer.mrmlScene.RemoveNode(node)
        raise SynthesisError(_incomplete())
    node.SetAttribute(SIMULATED_ATTRIBUTE, "yes")
    node.SetDescription(_("Simulated patient. Research use only, not for diagnosis."))
    return node
