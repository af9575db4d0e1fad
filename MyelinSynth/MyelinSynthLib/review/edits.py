"""Measures lesions again whose outline was edited after synthesis, as `synthesize` would."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import slicer

from ..errors import SynthesisError
from ..run.childprocess import importTrainingCore
from ..scene import provenance
from ..scene.geometry import ijkToRas, toVtk, toWorld
from ..words import _
from .segments import drawnSegments, labelsOnGrid
from .table import ADDED, EDITED, ID, OUTLINE, REMOVED, STATE, UNREVIEWED, Review

COMPARED = ("volume_mm3", "x_mm", "y_mm", "z_mm", "mean_dvr", "sd_dvr", "min_dvr")
SCREENED = ("volume_mm3", "x_mm", "y_mm", "z_mm", "mean_dvr", "min_dvr")  # every edit changes at least one of these
CENTRE = ("x_mm", "y_mm", "z_mm")
GRID = "MyelinSynth.Grid"  # attribute of the table: where map and context were when its centres were measured
RELATIVE, ABSOLUTE = 6e-5, 1e-3  # rounding to five digits in lesions.csv
NOT_AGAIN = ("uncertainty",)  # needs every single prediction, which the scene does not hold
SURROUNDINGS_MM = 9.0  # NAWM up to 8 mm around a lesion is compared with it


@dataclass
class Edits:
    """What `measureAgain` found.

    Attributes:
        edited: lesions that were measured again.
        drawn: new lesions: segments that were drawn by hand, split off, or brought back by the Segment Editor's undo.
        removed: lesions without voxels since.
        restored: lesions that have their former voxels again.
    """

    edited: list[int] = field(default_factory=list)
    drawn: list[int] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)
    restored: list[int] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.edited or self.drawn or self.removed or self.restored)

    def words(self) -> str:
        """Describe the edits in sentences for the user; empty if there are none."""
        sentences = []
        for lesions, sentence in (
            (self.edited, _("Lesion {ids} was edited: measured again and marked unreviewed.")),
            (self.drawn, _("Lesion {ids} was drawn in the Segment Editor: measured and added to the table.")),
            (self.removed, _("The outline of lesion {ids} was removed; its review is kept.")),
            (self.restored, _("The outline of lesion {ids} was restored.")),
        ):
            if lesions:
                sentences.append(sentence.format(ids=", ".join(map(str, lesions))))
        return " ".join(sentences)


@dataclass
class Memory:
    """Result of the last measurement, so that after an edit only the lesions that changed are measured.

    Attributes:
        layers: labels on the map's grid; None before the first measurement.
        measured: measured DVR on the map's grid, or None.
        measuredKey: identifies the node state that `measured` was resampled from.
        marks: outline marks of the lesions whose outline was removed, before it was.
    """

    layers: list[np.ndarray] | None = None
    measured: np.ndarray | None = None
    measuredKey: tuple[Any, ...] = ()
    marks: dict[int, str] = field(default_factory=dict)

    def take(self, nodes: dict[str, Any]) -> None:
        """Store the current outlines as measured, when outlines and table were just created together.

        Args:
            nodes: nodes of one synthesis by role.

        Raises:
            SynthesisError: a node was deleted, or the outlines have no binary labelmap.
        """
        _followGrid(nodes)
        self.layers = _layers(nodes)


def measureAgain(nodes: dict[str, Any], memory: Memory | None = None, drawn: bool = True) -> Edits:
    """Compare every row of the lesion table with its segment, and rewrite the rows that differ.

    A rewritten row is marked as edited and unreviewed; its comment is kept. A lesion without voxels keeps its row
    and its review, and is marked as removed. A segment without a row becomes a lesion.

    Args:
        nodes: nodes of one synthesis by role; table and segmentation are modified.
        memory: result of the last measurement, updated; None to examine every lesion.
        drawn: whether segments that have no lesion number become lesions, too; not while the user still draws.

    Returns:
        What changed; false if nothing did.

    Raises:
        SynthesisError: a node was deleted, the outlines have no binary labelmap, or a Python package is missing.
    """
    memory = Memory() if memory is None else memory
    _followGrid(nodes)
    if not drawn:
        return _measure(nodes, memory, _layers(nodes))
    with drawnSegments(nodes["lesions"], Review(nodes["table"]).newNumber()) as names:
        layers = _layers(nodes)
        for number in set(names) - _present(layers):
            del names[number]  # nothing was drawn yet
        return _measure(nodes, memory, layers)


def _present(layers: list[np.ndarray]) -> set[int]:
    """Return the numbers of the lesions that have voxels."""
    return {number for layer in layers for number in np.flatnonzero(np.bincount(layer.ravel())).tolist()} - {0}


def _measure(nodes: dict[str, Any], memory: Memory, layers: list[np.ndarray]) -> Edits:
    edits, review = Edits(), Review(nodes["table"])
    present = _present(layers)
    changed = _changed(memory.layers, layers)
    again = _differing(nodes["dvr"], review, layers) if changed is None else changed & present
    again |= {lesion for lesion in present if review.rowOf(lesion) is None}
    measured = {row["id"]: row for row in _rows(nodes, review, layers, again, memory)} if again else {}
    for lesion in sorted(set(measured)):
        if review.rowOf(lesion) is None:
            row = review.addRow({ID: lesion})
            own = measured.pop(lesion) | regionsOf(nodes, layers, {lesion})[lesion]
            review.setValues(row, cells(review, own) | {OUTLINE: ADDED, STATE: UNREVIEWED})
            edits.drawn.append(lesion)
    for row in range(len(review)):
        lesion = review.lesion(row)
        if lesion not in present:
            if review.outline(row) != REMOVED:
                memory.marks[lesion] = review.outline(row)
                review.setOutline(row, REMOVED)
                edits.removed.append(lesion)
        elif lesion in measured and not _same(review, row, measured[lesion]):
            _rewrite(review, row, measured[lesion] | regionsOf(nodes, layers, {lesion})[lesion])
            edits.edited.append(lesion)
        elif review.outline(row) == REMOVED:
            review.setOutline(row, memory.marks.pop(lesion, EDITED))
            edits.restored.append(lesion)
    memory.layers = layers
    return edits


def _followGrid(nodes: dict[str, Any]) -> None:
    """Move centres and context along with the map after a transform was hardened on it.

    The table keeps the position of the map that its centres belong to. The context is hidden, so that no one can harden
    a transform on it.
    """
    provenance.require(nodes, ("dvr", "table"))
    table, context = nodes["table"], nodes.get("context")
    now = {role: _position(node).tolist() for role, node in (("dvr", nodes["dvr"]), ("context", context)) if node}
    kept = table.GetAttribute(GRID)
    before = json.loads(kept) if kept else now
    move = np.array(now["dvr"]) @ np.linalg.inv(before["dvr"])
    if not np.allclose(move, np.eye(4), atol=1e-6):
        review = Review(table)
        for row in range(len(review)):
            centre = move @ [*(review.number(row, name) for name in CENTRE), 1.0]
            review.setValues(row, dict(zip(CENTRE, map(float, centre))))
        if context and np.allclose(now["context"], before.get("context", now["context"])):
            context.SetIJKToRASMatrix(toVtk(move @ ijkToRas(context)))
            now["context"] = _position(context).tolist()
    if now != before or not kept:
        table.SetAttribute(GRID, json.dumps(now))


def _position(volume: Any) -> np.ndarray:
    """Return where a volume is, 4 x 4 (RAS mm): right-handed, as Slicer makes it when a saved scene is opened."""
    matrix = ijkToRas(volume)
    if np.linalg.det(matrix[:3, :3]) < 0:
        last = volume.GetImageData().GetDimensions()[2] - 1 if volume.GetImageData() is not None else 0
        matrix = matrix @ np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, last], [0, 0, 0, 1]])
    return matrix


def measureLesions(nodes: dict[str, Any], lesions: set[int], memory: Memory) -> dict[int, dict[str, Any]]:
    """Measure some lesions on the maps, with their current outlines; the table is not modified.

    Args:
        nodes: nodes of one synthesis by role.
        lesions: numbers of the lesions to measure.
        memory: result of the last measurement; afterwards it holds the current outlines of all lesions.

    Returns:
        Values by column name for each lesion; lesions without a voxel inside the brain are left out.

    Raises:
        SynthesisError: a node was deleted, the outlines have no binary labelmap, or a Python package is missing.
    """
    layers = _layers(nodes)
    present = _present(layers)
    rows = _rows(nodes, Review(nodes["table"]), layers, lesions & present, memory)
    memory.layers = layers
    regions = regionsOf(nodes, layers, lesions & present)
    return {row[ID]: row | regions[row[ID]] for row in rows}


def regionsOf(nodes: dict[str, Any], layers: list[np.ndarray], lesions: set[int]) -> dict[int, dict[str, str]]:
    """Classify the regions of some lesions, with their current outlines.

    Args:
        nodes: nodes of one synthesis by role; `places` holds the regions of the brain.
        layers: label maps (K, J, I) on the map's grid (`segments.labelsOnGrid`).
        lesions: numbers of the lesions.

    Returns:
        {"region": ...} for each lesion; {} for a lesion without voxels, and for all if the Result has no regions.
    """
    regions: dict[int, dict[str, str]] = {lesion: {} for lesion in lesions}
    if "places" not in nodes:
        return regions
    importTrainingCore()
    from TrainingCore.imaging.regions import decode_regions, lesion_regions

    coded = slicer.util.arrayFromVolume(nodes["places"])
    spacing = np.linalg.norm(ijkToRas(nodes["dvr"])[:3, :3], axis=0)
    for lesion in lesions:
        mask = np.any([layer == lesion for layer in layers], axis=0)
        if mask.any():
            box = _boxAround(mask, SURROUNDINGS_MM / spacing[::-1])
            brainRegions = decode_regions(coded[box].transpose(2, 1, 0))
            (region,) = lesion_regions(mask[box].transpose(2, 1, 0).astype(np.int32), brainRegions, tuple(spacing))
            regions[lesion] = {"region": region}
    return regions


def _layers(nodes: dict[str, Any]) -> list[np.ndarray]:
    """Return the current outlines on the map's grid; voxels outside the brain do not count."""
    provenance.require(nodes, ("dvr", "brain", "provenance"))
    layers = labelsOnGrid(nodes["lesions"], nodes["dvr"])
    outside = slicer.util.arrayFromVolume(nodes["brain"]) == 0
    for layer in layers:
        layer[outside] = 0  # as `synthesize` does
    return layers


