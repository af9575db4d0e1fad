"""Synthetic and target beside input and target, as in figure 5 of Genc et al. 2022."""

from __future__ import annotations

from TrainingCore.evaluation.compared import ComparedModels
from TrainingCore.evaluation.tasks import TRANSLATION
from TrainingCore.reporting.document import Report
from TrainingCore.reporting.translation_figures import models_of, similarity_figure, translation_section

BEFORE = {"untouched": "t2w", "untouched_ssim_brain": 0.3, "untouched_ssim_lesion": 0.2}
VISITS = {
    "pix2pix": [
        {**BEFORE, "ssim_brain": 0.5, "ssim_lesion": 0.1},
        {**BEFORE, "ssim_brain": 0.6, "ssim_lesion": 0.4},
        {**BEFORE, "ssim_brain": 0.2, "ssim_lesion": None},
    ],
    "T2w as it is": [{**BEFORE, "ssim_brain": 0.3, "ssim_lesion": 0.2}] * 3,
}


def test_the_input_itself_is_no_model() -> None:
    assert list(models_of(VISITS)) == ["pix2pix"]


def test_every_visit_is_a_point_and_one_without_a_lesion_has_none() -> None:
    brain, lesion = similarity_figure(models_of(VISITS)).axes
    assert brain.collections[0].get_offsets().tolist() == [[0.3, 0.5], [0.3, 0.6], [0.3, 0.2]]
    assert lesion.collections[0].get_offsets().tolist() == [[0.2, 0.1], [0.2, 0.4]]


def test_the_report_counts_visits_that_came_closer_to_the_target() -> None:
    report = Report("Cross-validation")
    rows = {name: {"visits": visits, "lesions": []} for name, visits in VISITS.items()}
    translation_section(report, ComparedModels(TRANSLATION, "flair", rows, {}, {}))
    page = report.html()
    assert "2 of 3" in page
    assert "1 of 2" in page
    assert "than the T2w it was made from" in page
