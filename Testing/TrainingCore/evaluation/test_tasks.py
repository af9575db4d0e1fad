"""Every recipe is measured by its own paper's measures; perfect and useless systems get the numbers they must get."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from TrainingCore.data.case import Case
from TrainingCore.data.recipe import available, load_recipe
from TrainingCore.evaluation.compared import compare_models
from TrainingCore.evaluation.demyelination import group_comparison
from TrainingCore.evaluation.paired import paired_differences, summarise_measures
from TrainingCore.evaluation.task import ModelImages
from TrainingCore.evaluation.tasks import DEMYELINATION, DETECTION, DVR, ENHANCEMENT, TRANSLATION, WMH, task_of
from TrainingCore.reporting.document import Report
from TrainingCore.reporting.evaluation_report import add_results
from TrainingCore.reporting.result_tables import comparison_rows, measure_row

SHAPE = (12, 14, 10)


def outputs(truth: np.ndarray, error: float = 0.0, probability: np.ndarray | None = None) -> ModelImages:
    """What a model makes that knows the truth but for an error everywhere."""
    images = {"synthetic": truth + np.float32(error)}
    return ModelImages(images if probability is None else images | {"hyperintensities": probability})


def case(group: str = "patient", **more: np.ndarray) -> Case:
    rng = np.random.default_rng(0)
    brain = np.zeros(SHAPE, bool)
    brain[1:-1, 1:-1, 1:-1] = True
    lesions = np.zeros(SHAPE, bool)
    if group == "patient":
        lesions[3:6, 3:6, 3:6] = True
    volumes = {"brain": brain, "lesions": lesions, "white_matter": brain.copy(), "grey_matter": ~brain}
    for name in ("t1w", "flair", "t2w", "t1ce", "t1ce_low", "adc", "mtr", "fa", "rd", "ad"):
        volumes[name] = (rng.random(SHAPE) * brain).astype(np.float32)
    dvr = np.where(brain, 1.2 + 0.02 * rng.standard_normal(SHAPE), 0)
    volumes["dvr"] = np.where(lesions, 0.9, dvr).astype(np.float32)
    return Case("P1", "1", volumes | more, np.eye(4), {"group": group})


def test_every_recipe_has_the_task_of_its_paper() -> None:
    expected = {"curricular": DVR, "sketcher": DEMYELINATION, "two_layer": DEMYELINATION, "joint": WMH,
                "mask_weighted": TRANSLATION, "contrast": ENHANCEMENT, "lesion_finder": DETECTION}  # fmt: skip
    for name in available():
        wanted = next((task for start, task in expected.items() if name.startswith(start)), DVR)
        assert task_of(load_recipe(name)) is wanted, name


def test_demyelination_is_judged_by_the_controls_threshold() -> None:
    recipe = load_recipe("sketcher_refiner")
    patient, control = case(), case("control")
    threshold = DEMYELINATION.prepare([patient, control])
    assert 1.1 < threshold < 1.2
    assert DEMYELINATION.prepare([patient]) is None
    row, lesions = DEMYELINATION.measure(patient, outputs(patient.volumes["dvr"]), recipe["data"], threshold)
    assert row["dice"] == 1
    assert row["measured_percent"] == 100
    assert len(lesions) == 1
    row, _ = DEMYELINATION.measure(patient, outputs(patient.volumes["dvr"], 0.5), recipe["data"], threshold)
    assert row["synthetic_percent"] == 0
    row, _ = DEMYELINATION.measure(patient, outputs(patient.volumes["dvr"]), recipe["data"], None)
    assert "dice" not in row


def test_nawm_and_the_white_matter_of_controls_are_one_region() -> None:
    """With the same DVR under blur they must not differ, up to the border or not."""
    recipe, size = load_recipe("sketcher_refiner"), (24, 24, 24)
    white, brain = np.zeros(size, bool), np.ones(size, bool)
    white[4:20, 4:20, 4:20] = True
    lesions = np.zeros(size, bool)
    lesions[9:14, 9:14, 9:14] = True
    blurred = ndimage.gaussian_filter(np.where(white, 1.2, 0.9), 1.5).astype(np.float32)
    rows = []
    for group in ("control", "patient"):
        for person in range(5):
            dvr = blurred + np.float32(0.004 * person)
            masks = {"brain": brain, "white_matter": white, "grey_matter": ~white}
            masks["lesions"] = lesions & (group == "patient")
            one = Case(f"{group}{person}", "1", masks | {"dvr": dvr}, np.eye(4), {"group": group})
            rows.append(DEMYELINATION.measure(one, outputs(dvr), recipe["data"], None)[0])
    found = group_comparison(rows)["measured"]
    assert found["wm_control_n"] == found["wm_patient_n"] == 5
    assert found["wm_patient_mean"] == pytest.approx(found["wm_control_mean"], abs=0.005)
    assert found["p_nawm_against_control"] > 0.5
    assert rows[0]["measured_nawm"] == pytest.approx(rows[0]["measured_wm_control"])  # by tissue, of controls too


def test_hyperintensities_and_the_flair_are_measured_where_a_system_makes_them() -> None:
    recipe, one = load_recipe("joint_flair_wmh"), case()
    probability = one.volumes["lesions"].astype(np.float32)
    row, _ = WMH.measure(one, outputs(one.volumes["flair"], 0.25, probability), recipe["data"], None)
    assert (row["dsc"], row["fpr"], row["fnr"]) == (100, 0, 0)
    assert row["mae"] == pytest.approx(0.25)
    linear, _ = WMH.measure(one, outputs(one.volumes["flair"]), recipe["data"], None)
    assert "dsc" not in linear
    only = ModelImages({"hyperintensities": probability})
    assert "mae" not in WMH.measure(one, only, recipe["data"], None)[0]


def test_translation_and_enhancement_know_a_perfect_image() -> None:
    one = case()
    row, _ = TRANSLATION.measure(one, outputs(one.volumes["flair"]), load_recipe("mask_weighted_pix2pix")["data"], None)
    assert row["ssim_brain"] == pytest.approx(1)
    assert row["untouched"] == "t2w"
    given = outputs(one.volumes["t2w"])
    as_it_is, _ = TRANSLATION.measure(one, given, load_recipe("mask_weighted_pix2pix")["data"], None)
    assert row["untouched_ssim_brain"] == as_it_is["ssim_brain"] < 0.9
    assert all(f"untouched_{measure.key}" in row for measure in TRANSLATION.measures)
    row, _ = ENHANCEMENT.measure(
        one, outputs(one.volumes["t1ce"], 0.1), load_recipe("contrast_enhancement")["data"], None
    )
    share = one.volumes["brain"].mean()
    assert row["l2"] == pytest.approx(0.01 * share, rel=1e-3)
    assert row["tumour_l2"] == pytest.approx(0.01, rel=1e-3)


def test_enhancement_is_measured_over_what_enhances_and_beside_the_low_dose_as_it_is() -> None:
    recipe, one = load_recipe("contrast_enhancement"), case()
    rim = np.zeros(SHAPE, bool)
    rim[3:5, 3:5, 3:5] = True
    off = outputs(one.volumes["t1ce"] + 0.2 * rim)
    whole, _ = ENHANCEMENT.measure(one, off, recipe["data"], None)
    assert whole["tumour_l2"] == pytest.approx(0.04 * 8 / 27, rel=1e-3)
    row, _ = ENHANCEMENT.measure(case(enhancing=rim), off, recipe["data"], None)
    assert (row["tumour_mask"], whole["tumour_mask"]) == ("enhancing", "lesions")
    assert row["tumour_l2"] == pytest.approx(0.04, rel=1e-3)
    low = ((one.volumes["t1ce_low"] - one.volumes["t1ce"]) ** 2).mean()
    assert (row["untouched"], row["untouched_l2"]) == ("t1ce_low", pytest.approx(low))
    row, _ = ENHANCEMENT.measure(
        one, off, load_recipe("contrast_enhancement", ["data.inputs=[flair, adc]"])["data"], None
    )
    assert "untouched" not in row


def test_a_measure_that_only_describes_has_no_arrow_and_no_winner() -> None:
    rows = {name: {"visits": [{"person": "A", "dice": dice, "measured_percent": 50.0, "synthetic_percent": share}],
                   "lesions": []} for name, dice, share in (("one", 0.6, 40.0), ("two", 0.7, 60.0))}  # fmt: skip
    summary = {"recipes": {name: summarise_measures(DEMYELINATION, found) for name, found in rows.items()}}
    gaps = paired_differences(DEMYELINATION, rows["one"], rows["two"])
    titles = [measure_row(measure, summary["recipes"])["measure"] for measure in DEMYELINATION.measures]
    assert "demyelinated, synthetic (% of lesions)" in titles
    assert "Dice of the demyelination maps\N{NO-BREAK SPACE}↑" in titles
    (told,) = comparison_rows(DEMYELINATION, gaps, "one", "two")
    assert (told["measure"], told["difference"]) == ("Dice of the demyelination maps", "+0.100")
    assert told["better"] == "too few people to test"


def test_correlations_have_a_row_for_every_model_and_for_what_the_paper_reports(make_case) -> None:
    visit, lesions = DVR.measure(*(lambda one: (one, outputs(one.volumes["dvr_clean"])))(make_case()), {}, None)
    rows = {name: {"visits": [visit], "lesions": lesions} for name in ("curricular", "linear")}
    report = Report("Evaluation")
    add_results(report, compare_models(DVR, "dvr", rows))
    page = report.html()
    for words in (">paper: curricular<", "paper: anticurricular", ">0.70<", ">0.74<", ">0.62<"):
        assert words in page
