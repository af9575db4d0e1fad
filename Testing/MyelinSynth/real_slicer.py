"""What a person would click in a real 3D Slicer, clicked by itself, with screenshots and pass or fail.

Slicer --python-script Testing/MyelinSynth/real_slicer.py [FOLDER] [--no-synthesis]

FOLDER gets the screenshots and results.json (default: a new folder in Slicer's temporary folder). --no-synthesis uses
the self-test's data in place of a synthesis, for an application without PyTorch. The exit code is 0 where every step
passed. The steps are those of REAL_SLICER.md, which can be done by hand.
"""

import json
import sys
import tempfile
import time
import traceback
from pathlib import Path

import qt
import slicer

SETTLE_SECONDS, SYNTHESIS_SECONDS = 1.0, 900.0
# Slicer without its module path set finds the module beside this file
MODULE = Path(__file__).resolve().parents[2] / "MyelinSynth" / "MyelinSynth.py"


class Hand:
    """Clicks, waits, looks, and keeps what came of each step."""

    def __init__(self, folder):
        self.folder, self.results = folder, []
        self.longest = 0.0

    def wait(self, seconds=None, condition=None):
        """Let the application run; with a condition, until it holds. Returns whether it does."""
        ends = time.monotonic() + (SETTLE_SECONDS if seconds is None else seconds)
        while time.monotonic() < ends:
            before = time.monotonic()
            slicer.app.processEvents()
            self.longest = max(self.longest, time.monotonic() - before)
            if condition is not None and condition():
                return True
            time.sleep(0.02)
        return condition is None or bool(condition())

    def picture(self, name):
        """A screenshot of the whole window."""
        window = slicer.util.mainWindow()
        if window is not None:
            slicer.util.forceRenderAllViews()
            window.grab().save(str(self.folder / f"{len(self.results):02d}_{name}.png"))

    def step(self, name, action):
        """Do one step; what it raises is its failure, and the next step is tried all the same."""
        started, cause = time.monotonic(), ""
        try:
            action()
        except Exception as error:
            cause = f"{type(error).__name__}: {error}"
            traceback.print_exc()
        try:
            self.picture(name)
        except Exception as error:
            cause = cause or f"no screenshot: {error}"
        seconds = round(time.monotonic() - started, 2)
        self.results.append({"step": name, "passed": not cause, "seconds": seconds, "cause": cause})
        print(f"{'pass' if not cause else 'FAIL'}  {name}  {seconds} s  {cause}", flush=True)


