"""`python -m TrainingCore.evaluate` of models that make an MRI, on people they never saw."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from TrainingCore import evaluate, export, train
from TrainingCore.data.bundle import Bundle
from TrainingCore.data.cohort import Cohort
from TrainingCore.experiments.evaluation import open_candidate
from TrainingCore.prediction.cases import predict_case
from TrainingCore.runtime.errors import BadInput

SMALL = ["size=32", "validation_people=1", "pictures_every=0"]
JOINT = ["field_of_view=192.0", "widths=[4, 8]", "slices_per_visit=2", "visits_per_step=2", "iterations=4", "rate=3e-3"]


@pytest.fixture(scope="module")
def runs(ball_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of the joint system and of the linear regression of FLAIR on T1w."""
    before = torch.get_num_threads()
    folder = tmp_path_factory.mktemp("runs")
    for name, changes in (("joint_flair_wmh", JOINT), ("joint_flair_wmh_linear", ["field_of_view=192.0"])):
        words = ["--data", str(ball_cohort), "--recipe", name, "--out", str(folder / name), "--threads", "1"]
        assert train.main([*words, "--progress", "none", "--set", *SMALL, *changes]) == 0
    torch.set_num_threads(before)
    return folder


def ask(*words: object) -> list[str]:
    return [str(word) for word in (*words, "--progress", "none")]


def test_flair_and_hyperintensities_are_measured_beside_the_paper_and_a_comparator(
    runs: Path, ball_cohort: Path, tmp_path: Path
) -> None:
    out = tmp_path / "results"
    linear = f"linear={runs / 'joint_flair_wmh_linear'}"
    words = ask("--run", runs / "joint_flair_wmh", "--compare", linear, "--data", ball_cohort, "--out", out)
    assert evaluate.main(words) == 0
    summary, page = json.loads((out / "summary.json").read_text()), (out / "report.html").read_text()
    assert [name for name, one in summary["models"].items() if one["measures"]["dsc"]["n"]] == ["joint_flair_wmh"]
    for told in ("paper: unimodal", "57.81", "linear beside joint_flair_wmh", "was trained on", "cannot be equal"):
        assert told in page
    candidate = open_candidate(runs / "joint_flair_wmh_linear", "linear")
    candidate.load("cpu")
    with open(out / "visits.csv", encoding="utf-8") as stream:
        mae = {
            (row["person"], row["visit"]): float(row["mae"])
            for row in csv.DictReader(stream)
            if row["model"] == "linear"
        }
    visits = list(Cohort.read(ball_cohort, ["t1w", "flair"]))
    assert len(mae) == len(visits)
    case = candidate.prepare(visits[0], ["t1w", "flair"])
    brain = np.asarray(case.volumes["brain"], bool)
    gap = np.abs(predict_case(candidate.model, case).images["synthetic"] - case.volumes["flair"])[brain].mean()
    assert mae[visits[0].person, visits[0].visit] == pytest.approx(gap, rel=1e-4)


def test_a_card_tells_what_was_measured_of_these_weights(runs: Path, ball_cohort: Path, tmp_path: Path) -> None:
    out, model = tmp_path / "results", tmp_path / "model"
    assert evaluate.main(ask("--run", runs / "joint_flair_wmh", "--data", ball_cohort, "--out", out)) == 0
    words = ["--run", str(runs / "joint_flair_wmh"), "--evaluation", str(out), "--out", str(model)]
    assert export.main(words) == 0
    told = Bundle.open(model).description["performance"]
    summary = json.loads((out / "summary.json").read_text())["models"]["joint_flair_wmh"]
    counted = f"simulated cohort, {summary['people']} people, {summary['visits']} visits. "
    assert told["measured on"].startswith(f"{counted}joint_flair_wmh was trained on 2 of these 3 people")
    assert told["DSC (%)"].startswith(f"{summary['measures']['dsc']['mean']:.2f}")


def test_uncertainty_is_of_dvr_and_refused_here_without_a_trace(runs: Path, ball_cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "results"
    words = ask("--run", runs / "joint_flair_wmh", "--data", ball_cohort, "--out", out, "--uncertainty")
    with pytest.raises(BadInput, match="synthesize no DVR"):
        evaluate.main(words)
    assert not out.exists()
