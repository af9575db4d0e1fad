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
from .rows import Rows, lesionLine, stateName
from .segments import segmentIds
from .table import (
    ACCEPTED,
    FLAGGED,
    REJECTED,
    STATE,
    STATES,
    UNREVIEWED,
    Review,
)

CORNER_CHARACTERS = 46  # of a line in the corner: a slice view may be as narrow as 327 pixels (seen in Slicer 5.13)
EDIT_MILLISECONDS = 400  # quiet time after a stroke in the Segment Editor before the lesions are measured again


class ReviewPanel(VTKObservationMixin):
    """The lesion table on screen. `changed` is called after every decision and after lesions were measured again."""

    def __init__(self, ui: Any, changed: Callable[[], None], views: Any) -> None:
        """views: the display panel, which frames the views and lets the chosen lesion stand out."""
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
        self._clicks = Clicks(self.onClick)
        self._dock, self._keys, self._annotation = TableDock(ui.reviewTable), Keys(self._actions()), Annotation()
        views.settled = self._annotation.repeat
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.setInterval(EDIT_MILLISECONDS)
        self._timer.connect("timeout()", self.onEdited)
        self._header = ui.reviewTable.horizontalHeader()
        self._header.connect("sectionClicked(int)", self.onHeader)
        ui.reviewTable.connect("currentCellChanged(int,int,int,int)", self.onRow)
        ui.reviewTable.connect("cellClicked(int,int)", self.onRow)
        ui.unreviewedBox.connect("toggled(bool)", self.onFilter)
        self._connectDecisions()
        ui.undoButton.connect("clicked(bool)", self.onUndo)
        ui.addButton.connect("toggled(bool)", self.onAdd)
        ui.mergeButton.connect("clicked(bool)", self.onMerge)
        ui.splitButton.connect("clicked(bool)", self.onSplit)
        ui.editButton.connect("clicked(bool)", self.onEdit)
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
        """What each key does."""
        return {
            "A": lambda: self.decide(ACCEPTED),
            "F": lambda: self.decide(FLAGGED),
            "R": lambda: self.decide(REJECTED),
            "U": lambda: self.decide(UNREVIEWED),
            "Up": lambda: self.step(-1),
            "Down": lambda: self.step(1),
            "N": lambda: self.ui.addButton.click(),
            "Esc": self.stopAdding,
            "M": self.onMerge,
            "S": self.onSplit,
            "Z": self._toggleZoom,
            "Ctrl+Z": self.onUndo,
        }

    def _toggleZoom(self) -> None:
        self.ui.closelyBox.setChecked(not self.ui.closelyBox.checked)

    def setOpen(self, isOpen: bool) -> None:
        """Whether the module is the one that is open: keys and the table below the views are there only then."""
        self._open = isOpen
        self._updateReviewing()
        if isOpen:
            self._annotate()

    def _updateReviewing(self) -> None:
        reviewing = self._open and self.review is not None and len(self.review) > 0
        self._dock.setVisible(reviewing)
        self._keys.setActive(reviewing, slicer.util.mainWindow() or self.ui.reviewSection)
        if not reviewing:
            self.stopAdding()
            self._annotation.say("")

    def begin(self) -> None:
        """Start with the first lesion that has no decision."""
        if self.review is None or not self._rows.order:
            return
        undecided = [row for row in self._rows.order if self.review.state(row) == UNREVIEWED]
        self.choose((undecided or self._rows.order)[0])

    def step(self, lines: int) -> None:
        """Choose the lesion that many lines further down; the ends stay."""
        if self._rows.order:
            line = self.ui.reviewTable.currentRow() + lines
            self.choose(self._rows.order[min(max(line, 0), len(self._rows.order) - 1)])

    def trust(self, run: str) -> None:
        """The table and the outlines of this synthesis were made together a moment ago."""
        self._fresh = run

    def show(self, nodes: dict[str, Any]) -> None:
        """Show the lesions of a synthesis (its nodes by role), or none."""
        table = nodes.get("table")
        same = table is self.nodes.get("table") and nodes.get("lesions") is self.nodes.get("lesions")
        keep = self._currentLesion() if same else None
        if not same:
            self._history, self._memory = History(), Memory()
            self.stopAdding()
            self.ui.editsLabel.text = ""  # otherwise it waits for who comes back from the Segment Editor
        self.removeObservers()
        self._timer.stop()
        self.nodes = nodes
        self.review = Review(table) if table is not None else None
        if self.review is not None and "lesions" in nodes:
            content = nodes["lesions"].GetSegmentation()
            for event in (content.SourceRepresentationModified, content.SegmentRemoved, content.SegmentAdded):
                self.addObserver(content, event, self.onSegmentation)
            if not same and provenance.get(table, "Run") == self._fresh:
                self._memory.take(nodes)
            else:  # somebody may have edited the lesions where nobody was watching, or taken an edit back
                self._timer.start()
        self.refill(keep)
        self._updateReviewing()

    def setTitles(self, titles: dict[str, str]) -> None:
        """Say in the corner of each of these views what it shows."""
        if titles != self._annotation.titles:
            self._annotation.titles = titles
            self._annotate()

    def refill(self, lesion: int | None = None) -> None:
        """Fill the table from the node, with a lesion chosen in it where one is given and shown."""
        self._filling = True
        try:
            self._rows.fill(self.review, (UNREVIEWED,) if self.ui.unreviewedBox.checked else STATES)
            self._rows.choose(self.review.rowOf(lesion) if self.review and lesion is not None else None)
        finally:
            self._filling = False
        self._showProgress()

    def _showProgress(self) -> None:
        ui = self.ui
        for button in (
            ui.acceptButton,
            ui.flagButton,
            ui.rejectButton,
            ui.unreviewButton,
            ui.commentEdit,
        ):
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

    def currentRow(self) -> int | None:
        """The row of the node that is chosen, or None."""
        return self._rows.current()

    def _currentLesion(self) -> int | None:
        row = self.currentRow()
        return None if row is None or self.review is None else self.review.lesion(row)

    def choose(self, row: int) -> None:
        """Choose a row of the node, and so jump there."""
        if row not in self._rows.order:
            return
        # Qt says nothing where the same line now shows another lesion, so it is asked to be silent
        self._filling = True
        self._rows.choose(row)
        self._filling = False
        self.onRow(self._rows.order.index(row))

    def decide(self, state: str) -> None:
        """Record a decision about the lesion that is chosen and go on to the next one that has none."""
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
        else:  # every row stays where it is: a quarter of a second less with 150 lesions
            self._rows.fillRow(self.review, row)
            self._showProgress()
        self._changed()
        if following is not None:
            self.choose(following)
        else:
            self._annotate()

    def _setState(self, lesion: int, state: str) -> None:
        row = None if self.review is None else self.review.rowOf(lesion)
        if self.review is not None and row is not None:
            self.review.setState(row, state)

    def onUndo(self, _checked: bool = False) -> None:
        """Take the last decision or change back and show its lesion."""
        if self.review is None or not self._history:
            return
        lesion = self._history.undo()
        self._did = _("Lesion {id}: undone").format(id=lesion)
        self.ui.editsLabel.text = ""
        self._afterChange(lesion)

    def onAdd(self, adding: bool) -> None:
        """Wait for a click into a slice view, or no longer."""
        self._clicks.setActive(adding)
        if adding:
            self._did = self.ui.editsLabel.text = _("Click on the lesion in a slice view. Press Esc to stop.")
        self._annotate()

    def stopAdding(self) -> None:
        """Wait for no click any more."""
        self.ui.addButton.checked = False

    def onClick(self, position: list[float]) -> None:
        """Somebody clicked where a lesion is missing."""
        if self._change(lambda: addLesion(self.nodes, position, self._memory)):
            self._did = self.ui.editsLabel.text  # the corner goes on saying it when the button is up again
            self.stopAdding()

    def onMerge(self, _checked: bool = False) -> None:
        """Make one lesion of those chosen in the table."""
        if self.review is None:
            return
        lesions = [self.review.lesion(row) for row in self._rows.selected()]
        self._change(lambda: mergeLesions(self.nodes, lesions, self._memory))

    def onSplit(self, _checked: bool = False) -> None:
        """Divide the chosen lesion."""
        lesion = self._currentLesion()
        if lesion is not None:
            self._change(lambda: splitLesion(self.nodes, lesion, self._memory))

    def _change(self, make: Callable[[], OutlineChange]) -> bool:
        """Change lesions, say what was done and show it; returns whether it could be done."""
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

    def _afterChange(self, lesion: int) -> None:
        """Table, surfaces, colours and figures follow, and the lesion is chosen where it is there."""
        if "lesions" in self.nodes:
            surfaces.refresh(self.nodes["lesions"])
        self.refill(lesion)
        self._changed()
        self._updateReviewing()
        row = None if self.review is None else self.review.rowOf(lesion)
        if row is not None:
            self.choose(row)

    def onRow(self, line: int, _column: int = 0, _oldLine: int = 0, _oldColumn: int = 0) -> None:
        """Jump to the lesion of a line."""
        if self._filling or self.review is None or not 0 <= line < len(self._rows.order):
            return
        self.ui.commentEdit.text = self.review.comment(self._rows.order[line])
        self.jump()

    def position(self) -> list[float] | None:
        """World position (mm RAS) of the chosen lesion, or None."""
        row = self.currentRow()
        if self.review is None or row is None or "dvr" not in self.nodes:
            return None
        position = self.review.place(row, self.nodes["dvr"])
        return position.tolist() if np.isfinite(position).all() else None

    def jump(self) -> None:
        """Show the chosen lesion in all views, and let it stand out there."""
        self._views.standOut(self._currentLesion())
        self._annotate()
        position = self.position()
        if position is not None:
            jumpTo(position)
            self._views.frame()

    def _annotate(self) -> None:
        """What was done last, and the chosen lesion, in the corner of the views."""
        row, lines = self.currentRow(), [self._did] if self._did else []
        self._did = ""
        if self.review is not None and row is not None:
            lines += [lesionLine(self.review, row), "{} / {}".format(*self.review.progress())]
        self._annotation.say("\n".join(_short(line) for line in lines))

    def onHeader(self, column: int) -> None:
        """Sort by a column; a second click turns the order round."""
        if self._rows.sortBy(column):
            self.refill(self._currentLesion())

    def onFilter(self, _checked: bool = False) -> None:
        """Show all lesions, or those without a decision."""
        self.refill(self._currentLesion())

    def onComment(self) -> None:
        """Keep what was written."""
        row = self.currentRow()
        if self.review is None or row is None or self.review.comment(row) == self.ui.commentEdit.text:
            return
        self.review.setComment(row, self.ui.commentEdit.text)
        self.ui.commentEdit.text = self.review.comment(row)  # as it is kept
        self.refill(self.review.lesion(row))

    def onEdit(self, _checked: bool = False) -> None:
        """Open the Segment Editor with the segment of the lesion that is chosen."""
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

    def onSegmentation(self, _caller: Any = None, _event: Any = None) -> None:
        """A segment changed: wait until the hand is still."""
        self._timer.start()

    def onEdited(self) -> None:
        """Measure the lesions that were edited again, and say so."""
        self._timer.stop()
        if self.review is None or "lesions" not in self.nodes:
            return
        try:
            edits = measureAgain(self.nodes, self._memory)
        except SynthesisError as error:
            self.ui.editsLabel.text = str(error)
            return
        surfaces.refresh(self.nodes["lesions"])
        if edits:
            self.ui.editsLabel.text = edits.words()
            self._history.forget(edits.edited)
            self.refill(self._currentLesion())
            self._changed()

    def close(self) -> None:
        """Let go of the scene and of the main window."""
        self.show({})
        self.setOpen(False)
        self._keys.close()
        self._dock.close()
        self._annotation.close()


def _short(line: str) -> str:
    """A line that a narrow view can hold; the panel says all of it."""
    return (
        line
        if len(line) <= CORNER_CHARACTERS
        else line[: CORNER_CHARACTERS - 1].rstrip(" ,") + "\N{HORIZONTAL ELLIPSIS}"
    )
