"""How each file format is opened, and everything that can be wrong with a file before its voxels mean anything.

NIfTI is read with nibabel (sform before qform, any handedness), NRRD and MetaImage with SimpleITK, DICOM in dicom.py.
"""

from __future__ import annotations

import gzip
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime.errors import BadInput

NIFTI = (".nii", ".nii.gz")
ITK_FORMATS = (".nrrd", ".nhdr", ".mha", ".mhd")
MAXIMUM_VOXELS = 2**28  # 645^3: 1 GB as float32, above any head MRI we know (ours)
MINIMUM_SLICES = 4  # fewer along any axis is a slice, not a volume (ours)
GZIP_BEST_RATIO = 1032  # the most that deflate can shrink (zlib technical details, Adler & Gailly)
SHEAR_TOLERANCE = 1e-3  # cosine between two axes; 0.06 degrees (ours)
TEXT_HEADER = 65536  # bytes that hold the header of any NRRD or MetaImage file
LARGEST_MM = 1e6  # of any number in a header that says where an image lies (ours)
SHEAR_LIMIT = 0.5  # 30 degrees: more than any gantry tilts (ours)
FORMS_TOLERANCE_MM = 1.0  # sform and qform further apart than this are reported (ours)
MM_PER_UNIT = {"meter": 1000.0, "micron": 0.001}


@dataclass(frozen=True)
class RawImage:
    """What a file holds: data of any dimension and type, affine voxel -> world RAS mm, notes for people, a name for
    messages where it is not the file's."""

    data: np.ndarray
    affine: np.ndarray
    notes: tuple[str, ...] = ()
    name: str = ""


def read(path: Path, what: str) -> RawImage:
    """Open a file in the format its name says, or a folder or file of DICOM. Raises BadInput."""
    label = f"The {what} {path.name}"
    if is_dicom_choice(path):
        from . import dicom

        raw = dicom.read(path, what)
    else:
        ending = check_file(path, what)
        raw = _read_nifti(path, label) if ending in NIFTI else _read_itk(path, label)
    if not np.isfinite(raw.affine).all() or abs(np.linalg.det(raw.affine[:3, :3])) < 1e-9:
        raise BadInput(f"{label} does not say where its voxels lie (its affine is broken). Export it again.")
    if shear(raw.affine) > SHEAR_LIMIT:
        raise BadInput(f"{label} has axes over 30 degrees from perpendicular: its header is broken. Export it again.")
    return raw


def is_dicom_choice(path: Path) -> bool:
    """Whether a path means DICOM: a folder, a file with DICOM's magic number, either with `#NUMBER` of a series."""
    from . import dicom

    place, _number = dicom.split_choice(path)
    return place.is_dir() or (place.is_file() and dicom.is_dicom(place))


def check_file(path: Path, what: str) -> str:
    """The ending of a file that exists, is no folder, is not empty and has a known format. Raises BadInput."""
    name = path.name.lower()
    label = f"The {what} {path.name}"
    if path.is_dir():
        raise BadInput(f"The {what} {path} is a folder. Give one image file.")
    if not path.exists():
        raise BadInput(f"The {what} {path} does not exist. Check the path.")
    ending = next((known for known in (".nii.gz", *NIFTI, *ITK_FORMATS) if name.endswith(known)), None)
    if ending is None:
        known = ", ".join((*NIFTI, *ITK_FORMATS))
        raise BadInput(
            f"{label} is of a format we do not read ({known} or DICOM). Convert it, DICOM without its usual header for "
            "instance with dcm2niix."
        )
    try:
        with open(path, "rb") as stream:
            start = stream.read(2)
    except OSError as error:
        raise BadInput(f"{label} cannot be opened: {error.strerror}. Check its permissions.") from error
    if not start:
        raise BadInput(f"{label} is an empty file (0 bytes). Copy it again from its source.")
    if ending == ".nii.gz" and start != b"\x1f\x8b":
        raise BadInput(f"{label} is not a gzip file though its name says so. Download or export it again.")
    return ending


def to_three_dimensions(data: np.ndarray, label: str) -> np.ndarray:
    """Drop axes of length one beyond the third; refuse series, colours, complex numbers and slices.

    data: as a file holds it; returns (I, J, K). Raises BadInput naming `label`.
    """
    if data.dtype.kind not in "biuf":
        raise BadInput(f"{label} does not hold grey values (its type is {data.dtype}). Give a scalar image.")
    if data.ndim > 3:
        extra = int(np.prod(data.shape[3:]))
        if extra != 1:
            raise BadInput(f"{label} is 4D: it holds {extra} volumes of {_times(data.shape[:3])}. Give one of them.")
        data = data.reshape(data.shape[:3])
    if data.ndim < 3 or min(data.shape) < MINIMUM_SLICES:
        raise BadInput(f"{label} is a slice, not a volume ({_times(data.shape)} voxels). Give the whole 3D series.")
    return data