def _changed(before: list[np.ndarray] | None, now: list[np.ndarray]) -> set[int] | None:
    """Return the numbers of the lesions that gained or lost a voxel; None if that cannot be determined."""
    if before is None or [layer.shape for layer in before] != [layer.shape for layer in now]:
        return None
    numbers: set[int] = set()
    for old, new in zip(before, now):
        where = old != new
        numbers |= {*np.unique(old[where]).tolist(), *np.unique(new[where]).tolist()}
    return numbers - {0}


def _differing(dvr: Any, review: Review, layers: list[np.ndarray]) -> set[int]:
    """Return the lesions whose centre, volume or DVR differs from their row.

    Sums over voxels take a twentieth of a measurement's time.
    """
    values, affine = slicer.util.arrayFromVolume(dvr), ijkToRas(dvr)
    fromVoxels: dict[int, dict[str, Any]] = {}
    for labels in layers:
        where = np.nonzero(labels)
        owner, inside = labels[where], values[where]
        counts = np.bincount(owner)
        with np.errstate(invalid="ignore"):
            index = np.array([np.bincount(owner, axis) / counts for axis in reversed(where)])
            means = np.bincount(owner, inside) / counts
        centres = affine[:3, :3] @ index + affine[:3, 3:]
        lowest = np.full(counts.size, np.inf)
        np.minimum.at(lowest, owner, inside)
        volumes = counts * abs(np.linalg.det(affine[:3, :3]))
        for lesion in np.flatnonzero(counts).tolist():
            numbers = (volumes[lesion], *centres[:, lesion], means[lesion], lowest[lesion])
            fromVoxels[lesion] = dict(zip(SCREENED, map(float, numbers)))
    rows = {lesion: review.rowOf(lesion) for lesion in fromVoxels}
    return {
        lesion
        for lesion, row in rows.items()
        if row is not None and not _same(review, row, fromVoxels[lesion], SCREENED)
    }


