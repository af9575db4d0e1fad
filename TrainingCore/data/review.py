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
    """Whether a lesion of this state, whose outline had this happen to it, is one of the patient's lesions."""
    return state != REJECTED and outline != REMOVED


def rejected_lesions(folder: Path) -> set[int]:
    """Numbers of the lesions that do not count after the review in a Result folder; none where there is no review.

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
    """Labels and rows of the other lesions."""
    kept = [row for row in rows if int(row["id"]) not in lesions]
    return labels if labels is None else np.where(np.isin(labels, sorted(lesions)), 0, labels), kept