def shear(affine: np.ndarray) -> float:
    """The largest cosine between two axes of a grid: 0 where they are perpendicular. affine: 4x4, voxel -> world."""
    axes = np.asarray(affine, float)[:3, :3]
    axes = axes / np.linalg.norm(axes, axis=0)
    return float(np.abs(axes.T @ axes - np.eye(3)).max())


def shear_notes(affine: np.ndarray) -> tuple[str, ...]:
    """What to tell of a grid whose axes are not perpendicular. affine: 4x4, voxel -> world mm."""
    if shear(affine) <= SHEAR_TOLERANCE:
        return ()
    degrees = np.degrees(np.arcsin(min(shear(affine), 1.0)))
    return (f"has axes that are not perpendicular, by {degrees:.1f} degrees (tilted or sheared); kept as it is",)


def affine_of_sitk(image: Any) -> np.ndarray:
    """Voxel -> world RAS mm of a SimpleITK image or file reader. Returns 4x4."""
    lps = np.eye(4)
    lps[:3, :3] = np.reshape(image.GetDirection(), (image.GetDimension(), -1))[:3, :3] * image.GetSpacing()[:3]
    lps[:3, 3] = image.GetOrigin()[:3]
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps


def check_size(shape: tuple[int, ...], itemsize: int, stored: int | None, compressed: bool, label: str) -> None:
    """Refuse a header that promises more voxels than the file can hold or than any head MRI has.

    stored: bytes of the file that holds the voxels (None where unknown). Raises BadInput.
    """
    count = 1
    for n in shape:
        count *= int(n)
    if count <= 0:
        raise BadInput(f"{label} has no voxels ({_times(shape)}). Export it again from its source.")
    if stored is not None and count * itemsize > stored * (GZIP_BEST_RATIO if compressed else 1):
        raise BadInput(
            f"{label} is incomplete: its header promises {_times(shape)} voxels, but the file has only {stored} bytes. "
            "Copy it again from its source."
        )
    if count > MAXIMUM_VOXELS:
        raise BadInput(f"{label} is too large ({_times(shape)} voxels). Crop it to the head or resample it to 0.5 mm.")


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(str(int(n)) for n in shape)


def _read_nifti(path: Path, label: str) -> RawImage:
    import nibabel as nib

    compressed = path.name.lower().endswith(".gz")
    try:
        image = nib.load(path)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"{label} is a truncated or damaged .gz file. Copy it again from its source.") from error
    except (
        nib.filebasedimages.ImageFileError, nib.spatialimages.HeaderDataError, ValueError, OSError, OverflowError
    ) as error:  # fmt: skip
        raise BadInput(f"{label} is not a NIfTI file. Check what it is, or export it again.") from error
    if not isinstance(image, nib.nifti1.Nifti1Pair):
        raise BadInput(f"{label} is a {type(image).__name__}, not a NIfTI volume. Give the volume it was made from.")
    header = image.header
    try:
        itemsize = header.get_data_dtype().itemsize
        scale = MM_PER_UNIT.get(header.get_xyzt_units()[0], 1.0)
        affine = np.diag([scale, scale, scale, 1.0]) @ np.asarray(image.affine, float)
        notes = _nifti_notes(image, affine)
    except (nib.spatialimages.HeaderDataError, KeyError, ValueError, np.linalg.LinAlgError) as error:
        raise BadInput(f"{label} has a broken header (type, units or place). Export it again.") from error
    check_size(image.shape, itemsize, path.stat().st_size, compressed, label)
    try:
        data = np.asanyarray(image.dataobj)
    except (EOFError, zlib.error, OSError, ValueError) as error:
        kind = "a truncated or damaged .gz file" if compressed else "truncated or damaged"
        raise BadInput(f"{label} is {kind}. Copy it again from its source.") from error
    return RawImage(data, affine, notes)


