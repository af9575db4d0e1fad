"""Prediction intervals of a lesion's mean DVR with the stated coverage in every class of lesion size.

Split conformal prediction in groups (Vovk 2012: Mondrian): on people who were not used for training, the error that 95
% of the lesions of a size class stay within is half the interval's width for new lesions of that class. Errors also
differ by scanner, and a new patient's scanner is unknown: 95 % holds for the sites of the calibration cohort together,
at least 90 % for each of them (ours; with the widest site alone, all other sites have intervals that are too wide).

Most of the error against a measured PET is its noise, which depends on the scanner. Where the noise-free DVR is known
(simulated people), a second interval is calibrated on it: what PET would show without noise. It is narrower, and
depends less on the scanner.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..imaging.labelling import at_least
from ..runtime.errors import BadInput
from .statistics import MIN_PATIENTS, ClusterBootstrap

Row = Mapping[str, Any]
LEVEL = 0.95
SITE_LEVEL = 0.90  # at every site of the calibration cohort
CLASSES_MM3 = (0.0, 50.0, 100.0, 300.0, 1000.0)  # lower ends of the size classes; 50 mm3 is the paper's minimum (ours)
TRUTHS = {"": ("measured_mean_dvr", "dvr"), "noise_free_": ("clean_mean_dvr", "noise_free")}  # column, name of interval
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
        lesions: rows with volume_mm3, mean_dvr (synthetic), measured_mean_dvr, person, and `site` and clean_mean_dvr
            (noise-free) if they are known.

    Returns:
        {level, classes_mm3, half_width: [DVR by class, None if too few lesions were measured], lesions: [by class],
        sites, people}, plain JSON, and noise_free_half_width if the noise-free DVR of every lesion is known; None if no
        class has enough lesions, or there are fewer than five people.
    """
    known = [row for row in lesions if None not in (row.get("mean_dvr"), row.get("measured_mean_dvr"))]
    widths = half_widths(known, "measured_mean_dvr")
    people = {row["person"] for row in known}
    if not any(width is not None for width in widths) or len(people) < MIN_PATIENTS:
        return None
    classes = [volume_class(row["volume_mm3"]) for row in known]
    result = {
        "level": LEVEL,
        "classes_mm3": list(CLASSES_MM3),
        "half_width": widths,
        "lesions": [classes.count(index) for index in range(len(CLASSES_MM3))],
        "sites": sorted({str(row.get("site") or "") for row in known}),
        "people": len(people),
    }
    if all(row.get("clean_mean_dvr") is not None for row in known):
        result["noise_free_half_width"] = half_widths(known, "clean_mean_dvr")
    return result


def half_widths(lesions: Sequence[Row], truth: str, predicted: str = "mean_dvr") -> list[float | None]:
    """Compute half widths by size class that hold for all sites together and nearly for each.

    Args:
        lesions: rows with volume_mm3, both columns, and `site` if it is known.
        truth: column of what the interval is to contain.
        predicted: column of the interval's middle.

    Returns:
        Half width by class of CLASSES_MM3; None if there are too few lesions.
    """
    sites: dict[str, list[Row]] = {}
    for row in lesions:
        sites.setdefault(str(row.get("site") or ""), []).append(row)
    columns = (truth, predicted)
    widths = [_widths(lesions, columns, LEVEL), *(_widths(own, columns, SITE_LEVEL) for own in sites.values())]
    return [max((width for width in column if width is not None), default=None) for column in zip(*widths)]


