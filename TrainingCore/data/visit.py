"""Visit: paths of the files of one visit, by volume."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .case import label_of


@dataclass
class Visit:
    """The files of one visit of one person; `imaging.preparation.load_visit` reads them onto a grid.

    Attributes:
        files: volume name -> file.
        info: participant columns.
        spaces: volume name -> BIDS `space` entity, for files that have one.
        transforms: volume name -> `identity` or an ITK transform file, from a cohort table.
        notes: sentences about files selected among several, and files not used.
        prepared: whether `preprocess` wrote the files.
    """

    person: str
    visit: str
    files: dict[str, Path] = field(default_factory=dict)
    info: dict[str, Any] = field(default_factory=dict)
    spaces: dict[str, str] = field(default_factory=dict)
    transforms: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    prepared: bool = False

    @property
    def label(self) -> str:
        """See `case.label_of`."""
        return label_of(self.person, self.visit)
