"""What a change has to exceed: estimated from two scans without a change, carried by the model, used by `change`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from untrained import untrained_bundle

from TrainingCore.change import read_repeatability
from TrainingCore.data.bundle import Bundle, add_to_bundle
from TrainingCore.data.result import Result
from TrainingCore.runtime.errors import BadInput
from TrainingCore.study.repeatability import Repeatability, fit_repeatability

SD = {10.0: 0.08, 70.0: 0.05, 2000.0: 0.02}


def rescanned(people: int = 30) -> list[dict[str, float | str]]:
    random = np.random.default_rng(4)
    return [
        {"person": f"{person}", "volume_mm3": volume, "difference": random.normal(0, sd)}
        for person in range(people)
        for volume, sd in SD.items()
        for _ in range(5)
    ]


def test_the_spread_is_estimated_by_volume_with_intervals_by_person() -> None:
    known = fit_repeatability(rescanned(), [0.01, -0.01], "a test", "0" * 64)
    assert known["classes_mm3"] == [0.0, 50.0, 1000.0]
    assert known["sd"] == pytest.approx(list(SD.values()), rel=0.15)
    assert all(low < sd < high for low, sd, high in zip(known["sd_low"], known["sd"], known["sd_high"]))
    assert known["false_alarms"] == pytest.approx(0.05, abs=0.03)
    assert known["nawm_sd"] == pytest.approx(0.01)
    read = Repeatability.from_json(json.loads(json.dumps(known)))
    assert read.of(20) > read.of(60) > read.of(5000)
    assert "a test" in read.in_words()


def test_a_lesion_at_the_limit_of_a_class_is_in_it_up_to_rounding() -> None:
    known = Repeatability((0.0, 50.0), (0.02, 0.01), "a test")
    assert [known.of(volume) for volume in (49.0, 50 * 0.99999992, 50.0, 900.0)] == [0.02, 0.01, 0.01, 0.01]


def test_people_without_a_class_of_lesions_join_the_smaller_ones() -> None:
    rows = [row for row in rescanned() if row["volume_mm3"] != 2000.0 or row["person"] == "1"]
    known = fit_repeatability(rows, [], "a test", "0" * 64)
    assert known["classes_mm3"] == [0.0, 50.0]
    assert known["lesions"] == [150, 155]
    assert known["nawm_sd"] is None
    with pytest.raises(ValueError, match="too few"):
        fit_repeatability(rows[:5], [], "a test", "0" * 64)


def test_the_protocol_that_repeats_worst_decides() -> None:
    worse = [row | {"person": f"B{row['person']}", "difference": 2 * row["difference"]} for row in rescanned()]
    rows = [row | {"protocol": "A"} for row in rescanned()] + [row | {"protocol": "B"} for row in worse]
    known = fit_repeatability(rows, [], "a test", "0" * 64)
    assert known["sd"] == pytest.approx([2 * sd for sd in SD.values()], rel=0.15)
    assert known["by_protocol"]["A"]["sd"] == pytest.approx(list(SD.values()), rel=0.15)
    assert known["by_protocol"]["B"]["sd"] == known["sd"]
    assert known["by_protocol"]["A"]["lesions"] == [150, 150, 150]
    assert known["false_alarms"] == pytest.approx((0.05 + 0.0001) / 2, abs=0.02)


def test_a_drift_between_the_scans_widens_what_counts_as_a_change() -> None:
    rows = [row | {"difference": row["difference"] + 0.1} for row in rescanned()]
    known = fit_repeatability(rows, [], "a test", "0" * 64)
    assert min(known["sd"]) > 0.09
    assert known["mean"] == pytest.approx(0.1, abs=0.01)


def test_the_model_carries_it_in_description_and_card_and_its_weights_stay(tmp_path: Path) -> None:
    bundle = Bundle.open(untrained_bundle(tmp_path / "model"))
    known = fit_repeatability(rescanned(), [], "a test", bundle.sha256)
    again = add_to_bundle(bundle.path, {"repeatability": known})
    assert again.raw_weights == bundle.raw_weights
    assert again.description == bundle.description | {"repeatability": known}
    assert "repeatability: SD of the difference" in (bundle.path / "README.md").read_text(encoding="utf-8")


def result_of(weights: str, **more: object) -> Result:
    return Result(Path("visit"), {"model": {"weights_sha256": weights, **more}})


def test_change_takes_it_from_the_maps_or_from_the_model_that_is_shipped() -> None:
    own = result_of("1" * 64, repeatability={"classes_mm3": [0], "sd": [0.03], "source": "own"})
    assert read_repeatability(None, (own, own)).source == "own"
    assert read_repeatability(None, (own, result_of("2" * 64))) is None
    shipped = Bundle.open("demonstration")
    older = result_of(shipped.sha256)  # made before the model carried it
    known = read_repeatability(None, (older, older))
    assert (known is None) == ("repeatability" not in shipped.description)
    assert known is None or known.of(100) > 0
    broken = result_of("1" * 64, repeatability={"classes_mm3": [0], "sd": []})
    with pytest.raises(BadInput, match="holds no valid repeatability"):
        read_repeatability(None, (broken, broken))
