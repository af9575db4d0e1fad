"""Resample a patient's volumes to a Case on the grid of a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.ndimage import gaussian_filter

from ..data.case import ALL_MRI, MASKS, MRI, VOLUME_NAMES, Case, word_of
from ..data.visit import Visit
from ..runtime.errors import BadInput
from .dvr_values import PLAUSIBLE_MEDIAN, refuse_constant
from .grid import SIGMA_PER_FWHM, Grid, brain_grid
from .intensities import apply_rule
from .partial_volumes import lesion_mask_on_grid
from .reading import DVR_MAPS
from .volumes import Volume, read_volume, resample

MAY_BE_EMPTY = ("myelin_loss",)  # all zero in people without lesions
MIN_SHARE = 1e-3  # of a voxel in the mask, for the mean of the part inside


def load_visit(
    visit: Visit,
    shape: tuple[int, int, int],
    spacing: float,
    intensity: dict[str, Any],
    inputs: Sequence[str] | None = None,
) -> Case:
    """Read, resample and rescale a visit for a network.

    Args:
        visit: its files, all in one space.
        shape: voxels of the grid along each axis.
        spacing: voxel edge in mm.
        intensity: rule of a recipe or bundle.
        inputs: required MRI; None requires T1w and FLAIR and reads any other MRI too.

    Returns:
        The visit on the grid of `brain_grid` around its brain.

    Raises:
        BadInput: a volume is missing or a file cannot be used; the message names it.
    """
    needed = {"brain", *(MRI if inputs is None else inputs)}
    missing = [name for name in VOLUME_NAMES if name in needed - set(visit.files)]
    if missing:
        raise BadInput(f"{visit.label} has no {', '.join(missing)}; a registered, brain-masked visit is needed.")
    unwanted = set() if inputs is None else set(ALL_MRI) - needed
    read = {
        name: read_volume(visit.files[name], what=name, mask=name in MASKS, may_be_empty=name in MAY_BE_EMPTY)
        for name in VOLUME_NAMES
        if name in visit.files and name not in unwanted
    }
    for name in DVR_MAPS:
        if name in read:
            data = read[name].data
            refuse_constant(data[data != 0], f"The {word_of(name)} {visit.files[name]}")
    brain = read["brain"]
    try:
        grid = brain_grid(brain.data > 0.5, brain.affine, shape, spacing)
        case = prepare_case(read, grid, intensity, visit.person, visit.visit)
    except ValueError as error:
        raise BadInput(f"{visit.label} cannot be prepared: {error}. Check {visit.files['brain']}.") from error
    case.info.update(visit.info)
    return case


def refuse_other_maps(case: Case, visit: Visit) -> None:
    """Check that the DVR of a visit is one, before a network is trained on it or compared with it.

    Args:
        case: the visit, from `load_visit`.
        visit: its files.

    Raises:
        BadInput: the median of a DVR map over the brain is that of another image.
    """
    for name in DVR_MAPS:
        if name not in case.volumes:
            continue
        values = case.volumes[name][case.volumes["brain"]]
        values = values[np.isfinite(values) & (values != 0)]  # 0: not covered
        median = float(np.median(values)) if values.size else 0.0
        if not PLAUSIBLE_MEDIAN[0] < median < PLAUSIBLE_MEDIAN[1]:
            raise BadInput(
                f"The {word_of(name)} {visit.files[name]} has a median of {median:.3g} in the brain, not about 1, so "
                "it is no DVR map of this person. Give the DVR, or leave this visit out."
            )


def prepare_case(
    read: Mapping[str, Volume], grid: Grid, intensity: dict[str, Any], person: str = "patient", visit: str = ""
) -> Case:
    """Resample the volumes of a visit to a grid and rescale the MRI by the rule of a recipe or bundle.

    DVR is never rescaled. Masks are resampled linearly and thresholded at one half, so that thin structures keep their
    volume better than by nearest neighbour; every lesion keeps its volume (see imaging.partial_volumes). The true
    myelin loss, which is 0 outside the lesions, is averaged inside them only: otherwise small lesions would lose less
    myelin the coarser the grid is.

    Args:
        read: volumes by name, all in one space; `brain` is required.
        grid: target grid.
        intensity: rule of a recipe or bundle.
        person: label of the person in the Case.
        visit: label of the visit in the Case.

    Returns:
        The visit on the grid.

    Raises:
        ValueError: the brain or an image is empty on the grid.
    """
    inside = on_grid(read["brain"], grid, mask=True)
    volumes = {}
    for name, volume in read.items():
        if name in ALL_MRI:
            volumes[name] = apply_rule(on_grid(volume, grid), inside, intensity)
        elif name in ("lesions", "enhancing") and not grid.same_as(volume.data.shape, volume.affine):
            volumes[name] = lesion_mask_on_grid(volume, grid.shape, grid.affine)
        elif name == "myelin_loss" and "lesions" in read:
            volumes[name] = mean_inside_on_grid(volume, read["lesions"], grid)
        else:
            volumes[name] = on_grid(volume, grid, mask=name in MASKS)
    return Case(person, visit, volumes, grid.affine)


def on_grid(volume: Volume, grid: Grid, matrix: np.ndarray | None = None, mask: bool = False) -> np.ndarray:
    """Resample a volume to a grid.

    Args:
        volume: volume.
        grid: target grid.
        matrix: 4x4 RAS mm, world of the grid -> world of the volume; None for the identity.
        mask: whether the volume is a mask.

    Returns:
        float32 values; for a mask bool, whether a voxel is at least half inside.
    """
    matrix = np.eye(4) if matrix is None else matrix
    if np.array_equal(matrix, np.eye(4)) and grid.same_as(volume.data.shape, volume.affine):
        values = volume.data
    else:
        values = resample_antialiased(volume, grid, matrix)
    return values > 0.5 if mask else np.asarray(values, np.float32)


def mean_inside_on_grid(volume: Volume, mask: Volume, grid: Grid) -> np.ndarray:
    """Resample a volume that has values inside a mask only: each voxel gets the mean of its part inside.

    Args:
        volume: values.
        mask: 0/1 mask, on any grid.
        grid: target grid.

    Returns:
        float32 on the grid, 0 outside the mask.
    """
    if Grid(volume.data.shape, volume.affine).same_as(mask.data.shape, mask.affine):
        inside = mask.data > 0.5
    else:
        inside = lesion_mask_on_grid(mask, volume.data.shape, volume.affine)
    share = on_grid(volume.with_data(inside.astype(np.float32)), grid)
    total = on_grid(volume.with_data(np.where(inside, volume.data, 0).astype(np.float32)), grid)
    return np.where(share > MIN_SHARE, total / np.maximum(share, MIN_SHARE), 0).astype(np.float32)


def resample_antialiased(volume: Volume, grid: Grid, matrix: np.ndarray) -> np.ndarray:
    """Resample a volume, smoothed just enough that a coarser grid does not alias it.

    Gaussian of FWHM sqrt(target^2 - source^2) along each axis if the target voxel is larger (ours); linear
    interpolation.

    Args:
        volume: volume.
        grid: target grid.
        matrix: 4x4, world of the grid -> world of the volume, RAS mm.

    Returns:
        float32 on the grid, 0 outside the volume.
    """
    source, target = np.linalg.norm(volume.affine[:3, :3], axis=0), grid.spacing
    cosines = (grid.affine[:3, :3] / target).T @ matrix[:3, :3].T @ (volume.affine[:3, :3] / source)
    gap = np.sqrt(np.clip(target**2 @ cosines**2 - source**2, 0, None))  # of the target along the axes of the source
    sigma = gap * SIGMA_PER_FWHM / source
    data = volume.data.astype(np.float32)
    if sigma.max() > 0.1:
        data = gaussian_filter(data, sigma, mode="nearest")
    return resample(Volume(data, volume.affine, volume.name), grid.shape, grid.affine, matrix)
