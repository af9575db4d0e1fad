"""Figures show what they say: sides, windows, numbers; and they can be drawn of nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from TrainingCore.evaluation.cases import evaluate_case
from TrainingCore.evaluation.summary import levels, summarise
from TrainingCore.evaluation.task import ModelImages
from TrainingCore.reporting import figures, slice_figures
from TrainingCore.reporting.document import png_bytes
from TrainingCore.runtime.errors import BadInput


@pytest.fixture(scope="module")
def results(make_case):
    visits, lesions = [], []
    for number in range(4):
        case = make_case(f"A{number}")
        visit, rows = evaluate_case(case, ModelImages({"synthetic": case.volumes["dvr_clean"]}))
        visits.append(visit)
        lesions += rows
    return visits, lesions


@pytest.mark.parametrize("turn", [None, (0,), (1, 2)])
def test_slices_have_the_patients_right_on_the_left_and_the_front_up(make_case, turn):
    case = make_case(lesions=0)
    lesion = np.zeros(case.shape, bool)
    lesion[25:28, 30:33, 18] = True  # towards +x (the patient's right) and +y (the front)
    case.volumes["lesions"] = lesion
    if turn is not None:
        case.volumes = {name: np.flip(values, turn) for name, values in case.volumes.items()}
        flip = np.eye(4)
        for axis in turn:
            flip[axis, axis], flip[axis, 3] = -1, case.shape[axis] - 1
        case.affine = case.affine @ flip
    one = slice_figures.axial_slices(case, case.volumes["dvr"], "x")
    rows, columns = np.nonzero(one.outline)
    assert columns.mean() < one.outline.shape[1] / 2
    assert rows.mean() > one.outline.shape[0] / 2
    assert one.z_mm == pytest.approx((18 - 19.5) * 3)
    assert one.millimetres == (3.0, 3.0)


def test_every_dvr_picture_has_the_same_window(make_case):
    case = make_case()
    figure = slice_figures.slices_figure([slice_figures.axial_slices(case, 0.5 * case.volumes["dvr"], case.label)])
    drawn = {axis.get_title(): axis.images[0] for axis in figure.axes if axis.images and axis.get_title()}
    assert drawn["measured DVR"].get_clim() == drawn["synthetic DVR"].get_clim() == (0.6, 1.4)
    difference = np.asarray(drawn["synthetic \N{MINUS SIGN} measured"].get_array())
    assert difference.min() < -0.4
    assert png_bytes(figure)[:4] == b"\x89PNG"


def test_the_scatter_says_r_and_the_ceiling_and_shows_every_point(results):
    visits, lesions = results
    summary, points = summarise(visits, lesions), levels(lesions)
    left, right = figures.agreement_figure(points, summary).axes
    assert f"r = {summary['lesion']['r']:.2f}" in left.get_title()
    assert f"noise ceiling r = {summary['lesion']['r_ceiling']:.2f}" in left.get_title()
    assert len(left.collections[0].get_offsets()) == len(points["lesion"])
    assert len(right.collections[0].get_offsets()) == 4
    assert left.get_xlim() == left.get_ylim()


def test_bland_altman_draws_bias_and_limits(results):
    visits, lesions = results
    summary = summarise(visits, lesions)
    axis = figures.bland_altman_figure(levels(lesions), summary).axes[0]
    heights = {round(float(np.mean(line.get_ydata())), 9) for line in axis.lines}
    found = summary["lesion"]["bland_altman"]
    assert {round(found[key], 9) for key in ("bias", "lower_limit", "upper_limit")} <= heights


def test_groups_show_every_visit_of_every_tissue(results):
    axis = figures.groups_figure(results[0]).axes[0]
    assert sum(len(points.get_offsets()) for points in axis.collections) == 4 * 3 * 3


def test_the_white_matter_of_controls_is_not_called_normal_appearing():
    names = [f"{kind}_{tissue}" for kind in ("measured", "synthetic", "clean") for tissue in ("lesion", "nawm", "grey")]
    visits = [{"group": group, **dict.fromkeys(names, 1.1)} for group in ("patient", "control")]
    labels = [label.get_text() for label in figures.groups_figure(visits).axes[0].get_xticklabels()]
    assert "NAWM\npatients" in labels
    assert "white matter\ncontrols" in labels
    assert "NAWM\ncontrols" not in labels


def test_nothing_can_be_drawn_too():
    nothing = summarise([], [])
    for figure in (
        figures.agreement_figure(levels([]), nothing),
        figures.bland_altman_figure(levels([]), nothing),
        figures.groups_figure([]),
        figures.models_figure({"none": nothing}),
    ):
        assert len(png_bytes(figure)) > 1000


@pytest.mark.parametrize(
    ("p", "words"),
    [
        (None, "p not estimable"),
        (0.0, "p < 0.00001"),
        (0.0004, "p = 0.0004"),
        (0.0123, "p = 0.012"),
        (0.5, "p = 0.500"),
    ],
)
def test_p_values_are_printed_as_papers_do(p, words):
    assert figures.p_value(p) == words


def test_numbers_have_a_true_minus_and_an_interval_where_there_is_one():
    assert figures.with_interval(-0.5, -0.75, 0.25) == "\u22120.50 [\u22120.75, 0.25]"
    assert figures.with_interval(0.5, None, None) == "0.50"
    assert figures.with_interval(None, None, None) == "not estimable"


def test_a_kept_slice_comes_back_as_it_was_and_a_damaged_one_is_named(make_case, tmp_path: Path) -> None:
    case = make_case()
    found = {"found": case.volumes["lesions"]}
    kept = slice_figures.axial_slices(case, None, "P1, fold 2", more=found)
    slice_figures.save_slices(tmp_path / "example.safetensors", kept)
    back = slice_figures.load_slices(tmp_path / "example.safetensors")
    assert (back.title, back.inputs, back.target, back.z_mm) == (kept.title, kept.inputs, kept.target, kept.z_mm)
    assert sorted(back.images) == ["dvr", "flair", "found", "t1w"]
    np.testing.assert_array_equal(back.images["found"] > 0, back.outline)
    np.testing.assert_allclose(back.images["dvr"], kept.images["dvr"], rtol=1e-6)
    (tmp_path / "example.safetensors").write_bytes(b"half")
    with pytest.raises(BadInput, match=r"example\.safetensors"):
        slice_figures.load_slices(tmp_path / "example.safetensors")


def test_recipes_are_drawn_side_by_side_and_one_without_an_image_has_no_column(make_case) -> None:
    case = make_case()
    made = slice_figures.axial_slices(case, 0.9 * case.volumes["dvr"], "P1")
    none = slice_figures.axial_slices(case, None, "P1")
    figure = slice_figures.comparison_figure({"system": [made, made], "unimodal": [none, none], "linear": [made, made]})
    titles = [axis.get_title() for axis in figure.axes[:5]]
    assert titles == ["T1w", "FLAIR", "measured DVR", "system", "linear"]
    assert len(figure.axes) == 2 * 2 * 5
