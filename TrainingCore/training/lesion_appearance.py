"""How much lesions, and what is mistaken for them, stand out in T1w and FLAIR: part of augmentation."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, maximum

from ..imaging.labelling import label_lesions
from .smooth_fields import smooth_field

CORTEX_KNOTS = (4, 8)  # control points along each axis of the patches of bright cortex: large ones, small ones (ours)
SPOT_EVERY = 25.0  # voxels along each axis for each faint spot that is no lesion (ours)
SPOT_SIZES = (1.2, 2.0, 3.5)  # SD of such spots in voxels, along each axis another one of these (ours)


def fade_lesions(volumes: dict[str, np.ndarray], strength: float, rng: np.random.Generator) -> np.ndarray:
    """Fade lesions towards white matter in T1w, differently from place to place and from visit to visit.

    Many real lesions are bright in FLAIR and all but invisible in T1w; a network that was trained on dark ones only
    overlooks them.

    Args:
        volumes: (I, J, K) each, with `t1w`, `lesions` and `white_matter`.
        strength: largest share of the contrast to white matter that is taken away, 0 to 1 (ours).
        rng: source of all draws.

    Returns:
        The changed T1w, (I, J, K).
    """
    lesions, white_matter, t1w = volumes["lesions"], volumes["white_matter"], volumes["t1w"]
    healthy = white_matter & ~lesions
    amount = strength * np.sqrt(rng.random()) * np.clip(0.75 + 0.4 * smooth_field(t1w.shape, rng), 0, 1)
    if not lesions.any() or not healthy.any():
        return t1w
    missing = np.clip(np.median(t1w[healthy]) - t1w, 0, None)
    return t1w + gaussian_filter(lesions.astype(np.float32), 0.7) * amount.astype(np.float32) * missing


def strengthen_lesions(volumes: dict[str, np.ndarray], largest: float, rng: np.random.Generator) -> None:
    """Make lesions brighter in FLAIR and darker in T1w, in place, by an amount that varies between visits and lesions.

    Lesions of real patients stand out more than those of the simulated patient do in many of its random protocols
    (measured: FLAIR 1.1 to 1.6 SD of the brain above normal-appearing white matter in two patients, 0.4 to 1.0 in
    simulated people), small ones as much as large ones; in T1w many small ones are all but invisible.

    Args:
        volumes: (I, J, K) each, with `lesions`, `brain`, and `flair` or `t1w`, which are replaced.
        largest: added to FLAIR at most, in the images' unit; T1w loses at most half of that, often nothing (ours).
        rng: source of all draws.
    """
    labels, sizes = label_lesions(volumes["lesions"], 1.0)
    of_visit = rng.uniform((0.2, 0.0), 1.0)
    of_lesion = rng.uniform(((0.5,), (0.0,)), 1.2, (2, len(sizes)))
    if not len(sizes):
        return
    soft = gaussian_filter((labels > 0).astype(np.float32), 0.7)
    peaks = maximum(soft, labels, range(1, len(sizes) + 1))  # about 0.5 in a lesion of 8 voxels
    variation = 1 + 0.3 * smooth_field(labels.shape, rng)
    for name, share, drawn, amounts in zip(("flair", "t1w"), (1.0, -0.5), of_visit, of_lesion):
        if name in volumes:
            added = gaussian_filter(np.append(0.0, amounts / peaks).astype(np.float32)[labels], 0.7) * variation
            volumes[name] = volumes[name] + np.float32(share * largest * drawn) * added * volumes["brain"]


def brighten_cortex(volumes: dict[str, np.ndarray], largest: float, rng: np.random.Generator) -> None:
    """Make patches of grey matter brighter in FLAIR, in place, as insula and cingulum are in real patients.

    A lesion finder that was trained without them mistakes them for lesions.

    Args:
        volumes: (I, J, K) each, with `flair`, which is replaced, `grey_matter` and `brain`.
        largest: added at most where the random field is 1 SD above its mean, in the unit of the images (ours).
        rng: source of all draws.
    """
    knots = int(rng.choice(CORTEX_KNOTS))
    patches = np.clip(smooth_field(volumes["flair"].shape, rng, knots), 0.0, 2.0)
    grey = gaussian_filter(volumes["grey_matter"].astype(np.float32), 0.7) * volumes["brain"]
    if "lesions" in volumes:
        grey = grey * ~volumes["lesions"]
    volumes["flair"] = volumes["flair"] + np.float32(largest * rng.random()) * patches * grey


def add_look_alikes(volumes: dict[str, np.ndarray], largest: float, rng: np.random.Generator) -> None:
    """Add faint spots with soft edges to FLAIR, in place, that are no lesions and that T1w does not show.

    Dirty-appearing white matter and the cingulum look so in real patients; a lesion finder that was trained on sharp
    lesions only marks them.

    Args:
        volumes: (I, J, K) each, with `flair`, which is replaced, and `brain`.
        largest: brightness of a spot's centre at most, in the unit of the images (ours).
        rng: source of all draws.
    """
    brain = volumes["brain"]
    inside = np.flatnonzero(brain)
    spots = np.zeros(brain.shape, np.float32)
    for _ in range(len(SPOT_SIZES)):
        sizes = rng.permutation(SPOT_SIZES)
        count = round(brain.size / SPOT_EVERY**3 / len(SPOT_SIZES))
        centres = inside[(rng.random(count) * len(inside)).astype(int)] if len(inside) else inside
        points = np.zeros(brain.size, np.float32)
        points[centres] = rng.uniform(0.2, 1.0, len(centres))
        height = np.prod(sizes) * (2 * np.pi) ** 1.5  # of a point that is smoothed, to 1
        spots += gaussian_filter(points.reshape(brain.shape), sizes, truncate=3.0) * np.float32(height)
    free = brain & ~volumes["lesions"] if "lesions" in volumes else brain
    volumes["flair"] = volumes["flair"] + np.float32(largest * rng.random()) * np.clip(spots, 0, 1) * free
