"""Every recipe is measured by its own paper's measures; perfect and useless systems get the numbers they must get."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from TrainingCore.data.case import Case
from TrainingCore.data.recipe import available, load_recipe
from TrainingCore.evaluation.tasks import DEMYELINATION, DVR, ENHANCEMENT, TRANSLATION, WMH, task_of
from TrainingCore.experiments.comparison import against, comparison_rows
from TrainingCore.reporting.document import Report
from TrainingCore.reporting.experiment_pages import add_pooled, measure_row, summarise

SHAPE = (12, 14, 10)


class Oracle:
    """Knows the truth of one case; `error` is added everywhere."""

    def __init__(self, truth: np.ndarray, error: float = 0.0, probability: np.ndarray | None = None) -> None:
        self.truth, self.error = truth, error
        if probability is not None:
            self.segment = lambda inputs: torch.from_numpy(probability[None, None])

    def predict(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self.truth[None, None] + np.float32(self.error))


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
                "mask_weighted": TRANSLATION, "contrast": ENHANCEMENT}  # fmt: skip
    for name in available():
        wanted = next((task for start, task in expected.items() if name.startswith(start)), DVR)
        assert task_of(load_recipe(name)) is wanted, name


def test_demyelination_is_judged_by_the_controls_threshold() -> None:
    recipe = load_recipe("sketcher_refiner")
    patient, control = case(), case("control")
    threshold = DEMYELINATION.prepare([patient, control])
    assert 1.1 < threshold < 1.2
    assert DEMYELINATION.prepare([patient]) is None
    row, lesions = DEMYELINATION.measure(Oracle(patient.volumes["dvr"]), patient, recipe, threshold)
    assert row["dice"] == 1
    assert row["measured_percent"] == 100
    assert len(lesions) == 1
    row, _ = DEMYELINATION.measure(Oracle(patient.volumes["dvr"], 0.5), patient, recipe, threshold)
    assert row["synthetic_percent"] == 0
    row, _ = DEMYELINATION.measure(Oracle(patient.volumes["dvr"]), patient, recipe, None)
    assert "dice" not in row


def test_hyperintensities_and_the_flair_are_measured_where_a_system_makes_them() -> None:
    recipe, one = load_recipe("joint_flair_wmh"), case()
    probability = one.volumes["lesions"].astype(np.float32)
    row, _ = WMH.measure(Oracle(one.volumes["flair"], 0.25, probability), one, recipe)
    assert (row["dsc"], row["fpr"], row["fnr"]) == (100, 0, 0)
    assert row["mae"] == pytest.approx(0.25)
    linear, _ = WMH.measure(Oracle(one.volumes["flair"]), one, recipe)
    assert "dsc" not in linear
    only = Oracle(one.volumes["flair"], 0.0, probability)
    only.synthesises = False
    assert "mae" not in WMH.measure(only, one, recipe)[0]


def test_translation_and_enhancement_know_a_perfect_image() -> None:
    one = case()
    row, _ = TRANSLATION.measure(Oracle(one.volumes["flair"]), one, load_recipe("mask_weighted_pix2pix"))
    assert row["ssim_brain"] == pytest.approx(1)
    assert row["untouched"] == "t2w"
    given = Oracle(one.volumes["t2w"])
    as_it_is, _ = TRANSLATION.measure(given, one, load_recipe("mask_weighted_pix2pix"))
    assert row["untouched_ssim_brain"] == as_it_is["ssim_brain"] < 0.9
    assert all(f"untouched_{measure.key}" in row for measure in TRANSLATION.measures)
    row, _ = ENHANCEMENT.measure(Oracle(one.volumes["t1ce"], 0.1), one, load_recipe("contrast_enhancement"))
    share = one.volumes["brain"].mean()
    assert row["l2"] == pytest.approx(0.01 * share, rel=1e-3)
    assert row["tumour_l2"] == pytest.approx(0.01, rel=1e-3)


def test_enhancement_is_measured_over_what_enhances_and_beside_the_low_dose_as_it_is() -> None:
    recipe, one = load_recipe("contrast_enhancement"), case()
    rim = np.zeros(SHAPE, bool)
    rim[3:5, 3:5, 3:5] = True
    off = Oracle(one.volumes["t1ce"] + 0.2 * rim)
    whole, _ = ENHANCEMENT.measure(off, one, recipe)
    assert whole["tumour_l2"] == pytest.approx(0.04 * 8 / 27, rel=1e-3)
    row, _ = ENHANCEMENT.measure(off, case(enhancing=rim), recipe)
    assert (row["tumour_mask"], whole["tumour_mask"]) == ("enhancing", "lesions")
    assert row["tumour_l2"] == pytest.approx(0.04, rel=1e-3)
    low = ((one.volumes["t1ce_low"] - one.volumes["t1ce"]) ** 2).mean()
    assert (row["untouched"], row["untouched_l2"]) == ("t1ce_low", pytest.approx(low))
    row, _ = ENHANCEMENT.measure(off, one, load_recipe("contrast_enhancement", ["data.inputs=[flair, adc]"]))
    assert "untouched" not in row


def test_a_measure_that_only_describes_has_no_arrow_and_no_winner() -> None:
    rows = {name: {"visits": [{"person": "A", "dice": dice, "measured_percent": 50.0, "synthetic_percent": share}],
                   "lesions": []} for name, dice, share in (("one", 0.6, 40.0), ("two", 0.7, 60.0))}  # fmt: skip
    summary = {"recipes": {name: summarise(DEMYELINATION, found) for name, found in rows.items()}}
    gaps = against(DEMYELINATION, rows["one"], rows["two"])
    titles = [measure_row(measure, summary["recipes"])["measure"] for measure in DEMYELINATION.measures]
    assert "demyelinated, synthetic (% of lesions)" in titles
    assert "Dice of the demyelination maps\N{NO-BREAK SPACE}↑" in titles
    (told,) = comparison_rows(DEMYELINATION, gaps, "one", "two")
    assert (told["measure"], told["difference"]) == ("Dice of the demyelination maps", "+0.100")
    assert told["better"] == "too few people to tell"


def test_what_is_pooled_has_a_row_for_every_recipe_and_for_what_the_paper_reports() -> None:
    about = {"person": "A", "visit": "1", "volume_mm3": 60.0}
    lesions = [about | {"id": i, "measured_mean_dvr": 0.9 + 0.1 * i, "mean_dvr": 1.0 + 0.05 * i} for i in range(4)]
    pooled = {name: {"visits": [{"person": "A"}], "lesions": lesions} for name in ("curricular", "linear")}
    report = Report("Cross-validation")
    add_pooled(report, DVR, {"recipes": {name: summarise(DVR, rows) for name, rows in pooled.items()}}, pooled)
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", report.html())
    assert cells[0::3] == ["curricular", "linear", "paper: curricular", "paper: anticurricular"]
    assert cells[1].startswith("1.00")
    assert cells[7:9] == ["0.70", "0.74"]
