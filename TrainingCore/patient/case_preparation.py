"""Prepare one visit: from images as read to aligned volumes on one grid; `worker` reads and writes the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..data.case import ALL_MRI, REFERENCES, reference_of, word_of
from ..data.cohort_bids import SPACES
from ..imaging.aligned import AlignedPatient
from ..imaging.checks import check_different_images
from ..imaging.dvr_values import PLAUSIBLE_MEDIAN
from ..imaging.grid import Grid, brain_grid
from ..imaging.partial_volumes import PartialVolumes, lesion_mask_on_grid, partial_volumes
from ..imaging.preparation import on_grid
from ..imaging.registration import in_mask
from ..imaging.sides import check_side
from ..imaging.volumes import Volume
from ..imaging.working_grid import working_copy
from ..runtime.errors import BadInput
from ..runtime.stopwatch import Stopwatch
from .preparation import align_patient, lesions_where_drawn
from .tissues import tissue_masks

MAPS = ("dvr", "dvr_clean")


@dataclass
class Prepared:
    """A visit ready for a network. All arrays are on `grid`.

    Attributes:
        volumes: bias-corrected MRI and DVR as float32, masks as bool, by name.
        grid: output grid.
        reference: name of the image that all others were registered to, see `case.reference_of`.
        space: BIDS name of the output space, or `PET`.
        aligned: images before resampling.
        lesions: share of every lesion in every voxel, or None.
        matrices: 4x4 RAS mm by image, output world -> world of the image.
        warnings: sentences for the record.
        seconds: (wall, CPU) by step.
    """

    volumes: dict[str, np.ndarray]
    grid: Grid
    reference: str
    space: str
    aligned: AlignedPatient
    lesions: PartialVolumes | None
    matrices: dict[str, np.ndarray]
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, tuple[float, float]] = field(default_factory=dict)


def prepare_volumes(
    read: Mapping[str, Volume],
    options: Mapping[str, Any],
    spaces: Mapping[str, str],
    transforms: Mapping[str, np.ndarray],
    stopwatch: Stopwatch | None = None,
) -> Prepared:
    """Align, mask, segment and resample one visit.

    Args:
        read: volumes as read, by name; at least one of `case.REFERENCES`.
        options: `space` (t1w for that of the reference, or pet), `grid` (own, or voxels along each axis),
            `spacing_mm`, and optionally `lesion_finder` (bundle that segments lesions if no mask is given).
        spaces: BIDS `space` entity by volume, for files that have one.
        transforms: known transforms by image, 4x4 RAS mm, reference world -> world of the image.
        stopwatch: measures the steps.

    Returns:
        The prepared visit.

    Raises:
        BadInput: an image cannot be used.
        MyelinSynthError: a step failed.
    """
    stopwatch = stopwatch or Stopwatch()
    images = {name: read[name] for name in (*ALL_MRI, *MAPS) if name in read}
    if options["grid"] != "own":
        images |= {name: working_copy(image) for name, image in images.items() if name in ALL_MRI}
    reference = reference_of(images)
    if reference is None:
        raise BadInput(f"There is no {', no '.join(map(word_of, REFERENCES))}: no reference to register the images to.")
    aligned = align_patient(
        images, read.get("brain"), transforms, lambda step, _message: stopwatch.start(step), reference
    )
    warnings = [f"The {word_of(name)} {volume.name} {note}." for name, volume in read.items() for note in volume.notes]
    if {"t1w", "flair"} <= set(images):
        same = check_different_images(images["t1w"], images["flair"])
        warnings += [same] if same else []
    warnings += aligned.warnings
    stopwatch.start("lesions")
    lesions = _lesions_in_reference_space(read, aligned, reference, spaces, warnings)
    if lesions is None and options.get("lesion_finder"):
        stopwatch.start("find lesions")
        lesions = _segmented_lesions(options["lesion_finder"], aligned, warnings)
    stopwatch.start("tissues")
    masks = _tissue_masks(read, aligned, reference, lesions, warnings)
    stopwatch.start("resample")
    to_output = _output_space(options, aligned, images)
    own = images["dvr" if options["space"] == "pet" else reference]
    grid = _output_grid(options, aligned, own, to_output)
    space = "PET" if options["space"] == "pet" else SPACES[reference]
    prepared = Prepared({}, grid, reference, space, aligned, None, {}, warnings)
    _fill(prepared, masks, to_output)
    if lesions is not None:
        moved = Volume(lesions.data, to_output @ lesions.affine, lesions.name)
        prepared.lesions = partial_volumes(moved, grid.shape, grid.affine)
        prepared.volumes["lesions"] = prepared.lesions.mask()
    stopwatch.stop()
    prepared.seconds = stopwatch.seconds
    return prepared


def _segmented_lesions(finder: str, aligned: AlignedPatient, warnings: list[str]) -> Volume:
    """Segment lesions with the bundle of a lesion finder; returns the mask on the reference grid."""
    from .lesion_finding import finder_of, open_finder

    bundle = open_finder(finder)
    if bundle is None:
        raise BadInput(f"The lesion finder {finder} is not installed. Leave out --find-lesions.")
    segmentation = finder_of(bundle)(aligned)
    warnings.append(f"Lesions were segmented automatically ({segmentation.about['name']}). Review them.")
    return segmentation.mask


def _output_space(options: Mapping[str, Any], aligned: AlignedPatient, images: Mapping[str, Volume]) -> np.ndarray:
    """4x4 RAS mm, reference world -> world of the output."""
    if options["space"] != "pet":
        return np.eye(4)
    if "dvr" not in images:
        raise BadInput("There is no DVR map, so there is no PET space. Use --space t1w, or give the DVR.")
    return aligned.matrix("dvr")


def _output_grid(options: Mapping[str, Any], aligned: AlignedPatient, own: Volume, to_output: np.ndarray) -> Grid:
    if options["grid"] == "own":
        return Grid(own.data.shape, np.asarray(own.affine, float))
    mask = aligned.brain.mask
    return brain_grid(mask.data > 0.5, to_output @ mask.affine, tuple(options["grid"]), options["spacing_mm"])


def _fill(prepared: Prepared, masks: dict[str, np.ndarray], to_output: np.ndarray) -> None:
    """Resample every image and mask to the grid with a single interpolation."""
    aligned, grid = prepared.aligned, prepared.grid
    back = np.eye(4) if np.array_equal(to_output, np.eye(4)) else np.linalg.inv(to_output)
    for name, image in aligned.images.items():
        exact = prepared.space == "PET" and name in MAPS and np.array_equal(aligned.matrix(name), to_output)
        matrix = np.eye(4) if exact else aligned.matrix(name) @ back
        prepared.matrices[name] = matrix
        prepared.volumes[name] = on_grid(image, grid, matrix)
    for name, mask in {"brain": aligned.brain.mask.data > 0.5, **masks}.items():
        volume = aligned.brain.mask.with_data(mask.astype(np.float32))
        prepared.volumes[name] = on_grid(volume, grid, back, mask=True)
    brain = prepared.volumes["brain"]
    if not brain.any():
        raise BadInput("The brain is outside the output grid. Check the registration, or use --grid 128.")
    for name in MAPS:
        if name in prepared.volumes:
            prepared.volumes[name] = np.where(brain, prepared.volumes[name], 0).astype(np.float32)
            _check_dvr(prepared, name)


def _check_dvr(prepared: Prepared, name: str) -> None:
    middle = float(np.median(prepared.volumes[name][prepared.volumes["brain"]]))
    if not PLAUSIBLE_MEDIAN[0] < middle < PLAUSIBLE_MEDIAN[1]:
        prepared.warnings.append(
            f"The {name} has a median of {middle:.3g} in the brain, not about 1: is it a DVR map, and of this person?"
        )


def _lesions_in_reference_space(
    read: Mapping[str, Volume], aligned: AlignedPatient, reference: str, spaces: Mapping[str, str], warnings: list[str]
) -> Volume | None:
    """Lesion mask with its affine in reference world; a mask drawn on the FLAIR is moved with the FLAIR."""
    mask = read.get("lesions")
    if mask is None:
        return None
    brain = aligned.brain.mask
    images = {name: read[name] for name in aligned.images}
    mask, notes = lesions_where_drawn(mask, aligned, images, reference, spaces.get("lesions"))
    warnings += notes
    if not mask.data.any():
        warnings.append(f"The lesion mask {mask.name} is empty.")
        return mask
    points = np.argwhere(mask.data > 0.5) @ mask.affine[:3, :3].T + mask.affine[:3, 3]
    inside = float(in_mask(points, brain).mean())
    doubt = check_side(mask, aligned.images["flair"], brain, aligned.matrix("flair")) if "flair" in images else ""
    warnings += [doubt] if doubt else []
    if inside < 0.99:
        warnings.append(f"{100 * (1 - inside):.0f} % of the lesion mask {mask.name} lie outside the brain mask.")
    return mask


def _tissue_masks(
    read: Mapping[str, Volume], aligned: AlignedPatient, reference: str, lesions: Volume | None, warnings: list[str]
) -> dict[str, np.ndarray]:
    """Bool masks of white matter, grey matter, CSF and NAWM on the reference grid, given or segmented; else empty."""
    fixed = aligned.images[reference]
    marked = None if lesions is None else lesion_mask_on_grid(lesions, fixed.data.shape, fixed.affine)
    try:
        return tissue_masks(aligned, reference, marked, read.get("label_map"), read)
    except ValueError as error:
        warnings.append(f"Tissues could not be segmented ({error}); there are no tissue masks.")
        return {}
