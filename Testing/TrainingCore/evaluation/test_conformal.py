"""Prediction intervals cover what they promise, size class by size class, on people not used for calibration."""

from __future__ import annotations

import numpy as np
import pytest

from TrainingCore.evaluation.conformal import (
    CLASSES_MM3,
    calibrate_intervals,
    class_title,
    coverage,
    coverage_by_site,
    interval_of,
    intervals_at,
    intervals_of_bundle,
    volume_class,
)
from TrainingCore.runtime.errors import BadInput


def lesions(seed: int, people: int = 40, sites: str = "A") -> list[dict]:
    """Lesions whose error falls with their size, and is twice as large at site B."""
    random = np.random.default_rng(seed)
    rows = []
    for person in range(people):
        site = sites[person % len(sites)]
        for volume in np.exp(random.uniform(np.log(10), np.log(3000), 25)):
            truth, spread = random.normal(1.0, 0.1), (0.1 if site == "B" else 0.05) * (200 / volume) ** 0.2
            rows.append(
                {"person": f"{site}{person}", "site": site, "volume_mm3": volume, "measured_mean_dvr": truth,
                 "mean_dvr": truth + random.normal(0, spread)}
            )  # fmt: skip
    return rows


def with_noisy_pet(rows: list[dict], noise: float) -> list[dict]:
    """The same lesions, whose truth is measured with noise."""
    random = np.random.default_rng(len(rows))
    return [
        row
        | {"clean_mean_dvr": row["measured_mean_dvr"]}
        | {"measured_mean_dvr": row["measured_mean_dvr"] + random.normal(0, noise)}
        for row in rows
    ]


def covered(rows: list[dict], fitted: dict | None) -> list[dict]:
    return coverage([row | interval_of(fitted, row["volume_mm3"], row["mean_dvr"]) for row in rows])


def test_new_people_are_covered_in_every_class_and_large_lesions_more_narrowly() -> None:
    fitted = calibrate_intervals(lesions(1))
    found = covered(lesions(2), fitted)
    assert len(found) == len(CLASSES_MM3)
    assert all(0.9 <= row["coverage"] <= 0.99 for row in found)
    assert found[0]["width"] > 1.3 * found[-1]["width"]
    assert sum(fitted["lesions"]) == 1000


def test_sites_are_covered_together_and_each_of_them_nearly() -> None:
    fitted = calibrate_intervals(lesions(1, 400, "AB"))
    assert fitted["sites"] == ["A", "B"]
    assert all(0.93 <= row["coverage"] <= 0.97 for row in covered(lesions(2, 400, "AB"), fitted))
    assert all(row["coverage"] >= 0.87 for row in covered(lesions(2, 200, "B"), fitted))


def test_a_calibrated_site_has_its_own_intervals_and_another_one_those_of_all() -> None:
    fitted = intervals_of_bundle({"intervals": calibrate_intervals(lesions(1, 400, "AB"), simulated=True)})
    for site in "AB":
        own = intervals_at(fitted, site, simulated=True)
        assert all(0.93 <= row["coverage"] <= 0.97 for row in covered(lesions(2, 400, site), own))
    elsewhere = (intervals_at(fitted, "C", True), intervals_at(fitted, "", True), intervals_at(fitted, "B", False))
    assert all(other["half_width"] == fitted["half_width"] for other in elsewhere)
    assert intervals_at(None, "A", True) is None


def test_a_site_with_few_people_or_lesions_has_the_intervals_of_all() -> None:
    few = calibrate_intervals([*lesions(1, 80, "A"), *lesions(2, 8, "AB")], simulated=False)
    assert set(few["by_site"]) == {"A"}  # four people of B
    small = [row for row in lesions(2, 80, "B") if row["volume_mm3"] > 1000]
    fitted = intervals_of_bundle({"intervals": calibrate_intervals([*lesions(1, 80, "A"), *small])})
    own = intervals_at(fitted, "B", simulated=False)["half_width"]
    assert own[:4] == fitted["half_width"][:4]
    assert own[4] != fitted["half_width"][4]
    assert "by_site" not in calibrate_intervals(lesions(1, 80, "A"))