class Review:
    """The steps. Each asserts what a person would look for."""

    def __init__(self, hand, synthesize):
        self.hand, self.synthesize = hand, synthesize
        self.widget = self.ui = None

    def open(self):
        """The module opens."""
        if not hasattr(slicer.modules, "myelinsynth"):
            factory = slicer.app.moduleManager().factoryManager()
            factory.registerModule(qt.QFileInfo(str(MODULE)))
            factory.loadModules(["MyelinSynth"])
        slicer.util.selectModule("MyelinSynth")
        self.widget = slicer.util.getModuleWidget("MyelinSynth")
        self.ui = self.widget.ui
        self.hand.wait()
        assert not self.ui.synthesizeButton.enabled, "nothing is chosen yet"

    def patient(self):
        """The sample patient is one click away."""
        self.ui.samplePatientButton.click()
        self.hand.wait()
        assert self.ui.synthesizeButton.enabled
        box, selector = self.ui.findLesionsBox, self.ui.lesionsSelector
        given = selector.currentNode()
        assert not box.enabled, "a given mask always wins"
        selector.setCurrentNode(None)
        assert box.enabled
        says = []
        for _turn in (1, 2):
            box.click()
            says.append(box.text)
        assert says[0] != says[1], says
        selector.setCurrentNode(given)

    def map(self):
        """The map is made, or made up."""
        if self.synthesize:
            self.ui.synthesizeButton.click()
            assert self.hand.wait(SYNTHESIS_SECONDS, lambda: not self.widget.runPanel.running), "it takes too long"
        else:
            from MyelinSynthLib.selftest.nodes import makeNodes

            nodes = makeNodes("real-slicer", fromNetwork=True)
            self.widget._parameterNode.t1w = nodes["dvr"].GetNodeReference("MyelinSynth.T1w")
            self.widget.showNodes(nodes)
            self.widget.displayPanel.showResult()
        self.hand.wait()
        assert self.widget.displayPanel.shown.hasMap, self.ui.log.plainText[-300:]
        assert self.ui.resultLabel.text
        self.shows()

    def shows(self):
        """Every slice view shows what the panel says."""
        shown = self.widget.displayPanel.shown
        self.legend()
        for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            background, foreground, opacity = shown.layers(composite.GetLayoutName())
            wanted = [node.GetID() if node else None for node in (background, foreground)]
            given = [composite.GetBackgroundVolumeID() or None, composite.GetForegroundVolumeID() or None]
            assert given == wanted, f"{composite.GetLayoutName()}: {given} instead of {wanted}"
            if foreground:
                assert abs(composite.GetForegroundOpacity() - opacity) < 0.01, composite.GetLayoutName()

    def legend(self):
        """One slice view of the layout draws a legend (that of the map, or the axial one); with two visits two do."""
        manager, drawn = slicer.app.layoutManager(), []
        for name in viewsOfLayout():
            renderers = manager.sliceWidget(name).sliceView().renderWindow().GetRenderers()
            props = [renderers.GetItemAsObject(index).GetViewProps() for index in range(renderers.GetNumberOfItems())]
            bars = [prop for some in props for prop in some if "ScalarBar" in prop.GetClassName()]
            if any(bar.GetVisibility() for bar in bars):
                drawn.append(name)
        assert len(drawn) == (2 if self.widget.displayPanel.comparing else 1), f"legends in {drawn}"

    def framed(self):
        """Every view of the layout goes through the chosen lesion, with the brain (or the lesion) inside."""
        import numpy as np
        from MyelinSynthLib.display.framing import brainCorners
        from MyelinSynthLib.scene.geometry import toArray

        panel = self.widget.displayPanel
        point, corners = self.widget.reviewPanel.position(), brainCorners(panel.nodes["brain"])
        for name in viewsOfLayout():
            node = slicer.app.layoutManager().sliceWidget(name).mrmlSliceNode()
            fromWorld = np.linalg.inv(toArray(node.GetSliceToRAS()))
            width, height, _depth = node.GetDimensions()
            across, down, _thick = node.GetFieldOfView()
            assert abs(across / width - down / height) < 0.02 * across / width, f"{name} is distorted"
            if point is not None:
                assert abs((fromWorld @ [*point, 1.0])[2]) < 1.5, f"{name} does not show the lesion"
            inView = np.abs(corners @ fromWorld[:3, :3].T + fromWorld[:3, 3])
            if not panel.closely:
                assert inView[:, 0].max() <= 1.02 * across / 2, f"{name} cuts the brain off"
                assert inView[:, 1].max() <= 1.02 * down / 2, f"{name} cuts the brain off"

    def opacityAndWipe(self):
        """One opacity for every step; the curtain leaves the map behind."""
        ui = self.ui
        ui.underBox.setCurrentIndex(1)
        ui.opacitySlider.value = 0.4
        self.hand.wait()
        self.shows()
        ui.wipeBox.setChecked(True)
        ui.wipeSlider.value = 0.5
        self.hand.wait()
        self.shows()
        self.hand.picture("wipe")
        ui.wipeBox.setChecked(False)
        self.hand.wait()
        self.shows()
        ui.underBox.setCurrentIndex(0)
        ui.opacitySlider.value = 0.7

    def layouts(self):
        """Each layout, for a first and a second time; then back to the user's own."""
        arrangement = slicer.app.layoutManager().layoutLogic().GetLayoutNode()
        before = arrangement.GetViewArrangement()
        self.widget.reviewPanel.begin()
        for turn in (1, 2):
            for button in ("sideBySideButton", "lesions3dButton", "plotsButton", "fourUpButton"):
                getattr(self.ui, button).click()
                self.hand.wait()
                self.hand.picture(f"{button}_{turn}")
                self.shows()
                self.framed()
        self.ui.previousLayoutButton.click()
        self.hand.wait()
        assert arrangement.GetViewArrangement() == before, (arrangement.GetViewArrangement(), before)

    def review(self):
        """Next: review; keys decide wherever the focus is, and rest while somebody types."""
        panel = self.widget.reviewPanel
        self.ui.nextButton.click()
        self.hand.wait()
        assert self.ui.reviewTable.visible, "the table lies below the views"
        self.hand.picture("next_review")
        self.focusView()
        states = [panel.review.state(row) for row in range(len(panel.review))]
        assert "unreviewed" in states
        for shortcut, state in (("A", "accepted"), ("F", "flagged")):
            row = panel.currentRow()
            press(panel, shortcut)
            self.hand.wait()
            assert panel.review.state(row) == state, (row, panel.review.state(row))
        self.hand.picture("after_keys")
        self.ui.log.setFocus()  # nobody types into it
        self.hand.wait()
        assert all(one.isEnabled() for one in panel._keys._shortcuts), "keys are on in a log that was clicked"
        self.ui.commentEdit.setFocus()
        self.hand.wait()
        if self.ui.commentEdit.hasFocus():  # a window manager may keep the focus elsewhere
            assert not any(one.isEnabled() for one in panel._keys._shortcuts), "keys are off while typing"

    def focusView(self):
        """The keyboard belongs to a slice view."""
        slicer.util.mainWindow().activateWindow()
        slicer.app.layoutManager().sliceWidget("T1w").sliceView().setFocus()
        self.hand.wait()

    def lesions(self):
        """A lesion that was missed grows from a click into a view; two are merged, and split again; all taken back."""
        from MyelinSynthLib.selftest.nodes import missedPosition

        panel, table = self.widget.reviewPanel, self.ui.reviewTable
        self.focusView()  # the step before left the focus in the comment, where keys are off
        before = len(panel.review)
        if self.ui.addButton.enabled:
            press(panel, "N")
            click("T1w", missedPosition(panel.nodes))
            self.hand.wait()
            assert len(panel.review) == before + 1, self.ui.editsLabel.text
            self.hand.picture("added")
            press(panel, "Ctrl+Z")
        table.setCurrentCell(0, 0)
        for column in range(table.columnCount):
            table.item(1, column).setSelected(True)
        press(panel, "M")
        self.hand.wait()
        assert len(panel.review) == before - 1, self.ui.editsLabel.text
        self.hand.picture("merged")
        press(panel, "S")
        self.hand.wait()
        assert len(panel.review) >= before, self.ui.editsLabel.text
        press(panel, "Ctrl+Z")
        press(panel, "Ctrl+Z")
        self.hand.wait()
        assert len(panel.review) == before, self.ui.editsLabel.text

    def comparison(self):
        """A comparison with an earlier visit is opened: three views, the table of changes, and back again."""
        from MyelinSynthLib.compare.nodes import loadChange
        from MyelinSynthLib.selftest.compare import writeComparison

        arrangement = slicer.app.layoutManager().layoutLogic().GetLayoutNode()
        panel, before = self.widget.reviewPanel, arrangement.GetViewArrangement()
        folder = self.hand.folder / f"change_{int(time.time())}"  # the script may run again in the same folder
        writeComparison(folder, self.widget.displayPanel.nodes)
        self.widget.onChange(loadChange(folder, self.widget.displayPanel.nodes))
        self.hand.wait()
        assert self.ui.compareBox.checked, self.ui.compareLabel.text
        assert panel.review.text(panel.currentRow(), "change") == "demyelinating", "the largest change comes first"
        self.shows()
        self.framed()
        self.hand.picture("two_visits")
        self.ui.compareBox.click()
        self.hand.wait()
        self.shows()
        assert arrangement.GetViewArrangement() == before, (arrangement.GetViewArrangement(), before)

    def openResult(self):
        """A reviewed export is opened again: everything as it was left, and one set of outlines."""
        panel, name = self.widget.reviewPanel, f"reviewed_{int(time.time())}"
        panel.choose(0)
        panel.decide("rejected")
        before = {panel.review.lesion(row): panel.review.state(row) for row in range(len(panel.review))}
        self.ui.exportFolderEdit.text, self.ui.exportNameEdit.text = str(self.hand.folder), name
        self.ui.exportButton.click()
        assert (self.hand.folder / f"{name}_result").is_dir(), self.ui.exportLabel.text
        self.widget.opener.open(self.hand.folder / f"{name}_result")
        self.hand.wait()
        after = {panel.review.lesion(row): panel.review.state(row) for row in range(len(panel.review))}
        assert after == before, set(after.items()) ^ set(before.items())
        self.shows()
        nodes = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
        shown = [one for one in nodes if one.GetAttribute("MyelinSynth.Role") and one.GetDisplayNode().GetVisibility()]
        assert shown == [panel.nodes["lesions"]], [one.GetName() for one in shown]

    def editor(self):
        """Into the Segment Editor and back: the map is there again."""
        self.ui.editButton.click()
        self.hand.wait()
        assert slicer.util.selectedModule() == "SegmentEditor"
        slicer.util.selectModule("MyelinSynth")
        self.hand.wait()
        self.shows()

    def deletion(self):
        """The map is deleted, as in the Data module: the T1w alone remains."""
        shown = self.widget.displayPanel.shown
        while "dvr" in self.widget.displayPanel.nodes:  # without this map, that of another synthesis is shown
            slicer.mrmlScene.RemoveNode(self.widget.displayPanel.nodes["dvr"])
            self.hand.wait()
        assert not shown.hasMap
        for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            if composite.GetLayoutName() in viewsOfLayout():
                assert not composite.GetForegroundVolumeID(), composite.GetLayoutName()

    def selfTest(self):
        """The module's own self-test, in this application."""
        import unittest

        import MyelinSynth

        result = unittest.TestResult()
        unittest.TestLoader().loadTestsFromTestCase(MyelinSynth.MyelinSynthTest).run(result)
        assert result.wasSuccessful(), [text.splitlines()[-1] for _test, text in result.errors + result.failures]


