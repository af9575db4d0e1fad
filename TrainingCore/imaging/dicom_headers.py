"""Read from the headers of DICOM files the properties of each slice and of its stack.

pydicom reads the headers, also the nested ones of enhanced multi-frame files that SimpleITK does not expose; it is pure
Python and comes with 3D Slicer. Identities are compared, not kept (dicom_person).
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..runtime.errors import MyelinSynthError
from .dicom_person import DicomIdentity, person_of

MAGIC, MAGIC_AT = b"DICM", 128
NO_AGENT = {
    "no", "none", "n", "nil", "false", "without", "without contrast", "no contrast", "ohne", "kein", "keine", "sans",
    "aucun", "senza", "nessuno", "sin", "ninguno", "sem", "geen", "ingen", "n/a", "na", "unknown",
}  # fmt: skip
DEFLATED = b"1.2.840.10008.1.2.1.99"  # would be inflated whole, whatever its size
DICOMDIR_CLASS = b"1.2.840.10008.1.3.10"
FIRST_REPRESENTATIONS = (b"UL", b"OB", b"UI", b"CS", b"SH", b"LO", b"DA", b"TM", b"SQ")
LAST_FIRST_ELEMENT = 0x0070  # groups 2 and 8 begin with lengths, character set, image type, classes, dates, times
UNIT_TOLERANCE = 0.01  # how far from 1 the length of a direction cosine may be (ours)
KEYWORDS = (
    "SOPInstanceUID", "PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "SeriesInstanceUID",
    "SeriesNumber", "SeriesDescription", "ProtocolName", "SequenceName", "PulseSequenceName", "Modality", "ImageType",
    "ScanningSequence", "SequenceVariant", "MRAcquisitionType", "EchoPulseSequence", "InversionRecovery",
    "RepetitionTime", "EchoTime", "EffectiveEchoTime", "InversionTime", "ContrastBolusAgent",
    "ContrastBolusAgentSequence", "Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "PixelSpacing",
    "SliceThickness", "ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept", "Units",
    "StudyDate", "SpacingBetweenSlices", "InstanceNumber", "AcquisitionNumber", "AcquisitionDate", "AcquisitionTime",
    "AcquisitionDateTime", "TemporalPositionIdentifier", "TemporalPositionIndex", "TriggerTime", "EchoNumbers",
    "ImagesInAcquisition", "Manufacturer", "ContrastBolusStartTime", "ContrastBolusVolume",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip


@dataclass(frozen=True)
class Frame:
    """One slice: location of its voxels in a file, position (LPS mm, as in DICOM) and rescaling.

    Attributes:
        instance: number in the series, None if unknown.
        repeats: tags that may distinguish it from another acquisition at the same position, by name.
    """

    path: Path
    index: int
    uid: str
    position: tuple[float, float, float]
    slope: float
    intercept: float
    instance: int | None = None
    repeats: tuple[tuple[str, str], ...] = ()


@dataclass
class Stack:
    """Frames of one series, orientation, matrix, echo and kind: one possible volume with its tags.

    Attributes:
        names: description and sequence, with the protocol if that is the series' own.
        orientation: six direction cosines (LPS): along a row, then down a column.
        spacing: mm between rows, then columns.
        repetition_time: ms, None if unknown.
        echo_time: ms, None if unknown.
        inversion_time: ms, None if unknown.
        label: series number for the user's choice, with `.2` for a second stack.
        date: date of the study.
        acquired: YYYYMMDDHHMMSS, empty if unknown.
        after_agent: decided from all series of the study, None before that.
        distance: mm between slices by the tags.
        promised: number of slices by the tags.
    """

    study: str
    person: DicomIdentity
    series: str
    number: int | None
    description: str
    names: str
    modality: str
    image_type: tuple[str, ...]
    sequence: frozenset[str]
    volumetric: bool
    contrast_agent: bool
    repetition_time: float | None
    echo_time: float | None
    inversion_time: float | None
    orientation: tuple[float, ...]
    spacing: tuple[float, float]
    thickness: float | None
    rows: int
    columns: int
    frames: list[Frame] = field(default_factory=list)
    label: str = ""
    protocol: str = ""
    manufacturer: str = ""
    date: str = ""
    acquired: str = ""
    agent_started: str = ""
    after_agent: bool | None = None
    distance: float | None = None
    promised: int | None = None

    @property
    def title(self) -> str:
        """Name in messages: series number and description, nothing else."""
        return f'series {self.label} "{self.description}"' if self.description else f"series {self.label}"


@dataclass
class Folder:
    """All stacks of a folder or file, and the number of DICOM files that could not be read."""

    stacks: list[Stack]
    unreadable: int = 0


def is_dicom(path: Path) -> bool:
    """Check whether a file has DICOM's magic number, or starts like a DICOM data set without preamble.

    Args:
        path: any file; False if it cannot be read.
    """
    try:
        with open(path, "rb") as stream:
            first = stream.read(MAGIC_AT + len(MAGIC))
    except OSError:
        return False
    return first[MAGIC_AT:] == MAGIC or _begins_a_data_set(first)


def _begins_a_data_set(first: bytes) -> bool:
    """Whether the first element is of group 2 or 8, little endian, with a value representation or a short length."""
    if len(first) < MAGIC_AT or first[:2] not in (b"\x02\x00", b"\x08\x00"):
        return False
    element, length = int.from_bytes(first[2:4], "little"), int.from_bytes(first[4:8], "little")
    explicit = first[4:6] in FIRST_REPRESENTATIONS
    return element <= LAST_FIRST_ELEMENT and (explicit or (length <= MAGIC_AT and length % 2 == 0))


@contextlib.contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Keep pydicom from printing values that break a rule of DICOM: a patient's name could be one of them."""
    try:
        from pydicom import config
    except ImportError as error:
        raise MyelinSynthError("Reading DICOM needs the package pydicom: pip install pydicom.") from error
    logger, level, mode = logging.getLogger("pydicom"), logging.getLogger("pydicom").level, config.settings
    before = mode.reading_validation_mode
    logger.setLevel(logging.CRITICAL + 1)
    mode.reading_validation_mode = config.IGNORE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        mode.reading_validation_mode = before
        logger.setLevel(level)


