"""White matter hyperintensities of small-vessel disease: caps and bands at the ventricles, and deep lesions.

Locations and names as in the STRIVE standards (Wardlaw et al. 2013) and Fazekas et al. 1987; the loads are near those
of the WMH segmentation challenge (Kuijf et al. 2019), on whose patients Orbes-Arteaga et al. 2018 train. The rest is
ours.
"""

from __future__ import annotations

import numpy as np

from .anatomy import Anatomy
from .diffuse import set_diffuse_damage
from .lesions import Lesions, depth_profile, no_lesions
from .randomness import random_field, stream
from .terrain import Terrain

# (ours) ln(load in ml) = ln 6 + 0.07 (age - 65), SD 0.9: it doubles in ten years
LOAD_AT_65_ML, LOAD_PER_YEAR, LOAD_SD, LOAD_RANGE_ML = 6.0, 0.07, 0.9, (0.5, 70.0)
GROWTH_PER_VISIT = 1.12  # (ours)
PERIVENTRICULAR_SHARE = (6.0, 3.0)  # (ours) beta distribution of the share of the load
PUNCTATE_LOG = (3.3, 0.7)  # (ours) ln(volume in mm3) of the punctate deep lesions
DEFICIT = (0.12, 0.05)  # (ours) lost share of PiB DVR; lower uptake in WMH: Glodzik et al. 2015
HALO_MM, HALO_SHARE = 4.0, 0.35  # (ours) FWHM of the paler rim around a lesion, and its water


def draw_load(person_seed: int, age: float, visit: int = 1) -> float:
    """Draw the load of a person's hyperintensities.

    Args:
        person_seed: seed of the person.
        age: years at the first visit.
        visit: number of the visit, from 1.

    Returns:
        Volume in ml.
    """
    load = LOAD_AT_65_ML * np.exp(LOAD_PER_YEAR * (age - 65.0) + stream(person_seed, "wmh load").normal(0.0, LOAD_SD))
    return float(np.clip(load, *LOAD_RANGE_ML)) * GROWTH_PER_VISIT ** (visit - 1)


def grow_hyperintensities(anatomy: Anatomy, person_seed: int, age: float, visit: int = 1) -> Lesions:
    """Generate the hyperintensities of a person; later visits have slightly more.

    Args:
        anatomy: of the person.
        person_seed: seed of the person.
        age: years at the first visit.
        visit: number of the visit, from 1.
    """
    random = stream(person_seed, "wmh")
    lesions = no_lesions(anatomy.shape)
    load = 1000.0 * draw_load(person_seed, age, visit)
    near = load * random.beta(*PERIVENTRICULAR_SHARE)
    _grow_along_ventricles(lesions, anatomy, random, near)
    terrain = Terrain(anatomy, random)
    for volume in _deep_volumes(random, load - near):
        terrain.add(lesions, float(volume), "deep")
    _set_states(lesions, anatomy, stream(person_seed, "wmh states"))
    lesions.kinds = np.zeros(int(lesions.owner.max()) + 1, np.int8)
    set_diffuse_damage(lesions, anatomy, person_seed, dirty=False)
    return lesions


def _grow_along_ventricles(lesions: Lesions, anatomy: Anatomy, random: np.random.Generator, volume: float) -> None:
    """Grow bands along the walls and caps on the horns: the `volume` mm3 of white matter with the lowest cost."""
    from scipy import ndimage

    y = np.arange(anatomy.shape[1]) * anatomy.voxel
    reach = np.flatnonzero(anatomy.ventricles.any(axis=(0, 2))) * anatomy.voxel
    cap = 1.3 * np.exp(-(((y - reach.max()) / 9.0) ** 2)) + 1.6 * np.exp(-(((y - reach.min()) / 12.0) ** 2))
    field = random_field(random, anatomy.shape, 14.0, anatomy.voxel)
    rough = 0.7 * (field + field[::-1]) + 0.3 * field  # (ours) similar on both sides
    rough += 0.5 * random_field(random, anatomy.shape, 5.0, anatomy.voxel)
    cost = anatomy.ventricle_distance / (1.0 + cap[None, :, None]) + rough
    where = (anatomy.white_matter > 0.55) & anatomy.brain & (anatomy.ventricle_distance < 25.0)
    candidates = np.flatnonzero(where)
    voxel_count = min(round(volume / anatomy.voxel**3), len(candidates))
    if voxel_count == 0:
        return
    chosen = candidates[np.argpartition(cost.ravel()[candidates], voxel_count - 1)[:voxel_count]]
    mask = np.zeros(anatomy.shape, bool)
    mask.ravel()[chosen] = True
    lesions.owner[:] = ndimage.label(mask, np.ones((3, 3, 3)))[0]


def _deep_volumes(random: np.random.Generator, volume: float) -> np.ndarray:
    """Draw volumes in mm3, largest first: many punctate lesions, and patches that carry the rest of a high load."""
    count = 3 + int(random.poisson(1.2 * volume / 1000.0))
    punctate = np.exp(random.normal(*PUNCTATE_LOG, count))
    rest = volume - punctate.sum()
    if rest < 200.0:
        return np.sort(punctate * min(1.0, max(volume, 20.0) / punctate.sum()))[::-1]
    patches = random.dirichlet(np.full(2 + int(random.poisson(rest / 1500.0)), 1.5)) * rest
    return np.sort(np.concatenate([punctate, patches]))[::-1]


def _set_states(lesions: Lesions, anatomy: Anatomy, random: np.random.Generator) -> None:
    from scipy import ndimage

    count = int(lesions.owner.max())
    mask, owners = lesions.mask, lesions.owner[lesions.mask]
    depth = depth_profile(lesions)
    deficit = np.clip(random.normal(*DEFICIT, count + 1), 0.02, 0.30)
    axons = np.clip(random.normal(0.15, 0.08, count + 1) + deficit, 0.0, 0.6)
    water = np.clip(random.normal(0.68, 0.13, count + 1), 0.25, 1.0)
    lesions.deficit[mask] = deficit[owners] * (0.7 + 0.6 * depth)
    lesions.axonal_loss[mask] = axons[owners] * (0.7 + 0.6 * depth)
    lesions.water[mask] = np.clip(water[owners] * (0.75 + 0.4 * depth), 0.0, 1.0)
    halo = HALO_SHARE * ndimage.gaussian_filter(lesions.water, HALO_MM / 2.3548 / anatomy.voxel)
    lesions.water[:] = np.where(mask, lesions.water, halo)
