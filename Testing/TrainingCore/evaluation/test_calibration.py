from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from TrainingCore.evaluation.calibration import calibration, in_words, lesion_uncertainties, spearman


def lesions(people: int, honest: bool) -> list[dict[str, object]]:
    """Lesions whose errors grow with the uncertainty that is told, or with nothing at all."""
    rng = np.random.default_rng(2)
    rows = []
    for person in range(people):
        for _ in range(8):
            true_sd = rng.uniform(0.01, 0.2)
            told = true_sd if honest else rng.uniform(0.01, 0.2)
            rows.append({"person": f"P{person}", "volume_mm3": 60.0, "measured_mean_dvr": 1.0,
                         "mean_dvr": 1.0 + true_sd * rng.standard_normal(), "uncertainty": told})  # fmt: skip
    return rows


def test_an_honest_uncertainty_is_told_from_one_that_means_nothing() -> None:
    honest, empty = calibration(lesions(30, True)), calibration(lesions(30, False))
    assert honest["low"] > 0
    assert honest["ratio"] == pytest.approx(1, abs=0.15)
    assert honest["parts"][0]["error"] < honest["parts"][2]["error"]
    assert empty["low"] < 0 < empty["high"]
    assert "larger errors" in in_words(honest)
    assert "does not tell" in in_words(empty)


def test_small_lesions_and_lesions_without_uncertainty_do_not_count() -> None:
    rows = lesions(6, True)
    rows[0]["uncertainty"] = None
    rows[1]["volume_mm3"] = 10.0
    assert calibration(rows)["n"] == len(rows) - 2
    assert calibration(rows[:5]) is None


def test_ranks_are_those_of_scipy() -> None:
    from scipy.stats import spearmanr

    x, y = np.random.default_rng(0).normal(size=(2, 40))
    assert spearman(x, y) == pytest.approx(spearmanr(x, y).statistic)
    assert spearman(np.ones(4), np.arange(4.0)) is None


def test_the_uncertainty_of_a_lesion_is_the_spread_of_its_mean() -> None:
    mask = np.zeros((6, 6, 6), bool)
    mask[1:3, 1, 1] = mask[4, 4, 4] = True
    maps = [np.full(mask.shape, value) for value in (1.0, 1.2)]
    maps[1][4, 4, 4] = 1.0
    found = lesion_uncertainties(mask, 1.0, maps)
    assert found[1] == pytest.approx(np.std([1.0, 1.2], ddof=1))
    assert found[2] == 0


def test_evaluate_reports_it(ball_cohort: Path, tmp_path: Path) -> None:
    from TrainingCore.evaluate import main as evaluate
    from TrainingCore.train import main as train

    run, out = tmp_path / "run", tmp_path / "results"
    small = ["size=32", "width=4", "levels=2", "validation_people=1", "epochs=1", "pictures_every=0"]
    assert train(["--data", str(ball_cohort), "--recipe", "l1_only", "--out", str(run), "--progress", "none", "--set",
                  *small]) == 0  # fmt: skip
    assert evaluate(["--run", str(run), "--data", str(ball_cohort), "--out", str(out), "--progress", "none",
                     "--uncertainty"]) == 0  # fmt: skip
    model = json.loads((out / "summary.json").read_text())["models"]["run"]
    assert model["uncertainty"]["n"] == model["lesions_in_correlation"]
    assert "Spearman" in (out / "report.html").read_text(encoding="utf-8")
    assert "uncertainty" in (out / "lesions.csv").read_text().splitlines()[0]
