"""The lesion table on screen: clicks jump, buttons and keys decide and move on, edited lesions are measured again."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import qt
import slicer
from slicer.util import VTKObservationMixin

from ..display import surfaces
from ..display.annotation import Annotation
from ..display.drawing import drawnOnce
from ..display.framing import jumpTo
from ..errors import SynthesisError
from ..scene import provenance
from ..words import _
from .changes import OutlineChange, addLesion, canGrow, mergeLesions, splitLesion
from .clicks import Clicks
from .dock import TableDock
from .edits import Memory, measureAgain
from .history import History
from .keys import Keys
from .points import lesionPoint, loadDistances
from .rows import Rows, lesionLine, stateName
from .segments import segmentIds
from .table import ACCEPTED, FLAGGED, REJECTED, STATE, STATES, UNREVIEWED, Review

CORNER_CHARACTERS = 46  # of a line in the corner: a slice view may be as narrow as 327 pixels (seen in Slicer 5.13)
EDIT_MILLISECONDS = 400  # quiet time after a stroke in the Segment Editor before the lesions are measured again


class ReviewPanel(VTKObservationMixin):
    """The lesion table on screen; `changed` is called after every decision and every new measurement."""

    def __init__(self, ui: Any, changed: Callable[[], None], views: Any) -> None:
        """Connect the widgets.

        Args:
            ui: widgets of the module panel.
            changed: called after every decision and every new measurement.
            views: DisplayPanel, which frames the views and highlights the chosen lesion.
        """
        VTKObservationMixin.__init__(self)
        self.ui, self._changed, self._views = ui, changed, views
        self.nodes: dict[str, Any] = {}
        self.review: Review | None = None
        self._rows = Rows(ui.reviewTable)
        self._filling = False
        self._history = History()
        self._fresh = ""
        self._memory = Memory()
        self._open, self._did = False, ""
        self._said: list[str] = []  # about edits while another module was open
        self._clicks = Clicks(self.onClick)
        self._dock, self._keys, self._annotation = TableDock(ui.reviewTable), Keys(self._actions()), Annotation()
        views.settled = self._annotation.repeat
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(EDIT_MILLISECONDS)
        self._timer.connect("timeout()", self.onEdited)
        self._header = ui.reviewTable.horizontalHeader()
        self._header.connect("sectionClicked(int)", self.onHeader)
        ui.reviewTable.connect("currentCellChanged(int,int,int,int)", self._onRow)
        ui.reviewTable.connect("cellClicked(int,int)", self._onRow)
        ui.unreviewedBox.connect("toggled(bool)", self._onFilter)
        self._connectDecisions()
        ui.undoButton.connect("clicked(bool)", self._onUndo)
        ui.addButton.connect("toggled(bool)", self._onAdd)
        ui.mergeButton.connect("clicked(bool)", self._onMerge)
        ui.splitButton.connect("clicked(bool)", self._onSplit)
        ui.editButton.connect("clicked(bool)", self._onEdit)
        ui.commentEdit.connect("editingFinished()", self.onComment)
        ui.commentEdit.connect("returnPressed()", lambda: ui.reviewTable.setFocus())  # the keys work again
        self.show({})

    def _connectDecisions(self) -> None:
        ui = self.ui
        buttons = (ui.acceptButton, ui.flagButton, ui.rejectButton, ui.unreviewButton)
        for button, state in zip(buttons, (ACCEPTED, FLAGGED, REJECTED, UNREVIEWED)):
            button.connect("clicked(bool)", functools.partial(self._onDecision, state))

    def _onDecision(self, state: str, _checked: bool = False) -> None:
        self.decide(state)

    def _actions(self) -> dict[str, Callable[[], None]]:
        """Return what each key does."""
        return {
            "A": lambda: self.decide(ACCEPTED),
            "F": lambda: self.decide(FLAGGED),
            "R": lambda: self.decide(REJECTED),
            "U": lambda: self.decide(UNREVIEWED),
            "Up": lambda: self.step(-1),
            "Down": lambda: self.step(1),
            "N": lambda: self.ui.addButton.click(),
            "Esc": self.stopAdding,
            "M": self._onMerge,
            "S": self._onSplit,
            "Z": self._toggleZoom,
            "Ctrl+Z": self._onUndo,
        }

    def _toggleZoom(self) -> None:
        if self.currentRow() is None:
            self.begin()
        self.ui.closelyBox.setChecked(not self.ui.closelyBox.checked)

    def setOpen(self, isOpen: bool) -> None:
        """Show or hide what the review adds outside the panel: keys, the table below the views, corner annotations.

        Args:
            isOpen: whether MyelinSynth is the module on screen.
        """
        self._open = isOpen
        if not isOpen:
            self._said = []
        self._updateReviewing()
        if isOpen:
            self._annotate()

    def _updateReviewing(self) -> None:
        reviewing = self._open and self.review is not None and len(self.review) > 0
        self._dock.setVisible(reviewing)
        self._keys.setActive(reviewing, slicer.util.mainWindow() or self.ui.reviewSection)
        if not reviewing:
            self.stopAdding()
            self._annotation.show("")

    def begin(self) -> None:
        """Choose the first unreviewed lesion, and show the table again if it was closed."""
        self._updateReviewing()
        if self.review is None or not self._rows.order:
            self._updateZoom()
            return
        undecided = [row for row in self._rows.order if self.review.state(row) == UNREVIEWED]
        self.choose((undecided or self._rows.order)[0])

    def step(self, lines: int) -> None:
        """Choose another lesion relative to the current one, stopping at the ends of the table.

        Args:
            lines: lines to move down; negative moves up.
        """
        if self._rows.order:
            line = self.ui.reviewTable.currentRow() + lines
            self.choose(self._rows.order[min(max(line, 0), len(self._rows.order) - 1)])

    def trust(self, run: str) -> None:
        """Announce that table and outlines of a synthesis were just created together, so none needs measuring.

        Args:
            run: run identifier of its nodes; call this before `show`.
        """
        self._fresh = run

    def show(self, nodes: dict[str, Any]) -> None:
        """Show the lesions of a synthesis.

        Args:
            nodes: nodes of one synthesis, or of a comparison of two visits, by role; empty for none.
        """
        table = nodes.get("table")
        same = table is self.nodes.get("table") and nodes.get("lesions") is self.nodes.get("lesions")
        keep = self._currentLesion() if same else None
        if not same:
            self._history, self._memory = History(), Memory()
            self.stopAdding()
            self.ui.editsLabel.text = ""  # otherwise it is kept for the return from the Segment Editor
        self.removeObservers()
        self._timer.stop()
        self.nodes = nodes
        self.review = Review(table) if table is not None else None
        if self.review is not None:
            loadDistances()
        if self.review is not None and "lesions" in nodes:
            content = nodes["lesions"].GetSegmentation()
            for event in (content.SourceRepresentationModified, content.SegmentRemoved, content.SegmentAdded):
                self.addObserver(content, event, self._onSegmentation)
            if not same and provenance.get(table, "Run") == self._fresh:
                self._memory.take(nodes)
            else:  # the lesions may have been edited while they were not observed, or an edit undone
                self._timer.start()
        self.refill(keep)
        self._updateZoom()
        self._updateReviewing()
        if not same:
            self._said = []
            if self._open:
                self._did = ""
                self._annotate()

    def setTitles(self, titles: dict[str, str]) -> None:
        """Show in the corner of slice views what they contain.

        Args:
            titles: text by view name; views that are not named get none.
        """
        if titles != self._annotation.titles:
            self._annotation.titles = titles
            self._annotate()

    def refill(self, lesion: int | None = None) -> None:
        """Fill the table from the node.

        Args:
            lesion: number of the lesion to choose; None, or one that the filter hides, leaves none chosen.
        """
        self._filling = True
        try:
            self._rows.fill(self.review, (UNREVIEWED,) if self.ui.unreviewedBox.checked else STATES)
            self._rows.choose(self.review.rowOf(lesion) if self.review and lesion is not None else None)
        finally:
            self._filling = False
        self._showProgress()

    def _showProgress(self) -> None:
        ui = self.ui
        for button in (ui.acceptButton, ui.flagButton, ui.rejectButton, ui.unreviewButton, ui.commentEdit):
            button.enabled = bool(self._rows.order)
        for button in (ui.mergeButton, ui.splitButton, ui.editButton):  # not the lesions of two visits
            button.enabled = bool(self._rows.order) and "lesions" in self.nodes
        ui.addButton.enabled = canGrow(self.nodes)
        ui.undoButton.enabled = bool(self._history)
        done, total = self.review.progress() if self.review else (0, 0)
        ui.reviewBar.maximum = max(total, 1)
        ui.reviewBar.value = done
        text = self.review.progressText() if self.review and total else _("No lesions to review")
        if total and provenance.hasNetworkLesions(self.nodes):
            text += _(" (found automatically, to be reviewed)")
        ui.reviewLabel.text = text
        counts = self.review.counts() if self.review else {}
        decided = [f"{counts[state]} {stateName(state)}" for state in STATES[1:] if counts.get(state)]
        ui.reviewBar.format = ", ".join(decided) or ("%v / %m" if total else "")

    def _updateZoom(self) -> None:
        """Allow zooming only while a lesion is chosen, so that the box never contradicts the views."""
        canZoom = self._hasPosition(self.currentRow())
        self.ui.closelyBox.enabled = canZoom
        if not canZoom:
            self.ui.closelyBox.checked = False

    def _hasPosition(self, row: int | None) -> bool:
        if self.review is None or row is None or "dvr" not in self.nodes:
            return False
        return bool(np.isfinite(self.review.localCentre(row)).all())

    def currentRow(self) -> int | None:
        """Return the chosen row of the table node, or None."""
        return self._rows.current()

    def _currentLesion(self) -> int | None:
        row = self.currentRow()
        return None if row is None or self.review is None else self.review.lesion(row)

    @drawnOnce
    def choose(self, row: int) -> None:
        """Choose a lesion and show it in all views.

        Args:
            row: row of the table node; ignored if the filter hides it.
        """
        if row not in self._rows.order:
            return
        # Qt sends no signal if the same line now shows another lesion, so _onRow is called directly
        self._filling = True
        self._rows.choose(row)
        self._filling = False
        self._onRow(self._rows.order.index(row))

    @drawnOnce
    def decide(self, state: str) -> None:
        """Record a decision on the chosen lesion and move on to the next unreviewed one.

        Args:
            state: one of `table.STATES`; UNREVIEWED withdraws a decision and stays on the lesion.
        """
        row = self.currentRow()
        if self.review is None or row is None:
            return
        lesion, before = self.review.lesion(row), self.review.state(row)
        self._history.add(lesion, [lesion], functools.partial(self._setState, lesion, before))
        self.review.setState(row, state)
        following = self.review.next(row, self._rows.order) if state != UNREVIEWED else row
        self._did = _("Lesion {id}: {state}").format(id=self.review.lesion(row), state=stateName(state))
        if self.ui.unreviewedBox.checked or self._rows.sort == STATE:
            self.refill(self.review.lesion(row))
        else:  # no row moves; saves a quarter of a second with 150 lesions
            self._rows.fillRow(self.review, row)
            self._showProgress()
        self._changed()
        if following is not None:
            self.choose(following)
        else:
            self._updateZoom()
            self._annotate()

    def _setState(self, lesion: int, state: str) -> None:
        row = None if self.review is None else self.review.rowOf(lesion)
        if self.review is not None and row is not None:
            self.review.setState(row, state)

    def _onUndo(self, _checked: bool = False) -> None:
        """Undo the last decision or change and show its lesion."""
        if self.review is None or not self._history:
            return
        lesion = self._history.undo()
        self._did = _("Lesion {id}: undone").format(id=lesion)
        self.ui.editsLabel.text = ""
        self._afterChange(lesion)

    def _onAdd(self, adding: bool) -> None:
        """Start or stop waiting for a click in a slice view."""
        self._clicks.setActive(adding)
        invitation = _("Click on the lesion in a slice view. Press Esc to stop.")
        if adding:
            self._did = self.ui.editsLabel.text = invitation
        elif self.ui.editsLabel.text == invitation:
            self.ui.editsLabel.text = ""
        self._annotate()

    def stopAdding(self) -> None:
        """Stop waiting for a click in a slice view."""
        self.ui.addButton.checked = False

    def onClick(self, position: list[float]) -> None:
        """Add a lesion where the user clicked; a failure is shown in the panel.

        Args:
            position: world point in RAS mm.
        """
        if self._change(lambda: addLesion(self.nodes, position, self._memory)):
            self._did = self.ui.editsLabel.text  # keep it in the corner when the button is released
            self.stopAdding()

    def _onMerge(self, _checked: bool = False) -> None:
        """Merge the lesions selected in the table."""
        if self.review is None:
            return
        lesions = [self.review.lesion(row) for row in self._rows.selected()]
        self._change(lambda: mergeLesions(self.nodes, lesions, self._memory))

    def _onSplit(self, _checked: bool = False) -> None:
        """Split the chosen lesion."""
        lesion = self._currentLesion()
        if lesion is not None:
            self._change(lambda: splitLesion(self.nodes, lesion, self._memory))

    def _change(self, make: Callable[[], OutlineChange]) -> bool:
        """Change lesions, report and show the change; return whether it succeeded."""
        if self.review is None or "lesions" not in self.nodes:
            return False
        try:
            change = make()
        except SynthesisError as error:
            self._did = self.ui.editsLabel.text = str(error)
            self._annotate()
            return False
        self._history.add(change.lesion, change.lesions, change.undo)
        self._did = self.ui.editsLabel.text = change.words
        self._afterChange(change.lesion)
        return True

    @drawnOnce
    def _afterChange(self, lesion: int) -> None:
        """Update table, surfaces, colours and figures, and choose the lesion if it exists."""
        if "lesions" in self.nodes:
            surfaces.refresh(self.nodes["lesions"])
        self.refill(lesion)
        self._changed()
        self._updateReviewing()
        row = None if self.review is None else self.review.rowOf(lesion)
        if row is not None:
            self.choose(row)
        self._updateZoom()

    def _onRow(self, line: int, _column: int = 0, _oldLine: int = 0, _oldColumn: int = 0) -> None:
        """Show the lesion of a table line in all views."""
        if self._filling or self.review is None or not 0 <= line < len(self._rows.order):
            return
        self.ui.commentEdit.text = self.review.comment(self._rows.order[line])
        self._jump()

    def position(self) -> list[float] | None:
        """Return a world point (RAS mm) in the chosen lesion, or None."""
        row = self.currentRow()
        if self.review is None or row is None or not self._hasPosition(row):
            return None
        return lesionPoint(self.review, row, self.nodes["dvr"], self._views.outlines()).tolist()

    @drawnOnce
    def _jump(self) -> None:
        """Show and highlight the chosen lesion in all views."""
        self._views.highlight(self._currentLesion())
        self._updateZoom()
        self._annotate()
        position = self.position()
        if position is not None:
            jumpTo(position)
            self._views.frame()

    def _annotate(self) -> None:
        """Show the last action and the chosen lesion in the corner of the views."""
        row, lines = self.currentRow(), [self._did] if self._did else []
        self._did = ""
        if self.review is not None and row is not None:
            lines += [lesionLine(self.review, row), "{} / {}".format(*self.review.progress())]
        self._annotation.show("\n".join(_short(line) for line in lines))

    def onHeader(self, column: int) -> None:
        """Sort by a column; sorting by the same column again reverses the order.

        Args:
            column: index of the column on screen.
        """
        if self._rows.sortBy(column):
            self.refill(self._currentLesion())

    def _onFilter(self, _checked: bool = False) -> None:
        """Show all lesions, or only unreviewed ones."""
        self.refill(self._currentLesion())
        self._updateZoom()

    def onComment(self) -> None:
        """Store the comment that was typed."""
        row = self.currentRow()
        if self.review is None or row is None or self.review.comment(row) == self.ui.commentEdit.text:
            return
        lesion, before = self.review.lesion(row), self.review.comment(row)
        self.review.setComment(row, self.ui.commentEdit.text)
        self._history.add(lesion, [lesion], functools.partial(self._setComment, lesion, before))
        self.ui.commentEdit.text = self.review.comment(row)  # as stored
        self.refill(lesion)
        self._changed()

    def _setComment(self, lesion: int, comment: str) -> None:
        row = None if self.review is None else self.review.rowOf(lesion)
        if self.review is not None and row is not None:
            self.review.setComment(row, comment)

    def _onEdit(self, _checked: bool = False) -> None:
        """Open the Segment Editor with the segment of the chosen lesion."""
        if "lesions" not in self.nodes:
            return
        lesion = self._currentLesion()
        identifier = None if lesion is None else segmentIds(self.nodes["lesions"]).get(lesion)
        slicer.util.selectModule("SegmentEditor")
        editor = slicer.util.getModuleWidget("SegmentEditor").editor
        editor.setSegmentationNode(self.nodes["lesions"])
        editor.setSourceVolumeNode(self.nodes["dvr"].GetNodeReference(provenance.T1W_REFERENCE))
        if identifier is not None:
            editor.setCurrentSegmentID(identifier)

    def _onSegmentation(self, _caller: Any = None, _event: Any = None) -> None:
        """Restart the timer: lesions are measured again when drawing pauses."""
        self._timer.start()

    def onEdited(self) -> None:
        """Measure edited lesions again, and report them."""
        self._timer.stop()
        if self.review is None or "lesions" not in self.nodes:
            return
        try:
            edits = measureAgain(self.nodes, self._memory, drawn=self._open)  # not in the middle of drawing
        except SynthesisError as error:
            self.ui.editsLabel.text = str(error)
            return
        surfaces.refresh(self.nodes["lesions"])
        if edits:
            self._said.append(edits.words())
            self.ui.editsLabel.text = " ".join(dict.fromkeys(self._said))
            self._history.forget([*edits.edited, *edits.drawn])
            self.refill(self._currentLesion())
            self._updateZoom()
            self._changed()

    def close(self) -> None:
        """Remove everything added to the scene and the main window."""
        self.show({})
        self.setOpen(False)
        self._keys.close()
        self._dock.close()
        self._annotation.close()


def _short(line: str) -> str:
    """Shorten a line for a narrow view; the panel shows the whole text."""
    return (
        line
        if len(line) <= CORNER_CHARACTERS
        else line[: CORNER_CHARACTERS - 1].rstrip(" ,") + "\N{HORIZONTAL ELLIPSIS}"
    )
