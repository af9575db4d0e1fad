"""A person's review of a visit outlives the visit's next synthesis."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ..data.result import LESION_LABELS, Result
from ..data.review import REVIEW
from ..runtime.errors import BadInput
from ..runtime.files import sha256, write_text

BEFORE = "reviewed_before"  # folder beside the Results


def is_reviewed(folder: Path) -> bool:
    """Whether a complete Result holds a review. Slicer writes its files again where outlines were edited."""
    if not (folder / REVIEW).is_file():
        return False
    try:
        Result.open(folder)
    except BadInput:
        return False
    return True


def set_aside(folder: Path) -> None:
    """Move a reviewed Result away before its visit is synthesized again."""
    if (folder / REVIEW).is_file():
        place = _place(folder)
        while place.exists():
            place = place.with_name(f"{place.name}_older")
        place.parent.mkdir(exist_ok=True)
        os.replace(folder, place)


def bring_back(folder: Path) -> str:
    """Give the new Result its review where the lesions are the same; else say where the reviewed Result is kept.

    Returns:
        A sentence, or an empty text.
    """
    before = _place(folder)
    if not (before / REVIEW).is_file():
        return ""
    labels = [path / LESION_LABELS for path in (before, folder)]
    if not all(path.is_file() for path in labels) or sha256(labels[0]) != sha256(labels[1]):
        place = before.relative_to(folder.parents[1]).as_posix()
        return f"Its lesions are not those that were reviewed: review it again. The reviewed Result is kept in {place}."
    write_text(folder / REVIEW, (before / REVIEW).read_text(encoding="utf-8"))
    shutil.rmtree(before)
    return ""


def _place(folder: Path) -> Path:
    return folder.parent / BEFORE / folder.name