def _same(review: Review, row: int, measured: dict[str, Any], names: Sequence[str] = COMPARED) -> bool:
    for name in names:
        before, now = review.number(row, name), measured[name]
        if now is None or not np.isfinite(before):
            if (now is None) != (not np.isfinite(before)):
                return False
        elif abs(before - now) > ABSOLUTE + RELATIVE * abs(now):
            return False
    return True


def _rewrite(review: Review, row: int, measured: dict[str, Any]) -> None:
    review.setValues(row, cells(review, measured) | {OUTLINE: EDITED, STATE: UNREVIEWED})


def cells(review: Review, measured: dict[str, Any]) -> dict[str, Any]:
    """Format the measurements of a lesion as cells of its row, rounded as in lesions.csv.

    Args:
        review: review whose columns to fill.
        measured: values by column name (`measureLesions`).

    Returns:
        Cells by column name: None for numbers that could not be measured; text columns only if they are in `measured`.
    """
    values: dict[str, Any] = {}
    for name in review.columns:
        if name != ID and not review.isText(name):
            value = None if name.removeprefix("measured_") in NOT_AGAIN else measured.get(name)
            values[name] = None if value is None else float(f"{value:.5g}")
        elif name in measured and name != ID:
            values[name] = measured[name]
    return values


def _rows(
    nodes: dict[str, Any], review: Review, layers: list[np.ndarray], lesions: set[int], memory: Memory
) -> list[dict[str, Any]]:
    """Measure these lesions on every map; the DVR of NAWM stays that of the synthesis."""
    dvr = nodes["dvr"]
    record = json.loads(nodes["provenance"].GetText())
    summary = record.get("summary", {})
    limit = summary.get("demyelination_limit_dvr")
    maps = [("", slicer.util.arrayFromVolume(dvr), _nawm(summary, "synthetic_dvr"), limit)]
    pet = measuredOnGrid(nodes, memory) if "measured_mean_dvr" in review.columns else None
    if pet is not None:
        overall = _nawm(summary, "measured_dvr")
        maps.append(("measured_", pet, overall, None if overall is None else overall["mean"] - 2 * overall["sd"]))
    nawm = slicer.util.arrayFromVolume(nodes["nawm"]) if "nawm" in nodes else np.zeros_like(layers[0], np.uint8)
    rows: list[dict[str, Any]] = []
    for labels in layers:
        inLayer = lesions & set(np.flatnonzero(np.bincount(labels.ravel())).tolist())
        if inLayer:
            measured = _layerRows(labels, inLayer, maps, nawm, ijkToRas(dvr))
            measured = _withEstimates(measured, labels, layers, nodes, record.get("model", {}))
            rows += _withConfidence(measured, labels, nodes.get("probability"))
    return _withIntervals(rows, record.get("model", {}))


