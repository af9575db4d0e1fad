"""Reads the review in a Result folder: decisions, and lesions that an export keeps separate from those that count."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from ..errors import SynthesisError
from ..review.table import AS_GIVEN, ID, OUTLINES, REMOVED, REVIEW_COLUMNS, STATES, UNREVIEWED, Review
from ..words import _
from .childprocess import importTrainingCore

REJECTED_LESIONS, REJECTED_LABELS = "rejected_lesions.csv", "rejected_lesion_labels.nii.gz"  # of an export


def reviewFile(result: Path) -> Path:
    """Return the file of the review in a Result folder.

    Args:
        result: Result folder.
    """
    importTrainingCore()
    from TrainingCore.data.review import REVIEW

    return result / REVIEW


def allLesions(result: Any) -> list[dict[str, Any]]:
    """Return the lesions of a Result, including those that an export left out.

    Args:
        result: TrainingCore.data.result.Result.

    Returns:
        Rows without the review's columns, sorted by lesion number.
    """
    from TrainingCore.data.result import read_lesions

    rows, beside = result.lesions(), result.path / REJECTED_LESIONS
    if beside.is_file():
        known = {row[ID] for row in rows}
        rows += [row for row in read_lesions(beside) if row[ID] not in known]
        rows = [{name: value for name, value in row.items() if name not in REVIEW_COLUMNS} for row in rows]
    return sorted(rows, key=lambda row: row[ID])


def withoutOutline(result: Path) -> set[int]:
    """Return the numbers of the lesions whose outline was removed in a review.

    Args:
        result: Result folder.
    """
    return {int(row[ID]) for row in rowsOf(reviewFile(result)) if row.get("outline") == REMOVED}


def restoreReview(review: Review, result: Path) -> None:
    """Restore states, comments and outline marks.

    Args:
        review: review of the lesion table to modify; rows of lesions that it does not have are ignored.
        result: Result folder; nothing is restored if it has no review.
    """
    for row in rowsOf(reviewFile(result)):
        index = review.rowOf(int(row[ID])) if row.get(ID, "").isdigit() else None
        if index is None:
            continue
        review.setState(index, row["state"] if row.get("state") in STATES else UNREVIEWED)
        review.setComment(index, (row.get("comment") or "").removeprefix("'"))
        outline = row.get("outline")
        review.setOutline(index, outline if outline in OUTLINES else AS_GIVEN)


def rowsOf(path: Path) -> list[dict[str, str]]:
    """Read a table with lesion numbers.

    Args:
        path: CSV file.

    Returns:
        Rows as text by column name; empty if there is no such file.

    Raises:
        SynthesisError: the file cannot be read, or is no CSV in UTF-8.
    """
    if not path.is_file():
        return []
    try:
        with open(path, encoding="utf-8-sig", newline="") as stream:
            return [row for row in csv.DictReader(stream) if row.get(ID)]
    except (OSError, ValueError, csv.Error) as error:
        text = _("{file} cannot be read. If it was edited elsewhere, save it as CSV in UTF-8. ({reason})")
        raise SynthesisError(text.format(file=path, reason=error)) from error
