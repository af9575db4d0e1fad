"""A person's review of a visit outlives the visit's next synthesis."""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path

from ..data.result import LESION_LABELS, Result
from ..data.review import REVIEW
from ..runtime.errors import BadInput
from ..runtime.files import sha256, write_text

BEFORE = "reviewed_before"  # folder beside the Results


def is_reviewed(folder: Path) -> bool:
    """Check whether a complete Result holds a review; Slicer rewrites its files if outlines were edited.

    Args:
        folder: folder of a Result.

    Returns:
        True if the review exists and the Result can be opened.
    """
    if not (folder / REVIEW).is_file():
        return False
    try:
        Result.open(folder)
    except BadInput:
        return False
    return True


def set_aside(folder: Path) -> None:
    """Move a reviewed Result away before its visit is synthesized again.

    Args:
        folder: folder of the Result; without a review nothing happens.
    """
    if (folder / REVIEW).is_file():
        backup = _backup_folder(folder)
        backup.parent.mkdir(exist_ok=True)
        if backup.exists():  # of an earlier review, whose lesions were others
            numbers = (backup.with_name(f"{backup.name}_earlier-{number}") for number in itertools.count(1))
            os.replace(backup, next(path for path in numbers if not path.exists()))
        os.replace(folder, backup)


def bring_back(folder: Path) -> str:
    """Copy the review of the previous Result to the new one if their lesions are the same.

    Args:
        folder: folder of the new Result.

    Returns:
        A sentence that says where the reviewed Result is kept if the lesions differ; else an empty string.
    """
    before = _backup_folder(folder)
    if not (before / REVIEW).is_file():
        return ""
    labels = [path / LESION_LABELS for path in (before, folder)]
    if not all(path.is_file() for path in labels) or sha256(labels[0]) != sha256(labels[1]):
        backup = before.relative_to(folder.parents[1]).as_posix()
        return (
            f"Its lesions are not those that were reviewed: review it again. The reviewed Result is kept in {backup}."
        )
    write_text(folder / REVIEW, (before / REVIEW).read_text(encoding="utf-8"))
    shutil.rmtree(before)
    return ""


def _backup_folder(folder: Path) -> Path:
    return folder.parent / BEFORE / folder.name
