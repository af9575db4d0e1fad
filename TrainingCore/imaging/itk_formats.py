"""Read NRRD and MetaImage with SimpleITK, after checks of their text headers that ITK lacks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime.errors import BadInput
from .itk_paths import path_for_itk
from .raw_image import RawImage, check_size, shear_notes, times

TEXT_HEADER = 65536  # bytes that hold the header of any NRRD or MetaImage file
LARGEST_MM = 1e6  # of any position or direction in a header (ours)


def read_itk(path: Path, label: str) -> RawImage:
    """Read an NRRD or MetaImage file.

    Args:
        path: file or detached header.
        label: name of the file in messages.

    Returns:
        Its voxels and affine.

    Raises:
        BadInput: the file is damaged, or not a 3D image with one value per voxel.
    """
    with path_for_itk(path) as readable:
        return _read(readable, label)


def _read(path: Path, label: str) -> RawImage:
    import SimpleITK as sitk

    _check_dimension(path, label)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)  # ITK's warnings are nothing for people to read
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise BadInput(
            f"{label} is not a readable {path.suffix[1:].upper()} file. Check it, or export it again."
        ) from error
    if reader.GetNumberOfComponents() != 1:
        raise BadInput(_several_values(reader, label))
    geometry = np.array([*reader.GetDirection(), *reader.GetSpacing(), *reader.GetOrigin()])
    if not np.all(np.abs(geometry) < LARGEST_MM):  # ITK computes for ever on some of these
        raise BadInput(f"{label} has no valid position or orientation: its header is broken. Export it again.")
    itemsize = np.dtype(_numpy_type(reader.GetPixelID(), label)).itemsize
    stored, compressed = _stored_bytes(path, label)
    check_size(reader.GetSize(), itemsize, stored, compressed, label)
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise BadInput(f"{label} is truncated or damaged. Copy it again from its source.") from error
    if image.GetDimension() < 3:
        raise BadInput(f"{label} is a slice, not a volume ({times(image.GetSize())} voxels). Give the whole 3D series.")
    affine = affine_of_sitk(image)
    return RawImage(sitk.GetArrayFromImage(image).T, affine, shear_notes(affine))


def _several_values(reader: Any, label: str) -> str:
    """Return the message for voxels of several values: overlapping segments of 3D Slicer, a series, or colours."""
    count = reader.GetNumberOfComponents()
    named = [key for key in reader.GetMetaDataKeys() if re.fullmatch(r"Segment\d+_Name", key)]
    if named or label.lower().endswith(".seg.nrrd"):
        names = ", ".join(reader.GetMetaData(key) for key in named)
        return (
            f"{label} holds {count} layers of overlapping segments{f' ({names})' if names else ''}. Export the segment "
            "of the lesions alone, in 3D Slicer for instance with Segmentations > Export to files."
        )
    return f"{label} is 4D or in colour: every voxel has {count} values. Give a scalar image."


def affine_of_sitk(image: Any) -> np.ndarray:
    """Compute the affine of a SimpleITK image or file reader.

    Args:
        image: SimpleITK image or ImageFileReader (LPS mm).

    Returns:
        4x4, voxel -> world RAS mm.
    """
    lps = np.eye(4)
    lps[:3, :3] = np.reshape(image.GetDirection(), (image.GetDimension(), -1))[:3, :3] * image.GetSpacing()[:3]
    lps[:3, 3] = image.GetOrigin()[:3]
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ lps


def _check_dimension(path: Path, label: str) -> None:
    """Refuse a text header without one plain number of dimensions: ITK's MetaImage reader crashes on some others."""
    with open(path, "rb") as stream:
        text = stream.read(TEXT_HEADER).decode("latin-1")
    name = r"NDims\s*=" if path.suffix.lower() in (".mha", ".mhd") else r"dimension\s*:"
    values = re.findall(rf"^\s*{name}[ \t]*(.*?)[ \t\r]*$", text, re.MULTILINE | re.IGNORECASE)
    if len(values) != 1 or values[0] not in ("2", "3", "4", "5"):
        raise BadInput(f"{label} has no valid number of dimensions: its header is broken. Export it again.")


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
        raise BadInput(
            f"{label} stores its voxels in {name[1]}, which is missing from the folder. Copy both files together."
        )
    return data.stat().st_size, compressed
