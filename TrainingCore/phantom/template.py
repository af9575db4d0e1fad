"""Anatomy that every simulated patient is derived from: the ICBM152 2009a template in the `nilearn` wheel.

Fonov et al. 2009 / 2011 (MNI-ICBM152 nonlinear symmetric 2009a, 1 mm): T1, grey- and white-matter probability.
"""

from __future__ import annotations

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..runtime.errors import BadInput

SHARPNESS = 2.5  # (ours) the maps are means over 152 people; their power is nearer to one person's tissue borders
VENTRICLE_DEPTH_MM = 14.0  # (ours) cerebrospinal fluid deeper than this below the brain's surface may be ventricle


@dataclass(frozen=True)
class Template:
    """Template maps on one 1 mm grid.

    Attributes:
        white_matter: fractions in [0, 1] that sum to `brain`.
        grey_matter: fractions in [0, 1] that sum to `brain`.
        fluid: fractions in [0, 1] that sum to `brain`.
        texture: how much more (+) or less (-) white-matter-like a voxel's T1 is than its fractions say, in [-0.35,
            0.35] (deep grey nuclei, thalamus).
        brain: 0/1 as float32.
        ventricles: 0/1 as float32.
        affine: voxel -> world mm, RAS+.
        centre: world mm of the brain's middle.
    """

    white_matter: np.ndarray
    grey_matter: np.ndarray
    fluid: np.ndarray
    texture: np.ndarray
    brain: np.ndarray
    ventricles: np.ndarray
    affine: np.ndarray
    centre: np.ndarray


def template_folder() -> Path:
    """Return the folder of the template in nilearn.

    Raises:
        BadInput: nilearn is not installed.
    """
    package = importlib.util.find_spec("nilearn")
    folder = Path(package.origin).parent / "datasets" / "data" if package and package.origin else None
    if folder is None or not _map_path(folder, "t1").is_file():
        raise BadInput("The simulation needs the ICBM152 template of nilearn: run `pip install nilearn` and try again.")
    return folder


def _map_path(folder: Path, name: str) -> Path:
    return folder / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz"


@functools.lru_cache(maxsize=1)
def load_template() -> Template:
    """Load the template once per process.

    Raises:
        BadInput: nilearn is missing.
    """
    import nibabel
    from scipy import ndimage

    folder = template_folder()
    images = {name: nibabel.nifti1.load(_map_path(folder, name)) for name in ("t1", "gm", "wm")}
    t1, grey, white = (np.asarray(images[name].dataobj, dtype=np.float32) for name in ("t1", "gm", "wm"))
    box = ndimage.find_objects((t1 > 0).astype(np.uint8))[0]
    t1, grey, white = (np.pad(part[box], 3) for part in (t1, grey, white))  # the rest is air: a third of the time
    affine = np.asarray(images["t1"].affine, dtype=float).copy()
    affine[:3, 3] = affine[:3, :3] @ np.array([s.start - 3.0 for s in box]) + affine[:3, 3]
    brain = t1 > 0
    white, grey, fluid = _sharpen(white / 255.0, grey / 255.0, brain)
    ventricles = _lateral_ventricles(fluid, brain, affine)
    white, grey, fluid = _without_ventricle_rim(white, grey, fluid, ventricles)
    texture = _texture(t1, white, grey, fluid, brain)
    white, grey, fluid = (ndimage.gaussian_filter(part, 0.4) for part in (white, grey, fluid))
    centre = affine[:3, :3] @ (np.array(brain.shape) - 1.0) / 2.0 + affine[:3, 3]
    return Template(
        white, grey, fluid, texture, brain.astype(np.float32), ventricles.astype(np.float32), affine, centre
    )


def _sharpen(white: np.ndarray, grey: np.ndarray, brain: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    fluid = np.where(brain, np.clip(1.0 - white - grey, 0.0, 1.0), 0.0)
    powers = [np.where(brain, part, 0.0) ** SHARPNESS for part in (white, grey, fluid)]
    total = np.maximum(sum(powers), 1e-6)
    white, grey, fluid = ((part / total).astype(np.float32) for part in powers)
    return white, grey, fluid


def _lateral_ventricles(fluid: np.ndarray, brain: np.ndarray, affine: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    deep = ndimage.distance_transform_edt(brain) > VENTRICLE_DEPTH_MM
    labels, _ = ndimage.label((fluid > 0.5) & deep)
    seed = [
        slice(*sorted(np.round((np.array(ends) - affine[axis, 3]) / affine[axis, axis]).astype(int)))
        for axis, ends in enumerate([(-20, 20), (-40, 10), (12, 26)])
    ]
    counts = np.bincount(labels[tuple(seed)].ravel())
    counts[0] = 0
    return labels == int(counts.argmax())


def _without_ventricle_rim(
    white: np.ndarray, grey: np.ndarray, fluid: np.ndarray, ventricles: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the thin grey rim of the ventricles, partial volume of white matter and fluid, to these two."""
    from scipy import ndimage

    ball = ndimage.generate_binary_structure(3, 1)
    nuclei = ndimage.binary_dilation(ndimage.binary_opening(grey > 0.5, ball, iterations=2), ball)
    rim = ndimage.binary_dilation(ventricles, ball, iterations=4) & ~nuclei
    moved = np.where(rim, grey, 0.0).astype(np.float32)
    share = white / np.maximum(white + fluid, 1e-3)
    share = np.where(white + fluid > 0.05, share, 0.5)
    return white + moved * share, grey - moved, fluid + moved * (1.0 - share)


def _texture(t1: np.ndarray, white: np.ndarray, grey: np.ndarray, fluid: np.ndarray, brain: np.ndarray) -> np.ndarray:
    from scipy import ndimage

    parts = np.stack([white[brain], grey[brain], fluid[brain]], axis=1)
    levels, *_ = np.linalg.lstsq(parts[::37], t1[brain][::37], rcond=None)
    texture = np.zeros_like(t1)
    texture[brain] = (t1[brain] - parts @ levels) / (levels[0] - levels[1])
    weight = ndimage.gaussian_filter(((grey + white) * brain).astype(np.float32), 1.0)
    texture = ndimage.gaussian_filter(texture * (grey + white), 1.0) / np.maximum(weight, 0.2)
    return np.where(brain, np.clip(texture, -0.35, 0.35), 0.0).astype(np.float32)
