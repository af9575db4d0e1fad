"""MS lesions: how many, how large, where, of what shape, in what state, and what a later visit changes.

Numbers taken from, or tuned to, the 29 consensus masks of Lesjak et al., Neuroinformatics 2018 (3D MR image database of
MS patients with white-matter lesion segmentations, CC-BY); see compare_lesions.py. Shapes are generated.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from .anatomy import Anatomy
from .randomness import smooth_field, stream

# Deciles of the total load in ml of the 29 masks, which no log-normal follows
LOAD_QUANTILES_ML = (0.32, 1.02, 1.35, 3.87, 10.7, 14.3, 16.7, 22.0, 30.2, 42.1, 52.2)
# Fitted to the 29 masks (components of at least 10 mm3): ln(number) = 2.78 + 0.50 ln(load in ml), residual SD 0.60; the
# intercept here is higher because digital lesions grow into each other (ours)
COUNT_INTERCEPT, COUNT_SLOPE, COUNT_RESIDUAL, COUNT_RANGE = 2.95, 0.50, 0.60, (6, 240)
# ln(volume in mm3), mean and SD, of the many small lesions and of the larger ones, and the share of the latter: tuned
# until the percentiles of the volumes matched those of the 29 masks (ours; see compare_lesions.py)
SMALL_LOG, LARGER_LOG, LARGER_SHARE, BODY_RANGE_MM3 = (3.4, 0.85), (5.3, 1.1), 0.17, (10.0, 6000.0)
# Shares of lesion centres by place (ours, tuned so that distances match the masks)
PLACES = {"periventricular": 0.14, "juxtacortical": 0.36, "deep": 0.50}
CONFLUENT_DEEP_SHARE = 0.35  # (ours) confluent lesions that start away from the ventricles

DEFICIT_MEAN, DEFICIT_SD = 0.176, 0.062  # mean loss of DVR in a lesion, share of NAWM: florbetaben study PMC4660647
PATIENT_SHARE = 0.35  # (ours) share of that variance that lies between patients
FULL_LOSS = 0.40  # (ours) DVR deficit of wholly demyelinated white matter, share of NAWM
CHANGE_RANGE = (0.08, 0.22)  # share of the lesional volume that demyelinates or remyelinates between two visits
SHADOW_BELOW = 0.12  # (ours) lesions with a smaller deficit count as remyelinated shadow lesions
BLACK_HOLE_SHARE = 0.15  # (ours) lesions with a destroyed core
# Share of the T1 change that shows: at least VISIBLE_LEAST, the rest a logistic of ln(volume / 30 mm3) with a normal
# spread (ours, tuned so that small and larger lesions are as dark in T1w as in two patients of Lesjak et al. 2018)
VISIBLE_LEAST, VISIBLE_SMALL, VISIBLE_SLOPE, VISIBLE_SD = 0.25, -0.2, 0.6, 1.3


@dataclass
class Lesions:
    """Lesions of one visit on the anatomy's grid.

    owner: int32, 0 = none, k = lesion k; deficit: lost share of the healthy DVR, 0..0.6; axonal_loss, water: 0..1.
    Myelin loss is deficit / FULL_LOSS. t1_visibility: share of the change of T1 that shows, 0..1 (1 outside lesions).
    """

    owner: np.ndarray
    deficit: np.ndarray
    axonal_loss: np.ndarray
    water: np.ndarray
    t1_visibility: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        """Where a lesion is, bool (n, n, n)."""
        return self.owner > 0


def no_lesions(shape: tuple[int, int, int]) -> Lesions:
    """A healthy person's lesions: none."""
    deficit, axonal_loss, water = (np.zeros(shape, np.float32) for _ in range(3))
    return Lesions(np.zeros(shape, np.int32), deficit, axonal_loss, water, np.ones(shape, np.float32))


