"""Pictures of a person's FLAIR with the outlines of the given and the found mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .people import Person

SLICES = 6


def picture(person: Person, mask: np.ndarray, path: Path) -> None:
    """FLAIR with the outlines of the given (green) and the found mask (red), six axial slices."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    flair = person.aligned.on_reference_grid("flair").data
    levels = np.flatnonzero(person.brain.any(axis=(0, 1)))
    chosen = levels[(np.linspace(0.3, 0.8, SLICES) * (len(levels) - 1)).astype(int)]
    figure, axes = pyplot.subplots(1, SLICES, figsize=(3 * SLICES, 4))
    brightest = np.percentile(flair[person.brain], 99.7)
    for axis, level in zip(axes, chosen):
        axis.imshow(flair[:, :, level].T, origin="lower", cmap="gray", vmin=0, vmax=brightest)
        for outline, colour in ((person.truth, "lime"), (mask, "red")):
            if outline is not None and outline[:, :, level].any():
                axis.contour(outline[:, :, level].T, [0.5], colors=colour, linewidths=0.8)
        axis.axis("off")
    figure.suptitle(f"{person.name}: given (green), found automatically (red). Research use only.")
    figure.savefig(path, dpi=80, bbox_inches="tight")
    pyplot.close(figure)
