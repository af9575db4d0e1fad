"""Add, merge and split lesions: updates outlines and table, measures as `synthesize` does, and supports undo."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer

from ..errors import SynthesisError
from ..run.childprocess import importTrainingCore
from ..scene import provenance
from ..scene.geometry import ijkToRas, toWorld
from ..words import _
from .edits import Memory, cells, measureLesions
from .segments import labelsOnGrid, setMask
from .table import ADDED, COMMENT, ID, MERGED, OUTLINE, SPLIT, STATE, UNREVIEWED, Review

Masks = dict[int, "np.ndarray | None"]  # by lesion: (K, J, I) on the map's grid, None where there is no such lesion


@dataclass(frozen=True)
class SmallMask:
    """A mask that takes no more memory than its lesion.

    Attributes:
        shape: of the whole mask, (K, J, I).
        box: where the voxels are.
        part: the mask in the box.
    """

    shape: tuple[int, ...]
    box: tuple[slice, ...]
    part: np.ndarray

    @classmethod
    def of(cls, mask: np.ndarray) -> SmallMask:
        """Cut out the occupied part of a mask.

        Args:
            mask: (K, J, I) with at least one voxel.

        Returns:
            The small mask.
        """
        box = tuple(slice(int(axis.min()), int(axis.max()) + 1) for axis in np.nonzero(mask))
        return cls(mask.shape, box, mask[box].copy())

    def whole(self) -> np.ndarray:
        """The mask, bool (K, J, I)."""
        mask = np.zeros(self.shape, bool)
        mask[self.box] = self.part
        return mask


@dataclass(frozen=True)
class OutlineChange:
    """A change of outlines that was made.

    Attributes:
        lesion: lesion to show now.
        lesions: all lesions that changed.
        words: sentence for the user.
        undo: undoes the change.
    """

    lesion: int
    lesions: frozenset[int]
    words: str
    undo: Callable[[], None]


def addLesion(nodes: dict[str, Any], position: Sequence[float], memory: Memory) -> OutlineChange:
    """Grow a lesion from the probability map at a point, and measure it.

    Args:
        nodes: nodes of one synthesis by role, with `probability`; outlines and table are modified.
        position: world point in RAS mm.
        memory: result of the last measurement, updated.

    Returns:
        The change; the new lesion has a number that no other lesion has.

    Raises:
        SynthesisError: the point is in a lesion already, no lesion is found there, or a node was deleted.
    """
    provenance.require(nodes, ("dvr", "brain", "table"))
    review, labels = Review(nodes["table"]), _labels(nodes)
    click = _voxel(nodes["dvr"], position)
    inside = all(0 <= index < size for index, size in zip(click, labels.shape[::-1]))
    if inside and labels[click[::-1]]:
        raise SynthesisError(_("There is already a lesion at this point: {id}.").format(id=labels[click[::-1]]))
    grown = _grow(nodes, click, labels == 0)
    lesion = review.newNumber()
    text = _("Lesion {id} was added: region with a probability of at least {share:.0%}.")
    return _apply(nodes, {lesion: grown.mask.transpose(2, 1, 0)}, ADDED, memory, lesion, text, share=grown.threshold)


def mergeLesions(nodes: dict[str, Any], lesions: Sequence[int], memory: Memory) -> OutlineChange:
    """Merge lesions into one, which keeps the number of the largest; comments are joined.

    Args:
        nodes: nodes of one synthesis by role; outlines and table are modified.
        lesions: numbers of the lesions; those without an outline are ignored.
        memory: result of the last measurement, updated.

    Returns:
        The change.

    Raises:
        SynthesisError: fewer than two of the lesions have an outline, or a node was deleted.
    """
    review, masks = Review(nodes["table"]), _masks(nodes, lesions)
    if len(masks) < 2:
        raise SynthesisError(_("To merge lesions, select two or more in the table (Ctrl+click)."))
    kept = max(masks, key=lambda lesion: int(masks[lesion].sum()))
    others = sorted(set(masks) - {kept})
    newMasks: Masks = dict.fromkeys(others)
    newMasks[kept] = np.any(list(masks.values()), axis=0)
    remarks = [review.comment(review.rowOf(lesion)) for lesion in (kept, *others)]  # type: ignore[arg-type]
    text = _("Lesion {others} was merged into lesion {id}.")
    names = ", ".join(map(str, others))
    comment = "; ".join(remark for remark in remarks if remark)
    return _apply(nodes, newMasks, MERGED, memory, kept, text, comment=comment, others=names)


def splitLesion(nodes: dict[str, Any], lesion: int, memory: Memory) -> OutlineChange:
    """Split a lesion into its connected parts, or at narrow points; the largest part keeps the number.

    Args:
        nodes: nodes of one synthesis by role; outlines and table are modified.
        lesion: number of the lesion.
        memory: result of the last measurement, updated.

    Returns:
        The change.

    Raises:
        SynthesisError: the lesion has no outline or cannot be split, or a node was deleted.
    """
    masks = _masks(nodes, [lesion])
    if lesion not in masks:
        raise SynthesisError(_("Lesion {id} has no outline.").format(id=lesion))
    importTrainingCore()
    from TrainingCore.imaging.lesion_editing import split_lesion

    parts = split_lesion(masks[lesion].transpose(2, 1, 0), _spacing(nodes["dvr"])).transpose(2, 1, 0)
    if parts.max() < 2:
        raise SynthesisError(
            _("Lesion {id} could not be split: it is one piece without a narrow point. Use the Segment Editor.").format(
                id=lesion
            )
        )
    first = Review(nodes["table"]).newNumber()
    numbers = [lesion, *range(first, first + int(parts.max()) - 1)]
    newMasks: Masks = {number: parts == part for part, number in enumerate(numbers, start=1)}
    text = _("Lesion {id} was split; new lesions: {others}.")
    return _apply(nodes, newMasks, SPLIT, memory, lesion, text, others=", ".join(map(str, numbers[1:])))


def canGrow(nodes: dict[str, Any]) -> bool:
    """Return whether lesions can be added: that needs the lesion finder's probability map.

    Args:
        nodes: nodes of one synthesis by role.
    """
    return all(role in nodes for role in ("probability", "lesions", "table", "dvr", "brain"))


def _apply(
    nodes: dict[str, Any], masks: Masks, mark: str, memory: Memory, lesion: int, text: str, **words: Any
) -> OutlineChange:
    """Draw the masks and update the table; new rows copy region and comment from `lesion`."""
    segmentation, review = nodes["lesions"], Review(nodes["table"])
    present = {number: SmallMask.of(mask) for number, mask in _masks(nodes, list(masks)).items()}
    before: dict[int, SmallMask | None] = {**dict.fromkeys(masks), **present}
    rows = {number: review.values(row) for number in masks if (row := review.rowOf(number)) is not None}
    change = OutlineChange(
        lesion,
        frozenset(masks),
        text.format(id=lesion, **words),
        lambda: _restore(nodes, before, rows, memory),
    )
    try:
        for number, mask in masks.items():
            setMask(segmentation, number, mask, nodes["dvr"])
        measured = measureLesions(nodes, set(masks), memory)
    except BaseException:
        _restore(nodes, before, rows, memory)
        raise
    like = {name: value for name, value in rows.get(lesion, {}).items() if review.isText(name)}
    for number, mask in masks.items():
        if mask is None:
            review.removeRow(number)
            continue
        row = review.rowOf(number)
        row = review.addRow(like | {ID: number}) if row is None else row
        review.setValues(row, cells(review, measured.get(number, {})) | {STATE: UNREVIEWED, OUTLINE: mark})
        if "comment" in words:
            review.setComment(row, words[COMMENT])
    return change


def _restore(
    nodes: dict[str, Any], masks: dict[int, SmallMask | None], rows: dict[int, dict[str, Any]], memory: Memory
) -> None:
    """Restore outlines and rows to their state before a change."""
    review = Review(nodes["table"])
    for number, mask in masks.items():
        setMask(nodes["lesions"], number, None if mask is None else mask.whole(), nodes["dvr"])
        if number not in rows:
            review.removeRow(number)
            continue
        row = review.rowOf(number)
        row = review.addRow({ID: number}) if row is None else row
        review.setValues(row, rows[number])
    measureLesions(nodes, set(), memory)


def _masks(nodes: dict[str, Any], lesions: Sequence[int]) -> dict[int, np.ndarray]:
    """Return the voxels of each lesion that has any, bool (K, J, I) on the map's grid."""
    provenance.require(nodes, ("dvr", "brain", "table"))
    layers = labelsOnGrid(nodes["lesions"], nodes["dvr"])
    masks = {lesion: np.any([layer == lesion for layer in layers], axis=0) for lesion in lesions if layers}
    return {lesion: mask for lesion, mask in masks.items() if mask.any()}


