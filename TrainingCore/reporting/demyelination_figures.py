"""The figures 3 to 5 of Wei et al. 2018 from our own rows: groups, people, demyelinated shares, maps of agreement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.case import title_of
from ..evaluation.demyelination import REGIONS
from .figures import MEASURED, SOFT, SYNTHETIC, new_figure, number_text, p_value
from .slice_figures import Slices, draw_slice

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REGION_TITLES = {
    "wm_control": "white matter\nof controls",
    "wm_patient": "NAWM\nof patients",
    "lesions": "lesions\nof patients",
}
KINDS = (("measured", MEASURED), ("synthetic", SYNTHETIC))
CLASS_COLOURS = ("#000000", "#ffffff", "#f2c500", "#d7263d", "#ff8c42")  # none, neither, both, measured, synthetic only
CLASS_LEGEND = "white: neither; yellow: both; red: measured only; orange: synthetic only"


def regions_figure(rows: Sequence[Mapping[str, Any]], comparison: Mapping[str, Mapping[str, Any]]) -> Figure:
    """Box plots of DVR in each region, measured and synthetic: quantiles of voxels, averaged over visits.

    Args:
        rows: of `person_regions`.
        comparison: of `group_comparison`, whose p values are written above the boxes.
    """
    figure, axes = new_figure(7.2, 4.4)
    axis, width = axes[0, 0], 0.34
    for shift, (kind, colour) in zip((-0.5, 0.5), KINDS):
        boxes, positions = [], []
        for index, region in enumerate(REGIONS):
            result = [
                row[f"{kind}_{region}_quantiles"] for row in rows if row[f"{kind}_{region}_quantiles"] is not None
            ]
            if result:
                low, first, median, third, high = np.mean(result, axis=0)
                mean = float(np.mean([row[f"{kind}_{region}"] for row in rows if row[f"{kind}_{region}"] is not None]))
                boxes.append({"whislo": low, "q1": first, "med": median, "q3": third, "whishi": high, "mean": mean})
                positions.append(index + shift * width * 1.15)
        line = {"color": colour}
        axis.bxp(
            boxes,
            positions=positions,
            widths=width,
            showfliers=False,
            showmeans=True,
            meanline=True,
            manage_ticks=False,
            boxprops=line,
            whiskerprops=line,
            capprops=line,
            medianprops={"color": colour, "linewidth": 1.8},
            meanprops={"color": colour, "linestyle": ":"},
        )
        axis.plot([], [], color=colour, marker="s", linestyle="", label=kind)
    axis.set_xticks(range(len(REGIONS)), [REGION_TITLES[region] for region in REGIONS])
    axis.set_ylabel("DVR (5, 25, 50, 75, 95 % of voxels; mean dotted)")
    axis.margins(y=0.25)
    for (left, key), height in zip(((0, "p_nawm_against_control"), (1, "p_lesions_against_nawm")), (0.97, 0.97)):
        words = "\n".join(f"{kind}: {p_value(comparison[kind][key])}" for kind, _ in KINDS)
        axis.text(left + 0.5, height, words, transform=axis.get_xaxis_transform(), ha="center", va="top", fontsize=9)
    axis.legend(loc="lower left")
    return figure


def people_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Plot the mean DVR of every visit: (NA)WM with a solid line, lesions with a dotted one, measured and synthetic.

    Args:
        rows: visit rows of one model.

    Returns:
        The figure; visits are ordered by group and person.
    """
    figure, axes = new_figure(max(6.0, 0.35 * len(rows) + 2.5), 4.0)
    axis = axes[0, 0]
    ordered = sorted(rows, key=lambda row: (row["group"], row["person"]))
    positions = np.arange(len(ordered))
    for kind, colour in KINDS:
        white = [_first(row[f"{kind}_wm_control"], row[f"{kind}_wm_patient"]) for row in ordered]
        lesions = [_first(row[f"{kind}_lesions"]) for row in ordered]
        axis.plot(positions, white, color=colour, marker="o", markersize=4, label=f"{kind}, white matter")
        axis.plot(positions, lesions, color=colour, marker="s", markersize=4, linestyle=":", label=f"{kind}, lesions")
    axis.set_xticks(positions, [row["person"] for row in ordered], rotation=60, fontsize=8)
    axis.set_ylabel("mean DVR")
    axis.legend(fontsize=9, ncols=2)
    axis.margins(y=0.2)
    return figure


def _first(*values: float | None) -> float:
    return next((value for value in values if value is not None), np.nan)


