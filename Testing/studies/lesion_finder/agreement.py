"""Do the statistics of lesions agree between a given mask and one that was found automatically?"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from TrainingCore.api import synthesize
from TrainingCore.data.result import Result

from .people import Files

LABELS = "lesion_labels.nii.gz"
LEAST_MM3 = 10.0  # of either lesion of a pair (ours)


def synthesized(name: str, files: Files, finder: str, out: Path) -> tuple[Result, Result]:
    """The person's Result with the given mask and that with lesions found; kept from an earlier run."""
    results = []
    for way in ("given", "found"):
        folder = out / "results" / f"{name}_{way}"
        if not folder.is_dir():
            mask = files["lesions"] if way == "given" else None
            images = {"t1": files["t1w"], "flair": files["flair"], "brain_mask": files.get("brain")}
            synthesize(folder, lesions=mask, lesion_finder=finder, progress="none", **images)
        results.append(Result.open(folder))
    return results[0], results[1]


def matched(given: Result, found: Result) -> list[dict[str, Any]]:
    """Pairs of lesions: each given one and the found one that covers most of it, with both mean DVR and volumes."""
    labels = [np.asarray(nibabel.load(each.path / LABELS).dataobj) for each in (given, found)]
    rows = [{int(row["id"]): row for row in each.lesions()} for each in (given, found)]
    pairs = []
    for number, row in rows[0].items():
        covering = labels[1][labels[0] == number]
        covering = covering[covering > 0]
        if not len(covering):
            continue
        other = rows[1].get(int(np.bincount(covering).argmax()))
        values = [row["mean_dvr"], other and other["mean_dvr"]]
        if other is None or None in values or min(row["volume_mm3"], other["volume_mm3"]) < LEAST_MM3:
            continue
        volumes = {"given_mm3": row["volume_mm3"], "found_mm3": other["volume_mm3"]}
        pairs.append({"given_dvr": values[0], "found_dvr": values[1], **volumes})
    return pairs


def mean_lesion_dvr(result: Result) -> float:
    """Mean DVR over the volume of all lesions; nan without one."""
    rows = [row for row in result.lesions() if row["mean_dvr"] is not None]
    volumes = [row["volume_mm3"] for row in rows]
    return float(np.average([row["mean_dvr"] for row in rows], weights=volumes)) if rows else float("nan")


def agreement(people: Iterable[tuple[str, Files]], finder: str, out: Path, table: str) -> dict[str, float]:
    """Write the pairs; returns r, mean absolute difference and bias of the mean DVR of lesions that were matched.

    Args:
        people: names and files, each with a mask.
        finder: bundle of the lesion finder.
        out: folder for the results and the table of pairs.
        table: name of that table.
    """
    pairs, patients = [], []
    for name, files in people:
        given, found = synthesized(name, files, finder, out)
        pairs += [{"person": name, **pair} for pair in matched(given, found)]
        patients.append((mean_lesion_dvr(given), mean_lesion_dvr(found)))
    with open(out / table, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, ["person", "given_dvr", "found_dvr", "given_mm3", "found_mm3"])
        writer.writeheader()
        writer.writerows(pairs)
    first, second = (np.array([pair[key] for pair in pairs]) for key in ("given_dvr", "found_dvr"))
    means = np.array([each for each in patients if np.isfinite(each).all()])
    return {
        "pairs": len(pairs),
        "r": _correlation(first, second),
        "mean_absolute_difference": float(np.abs(second - first).mean()) if len(pairs) else float("nan"),
        "bias": float((second - first).mean()) if len(pairs) else float("nan"),
        "patients": len(means),
        "r_of_patients": _correlation(*means.T) if len(means) else float("nan"),
    }


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    if len(first) < 3 or first.std() == 0 or second.std() == 0:
        return float("nan")
    return float(np.corrcoef(first, second)[0, 1])
