"""Recipes beside each other: differences, how sure they are, and who is said to be ahead."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import wilcoxon

from TrainingCore.data.recipe import load_recipe
from TrainingCore.evaluation.paired import paired_differences, paired_gap, summarise_measures
from TrainingCore.evaluation.task import Measure, Task
from TrainingCore.evaluation.tasks import DEMYELINATION, DVR, ENHANCEMENT, TRANSLATION, WMH
from TrainingCore.reporting.document import Report
from TrainingCore.reporting.methods import changed_settings
from TrainingCore.reporting.result_tables import add_measures, comparison_rows, difference_text, gap_text, printed
from TrainingCore.systems.registry import reported_for

ERROR = Measure("mae", "MAE", "lower", form="{:.3f}")


def visits(values: np.ndarray, key: str = "mae") -> list[dict[str, object]]:
    return [{"person": f"P{index:02d}", "visit": "1", key: value} for index, value in enumerate(values)]


def lesions(synthetic: np.ndarray, measured: np.ndarray) -> list[dict[str, object]]:
    return [
        {"person": f"P{index // 4}", "visit": "1", "id": index % 4, "volume_mm3": 100.0, "measured_mean_dvr": true,
         "mean_dvr": made, "clean_mean_dvr": None}
        for index, (made, true) in enumerate(zip(synthetic, measured))
    ]  # fmt: skip


def test_people_with_the_lesions_of_one_real_mask_count_as_one() -> None:
    first = np.random.default_rng(0).normal(0.1, 0.01, 12)
    alone, other = visits(first), visits(first + np.arange(12) % 2 * 0.01 + 0.001)
    shared = [row | {"lesion_shapes_of": str(index % 2)} for index, row in enumerate(alone)]
    assert paired_gap(alone, other, ERROR)["p"] < 0.01
    found = paired_gap(shared, other, ERROR)
    assert (found["p"], found["low"]) == (None, None)  # two masks are no evidence


def test_a_paired_difference_has_the_mean_of_the_gaps_an_interval_around_it_and_wilcoxons_p() -> None:
    rng = np.random.default_rng(3)
    first = rng.normal(0.10, 0.02, 20)
    other = first + rng.normal(0.01, 0.005, 20)
    found = paired_gap(visits(first), visits(other), ERROR)
    gaps = other - first
    assert found["difference"] == pytest.approx(gaps.mean())
    assert found["p"] == pytest.approx(wilcoxon(gaps).pvalue)
    half = 1.96 * gaps.std(ddof=1) / np.sqrt(20)  # what the bootstrap of a mean comes close to
    assert found["low"] == pytest.approx(gaps.mean() - half, abs=0.3 * half)
    assert found["high"] == pytest.approx(gaps.mean() + half, abs=0.3 * half)


def test_only_a_difference_that_can_be_told_from_chance_names_a_winner() -> None:
    rng = np.random.default_rng(4)
    first = rng.normal(0.1, 0.02, 12)
    gaps = {
        "worse": paired_differences(WMH, *({"visits": visits(one), "lesions": []} for one in (first, first + 0.01))),
        "noise": paired_differences(
            WMH, *({"visits": visits(one), "lesions": []} for one in (first, first + rng.normal(0, 0.02, 12)))
        ),
        "same": paired_differences(WMH, *({"visits": visits(one), "lesions": []} for one in (first, first))),
        "few": paired_differences(WMH, *({"visits": visits(one[:5]), "lesions": []} for one in (first, first + 0.01))),
    }
    told = {name: comparison_rows(WMH, found, "one", "two")[0] for name, found in gaps.items()}
    assert [told[name]["better"] for name in gaps] == [
        "one",
        "no detectable difference",
        "no difference",
        "too few people to test",
    ]
    assert (told["worse"]["difference"], told["worse"]["n"]) == ("+0.010 [+0.010, +0.010]", 12)
    assert (told["worse"]["p"], told["same"]["p"], told["few"]["p"]) == ("0.00049", None, None)


def test_correlations_are_compared_on_the_same_lesions_and_not_on_different_ones() -> None:
    rng = np.random.default_rng(5)
    measured = rng.normal(1.1, 0.1, 40)
    good, bad = measured + rng.normal(0, 0.02, 40), measured + rng.normal(0, 0.4, 40)
    rows = [{"visits": [], "lesions": lesions(one, measured)} for one in (bad, good)]
    gap = paired_differences(DVR, *rows)["lesion level r"]
    expected = np.corrcoef(measured, good)[0, 1] - np.corrcoef(measured, bad)[0, 1]
    assert gap["difference"] == pytest.approx(expected)
    (told,) = (
        row
        for row in comparison_rows(DVR, paired_differences(DVR, *rows), "bad", "good")
        if row["measure"][:6] == "lesion"
    )
    assert told["better"] == "good"
    rows[1]["lesions"] = rows[1]["lesions"][:-1]  # another grid loses a lesion
    assert "lesion level r" not in paired_differences(DVR, *rows)


def test_a_difference_that_its_format_would_round_away_is_printed_all_the_same() -> None:
    gap = {"difference": 3e-7, "low": 1e-7, "high": 5e-7, "p": 0.002, "n": 10}
    assert difference_text(ERROR, gap) == "+3.0e\N{MINUS SIGN}07 [+1.0e\N{MINUS SIGN}07, +5.0e\N{MINUS SIGN}07]"
    assert gap_text(ERROR, gap) == "3.0e-07 (p = 0.002, n = 10)"
    assert gap_text(ERROR, gap | {"difference": 0.0125}) == "0.013 (p = 0.002, n = 10)"


def test_a_mean_that_rounds_to_zero_has_no_sign() -> None:
    assert printed(ERROR, {"mean": -1e-6, "sd": 0.1}) == "0.000 (0.100)"
    assert printed(ERROR, {"mean": -0.02, "sd": None}) == "\N{MINUS SIGN}0.020"


def test_the_paper_is_quoted_for_what_a_model_makes_alone() -> None:
    ssim, translation = TRANSLATION.measures[0].key, reported_for(TRANSLATION.name)
    assert [translation.of_measure(ssim, target) for target in ("flair", "t1w", "t2w")] == [
        {"with mask loss": "0.78"}, {"with mask loss": "0.89"}, {},
    ]  # fmt: skip
    assert reported_for(ENHANCEMENT.name).of_measure("l2", "t1ce") == {"all four inputs": "31.6"}


def test_settings_name_what_was_changed_and_nothing_else() -> None:
    told = changed_settings(load_recipe("joint_flair_wmh_unimodal", ["iterations=30", "networks.widths=[4, 8]"]))
    assert told["from"] == "joint_flair_wmh"
    assert set(told["other"].split("; ")) == {
        "iterations 30", "mode unimodal", "networks.widths 4, 8", "log.pictures_every 0",
    }  # fmt: skip
    assert changed_settings(load_recipe("sketcher_refiner"))["other"] == "none"
    linear = changed_settings(load_recipe("joint_flair_wmh_linear"))["other"]
    assert "data.target flair" in linear
    assert "networks" not in linear


@pytest.mark.parametrize(
    ("task", "target", "words"),
    [
        (WMH, "flair", ["joint", "DSC (%)", "paper: unimodal", "78.67", "cannot be equal"]),
        (TRANSLATION, "t1w", ["joint", "paper: with mask loss", "0.89", "0.986"]),
        (DEMYELINATION, "dvr", ["joint", "sketcher-refiner 0.83"]),
    ],
)
def test_a_table_of_measures_has_the_recipe_and_the_paper_for_that_target(
    task: Task, target: str, words: list[str]
) -> None:
    rows = {"visits": [{"person": "A", task.measures[0].key: 0.5}], "lesions": []}
    report = Report("Measures")
    add_measures(report, task, {"joint": summarise_measures(task, rows)}, target)
    page = report.html()
    assert [word for word in words if word not in page] == []
    assert ("0.990" in page) == (target == "flair" and task is TRANSLATION)
