from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from TrainingCore.data.case import Case
from TrainingCore.evaluation.calibration import calibration, error_by_spread, errors_by_spread, expected_error, spearman
from TrainingCore.evaluation.cases import evaluate_case
from TrainingCore.evaluation.task import ModelImages
from TrainingCore.imaging.labelling import label_lesions
from TrainingCore.prediction.cases import predict_case
from TrainingCore.prediction.model import TrainedModel
from TrainingCore.reporting.calibration_pages import calibration_in_words
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
    assert "larger errors" in calibration_in_words(honest)
    assert "does not distinguish" in calibration_in_words(empty)


def test_small_lesions_and_lesions_without_uncertainty_do_not_count() -> None:
    rows = lesions(6, True)
    rows[0]["uncertainty"] = None
    rows[1]["volume_mm3"] = 10.0
    assert calibration(rows)["n"] == len(rows) - 2
    assert calibration(rows[:5]) is None
    shared = [row | {"lesion_shapes_of": str(int(str(row["person"])[1:]) % 2)} for row in lesions(12, True)]
    assert calibration(shared)["low"] is None  # two masks give no interval
    assert calibration(shared)["people"] == 12


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
    _, rows = evaluate_case(case, ModelImages({"synthetic": dvr}, [dvr, other]))
    assert rows[0]["uncertainty"] == pytest.approx(np.std([0.0, 0.2], ddof=1), rel=1e-4)
    assert all(row["uncertainty"] == pytest.approx(0, abs=1e-6) for row in rows[1:])
    assert "uncertainty" not in evaluate_case(case, ModelImages({"synthetic": dvr}))[1][0]


def test_the_head_as_it_is_is_predicted_once_for_the_map_and_its_spread() -> None:
    class Member:
        def __init__(self, value: float) -> None:
            self.value, self.seen, self.device = value, 0, "cpu"

        def predict(self, inputs: torch.Tensor) -> torch.Tensor:
            self.seen += 1
            return inputs[:, :1] + self.value

    members = [Member(0.0), Member(1.0)]
    about = SimpleNamespace(description={"inputs": ["t1w", "flair"]})
    model = TrainedModel(about, torch.device("cpu"), {torch.device("cpu"): Ensemble(members)})
    volumes = {name: np.random.default_rng(0).random((4, 4, 4), np.float32) for name in ("t1w", "flair")}
    case = Case("01", "1", {**volumes, "brain": np.ones((4, 4, 4), bool)}, np.eye(4))
    outputs = predict_case(model, case, uncertainty=True)
    answer, maps = outputs.images["synthetic"], outputs.maps
    assert len(maps) == 2 * 6
    assert [one.seen for one in members] == [6, 6]
    assert np.allclose(answer, volumes["t1w"] + 0.5)
    assert np.allclose(maps[2], maps[0], atol=1e-6)  # mirrored and mirrored back


def test_what_was_measured_of_error_and_spread_is_found_again() -> None:
    rng = np.random.default_rng(3)
    spread = rng.uniform(0, 0.05, 20000)
    error = rng.standard_normal(20000) * np.sqrt(0.04**2 + (2 * spread) ** 2)
    found = error_by_spread(spread, error)
    assert found["floor"] == pytest.approx(0.04, rel=0.05)
    assert found["slope"] == pytest.approx(2, rel=0.05)
    unrelated = error_by_spread(spread, 0.05 * rng.standard_normal(20000))
    assert np.hypot(unrelated["floor"], unrelated["slope"] * 0.05) == pytest.approx(0.05, rel=0.1)
    assert error_by_spread(np.zeros(4), np.full(4, 0.1))["floor"] == pytest.approx(0.1)


