"""Calibration of the uncertainty: a summary sentence, and error against uncertainty as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from . import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]


def calibration_in_words(result: Row) -> str:
    """Summarise the calibration in a few sentences.

    Args:
        result: of `evaluation.calibration.calibration`.

    Returns:
        Whether the uncertainty separates large from small errors, rho, and error by uncertainty.
    """
    rho = figures.with_interval(result["rho"], result["low"], result["high"])
    first, last = result["parts"][0], result["parts"][-1]
    if result["low"] is not None and result["low"] > 0:
        verdict = "Lesions with a higher uncertainty have larger errors."
    elif result["high"] is not None and result["high"] < 0:
        verdict = "Lesions with a higher uncertainty have smaller errors: do not use this uncertainty."
    else:
        verdict = "In this cohort, the uncertainty does not distinguish lesions with large errors from others."
    times = (
        ""
        if result["ratio"] is None
        else f" The error is {result['ratio']:.1f} times the uncertainty (root mean squares); "
        f"{result['within_95']:.0%} of the errors lie within 1.96 uncertainties (95 % if it is calibrated)."
    )
    return (
        f"{verdict} Spearman's rho of uncertainty and absolute error: {rho} (perfectly calibrated SDs would give "
        f"{figures.number_text(result['attainable'])}), {result['n']} lesions of {result['people']} people. Mean error "
        f"{first['error']:.3f} in the third with the lowest uncertainty, {last['error']:.3f} in the third with the "
        f"highest.{times}"
    )


def calibration_figure(lesions: Sequence[Row], result: Row) -> Figure:
    """Plot absolute error against uncertainty, one point per lesion; large points: means of the three parts.

    Args:
        lesions: lesion rows of the model; rows without uncertainty are left out.
        result: calibration, with its `parts`.

    Returns:
        The figure.
    """
    rows = [row for row in lesions if row.get("uncertainty") is not None and _has_means(row)]
    figure, axes = figures.new_figure(4.8, 4.0)
    axis = axes[0, 0]
    x = [row["uncertainty"] for row in rows]
    y = [abs(row["mean_dvr"] - row["measured_mean_dvr"]) for row in rows]
    axis.scatter(x, y, s=10, color=figures.SYNTHETIC, alpha=0.5, linewidth=0)
    axis.plot([part["uncertainty"] for part in result["parts"]], [part["error"] for part in result["parts"]], "o-",
              color=figures.INK, markersize=7)  # fmt: skip
    end = max([*x, *y])
    axis.plot([0, end], [0, end], color=figures.SOFT, linewidth=1)
    axis.set(xlabel="uncertainty (SD of mean DVR)", ylabel="absolute error of mean DVR")
    return figure


def _has_means(row: Row) -> bool:
    return None not in (row.get("mean_dvr"), row.get("measured_mean_dvr"))