def shares_figure(rows: Sequence[Mapping[str, Any]]) -> Figure:
    """Demyelinated share of the lesion load of each patient, measured and synthetic, with the Dice index above.

    Args:
        rows: person, and the keys of `demyelination_measures`; those without lesions are left out.
    """
    shown = [row for row in rows if row.get("measured_percent") is not None]
    figure, axes = new_figure(max(5.0, 0.6 * len(shown) + 2.0), 3.8)
    axis, positions = axes[0, 0], np.arange(len(shown))
    for shift, (kind, colour) in zip((-0.2, 0.2), KINDS):
        axis.bar(positions + shift, [row[f"{kind}_percent"] for row in shown], 0.38, color=colour, label=kind)
    for position, row in zip(positions, shown):
        top = max(row["measured_percent"], row["synthetic_percent"])
        words = "" if row["dice"] is None else f"{row['dice']:.2f}"
        axis.text(position, top + 1, words, ha="center", fontsize=8, color=SOFT)
    axis.set_xticks(positions, [row["person"] for row in shown], rotation=60, fontsize=8)
    axis.set_ylabel("demyelinated voxels (% of lesion load)")
    axis.set_title("Dice of the demyelination maps above the bars", fontsize=9)
    axis.margins(y=0.15)
    axis.legend()
    return figure


def agreement_slice(axis: Axes, background: np.ndarray, classes: np.ndarray, aspect: float = 1.0) -> None:
    """Draw one slice of `agreement_classes` over an image.

    Args:
        axis: matplotlib axes.
        background: image, (rows, columns), rows from the back to the front of the head.
        classes: class of each pixel, same shape, drawn in CLASS_COLOURS.
        aspect: height over width of a pixel in mm.
    """
    from matplotlib.colors import ListedColormap

    low, high = np.percentile(background, [1, 99.5])
    top = max(high, low + 1e-6)
    axis.imshow(background, origin="lower", cmap="gray", vmin=low, vmax=top, aspect=aspect, interpolation="nearest")
    shown = np.ma.masked_equal(classes, 0)
    colours = ListedColormap(CLASS_COLOURS)
    axis.imshow(
        shown,
        origin="lower",
        cmap=colours,
        vmin=0,
        vmax=len(CLASS_COLOURS) - 1,
        aspect=aspect,
        interpolation="nearest",
    )
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)


def demyelination_examples(examples: Mapping[str, Sequence[Slices]]) -> Figure:
    """Per slice three rows: MRI and the measured DVR; every model's DVR; every model's demyelination beside the true.

    Lesions are outlined in the first two rows.

    Args:
        examples: model -> the same slices for every model, whose images hold `synthetic` and, where the cohort has
            controls to take a threshold from, `agreement` (see `agreement_classes`).
    """
    firsts = next(iter(examples.values()))
    names = (*firsts[0].inputs, firsts[0].target)
    judged = all("agreement" in example.images for result in examples.values() for example in result)
    rows, columns = 2 + judged, max(len(names), len(examples))
    heights = [example.outline.shape[0] * example.millimetres[0] for example in firsts for _row in range(rows)]
    widest = max(example.outline.shape[1] * example.millimetres[1] for example in firsts)
    size = 2.1 * columns, 2.1 * sum(heights) / widest + 0.5 + 0.25 * rows * len(firsts)
    figure, axes = new_figure(*size, nrows=len(heights), ncols=columns, gridspec_kw={"height_ratios": heights})
    for axis in axes.flat:
        axis.set_axis_off()
    for index, first in enumerate(firsts):
        upper, *lower = axes[rows * index : rows * (index + 1)]
        for axis, name in zip(upper, names):
            draw_slice(axis, name, first.images[name], first)
            axis.set_title(f"measured {title_of(name)}" if name == first.target else title_of(name), fontsize=9)
        for column, (name, result) in enumerate(examples.items()):
            example, title = result[index], name.replace("_", " ")
            draw_slice(lower[0][column], "synthetic", example.images["synthetic"], example)
            lower[0][column].set_title(title, fontsize=9)
            if judged:
                background, aspect = first.images[names[0]], example.millimetres[0] / example.millimetres[1]
                agreement_slice(lower[1][column], background, example.images["agreement"], aspect)
        head = f"{first.title}\nz = {number_text(first.z_mm, '{:.0f}')} mm"
        for row, text in zip((upper, *lower), (head, "synthetic DVR", "demyelinated\nin the lesions")):
            row[0].set_axis_on()
            row[0].set(xticks=[], yticks=[])
            row[0].set_ylabel(text, fontsize=9)
        upper[0].text(0.03, 0.03, "R", transform=upper[0].transAxes, color="white", fontsize=9)
    if judged:
        figure.supxlabel(CLASS_LEGEND, fontsize=9)
    return figure
