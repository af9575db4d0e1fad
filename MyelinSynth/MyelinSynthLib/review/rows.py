"""Rows of the lesion table on screen: which lesions, in which order, with which columns."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import qt

from ..display.views import COLOURS_OF_STATE
from ..run.childprocess import importTrainingCore
from ..words import _
from .columns import Column, screenColumns
from .table import (
    ACCEPTED,
    ADDED,
    AS_GIVEN,
    DIFFERENCE,
    EDITED,
    FLAGGED,
    ID,
    MERGED,
    REJECTED,
    REMOVED,
    SPLIT,
    STATE,
    UNREVIEWED,
    Review,
)

ALWAYS_SHOWN = ("id", "volume_mm3", "mean_dvr")
RIGHT_AND_MIDDLE = 0x0082  # Qt::AlignRight | Qt::AlignVCenter
DECORATION = 1  # Qt::DecorationRole, a square of the colour beside the text


@functools.lru_cache  # called for every row after every decision, and translating takes time
def stateName(state: str, outline: str = AS_GIVEN) -> str:
    """Return a review state in the user's language, with what happened to the outline.

    Args:
        state: one of `table.STATES`.
        outline: one of `table.OUTLINES`; others add nothing.
    """
    name = {
        UNREVIEWED: _("unreviewed"),
        ACCEPTED: _("accepted"),
        FLAGGED: _("flagged"),
        REJECTED: _("rejected"),
    }[state]
    marks = {
        AS_GIVEN: "",
        EDITED: _(" (edited)"),
        REMOVED: _(" (outline removed)"),
        ADDED: _(" (added)"),
        MERGED: _(" (merged)"),
        SPLIT: _(" (split)"),
    }
    return name + marks.get(outline, "")


def _cellText(review: Review, row: int, column: str, form: str) -> str:
    """Return the text of a cell; a dash for a value that is not estimable."""
    if column == STATE:
        return stateName(review.state(row), review.outline(row))
    if review.isText(column):
        return review.text(row, column)
    value = review.number(row, column)
    if not np.isfinite(value):
        return "\u2013"
    importTrainingCore()
    from TrainingCore.runtime.numerals import format_number

    return format_number(value, form or "{}")


def lesionLine(review: Review, row: int) -> str:
    """Describe a lesion in one line: state and DVR, or its change between two visits.

    Args:
        review: review of a lesion table, or of the table of a comparison.
        row: row of the table node.
    """
    if DIFFERENCE in review.columns:
        return _("Lesion {id}: {change}, DVR {before} to {after}").format(
            id=review.lesion(row),
            change=review.text(row, "change"),
            before=_cellText(review, row, "dvr_before", "{:.2f}"),
            after=_cellText(review, row, "dvr_after", "{:.2f}"),
        )
    return _("Lesion {id} ({state}), DVR {dvr}").format(
        id=review.lesion(row),
        state=stateName(review.state(row), review.outline(row)),
        dvr=_cellText(review, row, "mean_dvr", "{:.2f}"),
    )


class Rows:
    """Fills a QTableWidget from a review.

    Attributes:
        order: row of the review for each line on screen.
        sort: name of the column that the lines are sorted by.
        descending: whether the largest value comes first.
    """

    def __init__(self, table: Any) -> None:
        self._table = table
        self._shown: list[Column] = []
        self.order: list[int] = []
        self.sort, self.descending = ID, False
        self._ofTwoVisits = False

    def fill(self, review: Review | None, states: Sequence[str]) -> None:
        """Fill the table.

        Args:
            review: review to show; None empties the table.
            states: review states to include.
        """
        names = review.columns if review else []
        self._beginOrder(names)
        self._shown = [column for column in screenColumns() if _hasContent(review, column)] if review else []
        sort = self.sort if self.sort in names else ID
        self.order = review.order(sort, self.descending, states) if review else []
        arrow, table = " \u25bc" if self.descending else " \u25b2", self._table
        table.clear()
        table.setColumnCount(len(self._shown))
        table.setHorizontalHeaderLabels([column.title + arrow * (column.name == self.sort) for column in self._shown])
        for index, column in enumerate(self._shown):
            table.horizontalHeaderItem(index).setToolTip(column.tip)
        table.setRowCount(len(self.order))
        for row in self.order:
            self.fillRow(review, row)
        table.resizeColumnsToContents()

    def _beginOrder(self, names: Sequence[str]) -> None:
        """Sort a comparison of two visits by the largest change at first, any other table by lesion number."""
        if (DIFFERENCE in names) != self._ofTwoVisits and names:
            self._ofTwoVisits = DIFFERENCE in names
            self.sort, self.descending = (DIFFERENCE, True) if self._ofTwoVisits else (ID, False)

    def fillRow(self, review: Review | None, row: int) -> None:
        """Update the line of one lesion.

        Args:
            review: the review that `fill` was called with; not None.
            row: row of the table node, which must be on screen.
        """
        assert review is not None, "there are rows without a review"
        line = self.order.index(row)
        for index, column in enumerate(self._shown):
            self._table.setItem(line, index, _cell(review, row, column))

    def sortBy(self, index: int) -> bool:
        """Sort by a column at the next `fill`; choosing the same column again reverses the order.

        Args:
            index: index of the column on screen.

        Returns:
            False if there is no such column.
        """
        if not 0 <= index < len(self._shown):
            return False
        name = self._shown[index].name
        self.descending = not self.descending if name == self.sort else False
        self.sort = name
        return True

    def current(self) -> int | None:
        """Return the chosen row of the table node, or None."""
        line = self._table.currentRow()
        return self.order[line] if 0 <= line < len(self.order) else None

    def choose(self, row: int | None) -> None:
        """Choose a row and scroll to it.

        Args:
            row: row of the table node; None, or one that is not on screen, clears the choice.
        """
        line = self.order.index(row) if row in self.order else -1
        self._table.setCurrentCell(line, 0)
        if line >= 0:
            self._table.scrollToItem(self._table.item(line, 0))

    def selected(self) -> list[int]:
        """Return all rows selected with Ctrl or Shift and a click."""
        return [row for line, row in enumerate(self.order) if self._table.item(line, 0).isSelected()]


def _hasContent(review: Review, column: Column) -> bool:
    """Return whether the table has the column and, if it holds numbers, at least one of them."""
    if column.name not in review.columns:
        return False
    if not column.form or column.name in ALWAYS_SHOWN or review.isText(column.name):
        return True
    return any(np.isfinite(review.number(row, column.name)) for row in range(len(review)))


def _cell(review: Review, row: int, column: Column) -> Any:
    item = qt.QTableWidgetItem(_cellText(review, row, column.name, column.form))
    if column.form:
        item.setTextAlignment(RIGHT_AND_MIDDLE)
    if column.name == STATE:
        colour = COLOURS_OF_STATE[review.state(row)]
        item.setBackground(qt.QBrush(qt.QColor(*(round(255 * part) for part in colour))))
        item.setForeground(qt.QBrush(qt.QColor(0, 0, 0)))
        item.setData(DECORATION, qt.QColor(*(round(255 * part) for part in colour)))  # seen on the chosen row, too
    return item
