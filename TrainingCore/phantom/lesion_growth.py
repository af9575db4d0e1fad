"""Generate MS lesions: number, size, location, and the changes of a later visit.

Numbers taken from, or tuned to, the 29 consensus masks of Lesjak et al., Neuroinformatics 2018 (3D MR image database of
MS patients with white-matter lesion segmentations, CC-BY); see compare_lesions.py. Shapes are generated, or placed from
masks (placed_masks.py).
"""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from .anatomy import Anatomy
from .cortex import add_cortical
from .diffuse import set_diffuse_damage
from .lesion_classes import ACUTE, INACTIVE, SHADOW, draw_traits, set_states
from .lesions import FULL_LOSS, Lesions, no_lesions
from .randomness import random_field, stream
from .terrain import Terrain

# Deciles of the total load in ml of the 29 masks, which no log-normal follows
LOAD_QUANTILES_ML = (0.32, 1.02, 1.35, 3.87, 10.7, 14.3, 16.7, 22.0, 30.2, 42.1, 52.2)
# Fitted to the 29 masks (components of at least 10 mm3): ln(number) = 2.78 + 0.50 ln(load in ml), residual SD 0.60; the
# intercept is higher because simulated lesions grow into each other (ours)
COUNT_INTERCEPT, COUNT_SLOPE, COUNT_RESIDUAL, COUNT_RANGE = 2.95, 0.50, 0.60, (6, 240)
# ln(volume in mm3), mean and SD, of the many small lesions and of the larger ones, and the share of the latter: tuned
# until the percentiles of the volumes matched those of the 29 masks (ours; see compare_lesions.py)
SMALL_LOG, LARGER_LOG, LARGER_SHARE, BODY_RANGE_MM3 = (3.4, 0.85), (5.3, 1.1), 0.17, (10.0, 6000.0)
# Shares of lesion centres by place (ours, tuned so that distances match the masks)
PLACES = {"periventricular": 0.14, "juxtacortical": 0.29, "leukocortical": 0.07, "deep": 0.50}
CHANGE_RANGE = (0.08, 0.22)  # share of the lesional volume that demyelinates or remyelinates between two visits
# (ours) what healing leaves of a deficit, what demyelination adds, and the water that an acute lesion keeps
HEALED, LOST_FACTOR, LOST_MORE, WATER_AFTER_ACUTE = 0.35, 1.5, 0.05, 0.5
NEW_LESIONS, NEW_LOG, NEW_RANGE_MM3 = 1.5, (4.2, 0.8), (15.0, 900.0)  # (ours) per visit; ln(mm3); most are acute
NEW_ACUTE_SHARE = 0.8  # (ours)


