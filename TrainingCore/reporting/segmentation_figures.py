"""True and false positives on axial slices in the colours of Orbes-Arteaga et al. 2018: blue, green; missed yellow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..data.case import title_of
from ..evaluation.segmentation import positives
from ..evaluation.task import HYPERINTENSITIES
from .figures import new_figure
from .slice_figures import Slices

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

COLOURS = {1: "#3b6fff", 2: "#2fbf4f", 3: "#ffd60a"}
WIDTH = 1.75  # inches of one image
MEANINGS = {1: "found", 2: "false positive", 3: "missed"}


@dataclass(frozen=True)
class SliceOfMethods:
    """One axial slice ready to draw; every array (rows, columns), rows from the back to the front of the head.

    Attributes:
        title: title of the row.
        images: name -> image, such as T1w, true and synthetic FLAIR, drawn in grey.
        truth: mask.
        masks: method -> mask.
        aspect: height over width of a pixel in mm.
    """

    title: str
    images: Mapping[str, np.ndarray]
    truth: np.ndarray
    masks: Mapping[str, np.ndarray]
    aspect: float = 1.0


def positives_figure(slices: Sequence[SliceOfMethods], under: str) -> Figure:
    """Draw one row per slice: its images, then every method's positives over one of the images.

    Images of one row share the window of the first whose name starts with the same word (`FLAIR`, `FLAIR, joint`), so
    that a synthetic image is shown like the true one.

    Args:
        slices: all with the images and methods of the first.
        under: name of the image below the positives.

    Returns:
        The figure.
    """
    names, methods = list(slices[0].images), list(slices[0].masks)
    columns = len(names) + len(methods)
    heights = [example.truth.shape[0] * example.aspect / example.truth.shape[1] for example in slices]
    figure, axes = new_figure(
        WIDTH * columns,
        WIDTH * sum(heights) + 0.6,
        nrows=len(slices),
        ncols=columns,
        gridspec_kw={"height_ratios": heights},
    )
    for row, example in zip(axes, slices):
        windows = {name: tuple(np.percentile(image, [1, 99.8])) for name, image in example.images.items()}
        for axis, name in zip(row, names):
            first = next(other for other in names if name.startswith(other.split(",")[0]))
            _grey(axis, example.images[name], windows[first], example.aspect)
        for axis, method in zip(row[len(names) :], methods):
            _grey(axis, example.images[under], windows[under], example.aspect)
            overlay = coloured(positives(example.truth, example.masks[method]))
            axis.imshow(overlay, origin="lower", aspect=example.aspect)
        row[0].set_ylabel(example.title, fontsize=9)
    for axis, head in zip(axes[0], [*names, *methods]):
        axis.set_title(head, fontsize=9)
    handles = [_patch(COLOURS[kind], MEANINGS[kind]) for kind in COLOURS]
    figure.legend(handles=handles, loc="outside lower right", ncols=3, fontsize=9)
    return figure


def examples_figure(examples: Mapping[str, Sequence[Slices]]) -> Figure:
    """Draw slices of the same people for several models: T1w, FLAIR, synthetic FLAIRs, then every model's positives.

    Args:
        examples: slices by model, in one order of people.

    Returns:
        The figure.
    """
    firsts = next(iter(examples.values()))
    slices = []
    for index, first in enumerate(firsts):
        images = {"T1w": first.images[first.inputs[0]], "FLAIR": first.images[first.target]}
        result = {}
        for name, slices_of_model in examples.items():
            images_of_model, short = (
                slices_of_model[index].images,
                name.removeprefix("joint_flair_wmh").strip("_") or "joint",
            )
            if "synthetic" in images_of_model:
                images[f"FLAIR, {short}"] = images_of_model["synthetic"]
            if HYPERINTENSITIES in images_of_model:
                result[short] = images_of_model[HYPERINTENSITIES] > 0.5
        height, width = first.millimetres
        slices.append(SliceOfMethods(first.title, images, first.outline, result, height / width))
    return positives_figure(slices, under="FLAIR")


def detection_figure(examples: Mapping[str, Sequence[Slices]]) -> Figure:
    """Draw slices of the same people: their MRI, then the positives of every model over the last of them.

    Args:
        examples: slices by model, in one order of people.

    Returns:
        The figure.
    """
    firsts = next(iter(examples.values()))
    slices = []
    for index, first in enumerate(firsts):
        images = {title_of(name): first.images[name] for name in first.inputs}
        masks = {
            name: slices_of_model[index].images[HYPERINTENSITIES] > 0.5
            for name, slices_of_model in examples.items()
            if HYPERINTENSITIES in slices_of_model[index].images
        }
        height, width = first.millimetres
        slices.append(SliceOfMethods(first.title, images, first.outline, masks, height / width))
    return positives_figure(slices, under=title_of(firsts[0].inputs[-1]))


def coloured(classes: np.ndarray) -> np.ndarray:
    """Colour the classes of `positives`.

    Args:
        classes: (rows, columns), keys of COLOURS; 0 where neither mask is.

    Returns:
        RGBA, (rows, columns, 4) in [0, 1]; transparent at 0.
    """
    from matplotlib.colors import to_rgba

    picture = np.zeros((*classes.shape, 4))
    for kind, colour in COLOURS.items():
        picture[classes == kind] = to_rgba(colour)
    return picture


def _grey(axis: Axes, image: np.ndarray, window: tuple[float, float], aspect: float) -> None:
    low, high = window
    axis.imshow(
        image, origin="lower", cmap="gray", vmin=low, vmax=max(high, low + 1e-6), aspect=aspect, interpolation="nearest"
    )
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def _patch(colour: str, label: str) -> Patch:
    from matplotlib.patches import Patch

    return Patch(color=colour, label=label)
