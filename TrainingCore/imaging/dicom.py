"""DICOM: a series, or the one among many that is wanted, as a volume in the world.

Headers are read with pydicom. Uncompressed voxels are taken straight from the file; compressed ones (JPEG, JPEG-LS,
JPEG 2000, RLE) are decoded by GDCM, which comes with SimpleITK, from a copy that holds nothing but the pixels.
"""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime.errors import BadInput
from ..runtime.files import scratch
from . import readers
from .dicom_choice import choose, contrast_of, describe
from .dicom_headers import Folder, Frame, Stack, is_dicom, quiet_pydicom, read_header, scan

__all__ = ["contrast_of", "describe", "is_dicom", "read", "scan", "split_choice"]

UNEVEN = 0.05  # of the slice distance: a slice further than this from its even place is refused (ours)
SAME_PLACE = 0.1  # of the slice distance: two slices nearer than this lie at one place (ours)
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
PIXEL_TAGS = (
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel",
    "PhotometricInterpretation", "NumberOfFrames", "PixelData",
)  # fmt: skip
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def split_choice(path: Path) -> tuple[Path, str | None]:
    """A path and the series number after its last `#`, unless a file or folder has that very name."""
    head, mark, number = path.name.rpartition("#")
    if path.exists() or not mark or not head:
        return path, None
    return path.with_name(head), number.strip()


def read(path: Path, what: str) -> readers.RawImage:
    """The volume of the series that is `what` (T1w or FLAIR by its tags), or of the one chosen as `FOLDER#NUMBER`.

    Raises BadInput with one sentence; nothing in it names the patient.
    """
    path, number = split_choice(path)
    where = f"The folder {path.name or path}" if path.is_dir() else f"The file {path.name}"
    folder = scan(path)
    stack, notes = choose(folder, what, number, where)
    label = f"The {what} {stack.title}"
    if stack.modality == "SEG":
        raise BadInput(f"{label} is a DICOM segmentation. Load it in 3D Slicer and save it as NRRD or NIfTI.")
    frames, step = in_order(stack, label, folder)
    shape = (stack.columns, stack.rows, len(frames))
    stored = sum(one.stat().st_size for one in {frame.path for frame in frames})
    readers.check_size(shape, 1, stored, True, label)
    affine = _affine(stack, frames[0], step)
    notes += readers.shear_notes(affine)
    return readers.RawImage(_voxels(stack, frames, label), affine, notes, stack.title)


def in_order(stack: Stack, label: str, folder: Folder | None = None) -> tuple[list[Frame], np.ndarray]:
    """The frames from the first slice to the last, and the step between them in LPS mm.

    Raises BadInput where slices are missing, doubled or unevenly spaced.
    The step is (3,).
    """
    row, column = np.array(stack.orientation[:3]), np.array(stack.orientation[3:])
    normal = np.cross(row, column)
    places = np.array([frame.position for frame in stack.frames])
    heights = places @ normal
    order = np.argsort(heights, kind="stable")
    heights, places = heights[order], places[order]
    frames = [stack.frames[number] for number in order]
    gaps = np.diff(heights)
    distinct = gaps[gaps > SAME_PLACE * max(float(np.median(gaps)), stack.thickness or 0.0, 0.05)]
    if len(distinct) < len(gaps):
        _refuse_doubled(len(frames), len(distinct) + 1, label)
    if not len(gaps):
        return frames, normal * (stack.thickness or 1.0)
    typical = float(np.median(gaps))
    step = (places[-1] - places[0]) / (len(frames) - 1)
    even = places[0] + np.arange(len(frames))[:, None] * step
    if np.abs(places - even).max() > UNEVEN * typical:
        lost = int(np.sum(np.maximum(np.round(gaps / typical) - 1, 0)))
        unread = f" ({folder.unreadable} DICOM files could not be read)" if folder and folder.unreadable else ""
        if lost and np.abs(gaps / typical - np.round(gaps / typical)).max() < UNEVEN:
            raise BadInput(
                f"{label} lacks {lost} of {len(frames) + lost} slices{unread}. Export the whole series again."
            )
        raise BadInput(
            f"{label} has unevenly spaced slices, {gaps.min():.3g} to {gaps.max():.3g} mm apart{unread}. Give a series "
            "with even slices."
        )
    return frames, step


