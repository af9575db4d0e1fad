"""One visit as numbers, many visits as a paper's table, and the odd cohorts that must not crash."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from TrainingCore.data.cohort import Cohort
from TrainingCore.evaluation.cases import evaluate_case
from TrainingCore.evaluation.compared import compare_models
from TrainingCore.evaluation.plausibility import beside
from TrainingCore.evaluation.summary import (
    column,
    group_means,
    lesion_differences,
    levels,
    mean_and_sd,
    pooled_level,
    summarise,
)
from TrainingCore.evaluation.task import ModelImages
from TrainingCore.evaluation.tasks import DVR
from TrainingCore.experiments.evaluation import warnings_of
from TrainingCore.reporting.lesion_tables import myelin_sentence
from TrainingCore.reporting.plausibility_tables import compared_plausibility_rows
from TrainingCore.runtime.errors import MyelinSynthError


@pytest.fixture(scope="module")
def cohort(make_case):
    """Ten patients with two visits, two controls; a good and a poor prediction of each."""
    generator = np.random.default_rng(0)
    cases = [make_case(f"A{n:02d}", str(v), seed=n) for n in range(10) for v in (1, 2)]
    cases += [make_case(f"C{n:02d}", "1", lesions=0, group="control") for n in range(2)]
    results = {"good": ([], []), "poor": ([], [])}
    for case in cases:
        clean = case.volumes["dvr_clean"]
        flat = np.where(case.volumes["white_matter"], 1.15, clean) + 0.02 * generator.standard_normal(clean.shape)
        for name, prediction in {"good": clean, "poor": flat}.items():
            visit, rows = evaluate_case(case, ModelImages({"synthetic": prediction}))
            results[name][0].append(visit)
            results[name][1].extend(rows)
    return results


def test_a_visit_has_image_measures_lesions_and_tissue_means(make_case):
    case = make_case()
    dvr, lesion, white = (case.volumes[name] for name in ("dvr", "lesions", "white_matter"))
    visit, rows = evaluate_case(case, ModelImages({"synthetic": dvr + np.float32(0.1)}))
    assert visit["mae_brain"] == pytest.approx(0.1, abs=1e-5)
    assert visit["mae_lesions"] == pytest.approx(0.1, abs=1e-5)
    assert visit["measured_lesion"] == pytest.approx(dvr[lesion].mean(), abs=1e-5)
    assert visit["synthetic_nawm"] == pytest.approx(dvr[white & ~lesion].mean() + 0.1, abs=1e-5)
    assert visit["clean_grey"] == pytest.approx(1.0, abs=0.02)
    assert visit["lesions"] == len(rows) > 0
    assert visit["lesion_volume_mm3"] == pytest.approx(lesion.sum() * 27)
    assert rows[0]["mean_dvr"] == pytest.approx(rows[0]["measured_mean_dvr"] + 0.1, abs=1e-5)
    assert abs(rows[0]["clean_mean_dvr"] - rows[0]["measured_mean_dvr"]) < 0.1


def test_without_tissue_masks_nothing_is_said_about_geometry(make_case):
    """All brain would count as fluid: a map that knows geometry alone would seem to know more."""
    rows = []
    for number in range(12):
        case = make_case(f"A{number:02d}", seed=number)
        del case.volumes["grey_matter"]
        visit, own = evaluate_case(case, ModelImages({"synthetic": case.volumes["dvr_clean"]}))
        rows += own
    assert rows[0]["geometry_log_volume"] is None
    geometry = summarise([visit], rows)["geometry"]
    assert (geometry["partial"]["r"], geometry["beats"]) == (None, None)
    (note,) = warnings_of([], DVR, Cohort([]), 0, {"model": {"visits": [visit], "lesions": rows}})
    assert note.startswith("12 people have no masks of white and grey matter")


def test_published_findings_are_looked_for_in_synthetic_and_measured_maps(cohort):
    """The poor map has the same DVR in all white matter, lesions included; the good one is the noise-free truth."""
    found = {name: {row["check"]: row for row in summarise(*rows)["plausibility"]} for name, rows in cohort.items()}
    below = "lesions below the white matter around them"
    good, poor = found["good"][below], found["poor"][below]
    assert good["synthetic"] == good["clean"]
    assert good["synthetic"]["holds"] == good["synthetic"]["maps"] > 0
    assert poor["synthetic"]["holds"] < poor["synthetic"]["maps"]
    assert poor["measured"] == good["measured"]
    rows = compared_plausibility_rows(summarise(*cohort["good"])["plausibility"])
    assert rows[0]["synthetic maps"].endswith(f"in {len(cohort['good'][0])} of {len(cohort['good'][0])}")
    assert compared_plausibility_rows(beside([], ("synthetic", "measured", "clean"))) == []


def test_the_smallest_lesion_is_one_for_all_measures(cohort):
    rows = {name: {"visits": own[0], "lesions": own[1]} for name, own in cohort.items()}
    compared = compare_models(DVR, "dvr", rows, seed=3, minimum_mm3=200.0)
    for name, summary in compared.summaries.items():
        assert summary["pooled"]["lesion level r"]["r"] == summary["lesion"]["r"], name
        assert summary["lesion"]["n"] < len([row for row in rows[name]["lesions"] if row["volume_mm3"] >= 50])
    assert compared.gaps["poor"]["lesion level r"] == compared.gaps["poor"]["lesion"]


def test_what_lies_outside_the_brain_does_not_count(make_case):
    case = make_case()
    prediction = case.volumes["dvr_clean"].copy()
    spoilt = np.where(case.volumes["brain"], prediction, 50)
    assert evaluate_case(case, ModelImages({"synthetic": prediction})) == evaluate_case(
        case, ModelImages({"synthetic": spoilt})
    )


def test_voxels_that_were_not_measured_are_left_out(make_case):
    case = make_case()
    case.volumes["dvr"] = case.volumes["dvr"].copy()
    case.volumes["dvr"][:, :, :22] = np.nan
    visit, _ = evaluate_case(case, ModelImages({"synthetic": np.nan_to_num(case.volumes["dvr"])}))
    assert visit["mae_brain"] == 0


def test_a_prediction_of_nan_is_an_error_and_not_a_gap(make_case):
    case = make_case()
    with pytest.raises(MyelinSynthError, match="sub-A01_ses-1"):
        evaluate_case(case, ModelImages({"synthetic": np.full(case.shape, np.nan)}))


def test_a_visit_without_lesions_or_tissues_has_what_it_has(make_case):
    case = make_case(lesions=0)
    for name in ("grey_matter", "dvr_clean", "lesions"):
        del case.volumes[name]
    visit, rows = evaluate_case(case, ModelImages({"synthetic": case.volumes["dvr"]}))
    assert rows == []
    assert visit["lesions"] == 0
    assert visit["measured_nawm"] == pytest.approx(1.22, abs=0.02)
    for name in ("mae_lesions", "ssim_lesions", "measured_lesion", "measured_grey", "clean_nawm"):
        assert visit[name] is None


def test_the_noise_free_truth_reaches_the_ceiling_and_a_flat_map_does_not(cohort):
    good, poor = (summarise(*cohort[name]) for name in ("good", "poor"))
    for level in ("lesion", "visit", "patient"):
        assert good[level]["share_of_ceiling"] == pytest.approx(1)
        assert 0.5 < good[level]["r_ceiling"] < 1
        assert poor[level]["r"] < good[level]["r"]
    assert good["patient"]["n"] == 10
    assert good["visit"]["n"] == 20
    assert good["people"] == 12
    assert good["visits"] == 22
    assert good["images"]["mae_brain"]["mean"] < poor["images"]["mae_brain"]["mean"]
    assert good["images"]["mae_lesions"]["n"] == 20


def test_a_map_that_knows_less_than_geometry_says_so(cohort):
    from TrainingCore.reporting.lesion_tables import geometry_sentence, knowledge_rows

    summaries = {name: summarise(*rows) for name, rows in cohort.items()}
    assert summaries["good"]["geometry"]["beats"] is True
    assert summaries["good"]["geometry"]["partial"]["r_low"] > 0.9
    assert summaries["poor"]["geometry"]["beats"] is False
    assert geometry_sentence("good", summaries["good"]) == ""
    assert geometry_sentence("poor", summaries["poor"]).startswith("poor does not beat geometry alone")
    assert [row["beats geometry"] for row in knowledge_rows(summaries)] == ["yes", "NO", "–"]
    visits, lesions = (([row for row in rows if row["person"] < "A04"]) for rows in cohort["poor"])
    few = summarise(visits, lesions)
    assert few["geometry"]["beats"] is None
    assert geometry_sentence("few", few).startswith("few is not shown to beat geometry alone")
    assert knowledge_rows({"few": few})[0]["beats geometry"] == "not shown"
    gaps = lesion_differences(cohort["poor"][1], cohort["good"][1])
    assert gaps["partial"]["low"] > 0
    assert gaps["mae"]["high"] < 0
    assert gaps["myelin"]["difference"] is None


def test_small_lesions_stay_out_of_every_level(cohort):
    lesions = cohort["good"][1]
    few = summarise(*cohort["good"], minimum_mm3=400)
    expected = sum(row["volume_mm3"] >= 400 for row in lesions)
    assert 0 < few["lesion"]["n"] == few["lesions_in_correlation"] == expected < len(lesions)
    kept = [row for row in lesions if row["volume_mm3"] >= 400]
    assert few["patient"] == summarise(cohort["good"][0], kept, minimum_mm3=0)["patient"]
    assert few["patient"]["r"] != summarise(*cohort["good"])["patient"]["r"]


def test_patients_are_averaged_by_volume():
    rows = [
        {
            "person": "A",
            "visit": v,
            "id": 1,
            "volume_mm3": m,
            "mean_dvr": d,
            "measured_mean_dvr": d,
            "clean_mean_dvr": None,
        }
        for v, m, d in (("1", 10.0, 1.0), ("1", 30.0, 0.8), ("2", 60.0, 1.2))
    ]
    (patient,) = pooled_level(rows, ("person",))
    assert patient["measured"] == pytest.approx(1.06)
    assert patient["clean"] is None
    first, second = pooled_level(rows, ("person", "visit"))
    assert first["synthetic"] == pytest.approx(0.85)
    assert second["volume_mm3"] == 60


def test_differences_are_paired_and_refuse_other_lesions(cohort):
    good, poor = cohort["good"][1], cohort["poor"][1]
    found = lesion_differences(good, poor)
    assert found["lesion"]["difference"] < 0
    assert found["lesion"]["high"] < 0
    assert found["patient"]["n"] == 10
    with pytest.raises(ValueError, match="same lesions"):
        lesion_differences(good, poor[:-1])


def test_groups_are_told_apart(cohort):
    rows = {(row["group"], row["tissue"]): row for row in group_means(cohort["good"][0])}
    assert ("control", "lesion") not in rows
    assert rows["patient", "lesion"]["measured_mean"] < rows["patient", "nawm"]["measured_mean"]
    assert rows["control", "nawm"]["n"] == 2
    assert rows["patient", "grey"]["synthetic_sd"] > 0


@pytest.mark.parametrize(("people", "lesions"), [(0, 0), (1, 0), (1, 1), (1, 6), (2, 2), (3, 0)])
def test_cohorts_too_small_to_say_anything_say_nothing(make_case, people, lesions):
    visits, rows = [], []
    for number in range(people):
        case = make_case(f"A{number}", lesions=lesions)
        visit, found = evaluate_case(case, ModelImages({"synthetic": case.volumes["dvr_clean"]}))
        visits.append(visit)
        rows += found
    summary = summarise(visits, rows)
    json.dumps(summary, allow_nan=False)
    assert summary["patient"]["r"] is None
    assert summary["patient"]["bland_altman"]["slope"] is None
    assert lesion_differences(rows, rows)["patient"]["difference"] is None
    assert (summary["lesion"]["r"] is None) == (summary["lesion"]["n"] < 3)
    assert summary["lesion"]["r_low"] is None


def test_the_share_of_the_information_ceiling_is_that_of_the_same_lesions():
    from TrainingCore.reporting.lesion_tables import share_rows

    myelin = {"synthetic": {"r": 0.6, "n": 120}, "corrected": {"r": None}}
    summaries = {"m": {"lesions_in_correlation": 120, "lesion": {"r": 0.72}, "myelin": {"lesion": myelin}}}
    best = {
        target: {"mri": {"lesion_r": r}, "information": {"lesion_r": r + 0.1}}
        for target, r in (("measured", 0.8), ("myelin_loss", 0.75), ("loss_through_dvr", 0.5))
    }
    (row,) = share_rows(summaries, {"lesions": 122, "best": best})
    assert row["r, measured DVR"] == "90% (0.72 of 0.80), 80%"
    assert row["r, true myelin"] == "120% (0.60 of 0.50), 100%"
    assert row["r, true myelin, fitted to it"] == "80% (0.60 of 0.75), 71%"
    assert row["corrected for blur, fitted to it"] == "–"
    assert share_rows(summaries, {"lesions": 135, "best": best}) == []
    (few,) = share_rows(summaries, {"lesions": 122, "people": 24, "best": best, "rows": [{}]})
    assert few["r, measured DVR"] == "at most 90% (0.72 of 0.80), 80%"
    assert few["corrected for blur, fitted to it"] == "–"
    myelin["synthetic"]["n"] = 90  # of three quarters of the lesions only
    (row,) = share_rows(summaries, {"lesions": 122, "best": best})
    assert row["r, measured DVR"].startswith("90%")
    assert row["r, true myelin"] == "–"


def test_methods_are_compared_on_the_lesions_that_all_of_them_know(cohort):
    visits, lesions = cohort["good"]
    rows = [
        row
        | {"corrected_ratio": 0.9}
        | {"t1w_contrast": None if index % 3 == 0 else -0.1 * index, "myelin_loss": index / len(lesions)}
        for index, row in enumerate(lesions)
    ]
    summary = summarise(visits, rows, minimum_mm3=0.0)
    known = summary["myelin"]["lesion"]
    count = len([row for row in rows if row["t1w_contrast"] is not None])
    assert {known[kind]["n"] for kind in ("synthetic", "corrected", "measured", "t1w")} == {count}
    assert known["estimated"]["r"] is None
    assert f"{count} of {len(rows)} lesions" in myelin_sentence("good", summary)
    assert myelin_sentence("good", summarise(visits, lesions, minimum_mm3=0.0)) == ""


def test_without_the_truth_there_is_no_ceiling(cohort):
    rows = [row | {"clean_mean_dvr": None} for row in cohort["good"][1]]
    summary = summarise(cohort["good"][0], rows)
    assert summary["lesion"]["r"] is not None
    assert summary["lesion"]["r_ceiling"] is None
    assert np.isnan(column(levels(rows)["patient"], "clean")).all()


def test_truth_of_some_people_alone_gives_no_ceiling_and_changes_nothing_else(cohort):
    from TrainingCore.reporting.lesion_tables import correlation_rows

    visits, lesions = cohort["good"]
    some = [row | ({"clean_mean_dvr": None} if row["person"] < "A03" else {}) for row in lesions]
    whole, partly = summarise(visits, lesions), summarise(visits, some)
    for level in ("lesion", "visit", "patient"):
        assert partly[level]["r_ceiling"] is partly[level]["share_of_ceiling"] is None
        for name in ("r", "p", "n", "r_low", "r_high"):
            assert partly[level][name] == whole[level][name]
    assert (whole["patient"]["without_truth"], partly["patient"]["without_truth"]) == (0, 3)
    (row,) = correlation_rows({"good": partly})
    assert row["patient noise ceiling"] == "unknown for 3 of 10"
    second = [row | ({"clean_mean_dvr": None} if row["visit"] == "2" else {}) for row in lesions]
    assert summarise(visits, second)["patient"]["r_ceiling"] is None  # of the first visits' lesions it is another's


def test_means_of_people_are_of_the_same_lesions():
    def lesion(measured: float | None, synthetic: float | None, clean: float | None = 1.0) -> dict[str, Any]:
        dvr = {"measured_mean_dvr": measured, "mean_dvr": synthetic, "clean_mean_dvr": clean}
        return {"person": "A", "visit": "1", "id": 1, "volume_mm3": 60.0} | dvr

    (point,) = pooled_level([lesion(1.2, 1.1), lesion(None, 0.5), lesion(0.8, None)], ("person",))
    assert (point["measured"], point["synthetic"], point["clean"]) == (1.2, 1.1, 1.0)
    (point,) = pooled_level([lesion(1.2, 1.1), lesion(1.0, 0.9, None)], ("person",))
    assert (point["measured"], point["synthetic"], point["clean"]) == (pytest.approx(1.1), pytest.approx(1.0), None)


def test_mean_and_sd_leave_out_what_is_not_defined():
    assert mean_and_sd(np.array([1.0, np.nan, 3.0])) == {"mean": 2.0, "sd": pytest.approx(2**0.5), "n": 2}
    assert mean_and_sd(np.array([4.0])) == {"mean": 4.0, "sd": None, "n": 1}
    assert mean_and_sd(np.array([])) == {"mean": None, "sd": None, "n": 0}
