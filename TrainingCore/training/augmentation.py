"""Augmentation: random position, bias field, contrast, noise and resolution, as in hospital MRI.

Off in the paper's recipe. All amounts come from the recipe's `augmentation` group and all random numbers from one
generator, so that a resumed run sees the same patients. The DVR target moves with the anatomy but keeps its values.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch.nn import functional

from ..data.case import ALL_MRI, MASKS, Case
from ..imaging.intensities import SPANS, apply_rule, background_of
from .drawn_lesions import draw_caps, draw_lesions
from .lesion_appearance import add_look_alikes, brighten_cortex, fade_lesions, strengthen_lesions
from .smooth_fields import field_knots, interpolated

THICKEST_SLICE = 4  # voxels


def augment(
    case: Case, settings: dict[str, float], rule: dict[str, Any], rng: np.random.Generator, target: str = "dvr"
) -> Case:
    """Augment a prepared case.

    Args:
        case: the visit; it is not changed.
        settings: `flip` probability of a left-right flip; `rotation` largest angle in degrees about each axis; `scale`
            largest relative change of size; `bias` SD of the log bias field; `gamma` SD of log gamma; `contrast` SD of
            the knots of a monotone remapping; `noise` largest noise SD (MRI spans 2); `blur` largest Gaussian sigma in
            voxels; `slices` probability of thick slices; `lesion_t1` how far lesions may fade towards white matter in
            T1w (0 to 1); `texture` (may be missing) largest SD of a fine multiplicative texture; `lesion_contrast` (may
            be missing) how much brighter lesions may become in FLAIR and, by half of it, darker in T1w, in shares of
            1/8 of the MRI's span; `bright_cortex` (may be missing) how much brighter patches of grey matter may become
            in FLAIR, in the same unit; `look_alikes` (may be missing) how bright faint spots that are no lesions may be
            in FLAIR, in the same unit; `caps` (may be missing) how bright caps of the ventricles may be in FLAIR, in
            the same unit; `drawn_lesions` (may be missing) mean number of small lesions added (`draw_lesions`).
        rule: intensity rule, applied again because the histogram has moved.
        rng: source of all draws.
        target: image to predict, which moves with the anatomy and keeps its values.

    Returns:
        The augmented visit on the same grid; the case itself if all settings are 0.
    """
    if not any(settings.values()):
        return case
    background = background_of(rule)
    volumes = _moved(case.volumes, settings, background, rng)
    brain = volumes["brain"]
    kept = volumes[target].copy() if target in ALL_MRI and target in volumes else None
    if settings["lesion_t1"] > 0 and {"t1w", "lesions", "white_matter"} <= set(volumes):
        volumes["t1w"] = fade_lesions(volumes, settings["lesion_t1"], rng)
    if settings.get("lesion_contrast", 0.0) and "lesions" in volumes:
        strengthen_lesions(volumes, settings["lesion_contrast"] * SPANS[rule["rule"]] / 8, rng)
    if settings.get("bright_cortex", 0.0) and {"flair", "grey_matter"} <= set(volumes):
        brighten_cortex(volumes, settings["bright_cortex"] * SPANS[rule["rule"]] / 8, rng)
    if settings.get("caps", 0.0) and {"flair", "white_matter", "grey_matter"} <= set(volumes):
        draw_caps(volumes, settings["caps"] * SPANS[rule["rule"]] / 8, rng)
    if settings.get("drawn_lesions", 0.0) and {"lesions", "white_matter", "grey_matter"} <= set(volumes):
        draw_lesions(volumes, settings["drawn_lesions"], SPANS[rule["rule"]] / 8, rng)
    if settings.get("look_alikes", 0.0) and "flair" in volumes:
        add_look_alikes(volumes, settings["look_alikes"] * SPANS[rule["rule"]] / 8, rng)
    if kept is not None:
        volumes[target] = kept  # what is drawn into an input must not be learnt as its effect
    moved_alone = not any(value for key, value in settings.items() if key != "flip")  # its intensities stay as they are
    for name in () if moved_alone else ALL_MRI:
        if name in volumes and name != target:
            level = (volumes[name] - background) / SPANS[rule["rule"]]
            volumes[name] = apply_rule(_other_scan(level, brain, settings, rng), brain, rule)
    return Case(case.person, case.visit, volumes, case.affine, case.info)


def _moved(
    volumes: dict[str, np.ndarray], settings: dict[str, float], background: float, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    flip = rng.random() < settings["flip"]
    angles = np.deg2rad(rng.uniform(-1, 1, 3) * settings["rotation"])
    sizes = 1 + rng.uniform(-1, 1, 3) * settings["scale"]
    if flip:
        volumes = {name: np.flip(array, 0).copy() for name, array in volumes.items()}
    if not (settings["rotation"] or settings["scale"]):
        return dict(volumes)
    names = list(volumes)
    # grid_sample fills with 0: MRI is lifted to a background of 0 before and lowered after
    lift = {name: background if name in ALL_MRI else 0.0 for name in names}
    shape = volumes[names[0]].shape
    stack = torch.from_numpy(np.stack([volumes[name].astype(np.float32) - lift[name] for name in names]))[None]
    theta = torch.from_numpy(_sampling_matrix(angles, sizes, shape))[None]
    grid = functional.affine_grid(theta, [1, len(names), *shape], align_corners=False)
    moved = functional.grid_sample(stack, grid, mode="bilinear", padding_mode="zeros", align_corners=False)[0].numpy()
    return {
        name: moved[i] > 0.5 if name in MASKS else moved[i] + np.float32(lift[name]) for i, name in enumerate(names)
    }


def _sampling_matrix(angles: np.ndarray, sizes: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(3, 4) matrix for affine_grid: rotation about the centre, then size, in a cube whatever the shape."""
    rotation = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = [a for a in range(3) if a != axis]
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        rotation = rotation @ turn
    extent = np.array(shape[::-1], float)  # affine_grid counts axes from the last
    matrix = np.diag(1 / extent) @ (rotation / sizes) @ np.diag(extent)
    return np.concatenate([matrix, np.zeros((3, 1))], axis=1).astype(np.float32)


