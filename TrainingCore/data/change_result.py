"""Change: the folder that `change` writes for two visits of one person."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..runtime.errors import BadInput
from ..runtime.files import read_json
from .lesion_columns import text_columns

CHANGE, TABLE, SUMMARY, REPORT = "change.nii.gz", "lesions_change.csv", "change.json", "report.html"
DVR_BEFORE, DVR_AFTER, LESION_LABELS = "dvr_before.nii.gz", "dvr_after.nii.gz", "lesion_labels.nii.gz"
FILES = (CHANGE, TABLE, SUMMARY, REPORT, DVR_BEFORE, DVR_AFTER, LESION_LABELS)


def is_complete(path: Path) -> bool:
    """Check whether a folder holds every file of a comparison.

    Args:
        path: folder; one written by an earlier version lacks the maps before and after.
    """
    return all((path / name).is_file() for name in FILES)


@dataclass(frozen=True)
class Change:
    """The folder of a comparison; every volume lies on one grid half-way between the visits.

    change.nii.gz: DVR after minus before, 0 outside either brain; dvr_before.nii.gz, dvr_after.nii.gz: the maps;
    lesion_labels.nii.gz: int16, the row of lesions_change.csv that a voxel of either visit's outlines belongs to;
    change.json: counts, indices, registration, repeatability; report.html: the report.
    """

    path: Path

    @classmethod
    def open(cls, path: str | Path) -> Change:
        """Open a folder written by `change`.

        Args:
            path: folder.

        Returns:
            The comparison.

        Raises:
            BadInput: it is not such a folder, or an earlier version wrote it.
        """
        path = Path(path)
        if not (path / SUMMARY).is_file():
            raise BadInput(f"{path} is no folder of change: it has no {SUMMARY}.")
        missing = [name for name in FILES if not (path / name).is_file()]
        if missing:
            raise BadInput(f"{path} is not a complete comparison: it has no {', '.join(missing)}. Run change again.")
        return cls(path)

    def summary(self) -> dict[str, Any]:
        """How many lesions changed, indices, model and repeatability."""
        content: dict[str, Any] = read_json(self.path / SUMMARY)
        return content

    def lesions(self) -> list[dict[str, str]]:
        """Rows of lesions_change.csv, as text."""
        with open(self.path / TABLE, encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))

    def rows(self) -> list[dict[str, Any]]:
        """Rows of lesions_change.csv: numbers as float, text as str, empty cells (not estimable) as None."""
        texts = text_columns()
        return [
            {name: None if not cell else cell if name in texts else float(cell) for name, cell in row.items()}
            for row in self.lesions()
        ]