def draw_volumes(random: np.random.Generator, load_factor: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Lesion volumes in mm3 of one patient: many small ones, and the few confluent ones that carry most of a high load.

    load_factor: multiplies the load. Returns (ordinary, confluent) volumes, largest first.
    """
    quantiles = np.linspace(0.0, 1.0, len(LOAD_QUANTILES_ML))
    load = load_factor * float(np.exp(np.interp(random.random(), quantiles, np.log(LOAD_QUANTILES_ML))))
    count = np.exp(COUNT_INTERCEPT + COUNT_SLOPE * np.log(load) + random.normal(0.0, COUNT_RESIDUAL))
    count = int(np.clip(round(count), *COUNT_RANGE))
    larger = random.random(count) < LARGER_SHARE
    logs = np.where(larger, random.normal(*LARGER_LOG, count), random.normal(*SMALL_LOG, count))
    body = np.clip(np.exp(logs), *BODY_RANGE_MM3)
    rest = load * 1000.0 - body.sum()
    if rest < 300.0:
        body = np.clip(body * load * 1000.0 / body.sum(), *BODY_RANGE_MM3)
        return np.sort(body)[::-1], np.zeros(0)
    pieces = 1 + int(random.poisson(1.0 + rest / 5000.0))
    confluent = np.sort(random.dirichlet(np.full(pieces, 1.2)))[::-1] * rest
    small = confluent < 200.0
    return np.sort(np.concatenate([body, np.maximum(confluent[small], 10.0)]))[::-1], confluent[~small]


def grow_lesions(anatomy: Anatomy, person_seed: int, load_factor: float = 1.0) -> Lesions:
    """The lesions of a patient at the first visit."""
    random = stream(person_seed, "lesions")
    lesions = no_lesions(anatomy.shape)
    ordinary, confluent = draw_volumes(random, load_factor)
    patient_deficit = random.normal(0.0, DEFICIT_SD * np.sqrt(PATIENT_SHARE))
    terrain = Terrain(anatomy, random)
    for volume in confluent:
        terrain.add(lesions, float(volume), "confluent")
    places = random.choice(list(PLACES), size=len(ordinary), p=list(PLACES.values()))
    for volume, place in zip(ordinary, places):
        terrain.add(lesions, float(volume), str(place))
    _set_states(lesions, anatomy, random, patient_deficit)
    set_t1_visibility(lesions, anatomy.voxel, stream(person_seed, "t1 visibility"))
    return lesions


class Terrain:
    """Where a lesion may grow in one brain, and how easily."""

    def __init__(self, anatomy: Anatomy, random: np.random.Generator) -> None:
        self.anatomy, self.random = anatomy, random
        self.roughness = smooth_field(random, anatomy.shape, 9.0, anatomy.voxel)
        self.grain = smooth_field(random, anatomy.shape, 4.5, anatomy.voxel)
        cerebrum = anatomy.brain & (anatomy.ventricle_distance < 60.0)
        white = (anatomy.white_matter > 0.6) & cerebrum
        near = anatomy.ventricle_distance
        cortex = anatomy.cortex_distance
        weights = {
            "periventricular": white * np.exp(-((near / 5.0) ** 2)),
            "juxtacortical": white * np.exp(-((cortex / 2.5) ** 2)) * (near > 10.0) * np.exp(-near / 30.0),
            "deep": white * (cortex > 2.0) * (near > 4.0) * np.exp(-near / 30.0),
        }
        self.cumulated = {}
        for place, weight in weights.items():
            where = np.flatnonzero(weight > 1e-4)
            self.cumulated[place] = (where, np.cumsum(weight.ravel()[where], dtype=np.float64))
        self.penalty = np.where(anatomy.white_matter + 0.35 * anatomy.grey_matter > 0.4, 0.0, np.inf).astype(np.float32)
        self.penalty += 1.2 * anatomy.grey_matter

    def pick(self, place: str) -> tuple[int, int, int]:
        """A voxel where a lesion of that kind starts."""
        if place == "confluent":
            place = "deep" if self.random.random() < CONFLUENT_DEEP_SHARE else "periventricular"
        where, cumulated = self.cumulated[place]
        at = int(np.searchsorted(cumulated, self.random.uniform(0.0, cumulated[-1])))
        i, j, k = np.unravel_index(where[min(at, len(where) - 1)], self.anatomy.shape)
        return int(i), int(j), int(k)

    def add(self, lesions: Lesions, volume: float, place: str) -> None:
        """Grow one lesion of `volume` mm3 from a seed over the cheapest voxels; none where no voxel is free."""
        voxel = self.anatomy.voxel
        seed = self.pick(place)
        radius = (3.0 * volume / (4.0 * np.pi)) ** (1.0 / 3.0)
        reach = max(2, int(np.ceil(radius * (3.2 if place == "confluent" else 2.4) / voxel)))
        box = tuple(slice(max(0, i - reach), min(n, i + reach + 1)) for i, n in zip(seed, self.anatomy.shape))
        cost = self._cost(seed, box, radius, place)
        cost = np.where(lesions.owner[box] > 0, np.inf, cost).ravel()
        wanted = min(max(1, round(volume / voxel**3)), int(np.isfinite(cost).sum()))
        if wanted == 0:
            return
        chosen = np.argpartition(cost, wanted - 1)[:wanted]
        taken = np.zeros(cost.shape, bool)
        taken[chosen] = True
        taken = _piece_at_seed(taken.reshape(lesions.owner[box].shape), [i - s.start for i, s in zip(seed, box)])
        lesions.owner[box][taken] = lesions.owner.max() + 1

    def _cost(self, seed: tuple[int, int, int], box: tuple[slice, ...], radius: float, place: str) -> np.ndarray:
        """Distance from the seed in units of the radius, in the lesion's own stretched frame, roughened."""
        anatomy, random = self.anatomy, self.random
        axes = [np.arange(s.start, s.stop) - i for s, i in zip(box, seed)]
        offset = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1) * anatomy.voxel
        direction = _outwards(anatomy.ventricle_distance, seed)
        if place in ("juxtacortical", "deep"):
            direction = direction + random.normal(0.0, 0.8, 3)
        direction = direction / max(float(np.linalg.norm(direction)), 1e-6)
        stretch = random.uniform(1.2, 2.2) if place == "periventricular" else random.uniform(0.8, 1.5)
        along = offset @ direction
        across = np.maximum((offset**2).sum(axis=-1) - along**2, 0.0)
        distance = np.sqrt((along / stretch) ** 2 + across * stretch) / radius
        rough = 0.30 * self.roughness[box] + 0.18 * self.grain[box]
        if place == "confluent":
            near = anatomy.ventricle_distance[box] / max(radius, 8.0)
            return 0.45 * near + 0.85 * distance + 1.2 * rough + self.penalty[box]
        return distance + rough + self.penalty[box]