def _other_scan(
    level: np.ndarray, brain: np.ndarray, settings: dict[str, float], rng: np.random.Generator
) -> np.ndarray:
    """One MRI as another scanner might have made it; draws happen whatever the settings, so that runs compare.

    level: MRI lifted and scaled to a background of 0 and a brain of about 0 to 1.
    """
    level = _remapped(level, settings["gamma"], settings["contrast"], rng)
    knots = field_knots(rng)
    if settings["bias"]:  # the interpolation takes most of the time of all this
        level = level * np.exp(settings["bias"] * interpolated(knots, level.shape))
    if settings.get("texture", 0.0):
        level = level * _texture(level.shape, settings["texture"], rng)
    level = _blurred(level, settings, rng)
    sd = settings["noise"] * rng.random() / 2
    noise = rng.standard_normal(level.shape, dtype=np.float32)
    return np.where(brain, level + sd * noise, 0.0).astype(np.float32)


def _texture(shape: tuple[int, ...], largest: float, rng: np.random.Generator) -> np.ndarray:
    """A factor around 1 that varies over a few voxels, as normal-appearing tissue does on real MRI; (I, J, K)."""
    scale, sd = int(rng.integers(2, 7)), largest * rng.random()
    coarse = rng.standard_normal([-(-length // scale) for length in shape], dtype=np.float32)
    size = [length * scale for length in coarse.shape]
    fine = functional.interpolate(torch.from_numpy(coarse)[None, None], size, mode="trilinear")[0, 0].numpy()
    fine = fine[tuple(slice(length) for length in shape)]
    return np.exp(np.float32(sd * 1.5) * fine)  # linear interpolation leaves about two thirds of the SD


def _remapped(level: np.ndarray, gamma: float, contrast: float, rng: np.random.Generator) -> np.ndarray:
    power = np.exp(gamma * np.clip(rng.standard_normal(), -2, 2))
    steps = np.exp(contrast * np.clip(rng.standard_normal(6), -2, 2))
    low, high = 0.0, max(float(level.max()), 1.0)
    knots = np.linspace(low, high, len(steps) + 1)
    heights = np.concatenate([[0.0], np.cumsum(steps)]) / steps.sum() * high
    mapped = np.interp(np.clip(level, low, high) ** power * high ** (1 - power), knots, heights).astype(np.float32)
    return np.where(level < low, level, mapped)  # darker than the background: left as it is


def _blurred(level: np.ndarray, settings: dict[str, float], rng: np.random.Generator) -> np.ndarray:
    sigma = np.full(3, settings["blur"] * rng.random())
    thick, axis, slices = (
        rng.random() < settings["slices"],
        int(rng.integers(3)),
        int(rng.integers(2, THICKEST_SLICE + 1)),
    )
    if thick:
        sigma[axis] = max(sigma[axis], slices / 2.3548)  # FWHM of the slice profile
    return gaussian_filter(level, sigma) if sigma.max() > 0.2 else level
