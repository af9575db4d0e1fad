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
    """The T1w that a map belongs to. Raises SynthesisError where it was deleted."""
    provenance.require(nodes, NEEDED)
    t1w = nodes["dvr"].GetNodeReference(provenance.T1W_REFERENCE)
    if t1w is None:
        raise SynthesisError(_("The T1w of this map is no longer in the scene. Load it again."))
    return t1w


def seriesFiles(t1w: Any) -> list[Path]:
    """The DICOM files that Slicer loaded a volume from; none where it did not, or they are gone."""
    database = getattr(slicer, "dicomDatabase", None)
    uids = (t1w.GetAttribute("DICOM.instanceUIDs") or "").split()
    if database is None or not uids:
        return []
    files = [Path(name) for name in (database.fileForInstance(uid) for uid in uids) if name]
    return files if len(files) == len(uids) and all(path.is_file() for path in files) else []


def ensureHighdicom() -> None:
    """Install highdicom after asking, where it is missing. Raises SynthesisError where it is declined or fails."""
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
    """Write one synthesis (nodes by role) as DICOM, rejected lesions left out.

    series: a folder, or the files of one series. Returns what people should know. Raises SynthesisError.
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
    """A folder with these files alone, since others of the study may lie beside them."""
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
