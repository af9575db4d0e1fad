"""Visit: where the files of one visit of one person lie, and which volumes they hold."""

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
        spaces: the BIDS `space` of a file whose name has one.
        transforms: volume name -> `identity` or an ITK transform file that a table gave.
        notes: what was chosen among several files, or not used, in sentences.
        prepared: whether `preprocess` made the files.
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
