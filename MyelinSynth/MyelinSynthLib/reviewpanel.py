"""The lesion table on screen: clicks jump, buttons decide and move on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import qt

from .review import ACCEPTED, FLAGGED, REJECTED, STATES, UNREVIEWED, Review, jumpTo
from .words import _

COLUMNS = (  # of the lesion table on screen: name in lesions.csv, decimals
    ("id", 0),
    ("volume_mm3", 0),
    ("mean_dvr", 2),
    ("ratio_to_nawm", 2),
    ("demyelinated_share", 2),
    ("measured_mean_dvr", 2),
)


def columnTitles() -> dict[str, str]:
    """What the columns are called on screen."""
    return {
        "id": _("Lesion"),
        "volume_mm3": _("Volume (mm\u00b3)"),
        "mean_dvr": _("Mean DVR"),
        "ratio_to_nawm": _("Ratio to NAWM"),
        "demyelinated_share": _("Demyelinated share"),
        "measured_mean_dvr": _("Measured DVR"),
        "state": _("State"),
        "comment": _("Comment"),
    }


def stateName(state: str) -> str:
    """A review state in the user's language."""
    return {
        UNREVIEWED: _("unreviewed"),
        ACCEPTED: _("accepted"),
        FLAGGED: _("flagged"),
        REJECTED: _("rejected"),
    }[state]


class ReviewPanel:
    """The lesion table on screen: clicks jump, buttons decide and move on. `changed` is called after every decision."""

    def __init__(self, ui: Any, changed: Callable[[], None]) -> None:
        self.ui, self._changed = ui, changed
        self.review: Review | None = None
        self.mapNode: Any = None
        self._order: list[int] = []
        self._filling = False
        ui.reviewTable.connect("currentCellChanged(int,int,int,int)", self.onRow)
        ui.unreviewedBox.connect("toggled(bool)", self.onFilter)
        ui.acceptButton.connect("clicked(bool)", lambda _checked=False: self.decide(ACCEPTED))
        ui.flagButton.connect("clicked(bool)", lambda _checked=False: self.decide(FLAGGED))
        ui.rejectButton.connect("clicked(bool)", lambda _checked=False: self.decide(REJECTED))
        ui.commentEdit.connect("editingFinished()", self.onComment)
        self.show(None, None)

    def show(self, tableNode: Any, mapNode: Any) -> None:
        """Show the lesions of a synthesis, or none."""
        self.review = Review(tableNode) if tableNode is not None else None
        self.mapNode = mapNode
        self.refill()

    def refill(self) -> None:
        """Fill the table from the node."""
        self._filling = True
        try:
            states = (UNREVIEWED,) if self.ui.unreviewedBox.checked else STATES
            self._order = self.review.order(states=states) if self.review else []
            present = [(name, places) for name, places in COLUMNS if self.review and name in self.review.columns]
            titles = columnTitles()
            table = self.ui.reviewTable
            table.clear()
            table.setColumnCount(len(present) + 2)
            table.setHorizontalHeaderLabels(
                [titles[name] for name, _places in present] + [titles["state"], titles["comment"]]
            )
            table.setRowCount(len(self._order))
            for line, row in enumerate(self._order):
                texts = [self._text(row, name, places) for name, places in present]
                for column, text in enumerate([*texts, stateName(self.review.state(row)), self.review.comment(row)]):
                    table.setItem(line, column, qt.QTableWidgetItem(text))
        finally:
            self._filling = False
        for button in (self.ui.acceptButton, self.ui.flagButton, self.ui.rejectButton, self.ui.commentEdit):
            button.enabled = bool(self._order)
        self.ui.reviewLabel.text = self.review.progressText() if self.review else _("No lesions to review")

    def currentRow(self) -> int | None:
        """The row of the node that is chosen, or None."""
        line = self.ui.reviewTable.currentRow()
        return self._order[line] if 0 <= line < len(self._order) else None

    def choose(self, row: int) -> None:
        """Choose a row of the node, and so jump there."""
        if row not in self._order:
            return
        line = self._order.index(row)
        self._filling = (
            True  # Qt says nothing where the same line now shows another lesion, so it is asked to be silent
        )
        self.ui.reviewTable.setCurrentCell(line, 0)
        self._filling = False
        self.onRow(line)

    def decide(self, state: str) -> None:
        """Record a decision about the lesion that is chosen and go on to the next one that has none."""
        row = self.currentRow()
        if self.review is None or row is None:
            return
        self.review.setState(row, state)
        following = self.review.next(row, self._order)
        self.refill()
        self._changed()
        if following is not None:
            self.choose(following)

    def onRow(self, line: int, _column: int = 0, _oldLine: int = 0, _oldColumn: int = 0) -> None:
        """Jump to the lesion of a line."""
        if self._filling or self.review is None or not 0 <= line < len(self._order):
            return
        row = self._order[line]
        self.ui.commentEdit.text = self.review.comment(row)
        place = self.review.place(row, self.mapNode)
        if np.isfinite(place).all():
            jumpTo(place)

    def onFilter(self, _checked: bool = False) -> None:
        """Show all lesions, or those without a decision."""
        self.refill()

    def onComment(self) -> None:
        """Keep what was written."""
        row = self.currentRow()
        if self.review is None or row is None or self.review.comment(row) == self.ui.commentEdit.text:
            return
        self.review.setComment(row, self.ui.commentEdit.text)
        self.refill()
        self.choose(row)

    def _text(self, row: int, column: str, places: int) -> str:
        value = self.review.number(row, column)
        return f"{value:.{places}f}" if np.isfinite(value) else "\u2013"
