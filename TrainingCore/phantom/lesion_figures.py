"""Figures that compare simulated and real lesions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import SIMULATED
from .lesion_intensities import SMALLEST_MM3

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .compare_lesions import LesionFacts
    from .lesion_intensities import Intensities

REAL, DIGITAL = "#555555", "#c2410c"
LARGE_MM3 = 150.0
T1W_LIMITS, FLAIR_LIMITS = (0.2, 1.4), (0.4, 2.6)  # relative to NAWM


@contextlib.contextmanager
def _four_panels(path: Path, title: str) -> Iterator[Sequence[Axes]]:
    """Four axes side by side, written as PNG at the end of the block."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(16, 3.9), layout="constrained")
    yield figure.subplots(1, 4)
    figure.suptitle(title)
    figure.savefig(path, format="png", dpi=110, metadata={"Software": None})


def draw_comparison(real: Sequence[LesionFacts], digital: Sequence[LesionFacts], path: Path) -> None:
    """Draw load, number against load, volumes and distance to the ventricles of both groups.

    Args:
        real: real masks.
        digital: simulated patients.
        path: PNG file.
    """
    cited = len(real) == 29  # the masks of Lesjak et al.
    source = "29 real consensus masks (Lesjak et al. 2018, CC-BY)" if cited else "real masks"
    with _four_panels(path, f"{SIMULATED} beside {source}") as axes:
        for name, group, colour, marker in (("real", real, REAL, "o"), ("simulated", digital, DIGITAL, "x")):
            loads, label = [facts.load for facts in group], f"{name} (n = {len(group)})"
            axes[0].step(np.sort(loads), np.arange(1, len(loads) + 1) / len(loads), color=colour, label=label)
            counts = [len(facts.volumes) for facts in group]
            axes[1].scatter(loads, counts, s=18, color=colour, marker=marker, label=name)
            volumes = np.concatenate([facts.volumes for facts in group])
            _histogram(axes[2], volumes, np.geomspace(10, 60000, 28), colour, name)
            distances = np.concatenate([facts.voxel_distances for facts in group])
            _histogram(axes[3], distances, np.arange(0, 52, 2), colour, name)
        axes[0].set(title="Lesion load", xlabel="ml", ylabel="share of people", xscale="log")
        axes[1].set(title="Number of lesions", xlabel="load, ml", ylabel="lesions of 10 mm3 or more")
        axes[2].set(title="Volume of a lesion", xlabel="mm3", ylabel="share of lesions")
        axes[3].set(title="Location", xlabel="mm to the ventricles", ylabel="share of lesional volume")
        for axis in axes[1:3]:
            axis.set(xscale="log", yscale="log")
        for axis in axes:
            axis.legend(frameon=False, fontsize=8)


def draw_intensities(real: Sequence[Intensities], digital: Sequence[Intensities], path: Path) -> None:
    """Draw the distributions of voxels, and each lesion's means, of both groups.

    Args:
        real: real people, of whom the first three are drawn.
        digital: simulated patients.
        path: PNG file.
    """
    groups = [(person.name, [person], colour) for person, colour in zip(real, (REAL, "#0f766e", "#6d28d9"))]
    groups.append((f"simulated (n = {len(digital)})", list(digital), DIGITAL))
    with _four_panels(path, f"{SIMULATED} beside real lesions (Lesjak et al. 2018, CC-BY)") as axes:
        for index, (title, limits) in enumerate((("T1w", T1W_LIMITS), ("FLAIR", FLAIR_LIMITS))):
            for name, group, colour in groups:
                values = np.concatenate([person.voxels[index] for person in group])
                _histogram(axes[index], np.clip(values, *limits), np.linspace(*limits, 49), colour, name)
            axes[index].set(title=f"Lesion voxels in {title}", xlabel="relative to NAWM", ylabel="share of voxels")
        small = f"Lesions of {SMALLEST_MM3:g}-{LARGE_MM3:g} mm3", SMALLEST_MM3, LARGE_MM3
        for axis, (title, low, high) in zip(axes[2:], (small, ("Larger lesions", LARGE_MM3, np.inf))):
            for name, group, colour in reversed(groups):
                points = np.concatenate([p.means[:, (p.volumes >= low) & (p.volumes < high)] for p in group], axis=1)
                axis.scatter(points[0], points[1], s=9, color=colour, alpha=0.6, label=f"{name}: {points.shape[1]}")
            axis.axvline(1.0, color="#bbbbbb", linewidth=0.8)
            axis.axhline(1.0, color="#bbbbbb", linewidth=0.8)
            axis.set(title=title, xlabel="T1w relative to NAWM", ylabel="FLAIR relative to NAWM")
            axis.set(xlim=T1W_LIMITS, ylim=FLAIR_LIMITS)
        for axis in axes:
            axis.legend(frameon=False, fontsize=8)


def _histogram(axis: Axes, values: np.ndarray, edges: np.ndarray, colour: str, label: str) -> None:
    weights = np.full(len(values), 1.0 / max(len(values), 1))
    axis.hist(values, edges.tolist(), weights=weights, histtype="step", color=colour, label=label)
