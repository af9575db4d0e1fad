"""One small JPEG per visit: what a person has to see to trust or distrust its preparation."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from ..data.case import REFERENCES
from ..imaging.bias import box_around
from ..imaging.volumes import Volume, resample

if TYPE_CHECKING:
    from ..patient.case_preparation import Prepared

SPACING_MM, MARGIN_MM = 0.8, 12.0
HEIGHT = 220  # pixels of every panel
QUALITY = 80
EDGE_SHARE = 0.88  # quantile of the FLAIR's gradient inside the head above which an edge is drawn (ours)
EDGE_BLUR_MM = 1.0
BRAIN, EDGE, LESION, WHITE, GREY = (255, 217, 47), (0, 190, 255), (255, 90, 40), (80, 220, 120), (220, 150, 255)


def case_picture(prepared: Prepared) -> bytes:
    """Draw a row of panels: T1w in three planes with FLAIR edges and brain outline, FLAIR with lesions, tissues.

    Without a T1w, the reference image takes its place; without a FLAIR, the next image that there is. The right side of
    the person is on the left of a panel (radiological).

    Args:
        prepared: the prepared visit.

    Returns:
        Content of a JPEG file, about 40 kB.
    """
    from PIL import Image

    shape, affine = box_around(_volume(prepared, "brain"), SPACING_MM, MARGIN_MM)

    def on_picture_grid(name: str, mask: bool = False) -> np.ndarray | None:
        if name not in prepared.volumes:
            return None
        values = resample(_volume(prepared, name), shape, affine)
        return values > 0.5 if mask else values

    brain = on_picture_grid("brain", mask=True)
    assert brain is not None  # every prepared visit has one
    masks = {name: on_picture_grid(name, mask=True) for name in ("white_matter", "grey_matter")}
    masks |= {"brain": brain, "lesions": _lesions(prepared, shape, affine)}
    others = [name for name in ("flair", *REFERENCES) if name != prepared.reference and name in prepared.volumes]
    t1w, flair = (
        _grey(on_picture_grid(prepared.reference), brain),
        _grey(on_picture_grid(others[0]) if others else None, brain),
    )
    panels = _panels(t1w, flair, on_picture_grid("dvr"), masks)
    stream = io.BytesIO()
    Image.fromarray(np.concatenate(panels, axis=1)).save(stream, "JPEG", quality=QUALITY, optimize=True)
    return stream.getvalue()


def _panels(
    t1w: np.ndarray | None, flair: np.ndarray | None, dvr: np.ndarray | None, masks: dict[str, np.ndarray | None]
) -> list[np.ndarray]:
    """Panels from left to right; images and masks are on the grid of the picture."""
    brain, lesions = masks["brain"], masks["lesions"]
    assert brain is not None
    middle = []
    for axis, size in enumerate(brain.shape):
        middle.append(int(np.round(np.average(np.arange(size), weights=brain.sum(axis=_others(axis))))))
    middle[2] = _best_slice(lesions, brain, middle[2])
    panels = [
        _panel(t1w, middle, axis, [(EDGE, _edges(flair, axis, middle)), (BRAIN, _outline(brain, axis, middle))])
        for axis in (2, 1, 0)
    ]
    if flair is not None:
        panels.append(_panel(flair, middle, 2, [(LESION, _outline(lesions, 2, middle))]))
        panels.append(_panel(flair, middle, 0, [(LESION, _outline(lesions, 0, middle))]))
    tissues = ((GREY, masks["grey_matter"]), (WHITE, masks["white_matter"]), (LESION, lesions))
    panels.append(_panel(t1w, middle, 2, [(colour, _outline(mask, 2, middle)) for colour, mask in tissues]))
    if dvr is not None:
        panels.append(_panel(np.clip(dvr / 1.5, 0, 1), middle, 2, [(LESION, _outline(lesions, 2, middle))]))
    return panels


def _volume(prepared: Prepared, name: str) -> Volume:
    return Volume(np.asarray(prepared.volumes[name], np.float32), prepared.grid.affine)


def _others(axis: int) -> tuple[int, ...]:
    return tuple(other for other in range(3) if other != axis)


def _grey(image: np.ndarray | None, brain: np.ndarray) -> np.ndarray | None:
    """0 to 1 by what the brain shows; bone and fat beyond it are cut off."""
    if image is None:
        return None
    low, high = np.percentile(image[brain], [1, 99.5])
    return np.clip((image - min(low, 0.0)) / max(1.15 * (high - min(low, 0.0)), 1e-9), 0, 1)


def _lesions(prepared: Prepared, shape: tuple[int, int, int], affine: np.ndarray) -> np.ndarray | None:
    if "lesions" not in prepared.volumes:
        return None
    return resample(_volume(prepared, "lesions"), shape, affine, interpolation="nearest") > 0.5


def _best_slice(lesions: np.ndarray | None, brain: np.ndarray, middle: int) -> int:
    """The axial slice with most lesion, else one through the bodies of the ventricles: 55 % up the brain."""
    if lesions is not None and lesions.any():
        return int(lesions.sum(axis=(0, 1)).argmax())
    levels = np.flatnonzero(brain.any(axis=(0, 1)))
    return int(levels[0] + 0.55 * (levels[-1] - levels[0])) if levels.size else middle


def _slice(volume: np.ndarray, axis: int, middle: list[int]) -> np.ndarray:
    """A slice as rows and columns of a picture: up is up, the person's right is left."""
    flat = np.take(volume, middle[axis], axis=axis)
    return flat[::-1, ::-1].T if axis in (1, 2) else flat[:, ::-1].T


def _outline(mask: np.ndarray | None, axis: int, middle: list[int]) -> np.ndarray | None:
    if mask is None:
        return None
    flat = _enlarged(_slice(mask, axis, middle).astype(np.float32)) > 0.5
    return flat & ~ndimage.binary_erosion(flat)


def _edges(image: np.ndarray | None, axis: int, middle: list[int]) -> np.ndarray | None:
    """Thin lines where the gradient of a slice is steep: local maxima along its direction."""
    if image is None:
        return None
    flat = ndimage.gaussian_filter(_enlarged(_slice(image, axis, middle)), EDGE_BLUR_MM / SPACING_MM)
    rows, columns = np.gradient(flat)
    steep = np.hypot(rows, columns)
    inside = flat > 0.05
    if not inside.any():
        return None
    indices = np.indices(flat.shape).astype(float)
    direction = np.stack([rows, columns]) / np.maximum(steep, 1e-9)
    before, after = (ndimage.map_coordinates(steep, indices + sign * direction, order=1) for sign in (-1, 1))
    return inside & (steep >= before) & (steep >= after) & (steep > np.quantile(steep[inside], EDGE_SHARE))


def _enlarged(flat: np.ndarray) -> np.ndarray:
    """The slice at the height of a panel."""
    return ndimage.zoom(flat, HEIGHT / flat.shape[0], order=1, grid_mode=True, mode="nearest")


def _panel(
    image: np.ndarray | None, middle: list[int], axis: int, lines: list[tuple[tuple[int, int, int], np.ndarray | None]]
) -> np.ndarray:
    assert image is not None  # the caller leaves out panels of images that are not there
    flat = _enlarged(_slice(image, axis, middle))
    panel = np.repeat((255 * np.clip(flat, 0, 1)).astype(np.uint8)[..., None], 3, axis=2)
    for colour, where in lines:
        if where is not None:
            panel[where] = colour
    return np.pad(panel, ((0, 0), (0, 4), (0, 0)))
