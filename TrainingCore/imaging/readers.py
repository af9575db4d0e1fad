"""Open image files of every format, with all checks that do not depend on the meaning of the voxels.

NIfTI, Analyze and MGH are read in nifti.py, NRRD and MetaImage in itk_formats.py, DICOM in dicom.py.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..runtime.errors import BadInput
from . import dicom
from .itk_formats import affine_of_sitk, read_itk
from .nifti import read_mgh, read_nifti
from .nifti_position import SHEAR_TOLERANCE, unit_scale
from .raw_image import MINIMUM_SLICES, RawImage, check_size, shear, shear_notes, to_three_dimensions

__all__ = [
    "MINIMUM_SLICES", "SHEAR_TOLERANCE", "RawImage", "affine_of_sitk", "check_size", "read_image", "shear",
    "shear_notes", "to_three_dimensions",
]  # fmt: skip

NIFTI = (".nii", ".nii.gz", ".hdr", ".img", ".hdr.gz", ".img.gz")
MGH = (".mgz", ".mgh")
ITK_FORMATS = (".nrrd", ".nhdr", ".mha", ".mhd")
FORMATS = "NIfTI (.nii, .nii.gz, .hdr/.img), FreeSurfer (.mgz), NRRD (.nrrd, .nhdr), MetaImage (.mha, .mhd) and DICOM"
SHEAR_LIMIT = 0.5  # 30 degrees: more than any gantry tilts (ours)


def read_image(path: Path, what: str) -> RawImage:
    """Open an image file, or a folder or file of DICOM.

    Args:
        path: file, whose ending gives the format; DICOM folder or file, with `#NUMBER` to choose a series.
        what: name of the input in messages, e.g. `T1w`.

    Returns:
        Voxels, affine and notes.

    Raises:
        BadInput: the file cannot be read, or its affine is invalid.
    """
    label = f"The {what} {path.name}"
    if is_dicom_choice(path):
        raw = dicom.read_dicom(path, what)
    else:
        raw = _read_file(path, _check_file(path, what), label)
    if not np.isfinite(raw.affine).all() or abs(np.linalg.det(raw.affine[:3, :3])) < 1e-12:
        raise BadInput(f"{label} has no valid position or orientation: its affine is broken. Export it again.")
    if shear(raw.affine) > SHEAR_LIMIT:
        raise BadInput(f"{label} has axes over 30 degrees from perpendicular: its header is broken. Export it again.")
    return raw


def _read_file(path: Path, ending: str, label: str) -> RawImage:
    if ending in NIFTI:
        return read_nifti(path, label)
    raw = read_mgh(path, label) if ending in MGH else read_itk(path, label)
    if raw.data.ndim < 3:
        return raw
    scale, notes = unit_scale(raw.affine, raw.data.shape, 1.0, "mm")
    return replace(raw, affine=np.diag([scale, scale, scale, 1.0]) @ raw.affine, notes=(*raw.notes, *notes))


def is_dicom_choice(path: Path) -> bool:
    """Check whether a path refers to DICOM: a folder or a file with DICOM's magic number, also with `#NUMBER`.

    Args:
        path: path as given by the user.
    """
    location, _number = dicom.split_choice(path)
    return location.is_dir() or (location.is_file() and dicom.is_dicom(location))


def _check_file(path: Path, what: str) -> str:
    """Return the ending of a file; raises BadInput if it is missing, a folder, empty or of an unknown format."""
    name = path.name.lower()
    label = f"The {what} {path.name}"
    if path.is_dir():
        raise BadInput(f"The {what} {path} is a folder. Give one image file.")
    if not path.exists():
        raise BadInput(f"The {what} {path} does not exist. Check the path.")
    known = sorted((*NIFTI, *MGH, *ITK_FORMATS), key=len, reverse=True)
    ending = next((ending for ending in known if name.endswith(ending)), None)
    if ending is None:
        raise BadInput(
            f"{label} has an unsupported format. Supported formats: {FORMATS}. Convert it first; for DICOM without its "
            "usual header, use dcm2niix."
        )
    try:
        with open(path, "rb") as stream:
            start = stream.read(2)
    except OSError as error:
        raise BadInput(f"{label} cannot be opened: {error.strerror}. Check its permissions.") from error
    if not start:
        raise BadInput(f"{label} is an empty file (0 bytes). Copy it again from its source.")
    return ending
