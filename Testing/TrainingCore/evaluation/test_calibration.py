from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from TrainingCore.evaluation.calibration import calibration, in_words, spearman
from TrainingCore.evaluation.cases import evaluate_case
from TrainingCore.evaluation.lesions import label_lesions
from TrainingCore.evaluation.models import Model
from TrainingCore.systems.ensemble import Ensemble


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


def test_the_uncertainty_of_a_lesion_is_the_spread_of_its_mean(make_case) -> None:
    case = make_case()
    dvr, labels = (
        case.volumes["dvr"],
        label_lesions(case.volumes["lesions"] & case.volumes["brain"], case.voxel_volume)[0],
    )
    other = dvr + np.where(labels == 1, 0.2, 0).astype(np.float32)
    _, rows = evaluate_case(case, dvr, maps=[dvr, other])
    assert rows[0]["uncertainty"] == pytest.approx(np.std([0.0, 0.2], ddof=1), rel=1e-4)
    assert all(row["uncertainty"] == pytest.approx(0, abs=1e-6) for row in rows[1:])
    assert "uncertainty" not in evaluate_case(case, dvr)[1][0]


def test_the_head_as_it_is_is_predicted_once_for_the_map_and_its_spread() -> None:
    class Member:
        def __init__(self, value: float) -> None:
            self.value, self.seen, self.device = value, 0, "cpu"

        def predict(self, inputs: torch.Tensor) -> torch.Tensor:
            self.seen += 1
            return inputs[:, :1] + self.value

    members = [Member(0.0), Member(1.0)]
    model = Model("two", SimpleNamespace(description={"inputs": ["t1w", "flair"]}), None, Ensemble(members))
    volumes = {name: np.random.default_rng(0).random((4, 4, 4), np.float32) for name in ("t1w", "flair")}
    case = SimpleNamespace(volumes={**volumes, "brain": np.ones((4, 4, 4), bool)})
    answer, maps = model.answers(case)
    assert len(maps) == 2 * 6
    assert [one.seen for one in members] == [6, 6]
    assert np.allclose(answer, volumes["t1w"] + 0.5)
    assert np.allclose(maps[2], maps[0], atol=1e-6)  # mirrored and mirrored back


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