def _nifti_notes(image: Any, affine: np.ndarray) -> tuple[str, ...]:
    notes = []
    header = image.header
    q_code, s_code = int(header["qform_code"]), int(header["sform_code"])
    if q_code == 0 and s_code == 0:
        notes.append("says nothing about its orientation; left and right may be swapped")
    notes += shear_notes(affine)
    if q_code and s_code and shear(affine) <= SHEAR_TOLERANCE:
        ends = np.array([[i, j, k, 1.0] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
        ends[:, :3] *= np.array(image.shape[:3]) - 1 if len(image.shape) >= 3 else 0
        gap = np.linalg.norm((ends @ (header.get_qform() - header.get_sform()).T)[:, :3], axis=1).max()
        if gap > FORMS_TOLERANCE_MM:
            notes.append(f"has a qform and a sform that differ by up to {gap:.0f} mm; the sform was used")
    return tuple(notes)


def _read_itk(path: Path, label: str) -> RawImage:
    import SimpleITK as sitk

    _check_dimension(path, label)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise BadInput(
            f"{label} is not a readable {path.suffix[1:].upper()} file. Check it, or export it again."
        ) from error
    if reader.GetNumberOfComponents() != 1:
        raise BadInput(
            f"{label} is 4D or in colour: every voxel has {reader.GetNumberOfComponents()} values. Give a scalar image."
        )
    geometry = np.array([*reader.GetDirection(), *reader.GetSpacing(), *reader.GetOrigin()])
    if not np.all(np.abs(geometry) < LARGEST_MM):  # ITK computes for ever on some of these
        raise BadInput(f"{label} does not say where its voxels lie (its header is broken). Export it again.")
    itemsize = np.dtype(_numpy_type(reader.GetPixelID(), label)).itemsize
    stored, compressed = _stored_bytes(path, label)
    check_size(reader.GetSize(), itemsize, stored, compressed, label)
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise BadInput(f"{label} is truncated or damaged. Copy it again from its source.") from error
    if image.GetDimension() < 3:
        raise BadInput(
            f"{label} is a slice, not a volume ({_times(image.GetSize())} voxels). Give the whole 3D series."
        )
    affine = affine_of_sitk(image)
    return RawImage(sitk.GetArrayFromImage(image).T, affine, shear_notes(affine))


def _check_dimension(path: Path, label: str) -> None:
    """Refuse a text header without one plain number of dimensions: ITK's MetaImage reader dies of some others."""
    with open(path, "rb") as stream:
        text = stream.read(TEXT_HEADER).decode("latin-1")
    name = r"NDims\s*=" if path.suffix.lower() in (".mha", ".mhd") else r"dimension\s*:"
    found = re.findall(rf"^\s*{name}[ \t]*(.*?)[ \t\r]*$", text, re.MULTILINE | re.IGNORECASE)
    if len(found) != 1 or found[0] not in ("2", "3", "4", "5"):
        raise BadInput(f"{label} does not say how many dimensions it has: its header is broken. Export it again.")


def _numpy_type(pixel_id: int, label: str) -> type:
    import SimpleITK as sitk

    types = {
        sitk.sitkInt8: np.int8, sitk.sitkUInt8: np.uint8, sitk.sitkInt16: np.int16, sitk.sitkUInt16: np.uint16,
        sitk.sitkInt32: np.int32, sitk.sitkUInt32: np.uint32, sitk.sitkInt64: np.int64, sitk.sitkUInt64: np.uint64,
        sitk.sitkFloat32: np.float32, sitk.sitkFloat64: np.float64,
    }  # fmt: skip
    if pixel_id not in types:
        raise BadInput(f"{label} does not hold grey values. Give a scalar image.")
    return types[pixel_id]


def _stored_bytes(path: Path, label: str) -> tuple[int | None, bool]:
    """Size of the file that holds the voxels, and whether they are compressed; size None for lists of files."""
    with open(path, "rb") as stream:
        text = stream.read(TEXT_HEADER).decode("latin-1")
    name = re.search(r"^(?:ElementDataFile\s*=|data ?file\s*:)\s*(.+?)\s*$", text, re.MULTILINE | re.IGNORECASE)
    compressed = bool(
        re.search(r"^(?:CompressedData\s*=\s*True|encoding:\s*(?:gz|gzip|bz2|bzip2))\s*$", text, re.M | re.I)
    )
    if name is None or name[1].upper() == "LOCAL":
        return path.stat().st_size, compressed
    if name[1].upper().startswith("LIST") or "%" in name[1]:
        return None, compressed
    data = path.parent / name[1]
    if not data.is_file():
        raise BadInput(f"{label} keeps its voxels in {name[1]}, which is not beside it. Copy both files together.")
    return data.stat().st_size, compressed