def draw_volumes(
    random: np.random.Generator, load_factor: float = 1.0, count_factor: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw the lesion volumes of one patient: many small ones, and few confluent ones in a high load.

    Args:
        random: random generator.
        load_factor: multiplies the load.
        count_factor: multiplies the number.

    Returns:
        (ordinary, confluent) volumes in mm3, largest first.
    """
    quantiles = np.linspace(0.0, 1.0, len(LOAD_QUANTILES_ML))
    load = load_factor * float(np.exp(np.interp(random.random(), quantiles, np.log(LOAD_QUANTILES_ML))))
    count = count_factor * np.exp(COUNT_INTERCEPT + COUNT_SLOPE * np.log(load) + random.normal(0.0, COUNT_RESIDUAL))
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


def grow_lesions(anatomy: Anatomy, person_seed: int, load_factor: float = 1.0, count_factor: float = 1.0) -> Lesions:
    """Generate the lesions of a patient at the first visit.

    Args:
        anatomy: of the person.
        person_seed: seed of the person.
        load_factor: multiplies the lesion load of the distribution.
        count_factor: multiplies the number of lesions.

    Returns:
        Lesions with classes, tissue and diffuse damage.
    """
    random = stream(person_seed, "lesions")
    lesions = no_lesions(anatomy.shape)
    ordinary, confluent = draw_volumes(random, load_factor, count_factor)
    terrain = Terrain(anatomy, random)
    for volume in confluent:
        terrain.add(lesions, float(volume), "confluent")
    positions = random.choice(list(PLACES), size=len(ordinary), p=list(PLACES.values()))
    for volume, position in zip(ordinary, positions):
        terrain.add(lesions, float(volume), str(position))
    return with_states(lesions, anatomy, person_seed)


def with_states(lesions: Lesions, anatomy: Anatomy, person_seed: int) -> Lesions:
    """Set classes, tissue and diffuse damage of lesions.

    Args:
        lesions: only `owner` needs to be set; changed in place.
        anatomy: of the person.
        person_seed: seed of the person.

    Returns:
        The same object.
    """
    set_states(lesions, anatomy, draw_traits(person_seed), stream(person_seed, "lesion states"))
    add_cortical(lesions, anatomy, person_seed)
    set_diffuse_damage(lesions, anatomy, person_seed)
    return lesions


def next_visit(lesions: Lesions, anatomy: Anatomy, person_seed: int, visit: int) -> Lesions:
    """Generate the lesions of a later visit: 8-22 % of the lesional volume de- or remyelinates, and new lesions appear.

    Args:
        lesions: of the previous visit; not changed.
        anatomy: of the person.
        person_seed: seed of the person.
        visit: number of the later visit, from 2.

    Returns:
        Lesions of the later visit.
    """
    random = stream(person_seed, "change", visit)
    later = Lesions(*(getattr(lesions, part.name).copy() for part in fields(lesions)))
    mask = lesions.mask
    _resolve_acute(later)
    if mask.any():
        field = random_field(random, anatomy.shape, 8.0, anatomy.voxel)[mask]
        field = field + random.normal(0.0, 0.7, int(lesions.owner.max()) + 1)[lesions.owner[mask]]
        share = random.uniform(*CHANGE_RANGE)
        down = share * random.uniform(0.3, 0.7)
        low, high = np.quantile(field, [down, 1.0 - (share - down)])
        healing, losing = field < low, field > high
        deficit, water = later.deficit[mask], later.water[mask]
        deficit[healing] *= HEALED
        water[healing] *= 0.8
        deficit[losing] = np.clip(LOST_FACTOR * deficit[losing] + LOST_MORE, 0.0, FULL_LOSS)
        water[losing] = np.clip(water[losing] + 0.2, 0.0, 1.0)
        later.deficit[mask], later.water[mask] = deficit, water
    _add_new(later, anatomy, random, person_seed, visit)
    return later


def _resolve_acute(later: Lesions) -> None:
    """Remove the oedema of acute lesions; the rest becomes a shadow lesion if its deficit is small, else inactive."""
    acute = later.kinds == ACUTE
    if not acute.any():
        return
    where = acute[later.owner]
    later.water[where] *= WATER_AFTER_ACUTE
    voxels = np.maximum(np.bincount(later.owner.ravel(), minlength=len(acute)), 1)
    mean = np.bincount(later.owner.ravel(), later.deficit.ravel(), minlength=len(acute)) / voxels
    later.kinds[acute] = np.where(mean[acute] < 0.3 * FULL_LOSS, SHADOW, INACTIVE)


def _add_new(later: Lesions, anatomy: Anatomy, random: np.random.Generator, person_seed: int, visit: int) -> None:
    count = int(random.poisson(NEW_LESIONS))
    if count == 0:
        return
    before = int(later.owner.max())
    terrain = Terrain(anatomy, random)
    for volume in np.clip(np.exp(random.normal(*NEW_LOG, count)), *NEW_RANGE_MM3):
        terrain.add(later, float(volume), str(random.choice(list(PLACES), p=list(PLACES.values()))))
    fresh = no_lesions(later.owner.shape)
    new = later.owner > before
    fresh.owner[new] = later.owner[new] - before
    states = stream(person_seed, "new lesion states", visit)
    acute = states.random(int(fresh.owner.max()) + 1) < NEW_ACUTE_SHARE
    kinds = np.where(acute, ACUTE, INACTIVE).astype(np.int8)
    kinds[0] = 0
    set_states(fresh, anatomy, draw_traits(person_seed), states, kinds)
    later.kinds = np.concatenate([later.kinds, fresh.kinds[1:]])
    for name in ("deficit", "axonal_loss", "water", "cavity"):
        getattr(later, name)[new] = getattr(fresh, name)[new]
