"""A Result folder that was reviewed: decisions, and the lesions that an export keeps beside those that count."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from ..review.table import AS_GIVEN, ID, OUTLINES, REMOVED, REVIEW_COLUMNS, STATES, UNREVIEWED, Review
from .childprocess import importTrainingCore

REJECTED_LESIONS, REJECTED_LABELS = "rejected_lesions.csv", "rejected_lesion_labels.nii.gz"  # of an export


def reviewFile(result: Path) -> Path:
    """Return where a Result folder keeps states, comments and marks of all lesions."""
    importTrainingCore()
    from TrainingCore.data.review import REVIEW

    return result / REVIEW


def allLesions(result: Any) -> list[dict[str, Any]]:
    """The rows of a Result, those that an export left out among them, by number."""
    from TrainingCore.data.result import read_lesions

    rows, beside = result.lesions(), result.path / REJECTED_LESIONS
    if beside.is_file():
        known = {row[ID] for row in rows}
        rows += [row for row in read_lesions(beside) if row[ID] not in known]
        rows = [{name: value for name, value in row.items() if name not in REVIEW_COLUMNS} for row in rows]
    return sorted(rows, key=lambda row: row[ID])


def withoutOutline(result: Path) -> set[int]:
    """Lesions whose outline was removed in a review."""
    return {int(row[ID]) for row in rowsOf(reviewFile(result)) if row.get("outline") == REMOVED}


def restoreReview(review: Review, result: Path) -> None:
    """Read states, comments and marks of the outlines back; rows of lesions that the table does not have are left."""
    for row in rowsOf(reviewFile(result)):
        index = review.rowOf(int(row[ID])) if row.get(ID, "").isdigit() else None
        if index is None:
            continue
        review.setState(index, row["state"] if row.get("state") in STATES else UNREVIEWED)
        review.setComment(index, (row.get("comment") or "").removeprefix("'"))
        outline = row.get("outline")
        review.setOutline(index, outline if outline in OUTLINES else AS_GIVEN)


def rowsOf(path: Path) -> list[dict[str, str]]:
    """Rows of a table with lesion numbers, as text; none where there is no such file."""
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as stream:
        return [row for row in csv.DictReader(stream) if row.get(ID)]
