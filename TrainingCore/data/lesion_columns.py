"""List of lesion columns, read by lesions.csv, the report, Slicer's table and the export.

To add a column, add an entry here. Its `measure` computes the value from the DVR of a lesion's voxels; an entry without
one is filled by the code that measures lesions (`evaluation.lesions`), under the entry's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

PLACE, DVR, UNCERTAINTY, MRI, MEASURED, CHANGE = "place", "dvr", "uncertainty", "mri", "measured", "change"


@dataclass(frozen=True)
class LesionColumn:
    """One column.

    Attributes:
        name: name in lesions.csv.
        title: heading on screen.
        unit: mm, mm3, DVR, or empty.
        form: format of a number on screen.
        tooltip: meaning, one sentence.
        group: place | dvr | uncertainty | mri | measured (only with a measured DVR) | change (only of two visits).
        text: whether cells hold text.
        shown: whether reports and Slicer show it.
        measure: computes the value from the finite DVR values of a lesion's voxels, (n,) with n of at least 1.
    """

    name: str
    title: str
    unit: str
    form: str
    tooltip: str
    group: str = DVR
    text: bool = False
    shown: bool = True
    measure: Callable[[np.ndarray], float] | None = None


COLUMNS: list[LesionColumn] = [
    LesionColumn("id", "lesion", "", "{:.0f}", "Number of the lesion, as in lesion_labels.nii.gz.", PLACE),
    LesionColumn(
        "region", "region", "", "", "Periventricular, juxtacortical, infratentorial, or deep white matter.", PLACE, True
    ),
    LesionColumn("volume_mm3", "volume", "mm3", "{:.0f}", "Volume of the outline inside the brain.", PLACE),
    LesionColumn("x_mm", "x", "mm", "{:.0f}", "Centre, world coordinates: towards the right.", PLACE),
    LesionColumn("y_mm", "y", "mm", "{:.0f}", "Centre, world coordinates: towards the front.", PLACE),
    LesionColumn("z_mm", "z", "mm", "{:.0f}", "Centre, world coordinates: towards the top.", PLACE),
    LesionColumn(
        "confidence",
        "confidence",
        "",
        "{:.0%}",
        "Mean probability of the network that found the lesion; empty where the mask was given.",
        PLACE,
    ),
    LesionColumn("mean_dvr", "mean DVR", "DVR", "{:.2f}", "Mean of the synthetic DVR over the lesion."),
    LesionColumn("sd_dvr", "SD", "DVR", "{:.2f}", "Standard deviation of the synthetic DVR over the lesion's voxels."),
    LesionColumn("min_dvr", "min", "DVR", "{:.2f}", "Lowest synthetic DVR in the lesion."),
    LesionColumn(
        "ratio_to_nawm",
        "ratio to NAWM",
        "",
        "{:.2f}",
        "Mean DVR divided by that of the normal-appearing white matter (NAWM).",
    ),
    LesionColumn(
        "surrounding_nawm_dvr", "NAWM around", "DVR", "{:.2f}", "Mean DVR of the NAWM around the lesion.", shown=False
    ),
    LesionColumn(
        "ratio_to_surrounding", "ratio to NAWM around", "", "{:.2f}", "Mean DVR divided by that of the NAWM around it."
    ),
    LesionColumn(
        "corrected_ratio",
        "corrected for blur",
        "",
        "{:.2f}",
        "Ratio to the NAWM around it without what the blur of PET mixes into the lesion (partial volume correction).",
    ),
    LesionColumn(
        "estimated_loss",
        "estimated myelin loss",
        "",
        "{:.0%}",
        "Share of myelin lost, estimated from T1w, FLAIR, map, size and location; learnt from simulated lesions only.",
        MRI,
    ),
    LesionColumn("estimated_loss_low", "95 % from", "", "{:.0%}", "Lower end of the interval of that loss.", MRI),
    LesionColumn("estimated_loss_high", "to", "", "{:.0%}", "Upper end of the interval of that loss.", MRI),
    LesionColumn(
        "demyelinated_share",
        "demyelinated",
        "",
        "{:.0%}",
        "Share of the voxels whose DVR is below the mean of the NAWM minus 2 SD.",
    ),
    LesionColumn("uncertainty", "uncertainty (SD)", "DVR", "{:.3f}", "SD of the mean DVR.", UNCERTAINTY),
    LesionColumn(
        "dvr_low",
        "95 % interval from",
        "DVR",
        "{:.2f}",
        "Lower end of the interval of the measured mean DVR.",
        UNCERTAINTY,
    ),
    LesionColumn("dvr_high", "to", "DVR", "{:.2f}", "Upper end of the interval of the measured mean DVR.", UNCERTAINTY),
    LesionColumn(
        "noise_free_low",
        "without PET noise from",
        "DVR",
        "{:.2f}",
        "Lower end of the 95 % interval of the mean DVR that PET would show without noise.",
        UNCERTAINTY,
        shown=False,
    ),
    LesionColumn("noise_free_high", "to", "DVR", "{:.2f}", "Upper end of the same interval.", UNCERTAINTY, shown=False),
    LesionColumn(
        "t1w_contrast",
        "T1w contrast",
        "",
        "{:.2f}",
        "T1w of the lesion minus that of the NAWM around it; -1: darker by the contrast of white and grey matter.",
        MRI,
    ),
    LesionColumn(
        "flair_contrast",
        "FLAIR contrast",
        "",
        "{:.2f}",
        "FLAIR of the lesion minus that of the NAWM around it, in robust SD of the brain.",
        MRI,
        shown=False,
    ),
]
CHANGE_COLUMNS: list[LesionColumn] = [
    LesionColumn("lesion", "lesion", "", "{:.0f}", "Number of the lesion in this comparison.", PLACE),
    LesionColumn(
        "change",
        "change",
        "",
        "",
        "Demyelinating or remyelinating where the interval leaves out 0, stable otherwise; new; gone.",
        CHANGE,
        True,
    ),
    LesionColumn("difference", "difference", "DVR", "{:+.3f}", "DVR after minus before.", CHANGE),
    LesionColumn(
        "difference_to_nawm",
        "minus NAWM",
        "DVR",
        "{:+.3f}",
        "Difference minus that of normal-appearing white matter (NAWM).",
        CHANGE,
    ),
    LesionColumn("low", "95 % from", "DVR", "{:+.3f}", "Lower end of the difference's interval.", CHANGE),
    LesionColumn("high", "to", "DVR", "{:+.3f}", "Upper end of the difference's interval.", CHANGE),
    LesionColumn(
        "dvr_before", "DVR before", "DVR", "{:.3f}", "Mean DVR at the earlier visit, over both outlines.", CHANGE
    ),
    LesionColumn("dvr_after", "DVR after", "DVR", "{:.3f}", "Mean DVR at the later visit, over both outlines.", CHANGE),
    LesionColumn("kind", "outline", "", "", "Matched, split, merged, rearranged, new or gone.", CHANGE, True),
    LesionColumn("volume_before_mm3", "volume before", "mm3", "{:.0f}", "Volume at the earlier visit.", CHANGE),
    LesionColumn("volume_after_mm3", "after", "mm3", "{:.0f}", "Volume at the later visit.", CHANGE),
    LesionColumn("before", "label before", "", "", "Its number, or numbers, in the earlier visit.", CHANGE, True),
    LesionColumn("after", "label after", "", "", "Its number, or numbers, in the later visit.", CHANGE, True),
    LesionColumn("x_mm", "x", "mm", "{:.0f}", "Centre, half-way space: towards the right.", CHANGE, shown=False),
    LesionColumn("y_mm", "y", "mm", "{:.0f}", "Centre, half-way space: towards the front.", CHANGE, shown=False),
    LesionColumn("z_mm", "z", "mm", "{:.0f}", "Centre, half-way space: towards the top.", CHANGE, shown=False),
]
MEASURED_SHOWN = ("mean_dvr", "ratio_to_nawm")  # of the measured columns, those on screen
SUPERSCRIPT = {"mm3": "mm\N{SUPERSCRIPT THREE}"}


def columns(measured: bool = False) -> list[LesionColumn]:
    """List every lesion column in its order.

    Args:
        measured: whether to append the columns of a measured DVR (`measured_mean_dvr`, ...).
    """
    return [*COLUMNS, *(_of_measured(column) for column in COLUMNS if column.group == DVR and measured)]


def column_names(measured: bool = False) -> tuple[str, ...]:
    """List the names of the columns, as in the header of lesions.csv.

    Args:
        measured: whether to append the columns of a measured DVR.
    """
    return tuple(column.name for column in columns(measured))


def shown() -> list[LesionColumn]:
    """The columns that reports and Slicer show, in their order."""
    return [column for column in columns(measured=True) if column.shown]


def change_columns() -> list[LesionColumn]:
    """The columns of two visits that reports and Slicer show, in their order."""
    return [column for column in CHANGE_COLUMNS if column.shown]


def titles(chosen: Iterable[LesionColumn] | None = None) -> dict[str, str]:
    """Return the titles of columns with their units (mm, mm3).

    Args:
        chosen: columns; None for those that reports and Slicer show.

    Returns:
        Name -> title.
    """
    units = {"mm", "mm3"}
    return {
        column.name: f"{column.title} ({SUPERSCRIPT.get(column.unit, column.unit)})"
        if column.unit in units
        else column.title
        for column in (shown() if chosen is None else chosen)
    }


def formats(chosen: Iterable[LesionColumn] | None = None) -> dict[str, str]:
    """Return the number formats of columns.

    Args:
        chosen: columns; None for those that reports and Slicer show.

    Returns:
        Name -> format string; text columns are left out.
    """
    return {column.name: column.form for column in (shown() if chosen is None else chosen) if column.form}


def text_columns() -> set[str]:
    """Names of the columns whose cells hold text."""
    return {column.name for column in (*COLUMNS, *CHANGE_COLUMNS) if column.text}


def _of_measured(column: LesionColumn) -> LesionColumn:
    title = {"ratio_to_nawm": "measured ratio"}.get(column.name, f"measured {column.title}")
    return replace(
        column,
        name=f"measured_{column.name}",
        title=title,
        tooltip=column.tooltip.replace("synthetic", "measured"),
        group=MEASURED,
        shown=column.name in MEASURED_SHOWN,
    )