def test_what_pet_would_show_without_noise_has_a_narrower_interval_that_holds_for_quieter_pet_too() -> None:
    known = with_noisy_pet(lesions(1, 80), 0.1)
    fitted = calibrate_intervals(known)
    assert all(own < 0.7 * wide for own, wide in zip(fitted["noise_free_half_width"], fitted["half_width"]))
    for noise in (0.1, 0.02):
        found = covered(with_noisy_pet(lesions(2, 80), noise), fitted)
        assert all(0.92 <= row["noise_free_coverage"] <= 0.98 for row in found)
        assert all(row["noise_free_width"] < row["width"] for row in found)
        assert all(row["noise_free_low"] < row["noise_free_coverage"] < row["noise_free_high"] for row in found)
    assert min(row["coverage"] for row in found) > 0.985  # the interval of a measured DVR depends on the scanner
    unknown_of_one = [*known, *lesions(3, 1)]
    assert "noise_free_half_width" not in calibrate_intervals(unknown_of_one)
    assert "noise_free_coverage" not in covered(lesions(2), fitted)[0]


def test_a_cohort_of_several_sites_shows_the_coverage_of_each() -> None:
    fitted = calibrate_intervals(lesions(1, 400, "AB"))
    rows = [row | interval_of(fitted, row["volume_mm3"], row["mean_dvr"]) for row in lesions(2, 100, "AB")]
    own = {site: coverage([row for row in rows if row["site"] == site]) for site in "AB"}
    found = coverage_by_site(rows)
    assert [row["site"] for row in found] == ["A"] * 5 + ["B"] * 5
    assert [{key: row[key] for key in row if key != "site"} for row in found] == [*own["A"], *own["B"]]
    assert min(row["coverage"] for row in own["A"]) > max(row["coverage"] for row in own["B"])
    assert coverage_by_site([row for row in rows if row["site"] == "A"]) == []


def test_few_people_of_a_site_with_large_errors_widen_the_intervals() -> None:
    known = [*lesions(1, 80, "A"), *lesions(2, 20, "B")]
    new = lesions(3, 100, "B")
    assert all(row["coverage"] >= 0.87 for row in covered(new, calibrate_intervals(known)))
    mixed = calibrate_intervals([row | {"site": ""} for row in known])
    assert min(row["coverage"] for row in covered(new, mixed)) < 0.82


def test_a_class_with_few_lesions_borrows_from_the_next_smaller_one() -> None:
    few = [row for row in lesions(1) if row["volume_mm3"] < 1000]
    fitted = calibrate_intervals(few + [few[0] | {"volume_mm3": 2000.0}])
    assert fitted["half_width"][-1] is not None
    assert calibrate_intervals(few[:10]) is None
    large = calibrate_intervals([row for row in lesions(1) if row["volume_mm3"] > 1000])
    assert large["half_width"][:2] == [None, None]
    unknown = dict.fromkeys(("dvr_low", "dvr_high", "noise_free_low", "noise_free_high"))
    assert interval_of(large, 20.0, 1.0) == unknown
    assert interval_of(None, 2000.0, 1.0)["dvr_low"] is None


@pytest.mark.parametrize(
    ("volume", "title"),
    [
        (1.0, "0-50"),
        (49.9, "0-50"),
        (float(np.float32(49.99999686)), "50-100"),  # 50 voxels of 1 mm3 of an affine in single precision
        (50.0, "50-100"),
        (99.9, "50-100"),
        (1000.0, "> 1000"),
        (1e6, "> 1000"),
    ],
)
def test_a_volume_belongs_to_one_class(volume: float, title: str) -> None:
    assert class_title(volume_class(volume)) == title


def test_fewer_than_five_people_calibrate_nothing() -> None:
    many = [row | {"volume_mm3": 200.0} for row in lesions(1, 5)]
    assert calibrate_intervals(many) is not None
    assert calibrate_intervals([row for row in many if row["person"] != "A4"] * 3) is None


def test_intervals_of_a_bundle_are_read_or_refused() -> None:
    fitted = calibrate_intervals(lesions(1))
    assert intervals_of_bundle({}) is None
    assert intervals_of_bundle({"intervals": fitted})["half_width"] == fitted["half_width"]
    impossible = [{}, 3, fitted | {"half_width": [0.1]}, fitted | {"half_width": [-1.0] * 5},
                  fitted | {"noise_free_half_width": [-1.0] * 5}, fitted | {"noise_free_half_width": [0.1]},
                  fitted | {"by_site": {"A": {"half_width": [0.1]}}}, fitted | {"by_site": 3},
                  fitted | {"half_width": ["x"] * 5}, fitted | {"classes_mm3": [5.0, 1, 2, 3, 4]}]  # fmt: skip
    for wrong in impossible:
        with pytest.raises(BadInput, match="Get the model again"):
            intervals_of_bundle({"intervals": wrong})
