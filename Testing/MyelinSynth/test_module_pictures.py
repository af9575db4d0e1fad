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

from MyelinSynthLib.display import surfaces
from MyelinSynthLib.display import views as display
from MyelinSynthLib.display.wipe import Wipe
from MyelinSynthLib.review.segments import colourSegments
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


def test_outlines_move_with_a_moved_t1w(application: Application, view: Callable, tmp_path: Path) -> None:
    patient = makePatient()
    transform = place(patient.t1w)
    for node in (patient.flair, patient.lesions):
        node.SetAndObserveTransformNodeID(transform.GetID())
    outputs = through(patient, tmp_path / "files")
    moved = Review(outputs.table).place(0, outputs.dvr)
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
    for opacity in (0.0, 0.5, 1.0):
        display.showInSlices(patient.t1w, outputs.dvr)
        display.setOpacity(opacity)
        slices.picture()
        colours.append(slices.colourAt(LESION))
    assert np.ptp(colours[0]) < 0.01, "the T1w is grey"
    assert near(colours[2], display.dvrColour(LESION_DVR))
    assert near(colours[1], (colours[0] + colours[2]) / 2)


def test_the_legend_shows_the_fixed_window(
    application: Application, view: Callable, tmp_path: Path, pictures: Path
) -> None:
    patient = makePatient()
    outputs = through(patient, tmp_path / "files")
    slices = view("Axial", CENTRE)
    display.showInSlices(patient.t1w, outputs.dvr)
    plain = slices.picture()
    legend = display.addLegend(outputs.dvr)
    with_legend = slices.picture(pictures / "legend.png")
    changed = np.abs(with_legend.astype(int) - plain).max(axis=2) > 60
    assert legend.GetTitleText() == "DVR"
    columns = np.nonzero(changed)[1]
    assert changed.sum() > 500
    assert columns.min() > 200, "the legend stands at the right"
    top = with_legend[changed] / 255
    assert (np.abs(top - display.viridis()[255]).max(axis=1) < 0.06).any()
    assert (np.abs(top - display.viridis()[0]).max(axis=1) < 0.06).any()


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
    assert np.ptp(undecided) < 0.25
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
    wipe = Wipe(outputs.dvr)
    wipe.move(0.5)
    wipe.show(patient.t1w)
    pixels = slices.picture(pictures / "wipe.png") / 255
    assert (np.abs(pixels[:, 200:] - display.viridis()[0]).max(axis=2) < 0.06).sum() > 50, "the legend stays"
    assert near(slices.colourAt(CENTRE + [8, 9, 0]), display.dvrColour(NAWM_DVR)), "the patient's right shows the map"
    left = slices.colourAt(CENTRE - [8, 9, 0])
    assert np.ptp(left) < 0.01, "the patient's left shows the T1w"
    wipe.move(0.9)
    slices.picture()
    assert near(slices.colourAt(CENTRE - [8, 9, 0]), display.dvrColour(NAWM_DVR))
    wipe.close()
    display.showInSlices(patient.t1w)
    pixels = slices.picture() / 255
    assert (np.abs(pixels - display.viridis()[0]).max(axis=2) < 0.06).sum() == 0, "no legend where there is no map"
    display.showInSlices(patient.t1w, outputs.dvr, 1.0)
    slices.picture()
    assert near(slices.colourAt(CENTRE - [8, 9, 0]), display.dvrColour(NAWM_DVR))


def test_fading_goes_from_t1w_over_flair_to_map(application: Application, view: Callable, tmp_path: Path) -> None:
    patient = makePatient()
    outputs = through(patient, tmp_path / "files")
    outputs.segmentation.SetDisplayVisibility(False)
    for node, window in ((patient.t1w, (0, 400)), (outputs.flair, (150, 300))):
        node.CreateDefaultDisplayNodes()
        node.GetDisplayNode().AutoWindowLevelOff()
        node.GetDisplayNode().SetWindowLevelMinMax(*window)
    slices, colours = view("Axial"), []
    for position in (0.0, 0.5, 1.0, 1.5, 2.0):
        display.fade(position, patient.t1w, outputs.flair, outputs.dvr)
        slices.picture()
        colours.append(slices.colourAt(LESION))
    assert np.ptp(colours[0]) < 0.01
    assert np.ptp(colours[2]) < 0.01
    assert not near(colours[0], colours[2])
    assert near(colours[1], (colours[0] + colours[2]) / 2)
    assert near(colours[3], (colours[2] + colours[4]) / 2)
    assert near(colours[4], display.dvrColour(LESION_DVR))


def test_review_colours_can_be_told_apart() -> None:
    """Lightness, which every kind of colour blindness leaves, separates decided from undecided and both alarms."""
    grey = {
        state: float(np.dot(colour, (0.2126, 0.7152, 0.0722))) for state, colour in display.COLOURS_OF_STATE.items()
    }
    assert abs(grey["flagged"] - grey["rejected"]) > 0.1
    assert abs(grey["accepted"] - grey["rejected"]) > 0.1
    assert abs(grey["unreviewed"] - grey["flagged"]) > 0.1