def read_header(path: Path, pixels: bool = False) -> Any:
    """Read the header of one file through a memory map, so that a wrong length allocates nothing.

    Args:
        path: DICOM file.
        pixels: whether to read all tags and the pixel data, not only KEYWORDS.

    Returns:
        pydicom data set.

    Raises:
        ValueError: deflated file. Other files that pydicom cannot read raise its own errors.
    """
    import pydicom

    with open(path, "rb") as stream:
        if DEFLATED in stream.read(1024):
            raise ValueError("deflated")
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as memory:
            file = cast(BinaryIO, memory)  # it reads, seeks and tells like one
            if pixels:
                return pydicom.dcmread(file, force=True)  # files without preamble; is_dicom has looked at it
            return pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(KEYWORDS), force=True)


def frames_of(path: Path, header: Any) -> Iterator[tuple[Stack, Frame]]:
    """Iterate over the slices of a file.

    Args:
        path: DICOM file.
        header: its pydicom data set.

    Yields:
        Tags of the stack that the slice belongs to, and the slice.

    Raises:
        ValueError: colour image, missing geometry, or direction cosines that are not unit vectors.
    """
    from pydicom.dataset import Dataset

    if int(header.get("SamplesPerPixel", 1)) != 1:
        raise ValueError("colours")
    shared = _first(header, "SharedFunctionalGroupsSequence")
    nested = list(header.get("PerFrameFunctionalGroupsSequence") or [])
    if not nested and int(header.get("NumberOfFrames") or 1) > 1:
        raise ValueError("frames without places")
    for index, own in enumerate(nested or [Dataset()]):
        groups = (own, shared)
        orientation = _numbers(_value(header, groups, "PlaneOrientationSequence", "ImageOrientationPatient"), 6)
        position = _numbers(_value(header, groups, "PlanePositionSequence", "ImagePositionPatient"), 3)
        if any(abs(sum(c * c for c in o) - 1) > UNIT_TOLERANCE for o in (orientation[:3], orientation[3:])):
            raise ValueError("direction cosines")
        slope = _value(header, groups, "PixelValueTransformationSequence", "RescaleSlope")
        intercept = _value(header, groups, "PixelValueTransformationSequence", "RescaleIntercept")
        stack = _stack(header, groups, orientation)
        yield (
            stack,
            Frame(
                path=path,
                index=index,
                uid=str(header.get("SOPInstanceUID") or ""),
                position=(position[0], position[1], position[2]),
                slope=1.0 if slope is None else float(slope),
                intercept=0.0 if intercept is None else float(intercept),
                instance=_integer(header.get("InstanceNumber")),
                repeats=_repeats(header, groups, stack.image_type),
            ),
        )


def _stack(header: Any, groups: tuple[Any, Any], orientation: tuple[float, ...]) -> Stack:
    def value(sequence: str, keyword: str) -> Any:
        return _value(header, groups, sequence, keyword)

    spacing = _numbers(value("PixelMeasuresSequence", "PixelSpacing"), 2)
    if min(spacing) <= 0:
        raise ValueError("pixel spacing")
    timing = "MRTimingAndRelatedParametersSequence"
    echo = value("MREchoSequence", "EffectiveEchoTime")
    names = " ".join(str(header.get(name) or "") for name in ("SeriesDescription", "SequenceName", "PulseSequenceName"))
    return Stack(
        study=str(header.get("StudyInstanceUID", "")),
        person=person_of(header),
        series=str(header.get("SeriesInstanceUID", "")),
        number=_integer(header.get("SeriesNumber")),
        description=_clean(header.get("SeriesDescription") or header.get("ProtocolName") or ""),
        names=_clean(names),
        modality=str(header.get("Modality", "")),
        image_type=_words(value("MRImageFrameTypeSequence", "FrameType") or header.get("ImageType")),
        sequence=frozenset(_words(header.get("ScanningSequence"))) | _enhanced_sequence(header, groups),
        volumetric=str(header.get("MRAcquisitionType", "")) == "3D",
        contrast_agent=_has_contrast_agent(header, groups),
        repetition_time=_number_or_none(value(timing, "RepetitionTime")),
        echo_time=_number_or_none(echo if echo is not None else header.get("EchoTime")),
        inversion_time=_number_or_none(_inversion(header, groups)),
        orientation=orientation,
        spacing=(spacing[0], spacing[1]),
        thickness=_number_or_none(value("PixelMeasuresSequence", "SliceThickness")),
        rows=int(header.Rows),
        columns=int(header.Columns),
        protocol=_clean(header.get("ProtocolName") or ""),
        manufacturer=_clean(header.get("Manufacturer") or ""),
        date=str(header.get("StudyDate") or ""),
        acquired=_acquired(header),
        agent_started=str(header.get("ContrastBolusStartTime") or ""),
        distance=_number_or_none(value("PixelMeasuresSequence", "SpacingBetweenSlices")),
        promised=_integer(header.get("ImagesInAcquisition")),
    )


