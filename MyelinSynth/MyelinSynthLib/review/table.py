"""The lesion table and its review: one row per lesion, stored in a table node, so that it is saved with the scene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import vtk

from ..run.childprocess import importTrainingCore
from ..scene.geometry import toWorld
from ..words import _

UNREVIEWED, ACCEPTED, FLAGGED, REJECTED = "unreviewed", "accepted", "flagged", "rejected"
STATES = (UNREVIEWED, ACCEPTED, FLAGGED, REJECTED)
ID, STATE, COMMENT, OUTLINE = "id", "state", "comment", "outline"
DIFFERENCE = "difference"  # of two visits
AS_GIVEN, EDITED, REMOVED = "", "edited", "removed"  # what happened to an outline since the map was made
ADDED, MERGED, SPLIT = "added", "merged", "split"
OUTLINES = (AS_GIVEN, EDITED, REMOVED, ADDED, MERGED, SPLIT)
REVIEW_COLUMNS = (STATE, COMMENT, OUTLINE)


def fillTable(tableNode: Any, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Write the rows of a Result's lesions.csv, every lesion unreviewed.

    What is not estimable (None) becomes NaN, or the empty text.
    """
    importTrainingCore()
    from TrainingCore.data.lesion_columns import text_columns

    table = vtk.vtkTable()
    kinds = {}
    for name in columns:
        values = [row[name] for row in rows]
        # A region is text where no lesion has one as well: a lesion that is added later may
        isText = name in text_columns() or any(isinstance(value, str) for value in values)
        kinds[name] = vtk.VTK_STRING if isText else vtk.VTK_DOUBLE
        if name == ID:
            kinds[name], values = vtk.VTK_INT, [int(value) for value in values]
        empty = "" if kinds[name] == vtk.VTK_STRING else np.nan
        table.AddColumn(_column(name, kinds[name], [empty if value is None else value for value in values]))
    for name, value in ((STATE, UNREVIEWED), (COMMENT, ""), (OUTLINE, AS_GIVEN)):
        kinds[name] = vtk.VTK_STRING
        table.AddColumn(_column(name, kinds[name], [value] * len(rows)))
    tableNode.SetAndObserveTable(table)
    tableNode.SetUseColumnTitleAsColumnHeader(True)
    for name, kind in kinds.items():
        tableNode.SetColumnType(name, kind)