def _refuse_doubled(count: int, places: int, label: str) -> None:
    if count % places == 0 and places >= readers.MINIMUM_SLICES:
        raise BadInput(f"{label} is 4D: it holds {count // places} volumes of {places} slices. Give one of them.")
    raise BadInput(
        f"{label} shows {count - places} of its {places} slice positions more than once: two acquisitions are mixed. "
        "Export one series alone."
    )


def _affine(stack: Stack, first: Frame, step: np.ndarray) -> np.ndarray:
    """Voxel (column, row, slice) -> world RAS mm (DICOM PS3.3 C.7.6.2.1.1)."""
    lps = np.eye(4)
    lps[:3, 0] = np.array(stack.orientation[:3]) * stack.spacing[1]
    lps[:3, 1] = np.array(stack.orientation[3:]) * stack.spacing[0]
    lps[:3, 2] = step
    lps[:3, 3] = first.position
    return LPS_TO_RAS @ lps


def _voxels(stack: Stack, frames: list[Frame], label: str) -> np.ndarray:
    """Rescaled values, float32 (I, J, K)."""
    out = np.empty((len(frames), stack.rows, stack.columns), np.float32)
    places = sorted(range(len(frames)), key=lambda place: (str(frames[place].path), frames[place].index))
    with quiet_pydicom():
        for path, group in itertools.groupby(places, key=lambda place: frames[place].path):
            try:
                stored = _stored_values(path, stack)
                for place in group:
                    frame = frames[place]
                    out[place] = stored[frame.index] * np.float32(frame.slope) + np.float32(frame.intercept)
            except Exception as error:  # damaged files can raise anything in pydicom and GDCM
                raise BadInput(f"{label} is truncated or damaged. Copy it again from its source.") from error
    return out.T


def _stored_values(path: Path, stack: Stack) -> np.ndarray:
    """(frames, rows, columns) as stored, before rescaling. Raises ValueError and others where the file is damaged."""
    data = read_header(path, pixels=True)
    if data.file_meta.TransferSyntaxUID.is_compressed:
        return _decoded(data, stack)
    order = "<" if data.file_meta.TransferSyntaxUID.is_little_endian else ">"
    count = int(data.get("NumberOfFrames") or 1)
    floating = {"FloatPixelData": "f4", "DoubleFloatPixelData": "f8"}
    name = next((name for name in floating if name in data), "PixelData")
    bits = int(data.BitsAllocated)
    if name == "PixelData" and bits not in (8, 16, 32):
        raise ValueError("bits")
    dtype = np.dtype(order + floating.get(name, f"{'i' if data.PixelRepresentation else 'u'}{bits // 8}"))
    values = np.frombuffer(data[name].value, dtype, count=count * stack.rows * stack.columns)
    values = values.reshape(count, stack.rows, stack.columns)
    unused = 0 if name in floating else bits - int(data.BitsStored)
    return (values << unused) >> unused if 0 < unused < bits else values  # overlays once lived in the unused bits


def _decoded(data: Any, stack: Stack) -> np.ndarray:
    import pydicom
    import SimpleITK as sitk
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, generate_uid

    readers.check_size(
        (stack.columns, stack.rows, int(data.get("NumberOfFrames") or 1)), 1, len(data.PixelData), True, "The series"
    )
    bare = Dataset()
    for name in PIXEL_TAGS:
        if name in data:
            bare[name] = data[name]
    bare.SOPClassUID, bare.SOPInstanceUID = SECONDARY_CAPTURE, generate_uid()
    bare.preamble, bare.file_meta = bytes(128), FileMetaDataset()
    bare.file_meta.FileMetaInformationGroupLength, bare.file_meta.FileMetaInformationVersion = 0, b"\x00\x01"
    bare.file_meta.MediaStorageSOPClassUID, bare.file_meta.MediaStorageSOPInstanceUID = (
        bare.SOPClassUID,
        bare.SOPInstanceUID,
    )
    bare.file_meta.TransferSyntaxUID = data.file_meta.TransferSyntaxUID
    bare.file_meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    bare.is_little_endian, bare.is_implicit_VR = True, False  # pydicom 2 asks for it
    with scratch(Path(tempfile.gettempdir()), "myelinsynth-dicom") as folder:
        copy = folder / "pixels.dcm"
        pydicom.dcmwrite(copy, bare)
        values = sitk.GetArrayFromImage(sitk.ReadImage(str(copy)))
    return values.reshape(-1, stack.rows, stack.columns)
