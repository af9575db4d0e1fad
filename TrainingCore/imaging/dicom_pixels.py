"""Stored values of DICOM files, before rescaling.

Uncompressed voxels are read directly from the file; compressed ones (JPEG, JPEG-LS, JPEG 2000, RLE) are decoded by
GDCM, which comes with SimpleITK, from a copy that contains only the pixels.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime.files import scratch
from .dicom_headers import Stack, read_header
from .raw_image import check_size

PIXEL_TAGS = (
    "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel",
    "PhotometricInterpretation", "NumberOfFrames", "PixelData",
)  # fmt: skip
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"


def stored_values(path: Path, stack: Stack) -> np.ndarray:
    """Read the pixel values of a file before rescaling.

    Args:
        path: DICOM file.
        stack: its tags.

    Returns:
        (frames, rows, columns), integers or floats as stored.

    Raises:
        ValueError: unsupported bit depth, or too little data. Other damaged files raise errors of pydicom or GDCM.
    """
    data = read_header(path, pixels=True)
    syntax = getattr(data.file_meta, "TransferSyntaxUID", None)  # missing in a file without preamble
    if syntax is not None and syntax.is_compressed:
        return _decoded(data, stack)
    order = "<" if syntax is None or syntax.is_little_endian else ">"
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

    check_size(
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
