"""Anatomy of one person: the template under a smooth invertible deformation."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from .randomness import apply_along, linear_matrix, stream
from .template import Template, load_template

FIELD_OF_VIEW_MM = 192.0
MARGIN_MM = 4.0  # free space kept between the brain and every face of the field of view
COARSE = 48  # velocity grid: 4 mm, finer than its smoothness needs
# (ours) smoothness in mm (FWHM) and standard deviation in mm of the random velocity field, coarse to fine
SCALES = ((80.0, 4.0), (32.0, 2.2), (16.0, 0.9))
STEPS = 6
# (ours) how much fluid is favoured over tissue in shared voxels: 1 is the template, 30 an atrophied brain
ATROPHY_RANGE = (1.0, 30.0)


@dataclass
class Anatomy:
    """Tissue fractions of one person on a grid of (size, size, size) voxels.

    Attributes:
        white_matter: fraction in [0, 1]; the three tissues sum to 1 inside `brain` and are 0 outside.
        grey_matter: fraction in [0, 1].
        fluid: fraction in [0, 1].
        texture: see Template.
        brain: bool.
        ventricles: lateral ventricles.
        ventricle_distance: mm to the lateral ventricles.
        cortex_distance: mm to cortical grey matter.
        displacement: mm, (3, COARSE, COARSE, COARSE) over the same field of view.
        affine: voxel -> world mm, RAS+.
        voxel: edge in mm.
    """

    white_matter: np.ndarray
    grey_matter: np.ndarray
    fluid: np.ndarray
    texture: np.ndarray
    brain: np.ndarray
    ventricles: np.ndarray
    ventricle_distance: np.ndarray
    cortex_distance: np.ndarray
    displacement: np.ndarray
    affine: np.ndarray
    voxel: float

    def positions(self) -> np.ndarray:
        """Position of every voxel in mm relative to the centre of the field of view, (3, size, size, size)."""
        size = self.shape[0]
        line = ((np.arange(size) - (size - 1) / 2.0) * self.voxel).astype(np.float32)
        return np.stack(np.meshgrid(line, line, line, indexing="ij"))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along each axis."""
        return self.brain.shape


@dataclass(frozen=True)
class Mass:
    """A mass that displaces the brain.

    Attributes:
        centre: mm from the centre of the field of view.
        radius: mm.
        push: outward displacement of its surface in mm.
    """

    centre: tuple[float, float, float]
    radius: float
    push: float


def grid_affine(size: int, centre: np.ndarray) -> np.ndarray:
    """Compute the affine of the cube of 192 mm edge around a point.

    Args:
        size: voxels along each edge.
        centre: (3,) world mm.

    Returns:
        4x4, voxel -> world mm, RAS+.
    """
    voxel = FIELD_OF_VIEW_MM / size
    affine = np.diag([voxel, voxel, voxel, 1.0])
    affine[:3, 3] = centre - voxel * (size - 1) / 2.0
    return affine


def grow_anatomy(person_seed: int, site: str, size: int, age: float, mass: Mass | None = None) -> Anatomy:
    """Generate the anatomy of a person, with individual size, ventricles, asymmetry and folding.

    Args:
        person_seed: seed of the person.
        site: A, B, C or R; R varies more.
        size: voxels along each edge of 192 mm.
        age: years; widens the ventricles.
        mass: displaces the tissue around it, or None.
    """
    template = load_template()
    displacement, atrophy = _deformation(person_seed, site, age)
    if mass is not None:
        displacement = pushed_aside(displacement, template, mass)
    return _sample(template, displacement, grid_affine(size, template.centre), size, atrophy)


@functools.lru_cache(maxsize=2)
def _deformation(person_seed: int, site: str, age: float) -> tuple[np.ndarray, float]:
    """The deformation and the atrophy that make a person of the template, kept for a second grid or visit."""
    template = load_template()
    random = stream(person_seed, "anatomy")
    low, high = (0.90, 1.03) if site == "R" else (0.91, 0.99)
    scale = random.uniform(low, high) * np.exp(random.normal(0.0, 0.012, 3))
    scale = np.minimum(scale, 1.035)
    # (ours) ventricles widen by about 0.03 mm per year after 25, with a wide spread between people
    widening = float(np.clip(random.normal(0.6 + 0.03 * (age - 25.0), 1.0), -0.8, 5.0))
    displacement = coarse_displacement(random, template, scale, widening)
    ageing = float(np.clip((age - 20.0) / 50.0, 0.0, 1.0))
    atrophy = np.exp(np.log(ATROPHY_RANGE[1]) * np.clip(random.normal(0.25 + 0.4 * ageing, 0.25), 0.0, 1.0))
    return displacement, float(atrophy)