def _widths(lesions: Sequence[Row], columns: tuple[str, str], level: float) -> list[float | None]:
    """Return the conformal quantile of the absolute differences of two columns, by size class."""
    truth, predicted = columns
    errors: list[list[float]] = [[] for _ in CLASSES_MM3]
    for row in lesions:
        errors[volume_class(row["volume_mm3"])].append(abs(row[predicted] - row[truth]))
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
        {classes_mm3, half_width, and noise_free_half_width if it was calibrated}, or None if the model was not.

    Raises:
        BadInput: the entry is not what `calibrate_intervals` writes.
    """
    result = description.get("intervals")
    if result is None:
        return None
    try:
        classes = [float(end) for end in result["classes_mm3"]]
        widths = {
            f"{kind}half_width": [None if width is None else float(width) for width in result[f"{kind}half_width"]]
            for kind in TRUTHS
            if not kind or f"{kind}half_width" in result
        }
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput("The model's bundle.json has unreadable `intervals`. Get the model again.") from error
    possible = all(width is None or 0 <= width < np.inf for column in widths.values() for width in column)
    complete = all(len(column) == len(classes) for column in widths.values())
    if not complete or classes != sorted(classes) or classes[:1] != [0.0] or not possible:
        raise BadInput("The model's bundle.json has `intervals` with invalid numbers. Get the model again.")
    return {"classes_mm3": classes, **widths}


def interval_of(fitted: Mapping[str, Any] | None, volume_mm3: float, mean_dvr: float | None) -> dict[str, float | None]:
    """Compute the prediction intervals of one lesion: of its measured and of its noise-free DVR.

    Args:
        fitted: `intervals` of a bundle (see `calibrate_intervals`), or None.
        volume_mm3: volume of the lesion.
        mean_dvr: synthetic mean DVR of the lesion, or None.

    Returns:
        {dvr_low, dvr_high, noise_free_low, noise_free_high}; None if the model was not calibrated for lesions of this
        size, or not on noise-free DVR.
    """
    ends: dict[str, float | None] = {}
    for kind, (_, name) in TRUTHS.items():
        widths = None if fitted is None else fitted.get(f"{kind}half_width")
        width = widths[volume_class(volume_mm3, fitted["classes_mm3"])] if fitted is not None and widths else None
        for end, sign in (("low", -1), ("high", 1)):
            ends[f"{name}_{end}"] = None if width is None or mean_dvr is None else mean_dvr + sign * width
    return ends


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
    """Compute how often the intervals contain the measured and the noise-free DVR, by size class.

    Args:
        lesions: rows with dvr_low, dvr_high, measured_mean_dvr, volume_mm3 and person, and noise_free_low,
            noise_free_high, clean_mean_dvr if they are known.
        seed: random seed.

    Returns:
        A row per class that has lesions: {volume, lesions, people, coverage, low, high (95 % by person; None for fewer
            than five), width (DVR)}, and noise_free_coverage, ... if they are known of all its lesions.
    """
    rows = []
    for result, own, draws in _classes_with(lesions, ("dvr_low", "measured_mean_dvr"), seed):
        for kind, (truth, name) in TRUTHS.items():
            ends = (f"{name}_low", f"{name}_high")
            if all(None not in (row.get(truth), row.get(ends[0])) for row in own):
                result |= {kind + key: value for key, value in _covered(own, draws, truth, *ends).items()}
        rows.append(result)
    return rows


def coverage_of(lesions: Sequence[Row], truth: str, interval: str, seed: int = 0) -> list[dict[str, Any]]:
    """Compute how often an interval contains a column, by size class.

    Args:
        lesions: rows with volume_mm3 and person, and the column and `<interval>_low` and `<interval>_high` if known.
        truth: the column.
        interval: name of the interval.
        seed: random seed.

    Returns:
        A row per class with known lesions: {volume, lesions, people, coverage, low, high, width}, as `coverage`.
    """
    ends = (f"{interval}_low", f"{interval}_high")
    return [
        counts | _covered(own, draws, truth, *ends)
        for counts, own, draws in _classes_with(lesions, (truth, ends[0]), seed)
    ]


def _classes_with(
    lesions: Sequence[Row], columns: tuple[str, str], seed: int
) -> Iterator[tuple[dict[str, Any], list[Row], ClusterBootstrap]]:
    """Yield {volume, lesions, people}, lesions and bootstrap of each size class that has lesions with both columns."""
    known = [row for row in lesions if None not in map(row.get, columns)]
    for index in range(len(CLASSES_MM3)):
        own = [row for row in known if volume_class(row["volume_mm3"]) == index]
        if own:
            draws = ClusterBootstrap([row["person"] for row in own], seed=seed)
            yield {"volume": class_title(index), "lesions": len(own), "people": draws.patients}, own, draws


def _covered(lesions: Sequence[Row], draws: ClusterBootstrap, truth: str, low: str, high: str) -> dict[str, Any]:
    """Return the share of lesions whose true DVR is in their interval, with its interval, and the mean width."""
    inside = np.array([row[low] <= row[truth] <= row[high] for row in lesions], float)
    share_low, share_high = draws.interval(draws.means(inside))
    width = float(np.mean([row[high] - row[low] for row in lesions]))
    return {"coverage": float(inside.mean()), "low": share_low, "high": share_high, "width": width}