def test_every_person_counts_alike_when_a_model_is_calibrated() -> None:
    def row(person: str, error: float) -> dict[str, object]:
        return {"person": person, "volume_mm3": 60.0, "mean_dvr": 1 + error, "measured_mean_dvr": 1.0, "spread": 0.0,
                "uncertainty": 0.0}  # fmt: skip

    rows = [row(f"P{person}", 0.1) for person in range(4)] + [row("many", 0.3) for _ in range(100)]
    visits = [{"predictions": 6, "voxel_floor": floor, "voxel_slope": 1.0} for floor in (0.03, 0.04)]
    found = errors_by_spread(rows, visits)
    assert found["lesions"]["floor"] == pytest.approx(np.sqrt((4 * 0.1**2 + 0.3**2) / 5))
    assert found["voxels"] == {"floor": pytest.approx(np.sqrt(0.0025 / 2)), "slope": pytest.approx(1)}
    assert found["predictions"] == 6
    assert errors_by_spread(rows[4:], visits) is None
    assert errors_by_spread(rows, [{}]) is None


def test_a_bundles_errors_are_checked_before_they_are_used() -> None:
    from TrainingCore.prediction.uncertainty import describe_uncertainty as words
    from TrainingCore.prediction.uncertainty import fitted_errors
    from TrainingCore.runtime.errors import BadInput

    one = {"floor": 0.03, "slope": 4.0}
    about = {"uncertainty": {"lesions": one, "voxels": one, "predictions": 6, "measured on": "cohort, 9 people"}}
    fitted = fitted_errors(about, 6)
    assert expected_error(np.array([0.0, 0.01]), fitted["lesions"]) == pytest.approx([0.03, 0.05])
    assert "calibrated on a cohort, 9 people" in words(about, 6)
    assert fitted_errors(about, 3) is None  # the spread of other predictions
    assert fitted_errors({}, 6) is None
    assert "not calibrated" in words(about, 3)
    for wrong in ({}, {"lesions": one}, about["uncertainty"] | {"voxels": {"floor": -1, "slope": 1}},
                  about["uncertainty"] | {"voxels": {"floor": float("nan"), "slope": 1}}):  # fmt: skip
        with pytest.raises(BadInput, match="uncertainty"):
            fitted_errors({"uncertainty": wrong}, 6)


def test_evaluate_measures_it_and_export_calibrates_the_model_with_it(tmp_path: Path) -> None:
    from ball_cohort import write_ball_cohort

    from TrainingCore.data.bundle import Bundle
    from TrainingCore.evaluate import main as evaluate
    from TrainingCore.export import main as export
    from TrainingCore.train import main as train

    learnt = write_ball_cohort(tmp_path / "learnt", people=6, visits=1)
    cohort = write_ball_cohort(tmp_path / "cohort", people=6, visits=1, seed=1)
    run, out, model = tmp_path / "run", tmp_path / "results", tmp_path / "model"
    small = ["size=32", "width=4", "levels=2", "validation_people=1", "epochs=1", "pictures_every=0"]
    assert train(["--data", str(learnt), "--recipe", "l1_only", "--out", str(run), "--progress", "none", "--set",
                  *small]) == 0  # fmt: skip
    again = ["--data", str(cohort), "--progress", "none", "--uncertainty"]
    assert evaluate(["--run", str(run), "--out", str(out), *again]) == 0
    found = json.loads((out / "summary.json").read_text())["models"]["run"]
    assert found["uncertainty"]["n"] == found["lesions_in_correlation"]
    assert "Spearman" in (out / "report.html").read_text(encoding="utf-8")
    assert export(["--run", str(run), "--calibration", str(out), "--out", str(model)]) == 0
    fitted = Bundle.open(model).description["uncertainty"]
    assert "6 people" in fitted["measured on"]
    assert "SD of the expected error" in (model / "README.md").read_text(encoding="utf-8")

    cohort.rename(tmp_path / "elsewhere")  # its people are recognised by their images
    again[1] = str(tmp_path / "elsewhere")
    assert evaluate(["--bundle", str(model), "--out", str(tmp_path / "calibrated"), *again]) == 0
    summary = json.loads((tmp_path / "calibrated" / "summary.json").read_text())
    calibrated = summary["models"]["model"]["uncertainty"]
    (flattered,) = summary["warnings"]
    assert "fitted to 6 of these 6 people" in flattered
    assert export(["--bundle", str(model), "--evaluation", str(tmp_path / "calibrated"), "--out",
                   str(tmp_path / "told")]) == 0  # fmt: skip
    assert flattered in Bundle.open(tmp_path / "told").description["performance"]["measured on"]
    assert "fitted_images" in Bundle.open(tmp_path / "told").description
    assert calibrated["ratio"] == pytest.approx(1, abs=0.1)
    assert found["uncertainty"]["within_95"] < calibrated["within_95"]
    assert calibrated["fitted"] == found["uncertainty"]["fitted"]
    rows = list(csv.DictReader((tmp_path / "calibrated" / "lesions.csv").open()))
    floor, slope = fitted["lesions"]["floor"], fitted["lesions"]["slope"]
    for row in rows:
        expected = np.hypot(floor, slope * float(row["spread"]))
        assert float(row["uncertainty"]) == pytest.approx(expected)


