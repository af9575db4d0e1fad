"""Axial slices to look at: one model's beside the measured image, or several models' side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.case import title_of
from ..runtime.errors import BadInput
from ..runtime.files import atomic_path
from .figures import DIFFERENCE_MAP, DIFFERENCE_WINDOW, DVR_MAP, DVR_WINDOW, OUTLINE, new_figure, number_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..data.case import Case


@dataclass(frozen=True)
class Slices:
    """One axial slice of one visit, ready to draw: rows run from the back to the front of the head.

    Attributes:
        title: title of the row.
        inputs: names of the input images.
        target: name of the target image.
        images: name -> (rows, columns) of the inputs, the target, `synthetic` if the model synthesizes, and further
            outputs (a mask of `hyperintensities`).
        outline: lesion mask.
        millimetres: (height, width) of one pixel.
        z_mm: height in world RAS.
    """

    title: str
    inputs: tuple[str, ...]
    target: str
    images: dict[str, np.ndarray]
    outline: np.ndarray
    millimetres: tuple[float, float]
    z_mm: float


def axial_slices(
    case: Case,
    prediction: np.ndarray | None,
    title: str,
    inputs: Sequence[str] = ("t1w", "flair"),
    target: str = "dvr",
    more: Mapping[str, np.ndarray] = MappingProxyType({}),
) -> Slices:
    """Cut out the axial slice with most lesional voxels (mid-brain if there is none), patient's right on the left.

    Args:
        case: any orientation along the axes of its grid.
        prediction: synthetic target, (I, J, K) on that grid, or None.
        title: title of the row.
        inputs: names of the input images.
        target: name of the target image.
        more: other volumes of that grid by name.

    Returns:
        The slice of every image.
    """
    from nibabel.orientations import apply_orientation, axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform

    turn = ornt_transform(io_orientation(case.affine), axcodes2ornt("LAS"))
    affine = case.affine @ inv_ornt_aff(turn, case.shape)
    brain = case.volumes["brain"]
    volumes = {name: case.volumes[name] for name in (*inputs, target)}
    outside = 0.0 if target == "dvr" else case.volumes[target].min()
    volumes |= {"brain": brain, **more}
    if prediction is not None:
        volumes["synthetic"] = np.where(brain, prediction, outside)
    volumes["lesions"] = np.asarray(case.volumes.get("lesions", np.zeros(case.shape, bool))) & np.asarray(brain, bool)
    turned = {name: apply_orientation(values, turn) for name, values in volumes.items()}
    area = turned["lesions"].sum(axis=(0, 1))
    level = int(area.argmax()) if area.any() else int(np.median(np.flatnonzero(turned["brain"].any(axis=(0, 1)))))
    box = tuple(
        slice(max(result[0] - 2, 0), result[-1] + 3)
        for result in map(np.flatnonzero, (turned["brain"].any(axis=(1, 2)), turned["brain"].any(axis=(0, 2))))
    )
    cut = {name: values[(*box, level)].T for name, values in turned.items()}
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    centre = affine @ [*(np.array(turned["brain"].shape[:2]) / 2), level, 1]
    outline = cut.pop("lesions").astype(bool)
    del cut["brain"]
    return Slices(title, tuple(inputs), target, cut, outline, (float(spacing[1]), float(spacing[0])), float(centre[2]))


def slices_figure(examples: Sequence[Slices]) -> Figure:
    """Draw one row per visit: inputs, measured and synthetic target (DVR from 0.6 to 1.4), their difference.

    Args:
        examples: slices, all with the inputs and the target of the first; lesions are outlined.

    Returns:
        The figure; the patient's right is on the left.
    """
    inputs, target = examples[0].inputs, examples[0].target
    what = title_of(target)
    heads = {name: title_of(name) for name in inputs}
    heads |= {target: f"measured {what}", "synthetic": f"synthetic {what}"}
    heads["difference"] = "synthetic \N{MINUS SIGN} measured"
    heights = [*(example.outline.shape[0] * example.millimetres[0] for example in examples), 8.0]
    widest = max(example.outline.shape[1] * example.millimetres[1] for example in examples)
    figure, axes = new_figure(
        2.2 * len(heads),
        2.1 * sum(heights) / widest + 0.6,
        nrows=len(examples) + 1,
        ncols=len(heads),
        gridspec_kw={"height_ratios": heights},
    )
    drawn: dict[str, Any] = {}
    for row, example in enumerate(examples):
        images = example.images | {"difference": example.images["synthetic"] - example.images[target]}
        for axis, name in zip(axes[row], heads):
            drawn[name] = draw_slice(axis, name, images[name], example)
        height = number_text(example.z_mm, "{:.0f}")
        axes[row, 0].set_ylabel(f"{example.title}\nz = {height} mm", fontsize=9)
        axes[row, 0].text(0.03, 0.03, "R", transform=axes[row, 0].transAxes, color="white", fontsize=9)
    for axis, head in zip(axes[0], heads.values()):
        axis.set_title(head)
    for column_number, name in enumerate((target, "synthetic", "difference"), start=len(inputs)):
        label = f"{what} difference" if name == "difference" else what
        figure.colorbar(drawn[name], cax=axes[-1, column_number], orientation="horizontal", label=label)
    for axis in axes[-1, : len(inputs)]:
        axis.set_axis_off()
    return figure


def draw_slice(axis: Axes, name: str, image: np.ndarray, example: Slices) -> Any:
    """Draw an image of a slice with the outlines of its lesions.

    Args:
        axis: matplotlib axes.
        name: kind of image, which sets the colours: an input, the target, `synthetic` or `difference`.
        image: (rows, columns).
        example: the slice.

    Returns:
        Matplotlib's image, for a colour bar.
    """
    colours, (low, high) = _look(name, example)
    aspect = example.millimetres[0] / example.millimetres[1]
    drawn = axis.imshow(
        image, origin="lower", cmap=colours, vmin=low, vmax=high, aspect=aspect, interpolation="nearest"
    )
    if example.outline.any():
        axis.contour(example.outline, levels=[0.5], colors=OUTLINE, linewidths=0.7)
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    return drawn


def _look(name: str, example: Slices) -> tuple[str, tuple[float, float]]:
    """Colour map and window of one kind of image; a synthetic one is shown as the measured one is."""
    if name == "synthetic":
        name = example.target
    if name == "dvr":
        return DVR_MAP, DVR_WINDOW
    shown = example.images[example.target if name == "difference" else name]
    low, high = (float(value) for value in np.percentile(shown, [1, 99.5]))
    if name != "difference":
        return "gray", (low, max(high, low + 1e-6))
    if example.target == "dvr":
        return DIFFERENCE_MAP, DIFFERENCE_WINDOW
    reach = max(high - low, 1e-6) / 2
    return DIFFERENCE_MAP, (-reach, reach)


def comparison_figure(examples: Mapping[str, Sequence[Slices]], max_inputs: int = 4) -> Figure:
    """Draw two rows per slice: images (inputs, measured target, prediction of every model), and the errors beneath.

    Args:
        examples: model -> the same slices for every model, lesions outlined; a model that synthesizes no image has no
            column.
        max_inputs: number of inputs to draw.

    Returns:
        The figure.
    """
    makers = {name: result for name, result in examples.items() if "synthetic" in result[0].images}
    firsts = next(iter(examples.values()))
    inputs, target = firsts[0].inputs[:max_inputs], firsts[0].target
    what = title_of(target)
    heads = [*(title_of(name) for name in inputs), f"measured {what}", *makers]
    shapes = [example.outline.shape[0] * example.millimetres[0] for example in firsts for _row in range(2)]
    widest = max(example.outline.shape[1] * example.millimetres[1] for example in firsts)
    figure, axes = new_figure(
        1.9 * len(heads),
        1.85 * sum(shapes) / widest + 0.5,
        nrows=2 * len(firsts),
        ncols=len(heads),
        gridspec_kw={"height_ratios": shapes},
    )
    for index, first in enumerate(firsts):
        upper, lower = axes[2 * index], axes[2 * index + 1]
        for axis, name in zip(upper, (*inputs, target)):
            draw_slice(axis, name, first.images[name], first)
        for column, result in enumerate(makers.values(), start=len(inputs) + 1):
            example = result[index]
            draw_slice(upper[column], "synthetic", example.images["synthetic"], example)
            draw_slice(lower[column], "difference", example.images["synthetic"] - example.images[target], example)
        for axis in lower[: len(inputs) + 1]:
            axis.set_axis_off()
        upper[0].set_ylabel(f"{first.title}\nz = {number_text(first.z_mm, '{:.0f}')} mm", fontsize=9)
        upper[0].text(0.03, 0.03, "R", transform=upper[0].transAxes, color="white", fontsize=9)
        lower[len(inputs)].text(1, 0.5, "synthetic \N{MINUS SIGN}\nmeasured", ha="right", va="center", fontsize=9)
    for axis, head in zip(axes[0], heads):
        axis.set_title(fill(head.replace("_", " "), 18), fontsize=9)
    return figure


def save_slices(path: Path, example: Slices) -> None:
    """Write a slice as one safetensors file: images as tensors, the rest as JSON in its header.

    Args:
        path: the file.
        example: the slice.
    """
    from safetensors.numpy import save_file

    arrays = {name: np.ascontiguousarray(image, np.float32) for name, image in example.images.items()}
    arrays["outline"] = np.ascontiguousarray(example.outline, np.float32)
    facts: dict[str, Any] = {"title": example.title, "inputs": example.inputs, "target": example.target}
    facts |= {"millimetres": example.millimetres, "z_mm": example.z_mm}
    with atomic_path(path) as temporary:
        save_file(arrays, temporary, metadata={"facts": json.dumps(facts)})


def load_slices(path: Path) -> Slices:
    """Read what `save_slices` wrote.

    Args:
        path: the file.

    Returns:
        The slice.

    Raises:
        BadInput: the file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            facts = json.loads((file.metadata() or {})["facts"])
            images = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        outline = images.pop("outline") > 0
        size = (float(facts["millimetres"][0]), float(facts["millimetres"][1]))
        return Slices(facts["title"], tuple(facts["inputs"]), facts["target"], images, outline, size, facts["z_mm"])
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise BadInput(
            f"The example {path} cannot be read ({error}). Delete it; the report can be written without it."
        ) from error