def _outwards(distance: np.ndarray, seed: tuple[int, int, int]) -> np.ndarray:
    """Direction away from the ventricles at a voxel: Dawson's fingers follow the veins, across the ventricle wall."""
    slopes = []
    for axis in range(3):
        ahead, back = list(seed), list(seed)
        ahead[axis] = min(seed[axis] + 2, distance.shape[axis] - 1)
        back[axis] = max(seed[axis] - 2, 0)
        slopes.append(float(distance[tuple(ahead)] - distance[tuple(back)]))
    return np.array(slopes) + 1e-9


def _piece_at_seed(taken: np.ndarray, seed: list[int]) -> np.ndarray:
    from scipy import ndimage

    labels, count = ndimage.label(taken, np.ones((3, 3, 3)))
    if count <= 1:
        return taken
    here = labels[tuple(seed)]
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == (here if here else int(sizes.argmax()))


def depth_profile(lesions: Lesions) -> np.ndarray:
    """How deep inside its lesion each voxel lies, 0 at the rim to 1 at the centre, as a flat array over the mask."""
    from scipy import ndimage

    mask = lesions.mask
    inside = ndimage.distance_transform_edt(mask)[mask]
    owners = lesions.owner[mask]
    deepest = np.ones(lesions.owner.max() + 1)
    np.maximum.at(deepest, owners, inside)
    return np.where(deepest[owners] > 1.01, (inside - 0.5) / (deepest[owners] - 0.5), 0.8)


