"""What a DICOM folder holds, from headers alone: frames gathered to stacks, one stack being one possible volume.

pydicom reads the headers, also the nested ones of enhanced multi-frame files that SimpleITK does not show; it is pure
Python and comes with 3D Slicer. Who the patient is never leaves this file: identities are compared, not kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import mmap
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..runtime.errors import BadInput, MyelinSynthError

MAGIC, MAGIC_AT = b"DICM", 128
DEFLATED = b"1.2.840.10008.1.2.1.99"  # would be inflated whole, whatever its size
DICOMDIR_CLASS = b"1.2.840.10008.1.3.10"
MOST_FILES = 50_000  # more is a picture archive, not a patient (ours)
UNIT_TOLERANCE = 0.01  # how far from 1 the length of a direction cosine may be (ours)
KEYWORDS = (
    "SOPInstanceUID", "PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "SeriesInstanceUID",
    "SeriesNumber", "SeriesDescription", "ProtocolName", "SequenceName", "PulseSequenceName", "Modality", "ImageType",
    "ScanningSequence", "SequenceVariant", "MRAcquisitionType", "EchoPulseSequence", "InversionRecovery",
    "RepetitionTime", "EchoTime", "EffectiveEchoTime", "InversionTime", "ContrastBolusAgent",
    "ContrastBolusAgentSequence", "Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "PixelSpacing",
    "SliceThickness", "ImagePositionPatient", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept", "Units",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip


@dataclass(frozen=True)
class Frame:
    """One slice: where its voxels are stored, where it lies (LPS mm, as DICOM says) and how to rescale it."""

    path: Path
    index: int
    uid: str
    position: tuple[float, float, float]
    slope: float
    intercept: float


@dataclass
class Stack:
    """Frames of one series, orientation, matrix, echo and kind: one possible volume, and what its tags say.

    orientation: six direction cosines (LPS): along a row, then down a column; spacing: mm between rows, then columns;
    times in ms, None where unknown; label: how people choose it, the series number with `.2` for a second stack.
    """

    study: str
    person: str
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

    @property
    def title(self) -> str:
        """How messages call it: series number and description, nothing else."""
        return f'series {self.label} "{self.description}"' if self.description else f"series {self.label}"


@dataclass
class Folder:
    """All stacks found in a folder or file, and how many DICOM files could not be read."""

    stacks: list[Stack]
    unreadable: int = 0


def is_dicom(path: Path) -> bool:
    """Whether a file carries DICOM's magic number."""
    try:
        with open(path, "rb") as stream:
            return MAGIC in stream.read(MAGIC_AT + len(MAGIC))[MAGIC_AT:]
    except OSError:
        return False


def scan(path: Path) -> Folder:
    """Find the stacks of a folder (recursively), or of the series that a single DICOM file belongs to.

    Raises BadInput where there is no DICOM image.
    """
    if path.is_dir():
        return _gather(_files_below(path), f"the folder {path.name or path}")
    if not _image_file(path):  # a DICOMDIR stands for its folder
        return scan(path.parent)
    own, _ = _stacks_of_files([path])
    if any(len(stack.frames) > 1 for stack in own):
        return _gather([path], f"the file {path.name}")
    wanted = {stack.series for stack in own}
    beside = _gather([other for other in sorted(path.parent.iterdir()) if other.is_file()], f"the file {path.name}")
    return Folder([stack for stack in beside.stacks if stack.series in wanted] or beside.stacks, beside.unreadable)


def _files_below(folder: Path) -> list[Path]:
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders.sort()
        found += [Path(place) / name for name in sorted(names)]
        if len(found) > MOST_FILES:
            raise BadInput(
                f"The folder {folder.name or folder} holds over {MOST_FILES} files. Give one study's folder."
            )
    return found


def _image_file(path: Path) -> bool:
    with open(path, "rb") as stream:
        return DICOMDIR_CLASS not in stream.read(1024)


def _gather(files: list[Path], where: str) -> Folder:
    stacks, unreadable = _stacks_of_files([path for path in files if is_dicom(path) and _image_file(path)])
    if not stacks:
        more = f" ({unreadable} DICOM files there hold no readable image)" if unreadable else ""
        raise BadInput(f"There is no DICOM series of slices in {where}{more}. Check the path, or export it again.")
    _number(stacks)
    return Folder(stacks, unreadable)


def _stacks_of_files(files: list[Path]) -> tuple[list[Stack], int]:
    found: dict[tuple[Any, ...], Stack] = {}
    seen: set[tuple[str, int]] = set()
    unreadable = 0
    with quiet_pydicom():
        for path in files:
            try:
                parts = list(_frames(path, read_header(path)))
            except Exception:  # a damaged header can raise anything in pydicom; it is counted and reported
                unreadable += 1
                continue
            for key, stack, frame in parts:
                if (frame.uid, frame.index) not in seen:  # the same file copied twice is one slice
                    seen.add((frame.uid, frame.index))
                    found.setdefault(key, stack).frames.append(frame)
    return list(found.values()), unreadable


