"""Group the slices of a DICOM folder into stacks, each one possible volume.

Tags that a scanner or an anonymiser writes slightly differently from slice to slice are compared with tolerances.
Differences between repeated acquisitions are only evaluated if slices overlap.
"""

from __future__ import annotations

import itertools
import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from ..runtime.errors import BadInput
from ..runtime.files import files_below
from .dicom_choice import settle_agent
from .dicom_headers import DICOMDIR_CLASS, Folder, Frame, Stack, frames_of, is_dicom, quiet_pydicom, read_header
from .dicom_person import same_person

MAX_FILES = 50_000  # more is an archive, not a patient (ours)
SAME_PLACE = 0.1  # of the slice distance: two slices nearer than this lie at one place (ours)
SAME_PLACE_MM = 0.01  # slices nearer than this lie at one place, whatever their distance (ours)
FEW_SLICES = 4  # series of fewer may be one that lost its series number to an anonymiser (ours)
# How much the tags of one stack may differ (ours): far above rounding, far below what is set on purpose.
COSINE, ECHO_SHARE, ECHO_MS, SPACING_SHARE, INVERSION_SHARE = 0.01, 0.02, 0.05, 0.01, 0.05


def scan(path: Path) -> Folder:
    """List the stacks of a folder, or of the series that a single DICOM file belongs to.

    Args:
        path: folder (searched recursively), DICOM file or DICOMDIR.

    Returns:
        Stacks, and the number of unreadable DICOM files.

    Raises:
        BadInput: there is no DICOM image.
    """
    if path.is_dir():
        return _gather(_files_below(path), f"the folder {path.name or path}")
    if not _image_file(path):  # a DICOMDIR stands for its folder
        return scan(path.parent)
    own, _ = _stacks_of_files([path])
    if any(len(stack.frames) > 1 for stack in own):
        return _gather([path], f"the file {path.name}")
    beside = _gather([other for other in sorted(path.parent.iterdir()) if other.is_file()], f"the file {path.name}")
    same = os.path.realpath(path)
    holding = {
        (stack.study, stack.series)
        for stack in beside.stacks
        if any(os.path.realpath(frame.path) == same for frame in stack.frames)
    } or {(stack.study, stack.series) for stack in own}
    chosen = [stack for stack in beside.stacks if (stack.study, stack.series) in holding]
    return Folder(chosen or beside.stacks, beside.unreadable)


def _files_below(folder: Path) -> list[Path]:
    """All files, those below linked folders too."""
    files = list(itertools.islice(files_below(folder), MAX_FILES + 1))
    if len(files) > MAX_FILES:
        raise BadInput(f"The folder {folder.name or folder} holds over {MAX_FILES} files. Give one study's folder.")
    return files


def _image_file(path: Path) -> bool:
    with open(path, "rb") as stream:
        return DICOMDIR_CLASS not in stream.read(1024)


def _gather(files: list[Path], where: str) -> Folder:
    stacks, unreadable = _stacks_of_files([path for path in files if is_dicom(path) and _image_file(path)])
    if not stacks:
        single = unreadable == 1
        more = f" ({unreadable} DICOM file{'' if single else 's'} there hold{'s' if single else ''} no readable image)"
        raise BadInput(
            f"There is no DICOM series of slices in {where}{more if unreadable else ''}. Check the path, or export it "
            "again."
        )
    stacks = _joined([part for stack in stacks for part in _parts(stack)])
    _number(stacks)
    _add_protocols(stacks)
    settle_agent(stacks)
    return Folder(stacks, unreadable)


def _stacks_of_files(files: list[Path]) -> tuple[list[Stack], int]:
    groups: dict[tuple[object, ...], list[Stack]] = defaultdict(list)
    unreadable = 0
    with quiet_pydicom():
        for path in files:
            try:
                parts = list(frames_of(path, read_header(path)))
            except Exception:  # a damaged header can raise anything in pydicom; it is counted and reported
                unreadable += 1
                continue
            for tags, frame in parts:
                kind = tags.image_type[2] if len(tags.image_type) > 2 else ""
                _add(groups[tags.study, tags.series, tags.rows, tags.columns, kind], tags, [frame], _same_stack)
    return [stack for group in groups.values() for stack in group], unreadable


