"""Read a DICOM series, or select one of several, as a volume in world coordinates.

Headers are read with pydicom; see dicom_stacks for what is one volume, and dicom_pixels for its values.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..runtime.errors import BadInput
from .dicom_choice import choose_stack, contrast_of
from .dicom_headers import Folder, Frame, Stack, is_dicom, quiet_pydicom
from .dicom_pixels import stored_values
from .dicom_stacks import SAME_PLACE, scan
from .raw_image import MINIMUM_SLICES, RawImage, check_size, shear_notes

__all__ = ["Series", "contrast_of", "is_dicom", "read_dicom", "read_series", "scan", "split_choice"]

UNEVEN = 0.05  # of the slice distance: a slice further than this from its even place is refused (ours)
SKIPPED = 1.7  # times the slice distance of the tags: further apart, slices are missing (ours)
FULL_DISTANCE = 0.95  # of the thickness: a smaller `SpacingBetweenSlices` is the gap between slices (ours)
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def split_choice(path: Path) -> tuple[Path, str | None]:
    """Split a path and the series number after its last `#`.

    Args:
        path: e.g. `folder#3`; an existing file or folder of this very name is not split.

    Returns:
        Path, and series number or None.
    """
    head, mark, number = path.name.rpartition("#")
    if path.exists() or not mark or not head:
        return path, None
    return path.with_name(head), number.strip()


@dataclass(frozen=True)
class Series:
    """One volume of a DICOM folder: tags, frames from the first slice to the last, and voxels."""

    stack: Stack
    frames: list[Frame]
    image: RawImage


def read_dicom(path: Path, what: str) -> RawImage:
    """Read one series of a DICOM folder.

    Args:
        path: file, folder or `FOLDER#NUMBER`.
        what: T1w or FLAIR, to select the series by its tags if none is chosen; also used in messages.

    Returns:
        The volume, with notes.

    Raises:
        BadInput: the series cannot be read or selected; the message does not identify the patient.
    """
    return read_series(path, what).image


def read_series(path: Path, what: str) -> Series:
    """Read one series of a DICOM folder with its tags and the files of its slices.

    Args:
        path: file, folder or `FOLDER#NUMBER`.
        what: T1w or FLAIR, see `read_dicom`.

    Returns:
        The series, its frames in order.

    Raises:
        BadInput: the series cannot be read or selected; the message does not identify the patient.
    """
    path, number = split_choice(path)
    where = f"The folder {path.name or path}" if path.is_dir() else f"The file {path.name}"
    folder = scan(path)
    stack, notes = choose_stack(folder, what, number, where)
    label = f"The {what} {stack.title}"
    if stack.modality == "SEG":
        raise BadInput(f"{label} is a DICOM segmentation. Load it in 3D Slicer and save it as NRRD or NIfTI.")
    frames, step = _in_order(stack, label, folder)
    shape = (stack.columns, stack.rows, len(frames))
    stored = sum(path.stat().st_size for path in {frame.path for frame in frames})
    check_size(shape, 1, stored, True, label)
    affine = _affine(stack, frames[0], step)
    notes += _slice_notes(stack, frames, step, folder) + shear_notes(affine)
    return Series(stack, frames, RawImage(_voxels(stack, frames, label), affine, notes, stack.title))


def _in_order(stack: Stack, label: str, folder: Folder | None = None) -> tuple[list[Frame], np.ndarray]:
    """Return the frames from the first slice to the last, and the step between slices, (3,) LPS mm.

    Raises BadInput if slices are missing, duplicated or unevenly spaced.
    """
    row, column = np.array(stack.orientation[:3]), np.array(stack.orientation[3:])
    normal = np.cross(row, column)
    positions = np.array([frame.position for frame in stack.frames])
    heights = positions @ normal
    order = np.argsort(heights, kind="stable")
    heights, positions = heights[order], positions[order]
    frames = [stack.frames[number] for number in order]
    gaps = np.diff(heights)
    distinct = gaps[gaps > SAME_PLACE * max(float(np.median(gaps)), stack.thickness or 0.0, 0.05)]
    if len(distinct) < len(gaps):
        _refuse_doubled(len(frames), len(distinct) + 1, label)
    if not len(gaps):
        return frames, normal * (stack.thickness or 1.0)
    typical = float(np.median(gaps))
    step = (positions[-1] - positions[0]) / (len(frames) - 1)
    even = positions[0] + np.arange(len(frames))[:, None] * step
    if np.abs(positions - even).max() > UNEVEN * typical:
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


def _slice_notes(stack: Stack, frames: list[Frame], step: np.ndarray, folder: Folder) -> tuple[str, ...]:
    """Return notes about slices that seem to be missing from an evenly spaced series, sentences without a subject."""
    notes = []
    apart, expected = float(np.linalg.norm(step)), stack.thickness
    if stack.distance and stack.distance >= FULL_DISTANCE * (stack.thickness or 0.0):  # else it is the gap alone
        expected = stack.distance
    if expected and apart > SKIPPED * expected:
        notes.append(
            f"has slices {apart:.3g} mm apart, {expected:.3g} mm by its tags: slices between them seem to be missing"
        )
    if sum((other.study, other.series) == (stack.study, stack.series) for other in folder.stacks) > 1:
        return tuple(notes)
    numbers = sorted(frame.instance for frame in frames if frame.instance is not None)
    if stack.promised and stack.promised > len(frames):
        notes.append(f"has {len(frames)} of the {stack.promised} slices that its tags announce")
    elif len(numbers) == len(frames) == numbers[-1] - numbers[0] + 1 and 1 < numbers[0] <= len(frames):
        notes.append(f"has slices numbered from {numbers[0]}: {numbers[0] - 1} may be missing at one end")
    return tuple(notes)


def _refuse_doubled(count: int, positions: int, label: str) -> None:
    if count % positions == 0 and positions >= MINIMUM_SLICES:
        raise BadInput(f"{label} is 4D: it holds {count // positions} volumes of {positions} slices. Give one of them.")
    raise BadInput(
        f"{label} shows {count - positions} of its {positions} slice positions more than once: two acquisitions are "
        "mixed. Export one series alone."
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
    order = sorted(range(len(frames)), key=lambda number: (str(frames[number].path), frames[number].index))
    with quiet_pydicom():
        for path, group in itertools.groupby(order, key=lambda number: frames[number].path):
            try:
                stored = stored_values(path, stack)
                for number in group:
                    frame = frames[number]
                    out[number] = stored[frame.index] * np.float32(frame.slope) + np.float32(frame.intercept)
            except Exception as error:  # damaged files can raise anything in pydicom and GDCM
                raise BadInput(f"{label} is truncated or damaged. Copy it again from its source.") from error
    return out.T