def _set_states(lesions: Lesions, anatomy: Anatomy, random: np.random.Generator, patient_deficit: float) -> None:
    count = int(lesions.owner.max())
    if count == 0:
        return
    mask, owners = lesions.mask, lesions.owner[lesions.mask]
    spread = DEFICIT_SD * np.sqrt(1.0 - PATIENT_SHARE)
    mean = np.clip(random.normal(DEFICIT_MEAN + patient_deficit, spread, count + 1), 0.01, 0.36)
    profile = 0.55 + 0.9 * depth_profile(lesions)
    voxels = np.maximum(np.bincount(owners, minlength=count + 1), 1)
    profile /= (np.bincount(owners, profile, minlength=count + 1) / voxels)[owners]
    patchy = 1.0 + 0.15 * smooth_field(random, anatomy.shape, 6.0, anatomy.voxel)[mask]
    lesions.deficit[mask] = np.clip(mean[owners] * profile * patchy, 0.0, 0.55)
    myelin = lesions.deficit[mask] / FULL_LOSS
    mean_myelin = mean / FULL_LOSS
    axons = np.clip(0.65 * mean_myelin + random.normal(-0.02, 0.10, count + 1), 0.0, 0.8)
    holes = random.random(count + 1) < BLACK_HOLE_SHARE
    depth = depth_profile(lesions)
    lesions.axonal_loss[mask] = np.clip(
        axons[owners] * (0.6 + 0.8 * depth)
        + 0.5 * (holes & (mean > 0.15))[owners] * np.clip(2.0 * depth - 0.6, 0.0, 1.0),
        0.0,
        1.0,
    )
    water = np.clip(random.normal(0.35, 0.15, count + 1) + 0.25 * (mean > SHADOW_BELOW), 0.12, 1.0)
    lesions.water[mask] = np.clip(
        water[owners] * (0.75 + 0.25 * depth) + 0.15 * (myelin - mean_myelin[owners]), 0.0, 1.0
    )


def set_t1_visibility(lesions: Lesions, voxel: float, random: np.random.Generator) -> None:
    """Many small lesions are nearly T1-isointense, whatever their myelin; drawn apart from all other states."""
    owners = lesions.owner[lesions.mask]
    count = int(lesions.owner.max())
    volume = np.maximum(np.bincount(owners, minlength=count + 1), 1) * voxel**3
    logit = VISIBLE_SMALL + VISIBLE_SLOPE * np.log(volume / 30.0) + random.normal(0.0, VISIBLE_SD, count + 1)
    lesions.t1_visibility[lesions.mask] = (VISIBLE_LEAST + (1.0 - VISIBLE_LEAST) / (1.0 + np.exp(-logit)))[owners]


def next_visit(lesions: Lesions, anatomy: Anatomy, person_seed: int, visit: int) -> Lesions:
    """The lesions at a later visit: 8-22 % of the lesional volume demyelinated or remyelinated, and some are new."""
    random = stream(person_seed, "change", visit)
    later = Lesions(*(getattr(lesions, part.name).copy() for part in fields(lesions)))
    mask = lesions.mask
    if mask.any():
        field = smooth_field(random, anatomy.shape, 8.0, anatomy.voxel)[mask]
        field = field + random.normal(0.0, 0.7, int(lesions.owner.max()) + 1)[lesions.owner[mask]]
        share = random.uniform(*CHANGE_RANGE)
        down = share * random.uniform(0.3, 0.7)
        low, high = np.quantile(field, [down, 1.0 - (share - down)])
        healing, losing = field < low, field > high
        deficit, water = later.deficit[mask], later.water[mask]
        deficit[healing] *= 0.35
        water[healing] *= 0.8
        deficit[losing] = np.clip(deficit[losing] * 1.5 + 0.05, 0.0, 0.55)
        water[losing] = np.clip(water[losing] + 0.2, 0.0, 1.0)
        later.deficit[mask], later.water[mask] = deficit, water
    _add_new(later, anatomy, random, stream(person_seed, "t1 visibility", visit))
    return later


def _add_new(
    later: Lesions, anatomy: Anatomy, random: np.random.Generator, visibility_random: np.random.Generator
) -> None:
    count = int(random.poisson(1.5))
    if count == 0:
        return
    before = int(later.owner.max())
    terrain = Terrain(anatomy, random)
    for volume in np.clip(np.exp(random.normal(4.2, 0.8, count)), 15.0, 900.0):
        terrain.add(later, float(volume), str(random.choice(list(PLACES), p=list(PLACES.values()))))
    fresh = no_lesions(later.owner.shape)
    fresh.owner[later.owner > before] = later.owner[later.owner > before] - before
    _set_states(fresh, anatomy, random, 0.0)
    set_t1_visibility(fresh, anatomy.voxel, visibility_random)
    new = fresh.mask
    later.t1_visibility[new] = fresh.t1_visibility[new]
    later.deficit[new], later.axonal_loss[new] = fresh.deficit[new], 0.5 * fresh.axonal_loss[new]
    later.water[new] = np.clip(fresh.water[new] + 0.25, 0.0, 1.0)
