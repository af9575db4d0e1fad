"""The pictures of the README's tutorial: every stage of the panel beside what the views show.

The panel is drawn by the stand-in host (PySide6), the views by Slicer's own slice logic and displayable managers; the
map is made by the real command and the demonstration model on the simulated sample patient. Takes some minutes.

python Testing/MyelinSynth/make_screenshots.py [folder] [--two-visits FOLDER]  (default: Resources/pictures/tutorial)
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkOSOpenGLRenderWindow")
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from slicer_scene import ROOT, Application, addModuleToPath

PANEL_WIDTH, PANEL_HEIGHT, VIEW, TABLE_HEIGHT = 480, 4400, (420, 420), 330  # pixels; room for the whole card
TITLE_HEIGHT, CAPTION_HEIGHT, GAP = 30, 26, 8
BACKGROUND, INK, TITLE = (240, 240, 240), (40, 40, 40), (205, 212, 222)
FOOT = "Simulated patient and model. Research use only. Panel drawn by the stand-in host, views by Slicer's own MRML."
COLOURS = 180  # of a PNG: small files
LAYOUT_TURNS = 4  # of the event loop until a label that wraps has its height


class Studio:
    """The module in the stand-in host, three slice views and a 3D view."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        from slice_picture import SliceView
        from stand_in_host import Host, readApi
        from test_slicer_api import API

        self.folder = folder
        self.application = Application()
        self.host = Host(readApi(API), scratch)
        from MyelinSynth import MyelinSynthWidget

        self.widget = MyelinSynthWidget()
        self.widget.setup()
        self.widget.enter()
        self.ui = self.widget.ui
        self.host.window.resize(PANEL_WIDTH, PANEL_HEIGHT)
        self.host.window.show()
        self.views = {
            name: SliceView(self.application, orientation, (0, 0, 0), VIEW, millimetres, name)
            for name, orientation, millimetres in (
                ("Red", "Axial", 230.0),
                ("Green", "Coronal", 230.0),
                ("Yellow", "Sagittal", 230.0),
                ("T1w", "Axial", 90.0),
                ("FLAIR", "Axial", 90.0),
                ("Myelin", "Axial", 90.0),
            )
        }

    def pump(self, condition: Callable[[], Any], seconds: float = 1200.0) -> None:
        """Let the panel run until a condition holds."""
        limit = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < limit, "it takes too long"
            assert not self.host.messages, self.host.messages
            self.host.process()
            time.sleep(0.02)

    def panel(self, sections: Sequence[tuple[str, str]]) -> Image.Image:
        """Sections of the panel under each other, each with its title."""
        for _turn in range(LAYOUT_TURNS):
            self.host.window.resize(PANEL_WIDTH, max(PANEL_HEIGHT, self.host.window.sizeHint().height()))
            self.host.process()
        grabbed = []
        for section, title in sections:
            path = self.folder / f".{section}.png"
            getattr(self.ui, section)._real.grab().save(str(path))
            with Image.open(path) as opened:
                grabbed.append((title, opened.convert("RGB")))
            path.unlink()
        height = sum(TITLE_HEIGHT + image.height for _title, image in grabbed)
        whole = Image.new("RGB", (PANEL_WIDTH, height), BACKGROUND)
        draw, top = ImageDraw.Draw(whole), 0
        for title, image in grabbed:
            draw.rectangle((0, top, PANEL_WIDTH, top + TITLE_HEIGHT - 4), fill=TITLE)
            draw.text((10, top + 5), title, fill=INK, font=font(15))
            whole.paste(image, (0, top + TITLE_HEIGHT))
            top += TITLE_HEIGHT + image.height
        return whole

    def show(self, names: Sequence[str]) -> list[Image.Image]:
        """What the slice views of these names show."""
        return [Image.fromarray(self.views[name].picture()) for name in names]

    def table(self, width: int) -> Image.Image:
        """The lesion table as it lies below the views, in a dock of the main window."""
        table, path = self.ui.reviewTable._real, self.folder / ".table.png"
        table.setParent(None)
        table.resize(width, TABLE_HEIGHT)
        table.show()
        self.host.process()
        table.grab().save(str(path))
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        path.unlink()
        return image

    def save(
        self,
        name: str,
        panel: Image.Image,
        views: Sequence[Image.Image],
        columns: int = 2,
        below: Image.Image | None = None,
    ) -> None:
        """Panel at the left, views at the right with what lies below them, what drew them at the bottom."""
        rows, high = -(-len(views) // columns), max(view.height for view in views)
        width = panel.width + GAP + columns * (VIEW[0] + GAP)
        height = max(panel.height, rows * (high + GAP) + (below.height if below else 0))
        whole = Image.new("RGB", (width, height + CAPTION_HEIGHT), BACKGROUND)
        whole.paste(panel, (0, 0))
        for index, view in enumerate(views):
            row, column = divmod(index, columns)
            whole.paste(view, (panel.width + GAP + column * (VIEW[0] + GAP), row * (high + GAP)))
        if below is not None:
            whole.paste(below, (panel.width + GAP, rows * (high + GAP)))
        ImageDraw.Draw(whole).text((10, height + 6), FOOT, fill=INK, font=font(12))
        path = self.folder / f"{name}.png"
        whole.quantize(palette=palette(whole), dither=Image.Dither.NONE).save(path, optimize=True)
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")

    def close(self) -> None:
        """Let go of everything."""
        for view in self.views.values():
            view.close()
        self.widget.cleanup()
        self.host.close()
        self.application.close()


def palette(image: Image.Image) -> Image.Image:
    """The colours of an image, and in any case those that mean something: of review states and of the map."""
    from MyelinSynthLib.display.views import COLOURS_OF_STATE, viridis

    spread = np.linspace(0, 255, 256 - COLOURS - len(COLOURS_OF_STATE)).astype(int)  # both ends of the map's colours
    meaning = np.vstack([list(COLOURS_OF_STATE.values()), viridis()[spread]])
    found = image.quantize(COLOURS).getpalette()[: 3 * COLOURS]
    chosen = Image.new("P", (1, 1))
    chosen.putpalette(found + (meaning * 255 + 0.5).astype(int).ravel().tolist())
    return chosen


def font(size: int) -> Any:
    """The font that comes with matplotlib."""
    from matplotlib import font_manager

    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size)