def _add(group: list[Stack], candidate: Stack, frames: list[Frame], fits: Callable[[Stack, Stack], bool]) -> None:
    """Put frames on the first stack of a group that fits, else on a new one."""
    stack = next((stack for stack in group if fits(stack, candidate)), None)
    if stack is None:
        stack = candidate
        stack.frames = []
        group.append(stack)
    stack.frames += frames


def _same_stack(first: Stack, second: Stack) -> bool:
    """Check whether two slices may belong to one stack: orientation, echo, inversion and voxels nearly agree."""
    turned = np.abs(np.subtract(first.orientation, second.orientation)).max() <= COSINE
    spaced = all(abs(a - b) <= SPACING_SHARE * a for a, b in zip(first.spacing, second.spacing))
    return bool(
        turned
        and spaced
        and _near(first.echo_time, second.echo_time, ECHO_SHARE, ECHO_MS)
        and _near(first.inversion_time, second.inversion_time, INVERSION_SHARE, 1.0)
    )


def _near(first: float | None, second: float | None, share: float, least: float) -> bool:
    return first is None or second is None or abs(first - second) <= max(share * abs(first), least)


def _parts(stack: Stack) -> list[Stack]:
    """Remove slices that were sent twice from a stack, and split it if it holds several acquisitions."""
    stack.frames = list(_without_copies(stack))
    slabs = _split_by(stack, lambda frame: dict(frame.repeats)["StackID"])
    return [part for slab in slabs for part in _repetitions(slab)]


def _without_copies(stack: Stack) -> Iterable[Frame]:
    """Yield the frames, only one of those with the same position, tags and values."""
    at_position: dict[tuple[object, ...], list[Frame]] = defaultdict(list)
    for frame in stack.frames:
        at_position[(*_position(frame), frame.repeats)].append(frame)
    for frames in at_position.values():
        kept: list[np.ndarray | None] = []
        for frame in frames:
            values = _values(stack, frame) if len(frames) > 1 else None
            if values is None or not any(known is not None and np.array_equal(known, values) for known in kept):
                kept.append(values)
                yield frame


def _values(stack: Stack, frame: Frame) -> np.ndarray | None:
    """The rescaled values of one frame; None if they cannot be read."""
    from .dicom_pixels import stored_values

    try:
        with quiet_pydicom():
            values = stored_values(frame.path, stack)[frame.index]
    except Exception:  # damaged files can raise any error; reading the series reports it
        return None
    return values * np.float32(frame.slope) + np.float32(frame.intercept)


def _position(frame: Frame) -> tuple[int, ...]:
    return tuple(round(mm / SAME_PLACE_MM) for mm in frame.position)


def _repetitions(stack: Stack) -> list[Stack]:
    """Split a stack into acquisitions of the same positions, by the first tag that distinguishes them."""
    if not _doubled(stack.frames):
        return [stack]
    for name, _ in stack.frames[0].repeats:
        parts = _split_by(stack, lambda frame, name=name: dict(frame.repeats)[name])  # type: ignore[misc]
        if len(parts) > 1 and not any(_doubled(part.frames) or len(part.frames) < FEW_SLICES for part in parts):
            return parts
    return _split_by_instance(stack)


def _doubled(frames: list[Frame]) -> bool:
    return len({_position(frame) for frame in frames}) < len(frames)


def _split_by(stack: Stack, value: Callable[[Frame], object]) -> list[Stack]:
    groups: dict[object, list[Frame]] = defaultdict(list)
    for frame in stack.frames:
        groups[value(frame)].append(frame)
    return [_with_frames(stack, frames) for frames in groups.values()] if len(groups) > 1 else [stack]


