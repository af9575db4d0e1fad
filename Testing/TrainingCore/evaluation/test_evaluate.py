"""The evaluate command from a cohort and bundles on disk to its report, and what it says when it cannot."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from TrainingCore.data.recipe import load_recipe
from TrainingCore.evaluate import main
from TrainingCore.experiments.evaluation import open_candidate
from TrainingCore.runtime.cli import run_command
from TrainingCore.systems import system_class

# After the percentile rule T1w is about linear in DVR: 1.1 + 0.12 T1w is close to the made-up truth.
COEFFICIENTS = {"coefficients": torch.tensor([1.1, 0.06, -0.06], dtype=torch.float64)}


def evaluate(*arguments: object) -> int:
    """The exit code of the command."""
    return run_command(main, [str(argument) for argument in (*arguments, "--progress", "none", "--threads", 1)])


@pytest.fixture(scope="module")
def cohort(tmp_path_factory, make_case, bids) -> Path:
    """Six patients (one with two visits, one without lesions) and one control."""
    cases = [make_case(f"B{n:02d}", "1", seed=n) for n in (1, 2, 3, 5, 6)]
    cases += [make_case("B01", "2", seed=9), make_case("B04", "1", lesions=0)]
    cases += [make_case("BHC01", "1", lesions=0, group="control")]
    return bids(tmp_path_factory.mktemp("data") / "cohort", cases)


@pytest.fixture(scope="module")
def linear(tmp_path_factory, bundle) -> Path:
    """A regression that nearly knows the made-up truth."""
    return bundle(tmp_path_factory.mktemp("linear") / "linear", "linear", COEFFICIENTS)


@pytest.fixture(scope="module")
def network(tmp_path_factory, bundle) -> Path:
    """A tiny network that has learnt nothing."""
    recipe = load_recipe("l1_only", ["width=2", "levels=2"])
    weights = system_class("curricular")(recipe).weights()
    return bundle(tmp_path_factory.mktemp("network") / "network", "curricular", weights)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, cohort, linear, network) -> Path:
    """The folder of one evaluation of two models."""
    out = tmp_path_factory.mktemp("out") / "evaluation"
    assert evaluate("--bundle", linear, "--compare", f"network={network}", "--data", cohort, "--out", out) == 0
    return out


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_the_summary_says_who_was_measured_and_how_well(evaluated):
    summary = json.loads((evaluated / "summary.json").read_text())
    known, ignorant = summary["models"]["linear"], summary["models"]["network"]
    assert known["people"] == 7
    assert known["visits"] == 8
    assert known["patient"]["n"] == 5
    assert known["lesion"]["r"] > 0.5 > abs(ignorant["lesion"]["r"])
    assert known["lesion"]["r_low"] <= known["lesion"]["r"] <= known["lesion"]["r_high"]
    assert known["lesion"]["r_ceiling"] > known["lesion"]["r"] * 0.9
    assert known["images"]["mae_brain"]["mean"] < ignorant["images"]["mae_brain"]["mean"]
    assert summary["differences_to_first"]["network"]["lesion"]["difference"] < 0
    assert summary["simulated_data"] is True
    assert summary["note"] == "Research use only, not for diagnosis."


def test_every_evaluation_says_what_a_model_knows_beyond_geometry(evaluated):
    text = (evaluated / "report.html").read_text(encoding="utf-8")
    summary = json.loads((evaluated / "summary.json").read_text())
    model = summary["models"]["network"]
    assert set(model["geometry"]) == {"partial", "alone", "difference", "beats", "myelin"}
    assert model["lesion"]["mae_low"] <= model["lesion"]["mae"] <= model["lesion"]["mae_high"]
    assert {"partial", "myelin", "mae"} < set(summary["differences_to_first"]["network"])
    assert sum(row["lesions"] for row in model["by_volume"]) == model["lesions"]
    for words in ("r given geometry", "geometry alone", "By lesion volume"):
        assert words in text


def test_true_myelin_and_the_ceilings_of_a_simulated_cohort_stand_in_the_report(tmp_path, make_case, bids, linear):
    from TrainingCore.evaluation.cases import evaluate_case
    from TrainingCore.evaluation.task import ModelImages

    case = make_case("B01", "1", seed=1)
    case.volumes["myelin_loss"] = np.where(case.volumes["lesions"], 0.4, 0).astype(np.float32)
    assert all(
        row["myelin_loss"] == pytest.approx(0.4)
        for row in evaluate_case(case, ModelImages({"synthetic": case.volumes["dvr"]}))[1]
    )
    cohort = bids(tmp_path / "cohort", [make_case("B01", "1", seed=1)])
    levels = {"lesion_r": 0.876, "patient_r": 0.9}
    rows = [{"target": "measured", "knows": "mri", "model": "linear", **levels}]
    noise = {"lesions": 7, "minimum_lesion_mm3": 50.0, "lesion_level_r": 0.91, "patient_level_r": None}
    folder = cohort / "derivatives" / "made-up"
    (folder / "information_ceiling.json").write_text(json.dumps({"rows": rows, "skipped": None}))
    (folder / "noise_ceiling.json").write_text(json.dumps(noise))
    assert evaluate("--bundle", linear, "--data", cohort, "--out", tmp_path / "out") == 0
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    for words in ("+ T1w, FLAIR", ">0.88<", "r = 0.91 per lesion, not estimable per patient"):
        assert words in page
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["ceilings"]["noise"] == noise
    (folder / "information_ceiling.json").write_text("[1]")
    (folder / "noise_ceiling.json").write_text("{")
    assert evaluate("--bundle", linear, "--data", cohort, "--out", tmp_path / "again") == 0
    assert json.loads((tmp_path / "again" / "summary.json").read_text())["ceilings"] is None


def test_a_calibrated_model_has_intervals_and_their_coverage(tmp_path, cohort, linear):
    import shutil

    from TrainingCore.data.bundle import Bundle
    from TrainingCore.data.model_card import model_card

    intervals = {"level": 0.95, "classes_mm3": [0, 50, 100, 300, 1000], "half_width": [None, None, None, 9.0, 1e-6]}
    calibrated = tmp_path / "calibrated"
    shutil.copytree(linear, calibrated)
    about = json.loads((calibrated / "bundle.json").read_text())
    about["intervals"] = intervals | {"measured on": "cohort, 9 people"}
    (calibrated / "bundle.json").write_text(json.dumps(about))
    assert evaluate("--bundle", calibrated, "--data", cohort, "--out", tmp_path / "out") == 0
    model = json.loads((tmp_path / "out" / "summary.json").read_text())["models"]["calibrated"]
    coverage = {row["volume"]: row["coverage"] for row in model["intervals"]}
    assert coverage["300-1000"] == 1.0
    assert coverage["> 1000"] < 0.1
    assert "95 % prediction intervals" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "300-1000 mm3 +-9.000" in model_card(Bundle.open(calibrated).description)


def test_the_tables_hold_every_visit_and_lesion_of_every_model(evaluated):
    visits, lesions, models = (rows(evaluated / f"{name}.csv") for name in ("visits", "lesions", "models"))
    assert len(visits) == 16
    assert len({row["model"] for row in lesions}) == 2
    assert len(lesions) == sum(int(row["lesions"]) for row in visits)
    assert [row["model"] for row in models] == ["linear", "network"]
    without = next(row for row in visits if row["person"] == "B04")
    assert without["mae_lesions"] == "n/a"
    pooled = [row for row in lesions if row["model"] == "linear" and float(row["volume_mm3"]) >= 50]
    measured, synthetic = ([float(row[name]) for row in pooled] for name in ("measured_mean_dvr", "mean_dvr"))
    assert float(models[0]["lesion_r"]) == pytest.approx(np.corrcoef(measured, synthetic)[0, 1])


def test_the_report_is_whole_and_says_that_it_is_simulated(evaluated):
    text = (evaluated / "report.html").read_text(encoding="utf-8")
    assert "Research use only, not for diagnosis." in text
    assert "Simulated data" in text
    assert "Simulated training data: linear, network." in text
    pictures = sorted(path.name for path in (evaluated / "figures").iterdir())
    assert text.count("data:image/png;base64,") == len(pictures) == 10
    assert "http:" not in text
    assert "https" not in text


def test_the_same_question_gets_the_same_answer(evaluated, tmp_path, cohort, linear, network):
    out = tmp_path / "again"
    evaluate("--bundle", linear, "--compare", f"network={network}", "--data", cohort, "--out", out)
    for name in ("summary.json", "lesions.csv", "report.html"):
        assert (out / name).read_bytes() == (evaluated / name).read_bytes()


def test_people_and_visits_can_be_chosen_and_too_few_say_not_estimable(tmp_path, cohort, linear):
    out = tmp_path / "one"
    chosen = ("--people", "sub-B04", "--visits", "1")
    assert evaluate("--bundle", linear, "--data", cohort, "--out", out, *chosen) == 0
    summary = json.loads((out / "summary.json").read_text())["models"]["linear"]
    assert summary["visits"] == 1
    assert summary["lesion"]["r"] is None
    assert summary["images"]["ssim_lesions"]["mean"] is None
    assert "not estimable" in (out / "report.html").read_text(encoding="utf-8")


def test_a_model_on_a_coarser_grid_is_compared_on_the_finer_one(tmp_path, cohort, linear, bundle):
    coarse = bundle(
        tmp_path / "coarse", "linear", COEFFICIENTS, grid={"shape": [20] * 3, "spacing_mm": 6.0}, name="coarse"
    )
    out = tmp_path / "out"
    assert evaluate("--bundle", coarse, "--compare", f"fine={linear}", "--data", cohort, "--out", out) == 0
    summary = json.loads((out / "summary.json").read_text())
    counts = {name: model["lesions"] for name, model in summary["models"].items()}
    assert counts["coarse"] == counts["fine"] > 0
    errors = {name: model["images"]["mae_brain"]["mean"] for name, model in summary["models"].items()}
    assert errors["coarse"] < 0.3
    assert "40 x 40 x 40" in summary["warnings"][0]


@pytest.mark.parametrize("earlier", [False, True])
def test_in_sample_results_are_marked(tmp_path, cohort, linear, earlier):
    """Also those of people whom only the initial model was trained on, and for a bundle of the run as for the run."""
    import shutil

    run, data = tmp_path / "run", str(cohort.resolve())
    shutil.copytree(linear, run / "bundles" / "best")
    facts = {"data": data, "people": {"training": ["B01", "B02", "X"], "validation": []}}
    if earlier:
        facts = {"data": data, "people": {"training": ["B01"], "validation": []}, "trained_before": {data: ["B02"]}}
    (run / "run.json").write_text(json.dumps(facts))
    (run / "recipe.yaml").write_text("system: linear\n")
    out = tmp_path / "out"
    model = ("--bundle", run / "bundles" / "best") if earlier else ("--run", run)
    assert evaluate(*model, "--data", cohort, "--out", out) == 0
    (warning,) = json.loads((out / "summary.json").read_text())["warnings"]
    assert "trained on 2 of these 7 people" in warning


def test_a_prediction_resampled_keeps_its_values_up_to_the_edge_of_the_brain(make_case):
    from TrainingCore.data.case import Case
    from TrainingCore.prediction.cases import image_on_grid

    fine = make_case()
    coarse_affine = fine.affine @ np.array([[2, 0, 0, 0.5], [0, 2, 0, 0.5], [0, 0, 2, 0.5], [0, 0, 0, 1.0]])
    brain = fine.volumes["brain"][::2, ::2, ::2]
    coarse = Case("A01", "1", {"brain": brain}, coarse_affine)
    found = image_on_grid(np.where(brain, 1.2, -77).astype(np.float32), coarse, fine)
    inside = found[fine.volumes["brain"]]
    assert np.mean(np.abs(inside - 1.2) < 1e-5) > 0.97
    assert set(np.unique(np.round(inside, 4))) <= {0.0, np.float32(1.2)}


def test_what_cannot_be_evaluated_is_said_in_one_sentence(tmp_path, cohort, linear, make_case, bids, bundle, capsys):
    bare = bids(tmp_path / "bare", [make_case("B01", "1")], without=("dvr",))
    in_percent = make_case("B01", "1")
    in_percent.volumes["dvr"] = 100 * in_percent.volumes["dvr"]
    other = bids(tmp_path / "other", [in_percent])
    occupied = tmp_path / "occupied"
    occupied.mkdir()
    (occupied / "thesis.txt").write_text("precious")
    flair = bundle(tmp_path / "flair", "linear", COEFFICIENTS, output="flair")
    ask = partial(evaluate, "--out", tmp_path / "out", "--bundle")
    cases = [
        (partial(ask, linear, "--data", tmp_path / "nowhere"), "nowhere does not exist"),
        (partial(ask, linear, "--data", bare), "lacks dvr"),
        (partial(ask, linear, "--data", other), "desc-measured_mimap.nii.gz has a median of"),
        (partial(ask, linear, "--data", cohort, "--people", "Z9"), "no person 'Z9'"),
        (partial(ask, linear, "--data", cohort, "--visits", "7"), "no visit '7'"),
        (partial(ask, linear, "--data", cohort, "--people", "B02", "--visits", "2"), "None of the chosen people"),
        (partial(ask, linear, "--data", cohort, "--compare", "x"), "NAME=PATH"),
        (partial(ask, linear, "--data", cohort, "--compare", f"linear={linear}"), "Two models are called 'linear'"),
        (partial(ask, flair, "--data", cohort, "--compare", f"dvr={linear}"), "have different targets (dvr, flair)"),
        (partial(ask, tmp_path / "none", "--data", cohort), "does not exist"),
        (partial(evaluate, "--out", occupied, "--bundle", linear, "--data", cohort), "holds other files"),
    ]
    for command, words in cases:
        assert command() == 2
        said = capsys.readouterr().err.strip()
        assert words in said
        assert len(said.splitlines()) == 1
    assert (occupied / "thesis.txt").read_text() == "precious"
    assert not (tmp_path / "out").exists()


def test_a_model_of_nan_fails_and_leaves_nothing(tmp_path, cohort, bundle, capsys):
    broken = {"coefficients": torch.full((3,), torch.nan, dtype=torch.float64)}
    model = bundle(tmp_path / "broken", "linear", broken)
    assert evaluate("--bundle", model, "--data", cohort, "--out", tmp_path / "out") == 1
    assert "sub-B01_ses-1: The model predicted NaN or infinite values" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["broken"]


def test_progress_as_json_is_all_there_is_on_stdout(tmp_path, cohort, linear, capsys):
    arguments = ["--bundle", linear, "--data", cohort, "--out", tmp_path / "out", "--people", "B02"]
    assert run_command(main, [*map(str, arguments), "--progress", "json", "--threads", "1"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    fractions = [line["fraction"] for line in lines]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert all(set(line) == {"step", "fraction", "message"} for line in lines)


def test_help_and_bad_input_do_not_wait_for_torch():
    code = "import sys, TrainingCore.evaluate; print(sorted({'torch', 'matplotlib', 'nilearn'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_zip_is_named_without_its_ending(tmp_path, linear):
    import shutil

    archive = shutil.make_archive(str(tmp_path / "my.model"), "zip", linear)
    assert open_candidate(Path(archive)).name == "my.model"