def _withEstimates(
    rows: list[dict[str, Any]],
    labels: np.ndarray,
    layers: list[np.ndarray],
    nodes: dict[str, Any],
    model: dict[str, Any],
) -> list[dict[str, Any]]:
    """Add the contrasts in MRI and the estimated myelin loss; not for Results of earlier versions, without context."""
    if "context" not in nodes or nodes["context"].GetImageData() is None:
        return rows
    from TrainingCore.evaluation.lesion_context import decode_context
    from TrainingCore.evaluation.lesion_myelin import myelin_of_bundle
    from TrainingCore.runtime.errors import BadInput

    try:
        fitted = myelin_of_bundle(model)
    except BadInput:
        fitted = None  # the record was changed by hand
    coded = slicer.util.arrayFromVolume(nodes["context"]).transpose(2, 1, 0)
    context = decode_context(coded, ijkToRas(nodes["context"]))
    overlapping = len(layers) > 1  # otherwise `labels` are all lesions, and measured once, as `synthesize` does
    every = np.any([layer > 0 for layer in layers], axis=0).transpose(2, 1, 0) if overlapping else None
    return context.estimates(labels.transpose(2, 1, 0), ijkToRas(nodes["dvr"]), rows, fitted, every)


def _withIntervals(rows: list[dict[str, Any]], model: dict[str, Any]) -> list[dict[str, Any]]:
    """Add the interval of the measured DVR to the rows if the model is calibrated."""
    from TrainingCore.evaluation.conformal import interval_of, intervals_of_bundle
    from TrainingCore.runtime.errors import BadInput

    try:
        intervals = intervals_of_bundle(model)
    except BadInput:
        intervals = None  # the record was changed by hand
    return [row | interval_of(intervals, row["volume_mm3"], row["mean_dvr"]) for row in rows]


def _withConfidence(rows: list[dict[str, Any]], labels: np.ndarray, probability: Any) -> list[dict[str, Any]]:
    """Add the confidence of the lesion finder to the rows if its probability map is available."""
    if probability is not None and probability.GetImageData() is not None:
        confidence = _trainingCore().confidence_by_label(slicer.util.arrayFromVolume(probability), labels)
        for row in rows:
            row["confidence"] = float(confidence[row[ID]])
    return rows


