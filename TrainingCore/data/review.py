"""Lesions of a Result after its review in 3D Slicer or in the viewer.

A review is review.csv in the Result folder, one row per lesion: id, state, comment, outline. A lesion that was
rejected, or whose outline was removed, is left out of DICOM export, comparisons of visits and group statistics.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime.errors import BadInput

REVIEW = "review.csv"
REJECTED, REMOVED = "rejected", "removed"  # a state, and what happened to an outline


def counts(state: str | None, outline: str | None) -> bool:
    """Check whether a reviewed lesion still counts as one of the patient's lesions.

    Args:
        state: state in review.csv.
        outline: what was done to the outline, or None in reviews without this column.
    """
    return state != REJECTED and outline != REMOVED


def rejected_lesions(folder: Path) -> set[int]:
    """Read which lesions no longer count after the review in a Result folder.

    Args:
        folder: Result folder.

    Returns:
        Numbers of the lesions; empty without a review.

    Raises:
        BadInput: review.csv is not a review.
    """
    path = folder / REVIEW
    if not path.is_file():
        return set()
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            rows = [row for row in csv.DictReader(stream) if row["id"]]
            return {int(float(row["id"])) for row in rows if not counts(row["state"], row.get("outline"))}
    except (KeyError, ValueError) as error:
        raise BadInput(f"{path} is not a review: it needs the columns id (a number) and state.") from error


def without(
    lesions: set[int], labels: np.ndarray | None, rows: Sequence[Mapping[str, Any]]
) -> tuple[np.ndarray | None, list[Mapping[str, Any]]]:
    """Remove lesions from labels and table.

    Args:
        lesions: numbers of the lesions to remove.
        labels: (I, J, K) lesion numbers, or None.
        rows: lesion table.

    Returns:
        Labels with those lesions set to 0 (None if none were given), and the other rows.
    """
    kept = [row for row in rows if int(row["id"]) not in lesions]
    return labels if labels is None else np.where(np.isin(labels, sorted(lesions)), 0, labels), kept
