"""Lesions after a review in 3D Slicer or in the viewer: what somebody rejected does not go to the archive."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

REVIEW = "review.csv"
REJECTED = "rejected"


def rejected_lesions(folder: Path) -> set[int]:
    """Numbers of the lesions that the review in a Result folder rejected; none where there is no review."""
    path = folder / REVIEW
    if not path.is_file():
        return set()
    with open(path, encoding="utf-8", newline="") as stream:
        return {int(float(row["id"])) for row in csv.DictReader(stream) if row.get("state") == REJECTED}


def without(
    lesions: set[int], labels: np.ndarray | None, rows: Sequence[Mapping[str, Any]]
) -> tuple[np.ndarray | None, list[Mapping[str, Any]]]:
    """Labels and rows of the other lesions."""
    kept = [row for row in rows if int(row["id"]) not in lesions]
    return labels if labels is None else np.where(np.isin(labels, sorted(lesions)), 0, labels), kept
