"""Map, lesions and table as DICOM for a PACS, derived from the T1w's series, by TrainingCore's own functions."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from ..errors import SynthesisError
from ..run.childprocess import importTrainingCore
from ..scene import provenance
from ..scene.geometry import ijkToRas
from ..words import _
from .files import NEEDED, writeResult

PACKAGE = "highdicom>=0.28"


def t1wOf(nodes: dict[str, Any]) -> Any:
    """Return the T1w volume that a myelin map was computed from.

    Args:
        nodes: nodes of one synthesis by role (`provenance.sameRun`).

    Returns:
        The vtkMRMLScalarVolumeNode that the map refers to.

    Raises:
        SynthesisError: the T1w, or a node that a Result needs, is no longer in the scene.
    """
    provenance.require(nodes, NEEDED)
    t1w = nodes["dvr"].GetNodeReference(provenance.T1W_REFERENCE)
    if t1w is None:
        raise SynthesisError(_("The T1w of this map is no longer in the scene. Load it again."))
    return t1w


def seriesFiles(t1w: Any) -> list[Path]:
    """List the DICOM files that a volume was loaded from.

    Args:
        t1w: scalar volume; Slicer's DICOM module notes the instance UIDs on it.

    Returns:
        The files, in the order of the instances; empty if the volume was not loaded from the DICOM database, or if one
        of its files no longer exists.
    """
    database = getattr(slicer, "dicomDatabase", None)
    uids = (t1w.GetAttribute("DICOM.instanceUIDs") or "").split()
    if database is None or not uids:
        return []
    files = [Path(name) for name in (database.fileForInstance(uid) for uid in uids) if name]
    return files if len(files) == len(uids) and all(path.is_file() for path in files) else []


def ensureHighdicom() -> None:
    """Install highdicom after asking, unless it can be imported already.

    Raises:
        SynthesisError: the user declined, or pip failed.
    """
    if find_spec("highdicom") is not None:
        return
    question = _("DICOM output needs the Python package highdicom. Download it and install it into Slicer?")
    if slicer.app.testingEnabled() or not slicer.util.confirmOkCancelDisplay(question, windowTitle=_("MyelinSynth")):
        raise SynthesisError(_("highdicom was not installed, so no DICOM was written."))
    try:
        slicer.util.pip_install(PACKAGE)
    except Exception as error:  # pip fails in many ways, and Slicer's own error has no class of its own
        text = _("highdicom could not be installed ({cause}). Check the internet connection.")
        raise SynthesisError(text.format(cause=error)) from error
    invalidate_caches()


def writeDicom(nodes: dict[str, Any], series: Sequence[Path], target: Path) -> list[str]:
    """Write one synthesis as DICOM objects derived from the T1w's series; rejected lesions are left out.

    Args:
        nodes: nodes of one synthesis by role.
        series: the T1w's DICOM files, or a single folder that holds them.
        target: folder to write, replaced if it exists.

    Returns:
        Sentences the user should read, such as whom the files name.

    Raises:
        SynthesisError: a node is missing, the series does not match the T1w, or a file cannot be written.
    """
    importTrainingCore()
    from TrainingCore.data.result import Result
    from TrainingCore.imaging.volumes import Volume
    from TrainingCore.reporting.dicom.export import dicom_of_result
    from TrainingCore.reporting.dicom.reference import read_reference
    from TrainingCore.runtime.errors import MyelinSynthError

    t1w = t1wOf(nodes)
    voxels = np.asarray(slicer.util.arrayFromVolume(t1w), np.float32).transpose(2, 1, 0)
    with tempfile.TemporaryDirectory(prefix="myelinsynth-dicom-") as scratch:
        try:
            writeResult(nodes, Path(scratch) / "result")
            reference = read_reference(_oneFolder(series, Path(scratch) / "series"))
            volume = Volume(voxels, ijkToRas(t1w))
            return list(dicom_of_result(Result.open(Path(scratch) / "result"), reference, volume, target).notes)
        except (MyelinSynthError, OSError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise SynthesisError(reason) from error


def _oneFolder(series: Sequence[Path], folder: Path) -> Path:
    """Return a folder that holds only these files: others of the study may lie beside them."""
    if len(series) == 1 and not series[0].is_file():
        return series[0]
    folder.mkdir()
    for number, path in enumerate(series):
        target = folder / f"{number:05d}.dcm"
        try:
            os.link(path, target)
        except OSError:  # another disk, or one without hard links
            shutil.copyfile(path, target)
    return folder