def chartPicture(chart: Any) -> Image.Image:
    """A plot as qMRMLPlotView draws it: the same VTK chart from the same nodes."""
    import slicer
    import vtk
    from slice_picture import grab

    view = vtk.vtkContextView()
    view.GetRenderWindow().SetOffScreenRendering(1)
    view.GetRenderWindow().SetMultiSamples(0)
    view.GetRenderWindow().SetSize(*VIEW)
    drawn = vtk.vtkChartXY()
    view.GetScene().AddItem(drawn)
    drawn.SetTitle(chart.GetTitle())
    drawn.GetTitleProperties().SetFontSize(chart.GetTitleFontSize())
    for axis in (vtk.vtkAxis.BOTTOM, vtk.vtkAxis.LEFT):
        drawn.GetAxis(axis).GetTitleProperties().SetFontSize(chart.GetAxisTitleFontSize())
    for axis, title in ((vtk.vtkAxis.BOTTOM, chart.GetXAxisTitle()), (vtk.vtkAxis.LEFT, chart.GetYAxisTitle())):
        drawn.GetAxis(axis).SetTitle(title)
    kinds = slicer.vtkMRMLPlotSeriesNode
    for index in range(chart.GetNumberOfPlotSeriesNodes()):
        series = chart.GetNthPlotSeriesNode(index)
        bar = series.GetPlotType() == kinds.PlotTypeScatterBar
        plot = vtk.vtkPlotBar() if bar else vtk.vtkPlotLine()
        plot.SetInputData(series.GetTableNode().GetTable(), series.GetXColumnName(), series.GetYColumnName())
        plot.SetColorF(*series.GetColor())
        if not bar:
            points = series.GetMarkerStyle() == kinds.MarkerStyleCircle
            plot.SetMarkerStyle(vtk.vtkPlotPoints.CIRCLE if points else vtk.vtkPlotPoints.NONE)
            plot.SetMarkerSize(series.GetMarkerSize())
            plot.GetPen().SetLineType(vtk.vtkPen.NO_PEN if points else vtk.vtkPen.DASH_LINE)
        drawn.AddPlot(plot)
    return Image.fromarray(grab(view.GetRenderWindow()))


def patientAndRun(studio: Studio) -> None:
    """Stages 1 and 2: the patient is chosen, the map is made."""
    from MyelinSynthLib.display.framing import frame

    ui = studio.ui
    ui.samplePatientButton.click()
    assert ui.synthesizeButton.enabled, "the sample patient cannot be synthesized"
    views = ("Red", "Green", "Yellow")
    bounds = np.zeros(6)
    ui.t1wSelector.currentNode().GetRASBounds(bounds)
    frame((bounds[::2] + bounds[1::2]) / 2, None)
    sections = [("patientSection", "Patient"), ("modelSection", "Model")]
    studio.save("1_patient", studio.panel(sections), studio.show(views))
    ui.synthesizeButton.click()
    studio.pump(lambda: ui.progressBar.value >= 18 or not studio.widget.runPanel.running)
    studio.save("2_running", studio.panel([("synthesisSection", "Myelin map")]), studio.show(views[:1]), 1)
    studio.pump(lambda: not studio.widget.runPanel.running)