def _layerRows(
    labels: np.ndarray, lesions: set[int], maps: list[tuple[str, Any, Any, Any]], nawm: np.ndarray, affine: np.ndarray
) -> list[dict[str, Any]]:
    lesionTable = _trainingCore().lesion_table
    selected = np.zeros(int(labels.max()) + 1, bool)
    selected[list(lesions)] = True
    box = _boxAround(selected[labels], SURROUNDINGS_MM / np.linalg.norm(affine[:3, :3], axis=0)[::-1])
    turned = np.ascontiguousarray(labels[box].transpose(2, 1, 0))
    boxAffine = affine.copy()
    boxAffine[:3, 3] += affine[:3, :3] @ [part.start for part in box[::-1]]
    healthy = np.ascontiguousarray(nawm[box].transpose(2, 1, 0) > 0)
    rows: list[dict[str, Any]] = []
    for prefix, values, overall, limit in maps:
        threshold = np.nan if limit is None else limit
        cropped = values[box].transpose(2, 1, 0)
        measured = lesionTable(turned, cropped, healthy, boxAffine, demyelination_threshold=threshold)
        measured = [row for row in measured if row["id"] in lesions]  # the box may cut others
        for row in measured:
            mean = row["mean_dvr"]
            row["ratio_to_nawm"] = None if mean is None or overall is None else mean / overall["mean"]
            row["demyelinated_share"] = None if limit is None else row["demyelinated_share"]
        if not prefix:
            rows = measured
        for row, other in zip(rows, measured) if prefix else ():
            row |= {prefix + name: value for name, value in other.items()}
    return rows


def _boxAround(mask: np.ndarray, margin: np.ndarray) -> tuple[slice, ...]:
    """Return the part of the array (K, J, I) that holds the mask and `margin` voxels around it."""
    box = []
    for axis, room in enumerate(np.ceil(margin).astype(int).tolist()):
        occupied = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        first, last = (int(occupied[0]), int(occupied[-1])) if occupied.size else (0, 0)
        box.append(slice(max(first - room, 0), last + room + 1))
    return tuple(box)


def _nawm(summary: dict[str, Any], which: str) -> dict[str, float] | None:
    nawm = (summary.get(which) or {}).get("nawm")
    return nawm if nawm and nawm["mean"] > 0 else None


def measuredOnGrid(nodes: dict[str, Any], memory: Memory) -> np.ndarray | None:
    """Resample the measured DVR to the map's grid as `synthesize` does.

    Args:
        nodes: nodes of one synthesis by role.
        memory: keeps the resampled volume until one of the nodes changes.

    Returns:
        Measured DVR (K, J, I), owned by `memory`; None if the volume was deleted.

    Raises:
        SynthesisError: a parent transform is not linear, the volume lies elsewhere, or a Python package is missing.
    """
    dvr = nodes["dvr"]
    measured = dvr.GetNodeReference(provenance.MEASURED_REFERENCE)
    if measured is None or measured.GetImageData() is None:
        return None
    ijkToMap = np.linalg.inv(toWorld(dvr, _("map"))) @ toWorld(measured, _("measured DVR")) @ ijkToRas(measured)
    times = (measured.GetImageData().GetMTime(), nodes["brain"].GetImageData().GetMTime())
    key = (measured.GetID(), *times, ijkToMap.tobytes(), ijkToRas(dvr).tobytes())
    if memory.measured is None or key != memory.measuredKey:
        _trainingCore()
        from TrainingCore.imaging.checks import dvr_on_grid
        from TrainingCore.imaging.volumes import Volume
        from TrainingCore.runtime.errors import MyelinSynthError

        measuredVolume = Volume(slicer.util.arrayFromVolume(measured).transpose(2, 1, 0).astype(np.float32), ijkToMap)
        grid = Volume(slicer.util.arrayFromVolume(dvr).transpose(2, 1, 0), ijkToRas(dvr))
        brain = grid.with_data(slicer.util.arrayFromVolume(nodes["brain"]).transpose(2, 1, 0).astype(np.float32))
        try:
            memory.measured = dvr_on_grid(measuredVolume, grid, brain)[0].data.transpose(2, 1, 0)
        except MyelinSynthError as error:  # as after a transform was hardened on some of the images alone
            raise SynthesisError(str(error)) from error
        memory.measuredKey = key
    return memory.measured


def _trainingCore() -> Any:
    """Import TrainingCore.evaluation.lesions, which needs SciPy and SimpleITK.

    Raises:
        SynthesisError: one of them is missing.
    """
    importTrainingCore()
    try:
        import TrainingCore.evaluation.lesions as lesions
    except ModuleNotFoundError as error:
        raise SynthesisError(
            _("Edited lesions cannot be measured: {name} is missing from Slicer's Python.").format(name=error.name)
        ) from error
    return lesions
