"""What a person sees: map, outlines and legend drawn by Slicer's own slice views; colours asserted at world points."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from digital_result import CENTRE, LESIONS, NAWM_DVR
from slicer_scene import Application

pytest.importorskip("slicer", reason="slicer-core is not installed (pip install slicer-core)")
pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")
pytest.importorskip("vtk")

from MyelinSynthLib.display import framing, surfaces
from MyelinSynthLib.display import views as display
from MyelinSynthLib.display.selection import highlight
from MyelinSynthLib.display.shown import Shown
from MyelinSynthLib.review.segments import colourSegments, segmentIds
from MyelinSynthLib.review.table import REJECTED, Review
from slice_picture import SliceView, ThreeDView, canRender
from test_module_scene import makePatient, place, through

if not canRender():
    pytest.skip("no Mesa off-screen rendering here (Debian: libosmesa6)", allow_module_level=True)

LESION, RADIUS, LESION_DVR = np.array(LESIONS[0][0]), LESIONS[0][1], LESIONS[0][2]
ORIENTATIONS = ("Axial", "Coronal", "Sagittal")
IN_PLANE = {"Axial": (0, 1), "Coronal": (0, 2), "Sagittal": (1, 2)}


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Where people can look at the pictures: $MYELINSYNTH_PICTURES, or the test's own folder."""
    folder = Path(os.environ.get("MYELINSYNTH_PICTURES", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def view(application: Application) -> Iterator[Callable[..., SliceView]]:
    """Makes slice views and closes them."""
    opened: list[SliceView] = []

    def make(orientation: str, centre: object = LESION, **options: object) -> SliceView:
        opened.append(SliceView(application, orientation, centre, **options))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def near(colour: np.ndarray, wanted: object, tolerance: float = 0.02) -> bool:
    return bool(np.abs(colour - np.asarray(wanted)).max() < tolerance)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("geometry", ["RAS", "LAS", "oblique"])
def test_the_map_has_its_colours_at_their_places(
    application: Application, view: Callable, tmp_path: Path, orientation: str, geometry: str
) -> None:
    outputs = through(makePatient(geometry), tmp_path / "files")
    outputs.segmentation.SetDisplayVisibility(False)
    slices = view(orientation)
    display.showInSlices(None, outputs.dvr, 1.0)
    slices.picture()
    assert near(slices.colourAt(LESION), display.dvrColour(LESION_DVR))
    aside = LESION.copy()
    aside[IN_PLANE[orientation][1]] -= 9.0
    assert near(slices.colourAt(aside), display.dvrColour(NAWM_DVR))
    outside = LESION.copy()
    outside[IN_PLANE[orientation][0]] += 27.0
    assert near(slices.colourAt(outside), (0, 0, 0)), "outside the brain the map is transparent"


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_lesions_are_outlined_where_they_are(
    application: Application, view: Callable, tmp_path: Path, pictures: Path, orientation: str
) -> None:
    outputs = through(makePatient(), tmp_path / "files")
    review = Review(outputs.table)
    review.setState(0, REJECTED)
    colourSegments(outputs.segmentation, review, "state")
    slices = view(orientation)
    display.showInSlices(None, outputs.dvr, 1.0)
    pixels = slices.picture(pictures / f"outlines_{orientation}.png") / 255
    outline = np.abs(pixels - display.COLOURS_OF_STATE[REJECTED]).max(axis=2) < 0.12
    rows, columns = np.nonzero(outline)
    assert rows.size > 40
    row, column = slices.pixelOf(LESION)
    apart = np.hypot(rows - row, columns - column) * 60 / 400
    assert abs(np.median(apart) - RADIUS) < 1.5
    assert apart.max() < RADIUS + 3.0
    assert near(slices.colourAt(LESION), display.dvrColour(LESION_DVR)), "an outline, not a filled lesion"


@pytest.mark.parametrize("moved", [False, True], ids=["as acquired", "under a transform"])
def test_a_thick_oblique_t1w_is_framed_and_shown_where_it_is(
    application: Application, view: Callable, tmp_path: Path, pictures: Path, moved: bool
) -> None:
    patient = makePatient("oblique", (1.0, 1.0, 4.0))
    if moved:
        transform = place(patient.t1w)
        for node in (patient.flair, patient.lesions):
            node.SetAndObserveTransformNodeID(transform.GetID())
    outputs = through(patient, tmp_path / "files")
    outputs.segmentation.SetDisplayVisibility(False)
    point = Review(outputs.table).centre(0, outputs.dvr)
    shown = Shown()
    shown.take(outputs.nodes())
    shown.opacity = 1.0
    for name, orientation, size in (("Red", "Axial", (300, 700)), ("Green", "Coronal", (700, 300))):
        slices = view(orientation, (0, 0, 0), size=size, name=name)
        shown.apply()
        framing.frame(point.tolist(), framing.brainCorners(outputs.brain))
        pixels = slices.picture(pictures / f"thick_{orientation}_{moved}.png")
        assert near(slices.colourAt(point), display.dvrColour(LESION_DVR)), orientation
        brain = pixels.max(axis=2) > 60
        rows, columns = np.nonzero(brain)
        assert brain.sum() > 2000
        assert rows.min() > 0
        assert columns.min() > 0
        assert rows.max() < size[1] - 1, "nothing of the brain is cut off"
        assert columns.max() < size[0] - 1, "nothing of the brain is cut off"


def test_outlines_move_with_a_moved_t1w(application: Application, view: Callable, tmp_path: Path) -> None:
    patient = makePatient()
    transform = place(patient.t1w)
    for node in (patient.flair, patient.lesions):
        node.SetAndObserveTransformNodeID(transform.GetID())
    outputs = through(patient, tmp_path / "files")
    moved = Review(outputs.table).centre(0, outputs.dvr)
    slices = view("Axial", moved)
    display.showInSlices(None, outputs.dvr, 1.0)
    slices.picture()
    assert near(slices.colourAt(moved), display.dvrColour(LESION_DVR))
    assert not near(slices.colourAt(LESION + [0, 0, moved[2] - LESION[2]]), display.dvrColour(LESION_DVR))


def test_the_edge_of_the_brain_does_not_look_demyelinated(
    application: Application, view: Callable, tmp_path: Path
) -> None:
    outputs = through(makePatient("oblique"), tmp_path / "files")
    outputs.segmentation.SetDisplayVisibility(False)
    slices = view("Axial", CENTRE)
    display.showInSlices(None, outputs.dvr, 1.0)
    shown = slices.picture().reshape(-1, 3) / 255
    shown = shown[shown.max(axis=1) > 0.02]
    wanted = np.array([display.dvrColour(value) for value in (NAWM_DVR, *(lesion[2] for lesion in LESIONS))])
    apart = np.abs(shown[:, None] - wanted).max(axis=2).min(axis=1)
    assert apart.max() < 0.02


def test_opacity_fades_between_t1w_and_map(application: Application, view: Callable, tmp_path: Path) -> None:
    patient = makePatient()
    outputs = through(patient, tmp_path / "files")
    outputs.segmentation.SetDisplayVisibility(False)
    patient.t1w.CreateDefaultDisplayNodes()
    patient.t1w.GetDisplayNode().AutoWindowLevelOff()
    patient.t1w.GetDisplayNode().SetWindowLevelMinMax(0, 400)
    slices = view("Axial")
    colours = []
    shown = Shown()
    shown.take(outputs.nodes())
    for shown.opacity in (0.0, 0.5, 1.0):
        shown.apply()
        slices.picture()
        colours.append(slices.colourAt(LESION))
    assert np.ptp(colours[0]) < 0.01, "the T1w is grey"
    assert near(colours[2], display.dvrColour(LESION_DVR))
    assert near(colours[1], (colours[0] + colours[2]) / 2)


@pytest.mark.parametrize("size", [(491, 1021), (730, 480), (400, 400)], ids=["tall", "wide", "square"])
def test_the_legend_is_small_and_beside_the_head(
    application: Application, view: Callable, tmp_path: Path, pictures: Path, size: tuple[int, int]
) -> None:
    patient = makePatient()
    outputs = through(patient, tmp_path / "files")
    outputs.segmentation.SetDisplayVisibility(False)
    slices = view("Axial", CENTRE, size=size)
    framing.frame(LESION, framing.brainCorners(outputs.brain))
    display.showInSlices(None, outputs.dvr, 1.0)
    plain = slices.picture()
    legend = display.addLegend(outputs.dvr, slices.node)
    with_legend = slices.picture(pictures / f"legend_{size[0]}.png")
    drawn = np.abs(with_legend.astype(int) - plain).max(axis=2) > 30
    rows, columns = np.nonzero(drawn)
    assert legend.GetTitleText() == "DVR"
    assert rows.size > 300
    assert np.ptp(rows) < 0.4 * size[1]
    assert np.ptp(columns) < 0.25 * size[0], "Slicer's own takes a quarter of the view"
    assert not (drawn & (plain.max(axis=2) > 5)).any(), "no pixel of the legend lies over the brain"
    colours = with_legend[drawn] / 255
    for end in (display.viridis()[255], display.viridis()[0]):
        assert (np.abs(colours - end).max(axis=1) < 0.06).any(), "the whole window is in it"


def test_a_view_that_opens_later_draws_the_legend(application: Application, view: Callable, tmp_path: Path) -> None:
    outputs = through(makePatient(), tmp_path / "files")
    first = view("Axial", CENTRE)
    display.showInSlices(None, outputs.dvr, 1.0)
    display.addLegend(outputs.dvr, first.node)
    second = view("Axial", CENTRE, name="Green")
    display.showInSlices(None, outputs.dvr, 1.0)
    plain = second.picture()
    display.removeLegends()
    display.addLegend(outputs.dvr, second.node)
    assert (np.abs(second.picture().astype(int) - plain).max(axis=2) > 30).sum() > 300


def test_the_chosen_lesion_stands_out_in_a_slice(
    application: Application, view: Callable, tmp_path: Path, pictures: Path
) -> None:
    patient = makePatient()
    outputs = through(patient, tmp_path / "files")
    slices = view("Axial", LESION)
    display.showInSlices(patient.t1w)
    ids = segmentIds(outputs.segmentation)

    def strength(lesion: int) -> float:
        """How much of the colour of unreviewed lesions is drawn around a lesion."""
        slices.node.JumpSliceByCentering(*LESIONS[lesion - 1][0])
        pixels = slices.picture(pictures / f"chosen_{lesion}.png").astype(float) / 255
        row, column = slices.pixelOf(LESIONS[lesion - 1][0])
        around = pixels[row - 60 : row + 60, column - 60 : column + 60]
        return float((around[..., 0] - around[..., 1]).max())

    highlight(outputs.segmentation, ids[1])
    chosen, other = strength(1), strength(2)
    assert chosen > 0.5
    assert other < 0.7 * chosen
    highlight(outputs.segmentation, None)
    assert strength(2) == pytest.approx(chosen, abs=0.05), "nothing is chosen: all alike"


def test_lesions_are_seen_in_3d_through_the_brain(application: Application, tmp_path: Path, pictures: Path) -> None:
    outputs = through(makePatient("oblique"), tmp_path / "files")
    view = ThreeDView(application, CENTRE, (0, 0, 1))
    background = view.picture()[200, 200].astype(float) / 255
    review = Review(outputs.table)
    review.setState(1, REJECTED)
    colourSegments(outputs.segmentation, review, "state")
    surfaces.showIn3D(outputs.nodes())
    view.picture(pictures / "lesions_3d.png")
    undecided, rejected = (view.colourAt(lesion[0]) for lesion in LESIONS)
    assert rejected[0] > rejected[2] + 0.2, "the rejected lesion is vermillion behind a veil of grey"
    assert undecided[2] > undecided[1] + 0.1, "the unreviewed one is magenta"
    empty = view.colourAt(CENTRE + [0, -12, 0])
    assert not near(empty, background), "the brain is seen"
    assert np.abs(empty - rejected).max() > 0.1
    assert near(view.colourAt(CENTRE + [0, 25, 0]), background, 0.3), "nothing outside the brain"
    outputs.segmentation.GetDisplayNode().SetVisibility3D(False)
    view.picture()
    assert not near(view.colourAt(LESIONS[1][0]), rejected, 0.1)
    view.close()


def test_the_curtain_divides_map_and_t1w(
    application: Application, view: Callable, tmp_path: Path, pictures: Path
) -> None:
    patient = makePatient("LAS")
    outputs = through(patient, tmp_path / "files")
    patient.t1w.CreateDefaultDisplayNodes()
    display.addLegend(outputs.dvr)
    slices = view("Axial", CENTRE)
    shown = Shown()
    shown.take(outputs.nodes())
    shown.opacity = 1.0
    shown.startWipe(0.5)
    display.addLegend(shown.wipe.copy)
    pixels = slices.picture(pictures / "wipe.png") / 255
    assert (np.abs(pixels[:, 200:] - display.viridis()[0]).max(axis=2) < 0.06).sum() > 20, "the legend stays"
    assert near(slices.colourAt(CENTRE + [8, 9, 0]), display.dvrColour(NAWM_DVR)), "the patient's right shows the map"
    left = slices.colourAt(CENTRE - [8, 9, 0])
    assert np.ptp(left) < 0.01, "the patient's left shows the T1w"
    shown.wipe.move(0.9)
    slices.picture()
    assert near(slices.colourAt(CENTRE - [8, 9, 0]), display.dvrColour(NAWM_DVR))
    shown.stopWipe()
    display.showInSlices(patient.t1w)
    pixels = slices.picture() / 255
    assert (np.abs(pixels - display.viridis()[0]).max(axis=2) < 0.06).sum() == 0, "no legend where there is no map"
    display.showInSlices(patient.t1w, outputs.dvr, 1.0)
    slices.picture()
    assert near(slices.colourAt(CENTRE - [8, 9, 0]), display.dvrColour(NAWM_DVR))


def test_review_colours_can_be_told_apart() -> None:
    """Lightness, which every kind of colour blindness leaves, separates decided from undecided and both alarms."""
    grey = {
        state: float(np.dot(colour, (0.2126, 0.7152, 0.0722))) for state, colour in display.COLOURS_OF_STATE.items()
    }
    assert abs(grey["flagged"] - grey["rejected"]) > 0.1
    assert abs(grey["accepted"] - grey["rejected"]) > 0.1
    assert abs(grey["unreviewed"] - grey["flagged"]) > 0.1