def coarse_displacement(
    random: np.random.Generator, template: Template, scale: np.ndarray, widening: float
) -> np.ndarray:
    """Draw the displacement that maps a person's points to the template's, invertible by construction.

    Args:
        random: random generator.
        template: the template.
        scale: (3,) size of the person relative to the template.
        widening: mm by which the ventricle walls move.

    Returns:
        (3, 48, 48, 48) in mm.
    """
    from scipy import ndimage

    step = FIELD_OF_VIEW_MM / COARSE
    velocity = np.zeros((3, COARSE, COARSE, COARSE))
    for fwhm, amplitude in SCALES:
        for axis in range(3):
            noise = ndimage.gaussian_filter(random.standard_normal((COARSE,) * 3), fwhm / 2.3548 / step, mode="wrap")
            noise -= noise.mean()
            velocity[axis] += amplitude * noise / noise.std()
    velocity -= velocity.mean(axis=(1, 2, 3), keepdims=True)
    velocity += _ventricle_velocity(template, widening)
    flow = displacement_of(velocity / step) * step
    position = coarse_positions()
    return _centred((position + flow) / scale[:, None, None, None] - position, template)


def _centred(displacement: np.ndarray, template: Template) -> np.ndarray:
    """The deformation with the person's brain in the middle of the field of view, smaller where it does not fit."""
    from scipy import ndimage

    step, position = FIELD_OF_VIEW_MM / COARSE, coarse_positions()

    def moved_to(points: np.ndarray) -> np.ndarray:
        index = points / step + (COARSE - 1) / 2.0
        return points + np.stack(
            [ndimage.map_coordinates(part, index, order=1, mode="nearest") for part in displacement]
        )

    wide = 1.2 * position  # sees a brain that reaches beyond the field of view
    index = moved_to(wide) + (template.centre - template.affine[:3, 3])[:, None, None, None]
    brain = ndimage.map_coordinates(template.brain, index, order=1) > 0.5
    positions = wide[:, brain]
    low, high = positions.min(axis=1), positions.max(axis=1)
    factor = max(1.0, float((high - low).max() + 1.2 * step) / (FIELD_OF_VIEW_MM - 2.0 * MARGIN_MM))
    middle = ((low + high) / 2.0)[:, None, None, None]
    return moved_to(factor * position + middle) - position


def pushed_aside(displacement: np.ndarray, template: Template, mass: Mass) -> np.ndarray:
    """Add the displacement by a mass: its surface moves outwards, tissue further away less, 0 at the skull.

    The push falls to 1/e over 22 mm and over the outer 12 mm of the brain; tissue inside is stretched evenly (ours).

    Args:
        displacement: (3, n, n, n) in mm.
        template: the template.
        mass: position, radius and push.

    Returns:
        (3, n, n, n) in mm.
    """
    from scipy import ndimage

    step, position = FIELD_OF_VIEW_MM / COARSE, coarse_positions()
    index = position + displacement + (template.centre - template.affine[:3, 3])[:, None, None, None]
    brain = ndimage.map_coordinates(template.brain, index, order=1) > 0.5
    depth = ndimage.distance_transform_edt(brain) * step
    offset = position - np.array(mass.centre)[:, None, None, None]
    distance = np.maximum(np.sqrt((offset**2).sum(axis=0)), 1e-3)
    outside = np.maximum(distance - mass.radius, 0.0)
    push = mass.push * np.minimum(distance / mass.radius, 1.0) * np.exp(-outside / 22.0) * np.clip(depth / 12.0, 0, 1)
    push = ndimage.gaussian_filter(push, 1.0)
    source = position - offset / distance * push
    at = source / step + (COARSE - 1) / 2.0
    moved = np.stack([ndimage.map_coordinates(part, at, order=1, mode="nearest") for part in displacement])
    return source + moved - position


def coarse_positions() -> np.ndarray:
    """World mm relative to the middle of the field of view of every point of the coarse grid, (3, 48, 48, 48)."""
    step = FIELD_OF_VIEW_MM / COARSE
    line = (np.arange(COARSE) - (COARSE - 1) / 2.0) * step
    return np.stack(np.meshgrid(line, line, line, indexing="ij"))


