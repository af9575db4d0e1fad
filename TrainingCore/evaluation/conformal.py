"""Prediction intervals of a lesion's mean DVR with the stated coverage in every class of lesion size.

Split conformal prediction in groups (Vovk 2012: Mondrian): on people who were not used for training, the error that 95
% of the lesions of a size class stay within is half the interval's width for new lesions of that class. Errors also
differ by scanner, and a new patient's scanner is unknown: 95 % holds for the sites of the calibration cohort together,
at least 90 % for each of them (ours; with the widest site alone, all other sites have intervals that are too wide).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..imaging.labelling import at_least
from ..runtime.errors import BadInput
from .statistics import MIN_PATIENTS, ClusterBootstrap

Row = Mapping[str, Any]
LEVEL = 0.95
SITE_LEVEL = 0.90  # at every site of the calibration cohort
CLASSES_MM3 = (0.0, 50.0, 100.0, 300.0, 1000.0)  # lower ends of the size classes; 50 mm3 is the paper's minimum (ours)
MIN_LESIONS = 20  # of a class and site; with fewer, the next smaller class is added, whose errors are larger (ours)


def volume_class(volume_mm3: float, classes: Sequence[float] = CLASSES_MM3) -> int:
    """Return the index of the size class of a volume, 0 for the smallest lesions.

    Args:
        volume_mm3: volume.
        classes: lower ends in mm3.
    """
    return int(sum(bool(at_least(volume_mm3, low)) for low in classes)) - 1


def class_title(index: int) -> str:
    """Return the title of a size class in mm3, e.g. `50-100`, `> 1000`.

    Args:
        index: index in CLASSES_MM3.
    """
    if index + 1 == len(CLASSES_MM3):
        return f"> {CLASSES_MM3[index]:g}"
    return f"{CLASSES_MM3[index]:g}-{CLASSES_MM3[index + 1]:g}"


def calibrate_intervals(lesions: Sequence[Row]) -> dict[str, Any] | None:
    """Compute half widths by size class from the errors on people who were not used for training.

    Args:
        lesions: rows with volume_mm3, mean_dvr (synthetic), measured_mean_dvr, person, and `site` if it is known.

    Returns:
        {level, classes_mm3, half_width: [DVR by class, None if too few lesions were measured], lesions: [by class],
        sites, people}, plain JSON; None if no class has enough lesions, or there are fewer than five people.
    """
    known = [row for row in lesions if None not in (row.get("mean_dvr"), row.get("measured_mean_dvr"))]
    sites = sorted({str(row.get("site") or "") for row in known})
    widths = [_widths(known, LEVEL)]
    widths += [_widths([row for row in known if str(row.get("site") or "") == site], SITE_LEVEL) for site in sites]
    largest = [max((w for w in column if w is not None), default=None) for column in zip(*widths)]
    people = {row["person"] for row in known}
    if not any(width is not None for width in largest) or len(people) < MIN_PATIENTS:
        return None
    classes = [volume_class(row["volume_mm3"]) for row in known]
    return {
        "level": LEVEL,
        "classes_mm3": list(CLASSES_MM3),
        "half_width": largest,
        "lesions": [classes.count(index) for index in range(len(CLASSES_MM3))],
        "sites": sites,
        "people": len(people),
    }


def _widths(lesions: Sequence[Row], level: float) -> list[float | None]:
    """Return the conformal quantile of the absolute errors, by size class."""
    errors: list[list[float]] = [[] for _ in CLASSES_MM3]
    for row in lesions:
        errors[volume_class(row["volume_mm3"])].append(abs(row["mean_dvr"] - row["measured_mean_dvr"]))
    widths: list[float | None] = []
    for index in range(len(errors)):
        taken, smaller = list(errors[index]), index
        while len(taken) < MIN_LESIONS and smaller > 0:
            smaller -= 1
            taken += errors[smaller]
        rank = int(np.ceil((len(taken) + 1) * level))
        widths.append(float(np.sort(taken)[rank - 1]) if len(taken) >= MIN_LESIONS else None)
    return widths


def intervals_of_bundle(description: Mapping[str, Any]) -> dict[str, Any] | None:
    """Read the `intervals` of a bundle's description.

    Args:
        description: content of bundle.json.

    Returns:
        {classes_mm3, half_width}, or None if the model was not calibrated.

    Raises:
        BadInput: the entry is not what `calibrate_intervals` writes.
    """
    result = description.get("intervals")
    if result is None:
        return None
    try:
        classes = [float(end) for end in result["classes_mm3"]]
        widths = [None if width is None else float(width) for width in result["half_width"]]
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput("The model's bundle.json has unreadable `intervals`. Get the model again.") from error
    possible = all(width is None or 0 <= width < np.inf for width in widths)
    if len(widths) != len(classes) or classes != sorted(classes) or classes[:1] != [0.0] or not possible:
        raise BadInput("The model's bundle.json has `intervals` with invalid numbers. Get the model again.")
    return {"classes_mm3": classes, "half_width": widths}


def interval_of(fitted: Mapping[str, Any] | None, volume_mm3: float, mean_dvr: float | None) -> dict[str, float | None]:
    """Compute the prediction interval of one lesion.

    Args:
        fitted: `intervals` of a bundle (see `calibrate_intervals`), or None.
        volume_mm3: volume of the lesion.
        mean_dvr: synthetic mean DVR of the lesion, or None.

    Returns:
        {dvr_low, dvr_high}; None if the model was not calibrated for lesions of this size.
    """
    width = None if fitted is None else fitted["half_width"][volume_class(volume_mm3, fitted["classes_mm3"])]
    if width is None or mean_dvr is None:
        return {"dvr_low": None, "dvr_high": None}
    return {"dvr_low": mean_dvr - width, "dvr_high": mean_dvr + width}


def coverage_by_site(lesions: Sequence[Row], seed: int = 0) -> list[dict[str, Any]]:
    """Compute `coverage` for each site of a cohort.

    Args:
        lesions: as for `coverage`, with `site`.
        seed: random seed.

    Returns:
        The rows of `coverage` with `site`; empty if there are fewer than two sites.
    """
    sites = sorted({str(row.get("site") or "") for row in lesions})
    if len(sites) < 2:
        return []
    own = {site: [row for row in lesions if str(row.get("site") or "") == site] for site in sites}
    return [{"site": site or "unknown", **row} for site in sites for row in coverage(own[site], seed)]


def coverage(lesions: Sequence[Row], seed: int = 0) -> list[dict[str, Any]]:
    """Compute how often the intervals contain the measured DVR, by size class.

    Args:
        lesions: rows with dvr_low, dvr_high, measured_mean_dvr, volume_mm3 and person.
        seed: random seed.

    Returns:
        A row per class that has lesions: {volume, lesions, people, coverage, low, high (95 % by person; None for fewer
            than five), width (DVR)}.
    """
    known = [row for row in lesions if None not in (row.get("dvr_low"), row.get("measured_mean_dvr"))]
    rows = []
    for index in range(len(CLASSES_MM3)):
        own = [row for row in known if volume_class(row["volume_mm3"]) == index]
        if not own:
            continue
        inside = np.array([row["dvr_low"] <= row["measured_mean_dvr"] <= row["dvr_high"] for row in own], float)
        draws = ClusterBootstrap([row["person"] for row in own], seed=seed)
        low, high = draws.interval(draws.means(inside))
        rows.append(
            {
                "volume": class_title(index),
                "lesions": len(own),
                "people": draws.patients,
                "coverage": float(inside.mean()),
                "low": low,
                "high": high,
                "width": float(np.mean([row["dvr_high"] - row["dvr_low"] for row in own])),
            }
        )
    return rows
