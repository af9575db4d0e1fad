"""The group statistics find a planted association, report no other, and respect the person as the unit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from TrainingCore.runtime.errors import BadInput
from TrainingCore.study.associations import (
    associate,
    compare_groups,
    design,
    hedges_g,
    is_numeric,
    partial_spearman,
    people_of_several_levels,
    with_false_discovery,
)

SLOPE = -0.6


def cohort(people: int = 60, visits: int = 2, seed: int = 0) -> list[dict[str, Any]]:
    """lesion_dvr falls with edss, planted between people and adjusted for age; noise has nothing to do with it."""
    rng = np.random.default_rng(seed)
    rows = []
    for person in range(people):
        age, edss, luck = rng.normal(45, 10), rng.normal(), rng.normal()
        own = SLOPE * edss + 0.4 * (age - 45) / 10 + 0.5 * rng.normal()
        for visit in range(visits):
            rows.append(
                {
                    "participant_id": f"sub-{person:02d}",
                    "session_id": f"ses-{visit}",
                    "lesion_dvr": 1.0 + 0.05 * (own + 0.2 * rng.normal()),
                    "edss": f"{edss:.4f}",
                    "luck": f"{luck:.4f}",
                    "age": f"{age:.2f}",
                    "sex": "F" if person % 3 else "M",
                }
            )
    return rows


def test_the_planted_association_is_found_with_its_size_and_the_other_is_not() -> None:
    rows = cohort()
    planted, other = (associate(rows, "lesion_dvr", name, ["age", "sex"]) for name in ("edss", "luck"))
    with_false_discovery([planted, other])
    expected = SLOPE / np.sqrt(SLOPE**2 + 0.4**2 + 0.5**2 + 0.2**2)  # in SD of the measure, per SD of the outcome
    assert planted["beta_low"] < expected < planted["beta_high"]
    assert planted["partial_low"] < planted["partial_rho"] < planted["partial_high"] < 0
    assert planted["q"] < 0.001
    assert other["partial_low"] < 0 < other["partial_high"]
    assert other["q"] > 0.05
    assert (planted["people"], planted["visits"], planted["missing"]) == (60, 120, 0)


def test_more_visits_of_the_same_people_do_not_make_it_more_certain() -> None:
    once, copied = cohort(20, 1), [row for row in cohort(20, 1) for _ in range(10)]
    one, other = (associate(rows, "lesion_dvr", "edss", []) for rows in (once, copied))
    assert one["p"] == pytest.approx(other["p"])
    assert one["low"] == pytest.approx(other["low"])


def test_spearman_without_covariates_is_scipys() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 30))
    assert partial_spearman(x, y + x, np.zeros((30, 0))) == pytest.approx(stats.spearmanr(x, y + x)[0])


def test_missing_values_are_left_out_and_counted() -> None:
    rows = cohort(30, 1)
    for row in rows[:5]:
        row["edss"] = None
    found = associate(rows, "lesion_dvr", "edss", [])
    assert (found["people"], found["missing"]) == (25, 5)
    few = associate(rows[:9], "lesion_dvr", "edss", [])
    assert few["rho"] is None
    assert few["p"] is None


def test_groups_are_compared_by_person() -> None:
    rows = cohort()
    for row in rows:
        row["lesion_dvr"] += 0.1 * (row["sex"] == "M")
    [found] = compare_groups(rows, "lesion_dvr", "sex")
    assert found["groups"] == "F - M"
    assert found["people"] == "40 / 20"
    assert found["g_low"] < found["g"] < found["g_high"] < 0
    assert found["p"] < 0.001


def test_people_before_and_after_treatment_are_not_two_groups() -> None:
    rows = cohort(30)
    for row in rows[:24]:  # 12 people, treated at their second visit
        row["phase"] = "treated" if row["session_id"] == "ses-1" else "baseline"
    for index, row in enumerate(rows[24:]):
        row["phase"] = "treated" if index // 2 % 2 else "baseline"
    assert people_of_several_levels(rows, "phase") == {f"sub-{person:02d}" for person in range(12)}
    [found] = compare_groups(rows, "lesion_dvr", "phase")
    assert found["people"] == "9 / 9"
    [none] = compare_groups(rows[:24], "lesion_dvr", "phase")
    assert (none["people"], none["p"]) == ("0 / 0", None)


@pytest.mark.parametrize("people", range(8, 16))
@pytest.mark.parametrize("sign", [1, -1])
def test_a_perfect_correlation_has_a_p(people: int, sign: int) -> None:
    rows = [{"participant_id": f"sub-{n:02d}", "m": 1.0 + n, "o": str(sign * n)} for n in range(people)]
    found = associate(rows, "m", "o", [])
    assert found["rho"] == pytest.approx(sign)
    assert found["p"] is not None
    assert found["p"] < 1e-6


@pytest.mark.parametrize("visits", [1, 2])
def test_without_variation_there_is_no_slope(visits: int) -> None:
    rows = cohort(12, visits)
    for row in rows:
        row["constant"] = 0.1
    for pair in (("constant", "edss"), ("lesion_dvr", "constant")):
        assert associate(rows, *pair, [])["beta"] is None, pair


def test_the_slope_of_few_people_has_the_interval_of_student() -> None:
    models = pytest.importorskip("statsmodels.api")
    rows = cohort(8, 2)
    found = associate(rows, "lesion_dvr", "edss", [])
    values = np.array([[row["lesion_dvr"], float(row["edss"])] for row in rows])
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    groups = np.array([row["participant_id"] for row in rows])
    fit = models.MixedLM(scaled[:, 0], np.column_stack([np.ones(16), scaled[:, 1]]), groups=groups).fit(reml=True)
    half = (found["beta_high"] - found["beta_low"]) / 2
    assert half == pytest.approx(stats.t.ppf(0.975, 6) * fit.bse[1], rel=1e-3)


def test_hedges_g_of_a_known_pair() -> None:
    assert hedges_g(np.array([1.0, 2, 3]), np.array([2.0, 3, 4])) == pytest.approx(-1.0 * (1 - 3 / 15))


def test_columns_that_are_no_use_are_named() -> None:
    rows = cohort(10, 1)
    with pytest.raises(BadInput, match=r"'height' of participants\.tsv is missing"):
        associate(rows, "lesion_dvr", "edss", ["height"])
    for number, row in enumerate(rows):
        row["centre"] = f"hospital {number}"
    with pytest.raises(BadInput, match="10 different text values"):
        design(rows, ["centre"])


def test_an_outcome_with_one_value_says_so() -> None:
    rows = [row | {"site": "Paris"} for row in cohort(10, 1)]
    with pytest.raises(BadInput, match="'site' is 'Paris' in all visits, so there are no groups"):
        compare_groups(rows, "lesion_dvr", "site")


def test_marks_of_the_unknown_among_numbers_are_missing_values() -> None:
    rows = cohort(20, 1)
    for index, row in enumerate(rows):
        row["edss"] = row["edss"] if index % 2 else "-?#"[index % 3 :][:1].replace("#", "#NV")
    assert is_numeric(rows, "edss")
    assert associate(rows, "lesion_dvr", "edss", [])["missing"] == 10
    assert not is_numeric([{"dose": "none"}, {"dose": "low"}], "dose")
    with pytest.raises(BadInput, match="holds numbers and the text 'none'"):
        is_numeric([{"dose": dose} for dose in ("1", "2", "none")], "dose")
