"""The lesion table and its review: one row per lesion, stored in a table node, so that it is saved with the scene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import slicer
import vtk

from .geometry import toWorld
from .words import _

UNREVIEWED, ACCEPTED, FLAGGED, REJECTED = "unreviewed", "accepted", "flagged", "rejected"
STATES = (UNREVIEWED, ACCEPTED, FLAGGED, REJECTED)
KEYS = {"A": ACCEPTED, "F": FLAGGED, "R": REJECTED}
ID, STATE, COMMENT = "id", "state", "comment"


def fillTable(tableNode: Any, rows: Sequence[dict[str, float | None]], columns: Sequence[str]) -> None:
    """Write the rows of a Result's lesions.csv, every lesion unreviewed; what is not estimable becomes NaN."""
    table = vtk.vtkTable()
    for name in columns:
        column = vtk.vtkIntArray() if name == ID else vtk.vtkDoubleArray()
        column.SetName(name)
        for row in rows:
            value = row[name]
            column.InsertNextValue(int(value) if name == ID else np.nan if value is None else value)
        table.AddColumn(column)
    for name, value in ((STATE, UNREVIEWED), (COMMENT, "")):
        column = vtk.vtkStringArray()
        column.SetName(name)
        for _row in rows:
            column.InsertNextValue(value)
        table.AddColumn(column)
    tableNode.SetAndObserveTable(table)
    tableNode.SetUseColumnTitleAsColumnHeader(True)
    for name in columns:
        tableNode.SetColumnType(name, vtk.VTK_INT if name == ID else vtk.VTK_DOUBLE)
    for name in (STATE, COMMENT):
        tableNode.SetColumnType(name, vtk.VTK_STRING)


class Review:
    """Reads and changes the review in a table node.

    >>> review = Review(tableNode)                                                        # doctest: +SKIP
    >>> review.setState(0, ACCEPTED); review.progress()                                   # doctest: +SKIP
    (1, 12)
    """

    def __init__(self, tableNode: Any) -> None:
        self.tableNode = tableNode

    @property
    def columns(self) -> list[str]:
        """Names of all columns, in order."""
        return [self.tableNode.GetColumnName(index) for index in range(self.tableNode.GetNumberOfColumns())]

    def __len__(self) -> int:
        return self.tableNode.GetNumberOfRows()

    def text(self, row: int, column: str) -> str:
        """What a cell says."""
        return self.tableNode.GetCellText(row, self._index(column))

    def number(self, row: int, column: str) -> float:
        """A cell as number: NaN where it is not estimable."""
        return (
            self.tableNode.GetTable().GetValue(row, self._index(column)).ToDouble()
            if self._has(row, column)
            else np.nan
        )

    def state(self, row: int) -> str:
        """One of STATES."""
        found = self.text(row, STATE)
        return found if found in STATES else UNREVIEWED

    def setState(self, row: int, state: str) -> None:
        """Record a decision. Raises ValueError where it is none of STATES."""
        if state not in STATES:
            raise ValueError(f"a lesion cannot be {state}")
        self._setText(row, STATE, state)

    def comment(self, row: int) -> str:
        """What was written about a lesion."""
        return self.text(row, COMMENT)

    def setComment(self, row: int, comment: str) -> None:
        """Record a comment, on one line: tables are saved line by line."""
        self._setText(row, COMMENT, " ".join(comment.split()))

    def progress(self) -> tuple[int, int]:
        """(lesions reviewed, lesions)."""
        return sum(self.state(row) != UNREVIEWED for row in range(len(self))), len(self)

    def progressText(self) -> str:
        """The progress in words."""
        done, total = self.progress()
        return _("{done} of {total} lesions reviewed").format(done=done, total=total)

    def order(self, column: str = ID, descending: bool = False, states: Sequence[str] = STATES) -> list[int]:
        """Rows in one of `states`, sorted by a column; what is not estimable comes last either way."""
        rows = [row for row in range(len(self)) if self.state(row) in states]
        if column in (STATE, COMMENT):
            return sorted(rows, key=lambda row: self.text(row, column), reverse=descending)
        known = [row for row in rows if np.isfinite(self.number(row, column))]
        known.sort(key=lambda row: self.number(row, column), reverse=descending)
        return known + [row for row in rows if row not in set(known)]

    def next(self, row: int, order: Sequence[int]) -> int | None:
        """The row to go on to after `row`: the next unreviewed one in the order shown, starting over at its end."""
        position = order.index(row) if row in order else -1
        ahead = [*order[position + 1 :], *order[: max(position, 0)]]
        return next((candidate for candidate in ahead if self.state(candidate) == UNREVIEWED), None)

    def place(self, row: int, mapNode: Any) -> np.ndarray:
        """Centre of gravity of a lesion in the world, mm RAS, wherever the map has been moved to since."""
        local = [self.number(row, name) for name in ("x_mm", "y_mm", "z_mm")] + [1.0]
        return (toWorld(mapNode, _("map")) @ local)[:3]

    def _index(self, column: str) -> int:
        index = self.tableNode.GetColumnIndex(column)
        if index < 0:
            raise KeyError(f"the lesion table has no column {column}")
        return index

    def _has(self, row: int, column: str) -> bool:
        return self.text(row, column).strip().lower() not in {"", "nan"}

    def _setText(self, row: int, column: str, value: str) -> None:
        if not self.tableNode.SetCellText(row, self._index(column), value):
            raise IndexError(f"the lesion table has no row {row}")


def jumpTo(point: Sequence[float]) -> None:
    """Centre all slice views on a world point (mm RAS) and put the crosshair there."""
    nodes = slicer.mrmlScene.GetNodesByClass("vtkMRMLSliceNode")
    for index in range(nodes.GetNumberOfItems()):
        nodes.GetItemAsObject(index).JumpSliceByCentering(*point)
    crosshair = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLCrosshairNode")
    if crosshair is not None:
        crosshair.SetCrosshairRAS(*point)
