"""Sample slices of a run, for people who would rather look than read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..case import Case
from ..files import atomic_path

DVR_WINDOW = (0.5, 1.4)


def save_picture(path: Path, case: Case, predicted: np.ndarray, title: str) -> None:
    """Axial slice through the largest lesion area: T1w, FLAIR, measured and synthetic DVR (window 0.5 to 1.4)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lesions, brain = case.volumes["lesions"], case.volumes["brain"]
    area = lesions.sum(axis=(0, 1)) if lesions.any() else brain.sum(axis=(0, 1))
    k = int(area.argmax())
    figure = Figure(figsize=(12, 3.6), facecolor="black")
    FigureCanvasAgg(figure)
    low, high = DVR_WINDOW
    images = [
        ("T1w", case.volumes["t1w"], "gray", -1, 1),
        ("FLAIR", case.volumes["flair"], "gray", -1, 1.5),
        ("measured DVR", case.volumes["dvr"] * brain, "viridis", low, high),
        ("synthetic DVR", predicted * brain, "viridis", low, high),
    ]
    for index, (name, volume, colours, bottom, top) in enumerate(images):
        axes = figure.add_subplot(1, 4, index + 1)
        axes.imshow(volume[:, :, k].T, cmap=colours, vmin=bottom, vmax=top, origin="lower", interpolation="nearest")
        if lesions[:, :, k].any():
            axes.contour(lesions[:, :, k].T, levels=[0.5], colors="white", linewidths=0.4)
        axes.set_title(name, color="white", fontsize=10)
        axes.set_axis_off()
    figure.suptitle(f"{title} - research use only, not for diagnosis", color="white", fontsize=9)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=90, facecolor="black", format="png")