def _ventricle_velocity(template: Template, widening: float) -> np.ndarray:
    """Pull towards the ventricles (so that they grow), dying out over about 12 mm (ours)."""
    from scipy import ndimage

    step = FIELD_OF_VIEW_MM / COARSE
    points = coarse_positions() + template.centre[:, None, None, None]
    index = points - template.affine[:3, 3, None, None, None]
    inside = ndimage.map_coordinates(ndimage.gaussian_filter(template.ventricles, 1.0), index, order=1) > 0.3
    distance = (ndimage.distance_transform_edt(~inside) - ndimage.distance_transform_edt(inside)) * step
    slope = np.stack(np.gradient(ndimage.gaussian_filter(distance, 1.0), step))
    return -widening * slope * np.exp(-np.maximum(distance, 0.0) / 12.0)


def displacement_of(velocity: np.ndarray, steps: int = STEPS) -> np.ndarray:
    """Integrate a velocity field over unit time by scaling and squaring (Arsigny et al. 2006).

    The result is a diffeomorphism (Jacobian > 0) for a smooth velocity.

    Args:
        velocity: (3, n, n, n) in voxels.
        steps: number of squarings.

    Returns:
        Displacement, (3, n, n, n) in voxels.
    """
    from scipy import ndimage

    flow = velocity / 2.0**steps
    grid = np.stack(np.meshgrid(*(np.arange(n, dtype=float) for n in velocity.shape[1:]), indexing="ij"))
    for _ in range(steps):
        at = grid + flow
        flow = flow + np.stack([ndimage.map_coordinates(part, at, order=1, mode="nearest") for part in flow])
    return flow


def _sample(template: Template, displacement: np.ndarray, affine: np.ndarray, size: int, atrophy: float) -> Anatomy:
    from scipy import ndimage

    voxel = FIELD_OF_VIEW_MM / size
    line = (np.arange(size) - (size - 1) / 2.0) * voxel
    fine = np.stack([spread_coarse(part, size) for part in displacement])
    for axis in range(3):
        fine[axis] += (line + template.centre[axis] - template.affine[axis, 3]).reshape(
            [-1 if other == axis else 1 for other in range(3)]
        )
    brain = ndimage.map_coordinates(template.brain, fine, order=1, output=np.float32) > 0.5
    at = fine[:, brain]

    def read(volume: np.ndarray) -> np.ndarray:
        out = np.zeros(brain.shape, dtype=np.float32)
        out[brain] = ndimage.map_coordinates(volume, at, order=1, output=np.float32)
        return out

    white, grey, fluid = read(template.white_matter), read(template.grey_matter), atrophy * read(template.fluid)
    total = white + grey + fluid
    fluid[brain & (total < 0.05)] = 1.0
    total = np.where(brain, np.maximum(white + grey + fluid, 1e-6), 1.0)
    white, grey, fluid = white / total, grey / total, fluid / total
    ventricles = read(template.ventricles) > 0.5
    distance = _distance_to(ventricles, brain, voxel)
    cortex = (grey > 0.5) & (_distance_to(~brain, brain, voxel) < 25.0) & (distance > 14.0)
    cortex_distance = _distance_to(cortex, brain, voxel)
    return Anatomy(
        white,
        grey,
        fluid,
        read(template.texture),
        brain,
        ventricles,
        distance,
        cortex_distance,
        displacement,
        affine,
        voxel,
    )


def _distance_to(target: np.ndarray, brain: np.ndarray, voxel: float) -> np.ndarray:
    """Return the distance of every voxel around the brain to `target` in mm, 0 far outside the brain."""
    from scipy import ndimage

    bounds = ndimage.find_objects(brain.astype(np.uint8))[0]
    box = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in bounds)
    distance = np.zeros(brain.shape, dtype=np.float32)
    distance[box] = ndimage.distance_transform_edt(~target[box]) * voxel
    return distance


def spread_coarse(part: np.ndarray, size: int) -> np.ndarray:
    """Interpolate a field of the coarse grid linearly.

    Args:
        part: (48, 48, 48).
        size: voxels along each edge of the target grid over the same field of view.

    Returns:
        (size, size, size) float32.
    """
    line = (np.arange(size) - (size - 1) / 2.0) * FIELD_OF_VIEW_MM / size
    matrix = linear_matrix(line / (FIELD_OF_VIEW_MM / COARSE) + (COARSE - 1) / 2.0, part.shape[0])
    for axis in range(3):
        part = apply_along(matrix, part.astype(np.float32), axis)
    return part.astype(np.float32)
