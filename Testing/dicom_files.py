"""Makes DICOM files of volumes with pydicom, for tests: single-frame series and enhanced multi-frame files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from TrainingCore.imaging.volumes import Volume

MR_IMAGE, ENHANCED_MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1"
PATIENT = {"PatientName": "Secret^Person", "PatientID": "ID-4711", "PatientBirthDate": "19700101"}
T1W = {"SeriesNumber": 3, "SeriesDescription": "t1_mprage_sag", "EchoTime": 2.9, "InversionTime": 900.0,
       "RepetitionTime": 2300.0, "ScanningSequence": ["GR", "IR"], "MRAcquisitionType": "3D"}  # fmt: skip
FLAIR = {"SeriesNumber": 5, "SeriesDescription": "FLAIR tra", "EchoTime": 120.0, "InversionTime": 2500.0,
         "RepetitionTime": 9000.0, "ScanningSequence": ["SE", "IR"], "MRAcquisitionType": "2D"}  # fmt: skip
STUDY = generate_uid()


def geometry(affine: np.ndarray, k: int) -> dict[str, list[float]]:
    """Position and orientation in LPS mm of slice k of a grid voxel -> RAS mm."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    turn = np.concatenate([lps[:3, 0] / spacing[0], lps[:3, 1] / spacing[1]])
    return {
        "ImagePositionPatient": [f"{x:.6f}"[:16] for x in (lps @ [0, 0, k, 1])[:3]],
        "ImageOrientationPatient": [f"{x:.9f}"[:16] for x in turn],
        "PixelSpacing": [f"{spacing[1]:.6f}", f"{spacing[0]:.6f}"],
        "SliceThickness": f"{spacing[2]:.6f}",
    }


def base(tags: dict[str, Any], kind: str, series: str, study: str = STUDY) -> Dataset:
    """A data set with identity, series tags and a pixel description; no pixels."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = kind
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.StudyInstanceUID, data.SeriesInstanceUID, data.Modality = study, series, "MR"
    data.ImageType = ["ORIGINAL", "PRIMARY", "M", "NONE"]
    for name, value in (PATIENT | tags).items():
        setattr(data, name, value)
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
    return data


def write_series(folder: Path, volume: Volume, tags: dict[str, Any], study: str = STUDY, **change: Any) -> list[Path]:
    """One file for each slice, numbered against the order of their places; values must fit 16 bits.

    change: `kind`, `series`, or `each` (a function that changes the data set of slice k before it is written).
    """
    folder.mkdir(parents=True, exist_ok=True)
    series, paths = change.get("series") or generate_uid(), []
    for k in range(volume.data.shape[2]):
        data = base(tags, MR_IMAGE, series, study)
        for name, value in geometry(volume.affine, k).items():
            setattr(data, name, value)
        data.InstanceNumber = volume.data.shape[2] - k
        data.Rows, data.Columns = volume.data.shape[1], volume.data.shape[0]
        data.PixelData = np.ascontiguousarray(volume.data[:, :, k].T).astype("<u2").tobytes()
        if "each" in change:
            change["each"](k, data)
        paths.append(folder / f"IM{volume.data.shape[2] - k:04d}_{data.SeriesNumber}")
        data.save_as(paths[-1], enforce_file_format=True)
    return paths


def item(**values: Any) -> list[Dataset]:
    """A sequence of one item."""
    data = Dataset()
    for name, value in values.items():
        setattr(data, name, value)
    return [data]


def write_enhanced(path: Path, volume: Volume, tags: dict[str, Any], slope: float = 1.0, **change: Any) -> Path:
    """One enhanced MR file with frames in reversed order, timing and geometry in its functional groups."""
    data = base({"SeriesNumber": tags["SeriesNumber"], "SeriesDescription": tags["SeriesDescription"]},
                ENHANCED_MR_IMAGE, generate_uid())  # fmt: skip
    data.EchoPulseSequence = "GRADIENT" if "GR" in tags["ScanningSequence"] else "SPIN"
    data.MRAcquisitionType, count = tags["MRAcquisitionType"], volume.data.shape[2]
    first, shared = geometry(volume.affine, 0), Dataset()
    shared.MREchoSequence = item(EffectiveEchoTime=tags["EchoTime"])
    shared.MRTimingAndRelatedParametersSequence = item(RepetitionTime=tags["RepetitionTime"])
    shared.MRModifierSequence = item(InversionRecovery="YES", InversionTimes=[tags["InversionTime"]])
    shared.PlaneOrientationSequence = item(ImageOrientationPatient=first["ImageOrientationPatient"])
    measures = {name: first[name] for name in ("PixelSpacing", "SliceThickness")}
    shared.PixelMeasuresSequence = item(**measures)
    data.SharedFunctionalGroupsSequence = [shared]
    frames = []
    for k in reversed(range(count)):
        frame = Dataset()
        frame.PlanePositionSequence = item(ImagePositionPatient=geometry(volume.affine, k)["ImagePositionPatient"])
        frame.PixelValueTransformationSequence = item(RescaleSlope=slope, RescaleIntercept=0, RescaleType="US")
        frame.FrameContentSequence = item(StackID="1", InStackPositionNumber=k + 1, DimensionIndexValues=[1, k + 1])
        frame.MRImageFrameTypeSequence = item(FrameType=["ORIGINAL", "PRIMARY", "M", "NONE"])
        frames.append(frame)
    data.PerFrameFunctionalGroupsSequence = frames
    data.NumberOfFrames, data.Rows, data.Columns = count, volume.data.shape[1], volume.data.shape[0]
    data.PixelData = np.ascontiguousarray(volume.data.T[::-1]).astype("<u2").tobytes()
    if "each" in change:
        change["each"](data)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path