def _column(name: str, kind: int, values: Sequence[Any]) -> Any:
    makers = {vtk.VTK_INT: vtk.vtkIntArray, vtk.VTK_DOUBLE: vtk.vtkDoubleArray, vtk.VTK_STRING: vtk.vtkStringArray}
    column = makers[kind]()
    column.SetName(name)
    for value in values:
        column.InsertNextValue(value)
    return column


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

    def lesion(self, row: int) -> int:
        """The number of the lesion."""
        return int(self.number(row, ID))

    def rowOf(self, lesion: int) -> int | None:
        """The row of a lesion number, or None."""
        return next((row for row in range(len(self)) if self.lesion(row) == lesion), None)

    def isText(self, column: str) -> bool:
        """Whether a column holds texts."""
        return self.tableNode.GetTable().GetColumn(self._index(column)).IsA("vtkStringArray")

    def text(self, row: int, column: str) -> str:
        """What a cell says."""
        return self.tableNode.GetCellText(row, self._index(column))

    def number(self, row: int, column: str) -> float:
        """A cell as number: NaN where it is not estimable, or a text, or where there is no such column."""
        index = self.tableNode.GetColumnIndex(column)
        if index < 0 or self.isText(column):
            return np.nan
        return self.tableNode.GetTable().GetValue(row, index).ToDouble()

    def setNumber(self, row: int, column: str, value: float | None) -> None:
        """Write a number, None for what is not estimable."""
        array = self.tableNode.GetTable().GetColumn(self._index(column))
        if array.IsA("vtkStringArray"):
            raise ValueError(f"the column {column} holds texts")
        array.SetValue(row, np.nan if value is None else value)
        self.tableNode.GetTable().Modified()
        self.tableNode.Modified()

    def state(self, row: int) -> str:
        """One of STATES."""
        state = self.text(row, STATE)
        return state if state in STATES else UNREVIEWED

    def setState(self, row: int, state: str) -> None:
        """Record a decision. Raises ValueError where it is none of STATES."""
        if state not in STATES:
            raise ValueError(f"a lesion cannot be {state}")
        self._setText(row, STATE, state)

    def comment(self, row: int) -> str:
        """What was written about a lesion."""
        return self.text(row, COMMENT)

    def setComment(self, row: int, comment: str) -> None:
        """Record a comment, on one line and with typographic quotes: Slicer saves tables line by line, and a straight
        quote in a cell swallows what follows when the scene is opened again."""
        self._setText(row, COMMENT, " ".join(comment.split()).replace('"', "\N{RIGHT DOUBLE QUOTATION MARK}"))

    def outline(self, row: int) -> str:
        """One of OUTLINES."""
        return self.text(row, OUTLINE) if self.tableNode.GetColumnIndex(OUTLINE) >= 0 else AS_GIVEN

    def setOutline(self, row: int, outline: str) -> None:
        """Record what happened to the outline of a lesion. Raises ValueError where it is none of OUTLINES."""
        if outline not in OUTLINES:
            raise ValueError(f"an outline cannot be {outline}")
        self._setText(row, OUTLINE, outline)

    def values(self, row: int) -> dict[str, Any]:
        """Every cell of a row: texts, and numbers, None where not estimable."""
        values: dict[str, Any] = {}
        for name in self.columns:
            number = np.nan if self.isText(name) else self.number(row, name)
            values[name] = self.text(row, name) if self.isText(name) else number if np.isfinite(number) else None
        return values

    def setValues(self, row: int, values: dict[str, Any]) -> None:
        """Write cells of a row; columns that are not named stay."""
        for name, value in values.items():
            if name == ID:
                self.tableNode.GetTable().GetColumn(self._index(ID)).SetValue(row, int(value))
            elif self.isText(name):
                self._setText(row, name, value or "")
            else:
                self.setNumber(row, name, value)

    def addRow(self, values: dict[str, Any]) -> int:
        """Append a lesion, unreviewed; what is not named is empty, or not estimable. Returns its row."""
        row = self.tableNode.AddEmptyRow()
        empty = {name: "" if self.isText(name) else None for name in self.columns if name != ID}
        self.setValues(row, empty | {STATE: UNREVIEWED} | values)
        return row

    def removeRow(self, lesion: int) -> None:
        """Take the row of a lesion out, where there is one."""
        row = self.rowOf(lesion)
        if row is not None:
            self.tableNode.RemoveRow(row)

    def counted(self) -> list[int]:
        """Rows of the lesions that count: neither rejected nor without an outline."""
        importTrainingCore()
        from TrainingCore.data.review import counts

        return [row for row in range(len(self)) if counts(self.state(row), self.outline(row))]

    def newNumber(self) -> int:
        """A number that no lesion has."""
        return max((self.lesion(row) for row in range(len(self))), default=0) + 1

    def progress(self) -> tuple[int, int]:
        """(lesions reviewed, lesions)."""
        return sum(self.state(row) != UNREVIEWED for row in range(len(self))), len(self)

    def counts(self) -> dict[str, int]:
        """How many lesions are in each state."""
        states = [self.state(row) for row in range(len(self))]
        return {state: states.count(state) for state in STATES}

    def progressText(self) -> str:
        """The progress in words."""
        done, total = self.progress()
        return _("{done} of {total} lesions reviewed").format(done=done, total=total)

    def order(self, column: str = ID, descending: bool = False, states: Sequence[str] = STATES) -> list[int]:
        """Rows in one of `states`, sorted by a column: numbers as numbers, states as in STATES, texts as in a
        dictionary; what is not estimable or empty comes last either way."""
        rows = [row for row in range(len(self)) if self.state(row) in states]
        keys = {row: self._key(row, column) for row in rows}
        known = sorted((row for row in rows if keys[row] is not None), key=keys.__getitem__, reverse=descending)
        return known + [row for row in rows if keys[row] is None]

    def _key(self, row: int, column: str) -> Any:
        if column == STATE:
            return STATES.index(self.state(row))
        if column in self.columns and self.isText(column):
            return self.text(row, column).casefold() or None
        value = self.number(row, column)
        if column == DIFFERENCE:  # the largest change first, whichever way it went
            value = abs(value)
        return value if np.isfinite(value) else None

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

    def _setText(self, row: int, column: str, value: str) -> None:
        if not self.tableNode.SetCellText(row, self._index(column), value):
            raise IndexError(f"the lesion table has no row {row}")
