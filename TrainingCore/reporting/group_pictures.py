"""Pictures of the visits of a study that need a look."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..data.result import BRAIN, DVR, LESION_LABELS
from ..imaging.bias import box_around
from ..imaging.volumes import Volume, read_volume, resample
from .figures import DVR_MAP, DVR_WINDOW, OUTLINE, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 12  # visits (ours)
COLUMNS, SPACING_MM = 4, 2.0


def visits_figure(results: Sequence[Path]) -> Figure:
    """Draw an axial slice of each synthetic DVR map: the level with the most lesion, else the middle of the brain.

    Args:
        results: up to SHOWN Result folders, whose names become the titles.
    """
    columns = min(len(results), COLUMNS)
    lines = -(-len(results) // columns)
    figure, axes = new_figure(2.4 * columns + 0.8, 3.1 * lines + 0.2, nrows=lines, ncols=columns)
    for axis in axes.ravel():
        axis.set_axis_off()
    for axis, path in zip(axes.ravel(), results):
        dvr, lesions = _slice_of(path)
        drawn = axis.imshow(dvr, origin="lower", cmap=DVR_MAP, vmin=DVR_WINDOW[0], vmax=DVR_WINDOW[1])
        if lesions.any():
            axis.contour(lesions, levels=[0.5], colors=OUTLINE, linewidths=0.7)
        axis.set_title(path.name, fontsize=8)
    figure.colorbar(drawn, ax=axes[:, -1], label="DVR", fraction=0.06)
    return figure


def _slice_of(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """DVR (nan outside the brain) and lesions of one axial slice, (rows, columns), the patient's right on the left."""
    brain = read_volume(path / BRAIN, "brain mask", mask=True)
    shape, affine = box_around(brain, SPACING_MM, 5.0)

    def on_page(volume: Volume, interpolation: str = "linear") -> np.ndarray:
        return resample(volume, shape, affine, interpolation=interpolation)

    inside = on_page(brain) > 0.5
    lesions = np.zeros(shape, bool)
    if (path / LESION_LABELS).is_file():
        labels = read_volume(path / LESION_LABELS, "lesion labels", may_be_empty=True)
        lesions = on_page(labels.with_data((labels.data > 0).astype(np.float32)), "nearest") > 0.5
    area = lesions.sum(axis=(0, 1)) if lesions.any() else inside.sum(axis=(0, 1))
    level = int(area.argmax())
    dvr = np.where(inside, on_page(read_volume(path / DVR, "synthetic DVR")), np.nan)
    return dvr[::-1, :, level].T, lesions[::-1, :, level].T