def _with_frames(stack: Stack, frames: list[Frame]) -> Stack:
    from dataclasses import replace

    kinds = dict(frames[0].repeats)["ImageType"]
    return replace(stack, frames=frames, image_type=tuple(kinds.split("\\")) if kinds else ())


def _split_by_instance(stack: Stack) -> list[Stack]:
    """Split a stack into volumes by instance number, if every position was acquired equally often."""
    at_position: dict[tuple[int, ...], list[Frame]] = defaultdict(list)
    for frame in stack.frames:
        at_position[_position(frame)].append(frame)
    counts = {len(frames) for frames in at_position.values()}
    numbers = {frame.instance for frame in stack.frames}
    if len(counts) != 1 or None in numbers or len(numbers) < len(stack.frames) or len(at_position) < FEW_SLICES:
        return [stack]
    ordered = [sorted(frames, key=lambda frame: frame.instance or 0) for frames in at_position.values()]
    return [_with_frames(stack, list(frames)) for frames in zip(*ordered)]


def _joined(stacks: list[Stack]) -> list[Stack]:
    """Join stacks of a few slices to which an anonymiser gave separate series or studies.

    They must agree in everything else and have different positions.
    """
    for fits in (_of_one_series, _of_one_series_but_for_numbers):
        whole = [stack for stack in stacks if len(stack.frames) >= FEW_SLICES]
        few = [stack for stack in stacks if len(stack.frames) < FEW_SLICES]
        joined: list[Stack] = []
        for stack in few:
            _add(joined, stack, list(stack.frames), fits)
        stacks = whole + joined
    return stacks


def _of_one_series(first: Stack, second: Stack) -> bool:
    return first.number == second.number and _of_one_series_but_for_numbers(first, second)


def _of_one_series_but_for_numbers(first: Stack, second: Stack) -> bool:
    tags = [(s.description, s.modality, s.image_type, s.sequence, s.rows, s.columns, s.date) for s in (first, second)]
    positions = {_position(frame) for frame in first.frames}
    apart = not any(_position(frame) in positions for frame in second.frames)
    return tags[0] == tags[1] and apart and _same_stack(first, second) and same_person(first.person, second.person)


def _number(stacks: list[Stack]) -> None:
    stacks.sort(key=lambda s: (s.study, s.number if s.number is not None else 10**9, s.series, s.echo_time or 0.0))
    parts: dict[tuple[str, str], list[Stack]] = {}
    for stack in stacks:
        parts.setdefault((stack.study, stack.series), []).append(stack)
    for index, group in enumerate(parts.values(), start=1):
        for part, stack in enumerate(group, start=1):
            number = f"{stack.number}" if stack.number is not None else f"u{index}"
            stack.label = number if len(group) == 1 else f"{number}.{part}"


def _add_protocols(stacks: list[Stack]) -> None:
    """Add the protocol's name to a series if it belongs to the series and not to the whole examination.

    GE stores the name of the examination in this tag, other vendors that of one acquisition, which then has one echo
    time.
    """
    sharing: dict[tuple[str, str], list[Stack]] = defaultdict(list)
    for stack in stacks:
        sharing[stack.study, stack.protocol].append(stack)
    for stack in stacks:
        others = sharing[stack.study, stack.protocol]
        own = not stack.manufacturer.upper().startswith("GE") and all(
            _one_acquisition(stack, other) for other in others
        )
        if stack.protocol and (own or not stack.description or stack.description == stack.protocol):
            stack.names = f"{stack.names} {stack.protocol}".strip()


def _one_acquisition(one: Stack, other: Stack) -> bool:
    return (
        _near(one.echo_time, other.echo_time, ECHO_SHARE, ECHO_MS)
        and _near(one.repetition_time, other.repetition_time, ECHO_SHARE, 1.0)
        and _near(one.inversion_time, other.inversion_time, INVERSION_SHARE, 1.0)
    )
