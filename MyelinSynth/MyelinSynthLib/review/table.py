"""The lesion table and its review: one row per lesion, stored in a table node, so that it is saved with the scene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import vtk

from ..run.childprocess import importTrainingCore
from ..scene.geometry import pointsToWorld
from ..words import _

UNREVIEWED, ACCEPTED, FLAGGED, REJECTED = "unreviewed", "accepted", "flagged", "rejected"
STATES = (UNREVIEWED, ACCEPTED, FLAGGED, REJECTED)
ID, STATE, COMMENT, OUTLINE = "id", "state", "comment", "outline"
DIFFERENCE = "difference"  # column of a comparison of two visits
AS_GIVEN, EDITED, REMOVED = "", "edited", "removed"  # what happened to an outline since synthesis
ADDED, MERGED, SPLIT = "added", "merged", "split"
OUTLINES = (AS_GIVEN, EDITED, REMOVED, ADDED, MERGED, SPLIT)
REVIEW_COLUMNS = (STATE, COMMENT, OUTLINE)


def fillTable(tableNode: Any, rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> None:
    """Fill a table node with the rows of a Result's lesions.csv; every lesion is unreviewed.

    Args:
        tableNode: vtkMRMLTableNode; its content is replaced.
        rows: values by column name; None (not estimable) becomes NaN, or empty text.
        columns: names of the columns, in order; the review's columns are appended.
    """
    importTrainingCore()
    from TrainingCore.data.lesion_columns import text_columns

    table = vtk.vtkTable()
    kinds = {}
    for name in columns:
        values = [row[name] for row in rows]
        # A region column is text even if no lesion has a region: a lesion that is added later may
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
        """Return the number of a lesion.

        Args:
            row: row of the table node.
        """
        return int(self.number(row, ID))

    def rowOf(self, lesion: int) -> int | None:
        """Find the row of a lesion.

        Args:
            lesion: number of the lesion.

        Returns:
            Row of the table node; None if no row has this number.
        """
        return next((row for row in range(len(self)) if self.lesion(row) == lesion), None)

    def isText(self, column: str) -> bool:
        """Return whether a column holds text.

        Args:
            column: name of the column.

        Raises:
            KeyError: there is no such column.
        """
        return self.tableNode.GetTable().GetColumn(self._index(column)).IsA("vtkStringArray")

    def text(self, row: int, column: str) -> str:
        """Return the text of a cell.

        Args:
            row: row of the table node.
            column: name of the column.

        Raises:
            KeyError: there is no such column.
        """
        return self.tableNode.GetCellText(row, self._index(column))

    def number(self, row: int, column: str) -> float:
        """Return a cell as a number.

        Args:
            row: row of the table node.
            column: name of the column.

        Returns:
            Its value; NaN if it is not estimable, holds text, or there is no such column.
        """
        index = self.tableNode.GetColumnIndex(column)
        if index < 0 or self.isText(column):
            return np.nan
        return self.tableNode.GetTable().GetValue(row, index).ToDouble()

    def setNumber(self, row: int, column: str, value: float | None) -> None:
        """Write a number.

        Args:
            row: row of the table node.
            column: name of the column.
            value: None if it is not estimable.

        Raises:
            KeyError: there is no such column.
            ValueError: the column holds text.
        """
        array = self.tableNode.GetTable().GetColumn(self._index(column))
        if array.IsA("vtkStringArray"):
            raise ValueError(f"the column {column} holds texts")
        array.SetValue(row, np.nan if value is None else value)
        self.tableNode.GetTable().Modified()
        self.tableNode.Modified()

    def state(self, row: int) -> str:
        """Return the review state of a lesion, one of STATES.

        Args:
            row: row of the table node.
        """
        state = self.text(row, STATE)
        return state if state in STATES else UNREVIEWED

    def setState(self, row: int, state: str) -> None:
        """Record a decision.

        Args:
            row: row of the table node.
            state: one of STATES.

        Raises:
            ValueError: the state is not one of STATES.
        """
        if state not in STATES:
            raise ValueError(f"a lesion cannot be {state}")
        self._setText(row, STATE, state)

    def comment(self, row: int) -> str:
        """Return the reader's comment on a lesion.

        Args:
            row: row of the table node.
        """
        return self.text(row, COMMENT)

    def setComment(self, row: int, comment: str) -> None:
        """Store a comment, on one line and with typographic quotes.

        Slicer saves tables line by line, and a straight quote in a cell corrupts the cells after it when the scene is
        reopened.

        Args:
            row: row of the table node.
            comment: any text.
        """
        self._setText(row, COMMENT, " ".join(comment.split()).replace('"', "\N{RIGHT DOUBLE QUOTATION MARK}"))

    def outline(self, row: int) -> str:
        """Return what happened to the outline of a lesion since synthesis, one of OUTLINES.

        Args:
            row: row of the table node.
        """
        return self.text(row, OUTLINE) if self.tableNode.GetColumnIndex(OUTLINE) >= 0 else AS_GIVEN

    def setOutline(self, row: int, outline: str) -> None:
        """Record what happened to the outline of a lesion.

        Args:
            row: row of the table node.
            outline: one of OUTLINES.

        Raises:
            ValueError: the mark is not one of OUTLINES.
        """
        if outline not in OUTLINES:
            raise ValueError(f"an outline cannot be {outline}")
        self._setText(row, OUTLINE, outline)

    def values(self, row: int) -> dict[str, Any]:
        """Return all cells of a row.

        Args:
            row: row of the table node.

        Returns:
            Texts and numbers by column name; None for numbers that are not estimable.
        """
        values: dict[str, Any] = {}
        for name in self.columns:
            number = np.nan if self.isText(name) else self.number(row, name)
            values[name] = self.text(row, name) if self.isText(name) else number if np.isfinite(number) else None
        return values

    def setValues(self, row: int, values: dict[str, Any]) -> None:
        """Write cells of a row; other cells keep their values.

        Args:
            row: row of the table node.
            values: texts and numbers by column name; None for not estimable or empty.

        Raises:
            KeyError: there is no such column.
        """
        for name, value in values.items():
            if name == ID:
                self.tableNode.GetTable().GetColumn(self._index(ID)).SetValue(row, int(value))
            elif self.isText(name):
                self._setText(row, name, value or "")
            else:
                self.setNumber(row, name, value)

    def addRow(self, values: dict[str, Any]) -> int:
        """Append a lesion, unreviewed.

        Args:
            values: cells by column name, with `id`; all others are empty or not estimable.

        Returns:
            Its row.
        """
        row = self.tableNode.AddEmptyRow()
        empty = {name: "" if self.isText(name) else None for name in self.columns if name != ID}
        self.setValues(row, empty | {STATE: UNREVIEWED} | values)
        return row

    def removeRow(self, lesion: int) -> None:
        """Remove the row of a lesion, if it has one.

        Args:
            lesion: number of the lesion.
        """
        row = self.rowOf(lesion)
        if row is not None:
            self.tableNode.RemoveRow(row)

    def counted(self) -> list[int]:
        """Return the rows of the lesions that count: neither rejected nor without an outline."""
        importTrainingCore()
        from TrainingCore.data.review import counts

        return [row for row in range(len(self)) if counts(self.state(row), self.outline(row))]

    def newNumber(self) -> int:
        """Return a number that no lesion has."""
        return max((self.lesion(row) for row in range(len(self))), default=0) + 1

    def progress(self) -> tuple[int, int]:
        """Return (lesions reviewed, lesions)."""
        return sum(self.state(row) != UNREVIEWED for row in range(len(self))), len(self)

    def counts(self) -> dict[str, int]:
        """Return the number of lesions in each state."""
        states = [self.state(row) for row in range(len(self))]
        return {state: states.count(state) for state in STATES}

    def progressText(self) -> str:
        """Return the progress as text."""
        done, total = self.progress()
        return _("{done} of {total} lesions reviewed").format(done=done, total=total)

    def order(self, column: str = ID, descending: bool = False, states: Sequence[str] = STATES) -> list[int]:
        """Return the rows in one of `states`, sorted by a column.

        Numbers are sorted by value (differences by size, whatever their sign), states as in STATES, texts
        alphabetically; cells that are empty or not estimable come last in both directions.

        Args:
            column: name of the column; one that does not exist leaves the rows in their order.
            descending: largest first.
            states: review states to include.
        """
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
        if column == DIFFERENCE:  # the largest change first, gain or loss
            value = abs(value)
        return value if np.isfinite(value) else None

    def next(self, row: int, order: Sequence[int]) -> int | None:
        """Return the next unreviewed row in the displayed order, starting over at its end.

        Args:
            row: current row; it need not be in `order`.
            order: rows as displayed.

        Returns:
            A row; None if no other row is unreviewed.
        """
        position = order.index(row) if row in order else -1
        ahead = [*order[position + 1 :], *order[: max(position, 0)]]
        return next((candidate for candidate in ahead if self.state(candidate) == UNREVIEWED), None)

    def centre(self, row: int, mapNode: Any) -> np.ndarray:
        """Return the centre of gravity of a lesion, following transforms applied to the map since.

        Args:
            row: row of the table node.
            mapNode: the synthetic DVR map, in whose own space the table's coordinates are.

        Returns:
            World point in RAS mm; NaN if the table has no coordinates.
        """
        local = self.localCentre(row)
        return pointsToWorld(mapNode, local[None])[0] if np.isfinite(local).all() else local

    def localCentre(self, row: int) -> np.ndarray:
        """Return the centre of gravity of a lesion in the map's own space, RAS mm; NaN if the table has none.

        Args:
            row: row of the table node.
        """
        return np.array([self.number(row, name) for name in ("x_mm", "y_mm", "z_mm")])

    def _index(self, column: str) -> int:
        index = self.tableNode.GetColumnIndex(column)
        if index < 0:
            raise KeyError(f"the lesion table has no column {column}")
        return index

    def _setText(self, row: int, column: str, value: str) -> None:
        if not self.tableNode.SetCellText(row, self._index(column), value):
            raise IndexError(f"the lesion table has no row {row}")