def _number(stacks: list[Stack]) -> None:
    stacks.sort(key=lambda s: (s.study, s.number if s.number is not None else 10**9, s.series, s.echo_time or 0.0))
    parts: dict[tuple[str, str], list[Stack]] = {}
    for stack in stacks:
        parts.setdefault((stack.study, stack.series), []).append(stack)
    for place, group in enumerate(parts.values(), start=1):
        for part, stack in enumerate(group, start=1):
            number = f"{stack.number}" if stack.number is not None else f"u{place}"
            stack.label = number if len(group) == 1 else f"{number}.{part}"


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
    """The pydicom data set of one file. Reads through a memory map, so that a lying length allocates nothing.

    Raises ValueError for a deflated file, and what pydicom raises for others that it cannot read.
    """
    import pydicom

    with open(path, "rb") as stream:
        if DEFLATED in stream.read(1024):
            raise ValueError("deflated")
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as memory:
            file = cast(BinaryIO, memory)  # it reads, seeks and tells like one
            if pixels:
                return pydicom.dcmread(file)
            return pydicom.dcmread(file, stop_before_pixels=True, specific_tags=list(KEYWORDS))


def _frames(path: Path, header: Any) -> Iterator[tuple[tuple[Any, ...], Stack, Frame]]:
    """Every slice of a file with the stack it belongs to; raises ValueError and others where geometry is missing."""
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
        frame = Frame(
            path=path,
            index=index,
            uid=str(header.SOPInstanceUID),
            position=(position[0], position[1], position[2]),
            slope=1.0 if slope is None else float(slope),
            intercept=0.0 if intercept is None else float(intercept),
        )
        stack = _stack(header, groups, orientation)
        kind = stack.image_type[2] if len(stack.image_type) > 2 else ""
        turned = tuple(round(cosine, 2) + 0.0 for cosine in orientation)
        key = (stack.study, stack.series, turned, stack.rows, stack.columns, kind, stack.echo_time)
        yield key, stack, frame


def _stack(header: Any, groups: tuple[Any, Any], orientation: tuple[float, ...]) -> Stack:
    def value(sequence: str, keyword: str) -> Any:
        return _value(header, groups, sequence, keyword)

    spacing = _numbers(value("PixelMeasuresSequence", "PixelSpacing"), 2)
    if min(spacing) <= 0:
        raise ValueError("pixel spacing")
    timing = "MRTimingAndRelatedParametersSequence"
    echo = value("MREchoSequence", "EffectiveEchoTime")
    identity = "|".join(str(header.get(name, "")) for name in ("PatientID", "PatientName", "PatientBirthDate"))
    names = " ".join(
        str(header.get(name) or "")
        for name in ("SeriesDescription", "ProtocolName", "SequenceName", "PulseSequenceName")
    )
    return Stack(
        study=str(header.get("StudyInstanceUID", "")),
        person=hashlib.sha256(identity.encode()).hexdigest(),
        series=str(header.get("SeriesInstanceUID", "")),
        number=_integer(header.get("SeriesNumber")),
        description=_clean(header.get("SeriesDescription") or header.get("ProtocolName") or ""),
        names=_clean(names),
        modality=str(header.get("Modality", "")),
        image_type=_words(value("MRImageFrameTypeSequence", "FrameType") or header.get("ImageType")),
        sequence=frozenset(_words(header.get("ScanningSequence"))) | _enhanced_sequence(header, groups),
        volumetric=str(header.get("MRAcquisitionType", "")) == "3D",
        contrast_agent=bool(str(header.get("ContrastBolusAgent") or "").strip(" 0"))
        or bool(header.get("ContrastBolusAgentSequence")),
        repetition_time=_number_or_none(value(timing, "RepetitionTime")),
        echo_time=_number_or_none(echo if echo is not None else header.get("EchoTime")),
        inversion_time=_number_or_none(_inversion(header, groups)),
        orientation=orientation,
        spacing=(spacing[0], spacing[1]),
        thickness=_number_or_none(value("PixelMeasuresSequence", "SliceThickness")),
        rows=int(header.Rows),
        columns=int(header.Columns),
    )


def _enhanced_sequence(header: Any, groups: tuple[Any, Any]) -> frozenset[str]:
    """Enhanced files say SPIN, GRADIENT or BOTH, and whether there was an inversion; in the old two-letter codes."""
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
            found = group.get(sequence)[0].get(keyword)
            if found is not None:
                return found
    return header.get(keyword)


def _numbers(value: Any, count: int) -> tuple[float, ...]:
    import math

    found = tuple(float(one) for one in value)
    if len(found) != count or not all(math.isfinite(one) and abs(one) < 1e6 for one in found):
        raise ValueError("geometry")
    return found


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