def _acquired(header: Any) -> str:
    """Return the start of the acquisition as YYYYMMDDHHMMSS; an anonymous date is 0, empty without a time."""
    timestamp = str(header.get("AcquisitionDateTime") or "")
    if not timestamp:
        date, time = (str(header.get(name) or "") for name in ("AcquisitionDate", "AcquisitionTime"))
        timestamp = (date or str(header.get("StudyDate") or "00000000")) + time if time else ""
    return timestamp[:14] if timestamp[:14].isdigit() and len(timestamp) >= 14 else ""


def _has_contrast_agent(header: Any, groups: tuple[Any, Any]) -> bool:
    """Check whether the tags name a contrast agent, and not a word for none."""
    usage = [item for group in groups for item in group.get("ContrastBolusUsageSequence") or []]
    if usage:
        return any(str(item.get("ContrastBolusAgentAdministered") or "YES").upper() == "YES" for item in usage)
    name = str(header.get("ContrastBolusAgent") or "").strip(" 0.-").casefold()
    return (bool(name) and name not in NO_AGENT) or bool(header.get("ContrastBolusAgentSequence"))


def _repeats(header: Any, groups: tuple[Any, Any], image_type: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Return tags that may distinguish two acquisitions at the same position, the most specific first."""
    times = _value(header, groups, "TemporalPositionSequence", "TemporalPositionTimeOffset")
    temporal = _value(header, groups, "FrameContentSequence", "TemporalPositionIndex")
    values = {
        "ImageType": "\\".join(image_type),
        "StackID": _value(header, groups, "FrameContentSequence", "StackID"),
        "TemporalPosition": temporal if temporal is not None else header.get("TemporalPositionIdentifier") or times,
        "EchoNumbers": header.get("EchoNumbers"),
        "TriggerTime": header.get("TriggerTime"),
        "AcquisitionNumber": header.get("AcquisitionNumber"),
    }
    return tuple((name, "" if value is None else str(value)) for name, value in values.items())


def _enhanced_sequence(header: Any, groups: tuple[Any, Any]) -> frozenset[str]:
    """Return the old two-letter codes of an enhanced file, which stores SPIN, GRADIENT or BOTH, and inversion."""
    codes = {"SPIN": {"SE"}, "GRADIENT": {"GR"}, "BOTH": {"SE", "GR"}}.get(str(header.get("EchoPulseSequence")), set())
    inverted = _value(header, groups, "MRModifierSequence", "InversionRecovery")
    return frozenset(codes | ({"IR"} if str(inverted) == "YES" else set()))


def _inversion(header: Any, groups: tuple[Any, Any]) -> Any:
    times = _value(header, groups, "MRModifierSequence", "InversionTimes")
    if times is not None:
        return times[0] if isinstance(times, (list, tuple)) or hasattr(times, "__len__") else times
    return header.get("InversionTime")


def _first(data: Any, name: str) -> Any:
    from pydicom.dataset import Dataset

    sequence = data.get(name)
    return sequence[0] if sequence else Dataset()


def _value(header: Any, groups: tuple[Any, Any], sequence: str, keyword: str) -> Any:
    """A value from the frame's own group, else the group all frames share, else the top of the file."""
    for group in groups:
        if group.get(sequence):
            value = group.get(sequence)[0].get(keyword)
            if value is not None:
                return value
    return header.get(keyword)


def _numbers(value: Any, count: int) -> tuple[float, ...]:
    import math

    numbers = tuple(float(number) for number in value)
    if len(numbers) != count or not all(math.isfinite(number) and abs(number) < 1e6 for number in numbers):
        raise ValueError("geometry")
    return numbers


def _number_or_none(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None  # empty or not a number: unknown


def _integer(value: Any) -> int | None:
    number = _number_or_none(value)
    return None if number is None or number != number or abs(number) > 1e9 else int(number)


def _words(value: Any) -> tuple[str, ...]:
    if value is None or value == "":
        return ()
    return (str(value),) if isinstance(value, str) else tuple(str(word) for word in value)


def _clean(text: Any) -> str:
    """Printable, one line, at most 64 characters (DICOM's own limit for a description)."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())[:64]
