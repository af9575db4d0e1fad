"""Small lesions and caps of the ventricles that augmentation draws where the simulated people have too few of them."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from .smooth_fields import smooth_field

# Of drawn lesions (ours); the ranges include the small lesions of two real patients (Lesjak et al. 2018) and more
VOLUMES = (8.0, 100.0)  # voxels
FLAIR_CONTRAST = (0.45, 1.6)  # SD of the brain above the surroundings, mean over the lesion
T1W_CONTRAST = 0.4  # largest share of the contrast between white and grey matter that is lost in T1w
INVISIBLE = 0.5  # probability that T1w does not show a lesion at all
ELONGATION = 0.3  # SD of the log length of the axes
ROUGHNESS = 0.2  # SD of the radius, as a share
EDGE = 0.2  # width of the soft edge, as a share of the radius
WINDOWS = 0.5  # share of the windows in which lesions are drawn
TOUCHING = np.ones((3, 3, 3), bool)  # neighbours by face, edge or corner
BOX = 8  # voxels from the centre of a lesion to the faces of the box that it is drawn in

# Of caps (ours)
CAP_REACH = (1.5, 4.0)  # voxels from the ventricle over which a cap fades by e
CAP_IN_T1W = 0.25  # largest darkening in T1w, as a share of the brightening in FLAIR
VENTRICLE_DEPTH = 8.0  # voxels from the surface of the brain; fluid nearer to it is that of sulci


def draw_lesions(volumes: dict[str, np.ndarray], count: float, unit: float, rng: np.random.Generator) -> None:
    """Draw small lesions that FLAIR shows and T1w hardly does, in place, and add them to the mask.

    Half of them lie in white matter beside grey matter (juxtacortical, insula), a quarter each in thick grey matter
    (thalamus, basal ganglia, cerebellum) and anywhere in white matter. Half of all windows get none.

    Args:
        volumes: (I, J, K) each, with `lesions`, `brain`, `white_matter`, `grey_matter`, and `flair` or `t1w`, which
            are replaced, as is `lesions`.
        count: mean number in a window of 80 x 80 x 80 voxels that gets any.
        unit: one SD of the brain in the images' unit.
        rng: source of all draws.
    """
    brain, lesions = volumes["brain"], volumes["lesions"]
    number = rng.poisson(count * brain.size / 80.0**3) if rng.random() < WINDOWS else 0
    regions = _regions(volumes) if number else []
    if not regions:
        return
    tissue_contrast = _tissue_contrast(volumes, unit)
    drawn, changes = lesions.copy(), {name: np.zeros(brain.shape, np.float32) for name in ("flair", "t1w")}
    for _ in range(number):
        where = regions[int(rng.integers(len(regions)))]
        centre = np.array(np.unravel_index(where[int(rng.random() * len(where))], brain.shape))
        box, profile = _lesion(centre, brain.shape, rng)
        amount, fading = rng.uniform(*FLAIR_CONTRAST) * unit, rng.uniform(0.0, T1W_CONTRAST)
        visible = rng.random() >= INVISIBLE
        if (ndimage.binary_dilation(profile >= 0.5, TOUCHING) & drawn[box]).any():
            continue  # lesions that touch would count as one
        inside = (profile >= 0.5) & brain[box]
        drawn[box] |= inside
        profile = profile * brain[box] / max(float(profile[inside].mean()), 0.5) if inside.any() else profile * 0
        changes["flair"][box] += np.float32(amount) * profile
        changes["t1w"][box] -= np.float32(fading * tissue_contrast * visible) * profile
    volumes["lesions"] = drawn
    for name in changes.keys() & volumes.keys():
        volumes[name] = volumes[name] + changes[name]


def _regions(volumes: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Flat voxel indices of each region where lesions may be centred; empty regions are left out."""
    white, grey = volumes["white_matter"], volumes["grey_matter"]
    free = volumes["brain"] & ~volumes["lesions"]
    beside_grey = white & ndimage.binary_dilation(grey, iterations=2)
    thick_grey = ndimage.binary_erosion(grey, iterations=3)  # cortex is thinner than that
    kinds = (beside_grey, beside_grey, thick_grey, white)
    regions = [np.flatnonzero(kind & free) for kind in kinds]
    return [region for region in regions if len(region)]


def _tissue_contrast(volumes: dict[str, np.ndarray], unit: float) -> float:
    """White matter minus grey matter in T1w; `unit` where one of them is missing."""
    if "t1w" not in volumes:
        return unit
    white, grey = (volumes["t1w"][volumes[name] & ~volumes["lesions"]] for name in ("white_matter", "grey_matter"))
    return float(np.median(white) - np.median(grey)) if len(white) and len(grey) else unit


def _lesion(
    centre: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator
) -> tuple[tuple[slice, ...], np.ndarray]:
    """A rough ellipsoid with a soft edge: its box, and its profile, 1 in the middle and 0.5 at the outline."""
    box = tuple(slice(max(int(c) - BOX, 0), min(int(c) + BOX + 1, n)) for c, n in zip(centre, shape))
    volume = np.exp(rng.uniform(*np.log(VOLUMES)))
    lengths = np.exp(ELONGATION * np.clip(rng.standard_normal(3), -1.5, 1.5))
    lengths *= (3 * volume / (4 * np.pi) / lengths.prod()) ** (1 / 3)
    axes, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    points = np.stack(np.meshgrid(*(np.arange(s.start, s.stop) for s in box), indexing="ij"), axis=-1)
    from_centre = points - centre + rng.uniform(-0.5, 0.5, 3)
    radius = np.sqrt((((from_centre @ axes) / lengths) ** 2).sum(-1))
    rough = 1 + ROUGHNESS * np.clip(smooth_field(radius.shape, rng), -2, 2)
    return box, (1 / (1 + np.exp(np.clip((radius / rough - 1) / EDGE, -30, 30)))).astype(np.float32)


def draw_caps(volumes: dict[str, np.ndarray], largest: float, rng: np.random.Generator) -> None:
    """Brighten white matter at the ventricles in FLAIR, in place: caps and bands, which healthy people have too.

    They fade outwards without an edge, and T1w hardly shows them. A lesion finder that was trained on faint ones only
    marks them.

    Args:
        volumes: (I, J, K) each, with `flair`, which is replaced, as is `t1w` if there is one, `brain`, `white_matter`
            and `grey_matter`.
        largest: brightness at the wall of the ventricle where the random field is 1, at most, in the images' unit.
        rng: source of all draws.
    """
    brain, white = volumes["brain"], volumes["white_matter"]
    field = np.clip(0.3 + smooth_field(brain.shape, rng, 6), 0.0, 1.5)
    reach, amount, in_t1w = rng.uniform(*CAP_REACH), largest * rng.random(), CAP_IN_T1W * rng.random()
    fluid = brain & ~white & ~volumes["grey_matter"]
    if "lesions" in volumes:
        fluid &= ~volumes["lesions"]
    ventricles = ndimage.binary_opening(fluid, iterations=2)
    if ventricles.any() and not brain.all():
        ventricles &= ndimage.distance_transform_edt(brain) > VENTRICLE_DEPTH
    if not ventricles.any():
        return
    caps = np.exp(-ndimage.distance_transform_edt(~ventricles) / reach) * field * white
    if "lesions" in volumes:
        caps *= ~volumes["lesions"]
    caps = ndimage.gaussian_filter(caps.astype(np.float32), 0.5) * brain
    volumes["flair"] = volumes["flair"] + np.float32(amount) * caps
    if "t1w" in volumes:
        volumes["t1w"] = volumes["t1w"] - np.float32(amount * in_t1w) * caps