def test_people_that_a_model_learnt_from_are_told_on_its_card_and_refused_for_calibration(tmp_path: Path) -> None:
    from TrainingCore.reporting.card import measured_model
    from TrainingCore.runtime.errors import BadInput

    note = "run was trained on 4 of these 6 people: its figures say how well it remembers."
    about = {"weights_sha256": "0", "people": 6, "visits": 6}
    content = {"simulated_data": False, "warnings": [note], "models": {"run": about}}
    (tmp_path / "summary.json").write_text(json.dumps(content))
    words, model = measured_model(tmp_path, "0", "--evaluation")
    assert (words, model) == (f"cohort, 6 people, 6 visits. {note}", about)
    with pytest.raises(BadInput, match=r"trained on 4 of these 6 people.*Calibrate on other people"):
        measured_model(tmp_path, "0", "--calibration")
    with pytest.raises(BadInput, match=r"Fit the estimate on other people"):
        measured_model(tmp_path, "0", "--myelin")


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ([], "4 lesions of at least 50 mm3"),
        (["real"], "4 lesions of at least 50 mm3 with the shapes of real lesion masks"),
        (["drawn", "real"], "4 lesions of at least 50 mm3, some with shapes of real masks"),
        (["drawn"], "4 lesions of at least 50 mm3"),
    ],
)
def test_the_card_says_where_lesions_had_real_shapes(tmp_path: Path, shapes: list[str], words: str) -> None:
    from TrainingCore.reporting.card import measured_model

    counts = {"people": 2, "visits": 2, "minimum_mm3": 50.0, "lesions_in_correlation": 4, "lesion_shapes": shapes}
    content = {"simulated_data": True, "models": {"run": {"weights_sha256": "0"} | counts}}
    (tmp_path / "summary.json").write_text(json.dumps(content))
    assert measured_model(tmp_path, "0", "--evaluation")[0] == f"simulated cohort, 2 people, 2 visits, {words}"


def test_export_takes_intervals_and_uncertainties_where_they_were_measured(tmp_path: Path) -> None:
    from TrainingCore.reporting.card import calibration_of
    from TrainingCore.runtime.errors import BadInput

    model = {"weights_sha256": "a", "people": 9, "visits": 9, "lesions_in_correlation": 40, "minimum_mm3": 50.0}

    def told(**more: object) -> dict:
        (tmp_path / "summary.json").write_text(json.dumps({"simulated_data": True, "models": {"run": model | more}}))
        return calibration_of(tmp_path, "a")

    with pytest.raises(BadInput, match="too few lesions for calibration"):
        told(intervals_fitted=None)
    with pytest.raises(BadInput, match="did not evaluate these weights"):
        calibration_of(tmp_path, "b")
    intervals = {"half_width": [0.2, 0.1, 0.1, 0.05, 0.05]}
    assert list(told(intervals_fitted=intervals)) == ["intervals"]
    both = told(intervals_fitted=intervals, uncertainty={"fitted": {"predictions": 6}})
    assert both["intervals"]["half_width"] == intervals["half_width"]
    assert both["uncertainty"]["measured on"].startswith("simulated cohort, 9 people")


def test_equal_uncertainties_cannot_rank_errors_and_different_ones_can() -> None:
    from TrainingCore.evaluation.calibration import attainable

    assert attainable(np.full(100, 0.1)) is None
    nearly = attainable(np.linspace(0.10, 0.11, 200))
    wide = attainable(np.geomspace(0.01, 1.0, 200))
    assert abs(nearly) < 0.1 < 0.5 < wide < 1