def _labels(nodes: dict[str, Any]) -> np.ndarray:
    """Return the number of the lesion in each voxel of the map's grid, (K, J, I)."""
    labels = np.zeros(slicer.util.arrayFromVolume(nodes["dvr"]).shape, np.int32)
    for layer in labelsOnGrid(nodes["lesions"], nodes["dvr"]):
        labels[layer > 0] = layer[layer > 0]
    return labels


def _grow(nodes: dict[str, Any], click: tuple[int, ...], free: np.ndarray) -> Any:
    importTrainingCore()
    from TrainingCore.imaging.lesion_editing import THRESHOLD, grow_lesion

    probability = slicer.util.arrayFromVolume(nodes["probability"])
    allowed = free & (slicer.util.arrayFromVolume(nodes["brain"]) > 0)
    turned = (probability.transpose(2, 1, 0), click, _spacing(nodes["dvr"]), allowed.transpose(2, 1, 0))
    grown = grow_lesion(*turned, _finderThreshold(nodes) or THRESHOLD)
    if grown is None:
        raise SynthesisError(_("The lesion finder sees no lesion at this point. Draw it in the Segment Editor."))
    return grown


def _finderThreshold(nodes: dict[str, Any]) -> float | None:
    """Return the probability at which the lesion finder drew outlines; None in Results of earlier versions."""
    inputs = json.loads(nodes["provenance"].GetText()).get("inputs", {}) if "provenance" in nodes else {}
    finder = inputs.get("lesions_found_by") or inputs.get("completed_with") or {}
    return finder.get("lesion_threshold")


def _voxel(volume: Any, position: Sequence[float]) -> tuple[int, ...]:
    """Return the voxel (i, j, k) at a world point in RAS mm; it may lie outside the volume."""
    voxel = np.linalg.inv(toWorld(volume, _("map")) @ ijkToRas(volume)) @ [*position, 1.0]
    return tuple(int(index) for index in np.rint(voxel[:3]))


def _spacing(volume: Any) -> tuple[float, ...]:
    return tuple(np.linalg.norm(ijkToRas(volume)[:3, :3], axis=0).tolist())