def viewsOfLayout():
    """The slice views of the layout. (sliceViewNames() has every view that was ever made.)"""
    manager = slicer.app.layoutManager()
    return [name for name in manager.sliceViewNames() if manager.sliceWidget(name).mrmlSliceNode().IsMappedInLayout()]


def click(name, position):
    """Press the left button in a slice view, at a world position."""
    import numpy as np
    from MyelinSynthLib.scene.geometry import toArray

    view = slicer.app.layoutManager().sliceWidget(name).sliceView()
    view.mrmlSliceNode().JumpSliceByOffsetting(*position)
    across, up = np.linalg.solve(toArray(view.mrmlSliceNode().GetXYToRAS()), [*position, 1.0])[:2]
    view.interactor().SetEventPosition(round(across), round(up))
    view.interactor().InvokeEvent("LeftButtonPressEvent")


def press(panel, key):
    """Do what the key does, through its shortcut where there is one."""
    names = list(panel._actions())
    shortcuts = panel._keys._shortcuts
    assert shortcuts, "no shortcut was made"
    assert shortcuts[names.index(key)].isEnabled(), f"{key} is off"
    panel._keys._actions[key]()


def main(arguments):
    """Run every step; returns the exit code."""
    given = [one for one in arguments if not one.startswith("--")]
    folder = Path(given[0]) if given else Path(tempfile.mkdtemp(prefix="MyelinSynth_", dir=slicer.app.temporaryPath))
    folder.mkdir(parents=True, exist_ok=True)
    hand = Hand(folder)
    review = Review(hand, "--no-synthesis" not in arguments)
    for name in (
        "open",
        "patient",
        "map",
        "opacityAndWipe",
        "layouts",
        "review",
        "lesions",
        "comparison",
        "openResult",
        "editor",
        "deletion",
        "selfTest",
    ):
        hand.step(name, getattr(review, name))
    about = {"slicer": slicer.app.applicationVersion, "os": slicer.app.os, "longest_event_loop_gap_s": hand.longest}
    (folder / "results.json").write_text(json.dumps(about | {"steps": hand.results}, indent=2), encoding="utf-8")
    passed = sum(one["passed"] for one in hand.results)
    print(f"{passed} of {len(hand.results)} steps passed; screenshots in {folder}", flush=True)
    return 0 if passed == len(hand.results) else 1


if __name__ == "__main__":
    # --python-script runs before the event loop: begin once the application is up
    qt.QTimer.singleShot(1000, lambda: slicer.util.exit(main(sys.argv[1:])))