def mapAndReview(studio: Studio) -> None:
    """Stages 3 and 4: the map is looked at, the lesions are reviewed."""
    from MyelinSynthLib.display import views as display
    from MyelinSynthLib.display.shown import viewsOf

    ui, panel = studio.ui, studio.widget.reviewPanel
    assert len(panel.review) > 3
    ui.patientSection.collapsed = False
    display.addLegend(panel.nodes["dvr"], viewsOf(["Red"])[0])
    largest = panel.review.order("volume_mm3", descending=True)
    panel.choose(largest[0])
    sections = [("synthesisSection", "Myelin map"), ("displaySection", "Display")]
    studio.save("3_map", studio.panel(sections), studio.show(("Red", "Green", "Yellow")))
    ui.wipeBox.setChecked(True)
    ui.wipeSlider.value = 0.5
    display.addLegend(studio.widget.displayPanel.shown.wipe.copy, viewsOf(["Red"])[0])
    wiped = studio.show(("Red", "Green"))
    studio.save("4_wipe", studio.panel([("displaySection", "Display")]), wiped)
    ui.wipeBox.setChecked(False)
    for state, comment in (("accepted", ""), ("flagged", "Partial volume with the ventricle?"), ("accepted", "")):
        ui.commentEdit.text = comment
        panel.onComment()
        panel.decide(state)
    panel.decide("rejected")
    panel.choose(largest[1])
    ui.closelyBox.setChecked(True)
    display.addLegend(panel.nodes["dvr"], viewsOf(["Myelin"])[0])
    panel.refill(panel.review.lesion(largest[1]))
    views = studio.show(("T1w", "FLAIR", "Myelin"))
    table = studio.table(3 * (VIEW[0] + GAP) - GAP)  # in its dock, so the panel is drawn without it
    studio.save("5_review", studio.panel([("reviewSection", "Lesion review")]), views, 3, table)
    ui.closelyBox.setChecked(False)


def solidPlotsAndExport(studio: Studio, scratch: Path) -> None:
    """Stages 5 and 6: lesions in 3D, plots, export."""
    from MyelinSynthLib.display import plots
    from MyelinSynthLib.export.files import Photographer
    from MyelinSynthLib.review.points import lesionPoint
    from MyelinSynthLib.review.segments import labelsOnGrid
    from MyelinSynthLib.scene import provenance
    from slice_picture import ThreeDView

    ui, panel = studio.ui, studio.widget.reviewPanel
    ui.lesions3dButton.click()
    nodes = provenance.sameRun(panel.nodes["dvr"])
    bounds = np.zeros(6)
    nodes["brain_surface"].GetRASBounds(bounds)
    centre = (bounds[::2] + bounds[1::2]) / 2
    solid = []
    for direction in ((0, 1, 0.35), (-1, 0.15, 0.15)):
        view = ThreeDView(studio.application, centre, direction, VIEW, 190.0)
        solid.append(Image.fromarray(view.picture()))
        view.close()
    studio.save("6_lesions_3d", studio.panel([("displaySection", "Display")]), solid)
    plots.show(nodes)
    nodes = provenance.sameRun(nodes["dvr"])
    charts = [chartPicture(nodes[role]) for role in ("histogram_chart", "comparison_chart")]
    studio.save("7_plots", studio.panel([("displaySection", "Display")]), charts)
    ui.exportFolderEdit.text = str(scratch)
    ui.exportButton.click()
    assert not studio.host.messages, studio.host.messages
    ui.exportFolderEdit.text = "/home/me/studies/ms"
    photographer = Photographer(nodes, labelsOnGrid(nodes["lesions"], nodes["dvr"]))
    review = panel.review
    tiles = []
    for row in review.order(states=("flagged", "rejected")):
        point = lesionPoint(review, row, nodes["dvr"], nodes["lesions"])
        picture = photographer.picture(review.lesion(row), point, review.state(row))
        tiles.append(Image.fromarray(picture).resize((VIEW[0], round(VIEW[0] / 3))))
    shown = Image.new("RGB", (VIEW[0], sum(tile.height + 2 for tile in tiles)), BACKGROUND)
    for index, tile in enumerate(tiles):
        shown.paste(tile, (0, index * (tile.height + 2)))
    studio.save("8_export", studio.panel([("exportSection", "Export")]), [shown], 1)


