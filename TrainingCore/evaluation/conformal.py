"""Prediction intervals of a lesion's mean DVR with the stated coverage in every class of lesion size.

Split conformal prediction in groups (Vovk 2012: Mondrian): on people who were not used for training, the error that 95
% of the lesions of a size class stay within is half the interval's width for new lesions of that class. Errors also
differ by scanner. A visit of a site of the calibration cohort has that site's own intervals. For any other one, 95 %
holds for the sites of the calibration cohort together, at least 90 % for each of them (ours; with the widest site
alone, all other sites have intervals that are too wide).

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
from .statistics import MIN_PATIENTS, ClusterBootstrap, clusters

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


def calibrate_intervals(lesions: Sequence[Row], simulated: bool = False) -> dict[str, Any] | None:
    """Compute half widths by size class from the errors on people who were not used for training.

    Args:
        lesions: rows with volume_mm3, mean_dvr (synthetic), measured_mean_dvr, person, and `site` and clean_mean_dvr
            (noise-free) if they are known.
        simulated: whether these people are simulated, so that their sites are no real ones.

    Returns:
        {level, classes_mm3, half_width: [DVR by class, None if too few lesions were measured], lesions: [by class],
        sites, people, simulated}, plain JSON, and noise_free_half_width if the noise-free DVR of every lesion is known;
        of several sites also by_site: {site: {half_width, ...}} of sites with five people. None if no class has enough
        lesions, or there are fewer than five people.
    """
    known = [row for row in lesions if None not in (row.get("mean_dvr"), row.get("measured_mean_dvr"))]
    widths = half_widths(known, "measured_mean_dvr")
    people = {row["person"] for row in known}
    if not any(width is not None for width in widths) or len(people) < MIN_PATIENTS:
        return None
    classes = [volume_class(row["volume_mm3"]) for row in known]
    sites = _by_site(known)
    result: dict[str, Any] = {
        "level": LEVEL,
        "classes_mm3": list(CLASSES_MM3),
        "half_width": widths,
        "lesions": [classes.count(index) for index in range(len(CLASSES_MM3))],
        "sites": sorted(sites),
        "people": len(people),
        "simulated": simulated,
    }
    noise_free = all(row.get("clean_mean_dvr") is not None for row in known)
    if noise_free:
        result["noise_free_half_width"] = half_widths(known, "clean_mean_dvr")
    truths = {kind: truth for kind, (truth, _) in TRUTHS.items() if noise_free or not kind}
    by_site = {
        site: {f"{kind}half_width": _widths(own, (truth, "mean_dvr"), LEVEL) for kind, truth in truths.items()}
        for site, own in sites.items()
        if site and len({row["person"] for row in own}) >= MIN_PATIENTS
    }
    if len(sites) > 1 and by_site:
        result["by_site"] = by_site
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
    sites, columns = _by_site(lesions).values(), (truth, predicted)
    widths = [_widths(lesions, columns, LEVEL), *(_widths(own, columns, SITE_LEVEL) for own in sites)]
    return [max((width for width in column if width is not None), default=None) for column in zip(*widths)]


def _by_site(lesions: Sequence[Row]) -> dict[str, list[Row]]:
    """Lesions by site; an unknown one is the empty string."""
    sites: dict[str, list[Row]] = {}
    for row in lesions:
        sites.setdefault(str(row.get("site") or ""), []).append(row)
    return sites


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
        {classes_mm3, half_width, and noise_free_half_width if it was calibrated; simulated and by_site, see
        `intervals_at`}, or None if the model was not.

    Raises:
        BadInput: the entry is not what `calibrate_intervals` writes.
    """
    result = description.get("intervals")
    if result is None:
        return None
    try:
        classes = [float(end) for end in result["classes_mm3"]]
        widths = _read_widths(result)
        by_site = {str(site): _read_widths(own) for site, own in result.get("by_site", {}).items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadInput("The model's bundle.json has unreadable `intervals`. Get the model again.") from error
    columns = [column for own in (widths, *by_site.values()) for column in own.values()]
    possible = all(width is None or 0 <= width < np.inf for column in columns for width in column)
    complete = all(len(column) == len(classes) for column in columns)
    if not complete or classes != sorted(classes) or classes[:1] != [0.0] or not possible:
        raise BadInput("The model's bundle.json has `intervals` with invalid numbers. Get the model again.")
    return {"classes_mm3": classes, **widths, "simulated": result.get("simulated") is True, "by_site": by_site}


def _read_widths(entry: Mapping[str, Any]) -> dict[str, list[float | None]]:
    return {
        f"{kind}half_width": [None if width is None else float(width) for width in entry[f"{kind}half_width"]]
        for kind in TRUTHS
        if not kind or f"{kind}half_width" in entry
    }


def intervals_at(fitted: Mapping[str, Any] | None, site: str, simulated: bool) -> Mapping[str, Any] | None:
    """Choose the intervals of a visit: those of its own site, if they were calibrated.

    Args:
        fitted: result of `intervals_of_bundle`.
        site: site of the visit; empty if it is unknown.
        simulated: whether the visit is simulated; the sites of simulated people are no real ones of the same name.

    Returns:
        `fitted` with the half widths of the site where it has any.
    """
    if fitted is None or fitted["simulated"] != simulated or site not in fitted["by_site"]:
        return fitted
    own = {
        name: [shared if width is None else width for width, shared in zip(widths, fitted[name])]
        for name, widths in fitted["by_site"][site].items()
        if name in fitted
    }
    return {**fitted, **own}


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
    own = _by_site(lesions)
    if len(own) < 2:
        return []
    return [{"site": site or "unknown", **row} for site in sorted(own) for row in coverage(own[site], seed)]


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
            draws, people = ClusterBootstrap(clusters(own), seed=seed), len({row["person"] for row in own})
            yield {"volume": class_title(index), "lesions": len(own), "people": people}, own, draws


def _covered(lesions: Sequence[Row], draws: ClusterBootstrap, truth: str, low: str, high: str) -> dict[str, Any]:
    """Return the share of lesions whose true DVR is in their interval, with its interval, and the mean width."""
    inside = np.array([row[low] <= row[truth] <= row[high] for row in lesions], float)
    share_low, share_high = draws.interval(draws.means(inside))
    width = float(np.mean([row[high] - row[low] for row in lesions]))
    return {"coverage": float(inside.mean()), "low": share_low, "high": share_high, "width": width}