def foundLesions(studio: Studio) -> None:
    """Stage 5 again, without a mask: found lesions, the doubtful ones at the top."""
    from MyelinSynthLib.display import views as display
    from MyelinSynthLib.display.shown import viewsOf

    ui, panel = studio.ui, studio.widget.reviewPanel
    ui.lesionsSelector.setCurrentNode(None)
    ui.synthesizeButton.click()
    studio.pump(lambda: not studio.widget.runPanel.running)
    panel.onHeader(next(index for index, one in enumerate(panel._rows._shown) if one.name == "confidence"))
    ui.closelyBox.setChecked(True)
    for state in ("rejected", "accepted", "accepted"):
        panel.begin()
        panel.decide(state)
    display.addLegend(panel.nodes["dvr"], viewsOf(["Myelin"])[0])
    views = studio.show(("T1w", "FLAIR", "Myelin"))
    table = studio.table(3 * (VIEW[0] + GAP) - GAP)
    studio.save("9_found", studio.panel([("reviewSection", "Lesion review")]), views, 3, table)


def simulatedVisits(folder: Path) -> list[tuple[Path, dict[str, Path]]]:
    """Result and images of two visits of a simulated person; what is in the folder already is used."""
    from TrainingCore.api import simulate, synthesize

    if not (folder / "bids").is_dir():
        simulate(folder / "bids", patients=1, visits=2, site="A", seed=4720, progress="none")
    visits = []
    for session in sorted((folder / "bids").glob("sub-*/ses-*")):
        label = f"{session.parent.name}_{session.name}"
        images = {name: next(session.rglob(f"*_{name}.nii.gz")) for name in ("T1w", "FLAIR")}
        images["lesions"] = next((folder / "bids" / "derivatives").rglob(f"{label}*lesion*mask.nii.gz"))
        if not (folder / label).is_dir():
            files = {"t1": images["T1w"], "flair": images["FLAIR"], "lesions": images["lesions"]}
            synthesize(folder / label, **files, device="cpu", progress="none")
        visits.append((folder / label, images))
    return visits


def twoVisits(studio: Studio, folder: Path) -> None:
    """Stage 6: the second visit is open and compared with the first."""
    import slicer
    from MyelinSynthLib.compare.colours import addChangeLegend
    from MyelinSynthLib.display import views as display
    from MyelinSynthLib.display.shown import CHANGE_VIEWS, viewsOf
    from MyelinSynthLib.run.batch import loadVolume

    (earlier, _images), (later, images) = simulatedVisits(folder)
    slicer.mrmlScene.Clear(0)
    studio.host.process()
    ui, widget = studio.ui, studio.widget
    for role, name in (("t1w", "T1w"), ("flair", "FLAIR"), ("lesions", "lesions")):
        getattr(ui, f"{role}Selector").setCurrentNode(loadVolume(images[name]))
    widget.opener.open(later)
    widget.comparePanel.choose(earlier)
    from slice_picture import SliceView

    views = {name: SliceView(studio.application, "Axial", (0, 0, 0), VIEW, 190.0, name) for name in CHANGE_VIEWS}
    ui.compareButton.click()
    studio.pump(lambda: widget.comparePanel.job is None)
    widget.displayPanel.restore()
    widget.displayPanel.frame()
    nodes = widget.displayPanel.nodes
    addChangeLegend(nodes["change_map"], viewsOf(["Change"])[0])
    display.addLegend(nodes["change_before"], viewsOf(["ChangeBefore"])[0])
    shown = []
    for name, view in views.items():
        picture = Image.fromarray(view.picture())
        ImageDraw.Draw(picture).multiline_text((8, 6), widget.comparePanel.titles()[name], "white", font(13))
        shown.append(picture)
        view.close()
    table = studio.table(3 * (VIEW[0] + GAP) - GAP)
    sections = [("compareSection", "Compare with an earlier visit")]
    studio.save("10_two_visits", studio.panel(sections), shown, 3, table)


def main(arguments: Sequence[str]) -> int:
    """Make every picture, or with --two-visits FOLDER that of the comparison alone, from what the folder holds."""
    visits = Path(arguments[arguments.index("--two-visits") + 1]) if "--two-visits" in arguments else None
    others = [one for one in arguments if one != "--two-visits" and (visits is None or one != str(visits))]
    folder = Path(others[0]) if others else ROOT / "Resources" / "pictures" / "tutorial"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        (scratch / "slicer").mkdir()
        (scratch / "export").mkdir()
        studio = Studio(folder, scratch / "slicer")
        try:
            if visits is None:
                patientAndRun(studio)
                mapAndReview(studio)
                solidPlotsAndExport(studio, scratch / "export")
                foundLesions(studio)
            twoVisits(studio, visits or scratch / "visits")
            assert not studio.host.errors, studio.host.errors
        finally:
            studio.close()
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    addModuleToPath()
    sys.exit(main(sys.argv[1:]))
