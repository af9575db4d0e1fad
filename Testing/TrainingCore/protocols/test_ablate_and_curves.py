"""`ablate` and `learning_curve`, run as a user runs them, on cohorts whose answer is known."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ball_cohort import write_ball_cohort

from TrainingCore.evaluation.tasks import Measure
from TrainingCore.protocols.learning_curves import asymptote, fit_asymptote

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ball_cohort(tmp_path_factory.mktemp("ablate") / "balls", people=6, visits=1, size=32)


def run(name: str, *words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"TrainingCore.{name}", "--threads", "1", "--progress", "none", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400)
    assert done.returncode == code, done.stderr
    return done


def test_elimination_keeps_the_contrast_that_shows_the_lesions(cohort: Path, tmp_path: Path) -> None:
    # the regression needs an input that tells lesions, white and grey matter apart; T1w alone does that in the balls
    out = tmp_path / "ablation"
    words = ("--data", cohort, "--recipe", "linear", "--folds", 2, "--out", out)
    words += ("--set", "size=32", "validation_people=1", "pictures_every=0")
    run("ablate", *words, "inputs=[adc, t1w, flair]")
    summary = json.loads((out / "summary.json").read_text())
    steps = summary["steps"]
    assert [step["inputs"].count("+") for step in steps] == [2, 1, 0]
    assert len(set(summary["dropped_in_order"]) | {steps[-1]["inputs"]}) == 3
    for number, step in enumerate(steps[1:], start=1):  # each round kept the best of what it tried
        tried = json.loads((out / f"round-{number}" / "summary.json").read_text())["recipes"]
        errors = {name: found["mae_lesions"]["mean"] for name, found in tried.items() if name.startswith("without_")}
        assert summary["dropped_in_order"][number - 1] == min(errors, key=errors.get).removeprefix("without_")
        assert step["measures"]["mae_lesions"]["mean"] == pytest.approx(min(errors.values()))
    before = (out / "report.html").read_bytes()
    run("ablate", *words, "inputs=[adc, t1w, flair]")  # everything is there: nothing is trained again
    assert (out / "report.html").read_bytes() == before


def test_one_input_and_a_folder_of_something_else_are_refused(cohort: Path, tmp_path: Path) -> None:
    words = ("--data", cohort, "--recipe", "linear", "--folds", 2, "--set", "size=32", "validation_people=1")
    done = run("ablate", "--out", tmp_path / "new", *words, "inputs=[t1w]", code=2)
    assert "nothing to leave out" in done.stderr
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "report.html").write_text("mine")
    done = run("ablate", "--out", tmp_path / "thesis", *words, code=2)
    assert "something else" in done.stderr
    assert (tmp_path / "thesis" / "report.html").read_text() == "mine"


def test_learning_curve_trains_every_cell_on_its_number_of_people(cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "curves"
    words = ("--data", cohort, "--recipe", "l1_only", "--folds", 2, "--out", out, "--fractions", 0.5, 1, "--widths", 4)
    words += ("--width-key", "generator.width")
    words += ("--set", "size=32", "levels=2", "validation_people=1", "pictures_every=0", "epochs=1")
    run("learning_curve", *words)
    with open(out / "cells.csv", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["name"], row["people"]) for row in rows] == [("F50_C4", "1"), ("F100_C4", "2")]
    small, large = (
        json.loads((out / "crossvalidation" / name / "fold-1" / "run" / "run.json").read_text())["people"]["training"]
        for name in ("F50_C4", "F100_C4")
    )
    assert len(small) == 1
    assert len(large) == 2
    assert set(small) < set(large)
    assert "not estimable" in (out / "report.html").read_text(encoding="utf-8")  # two sizes are no curve


def test_a_planted_asymptote_is_found_and_its_interval_holds_it() -> None:
    sizes = np.array([20, 40, 60, 80])
    a, b, c = fit_asymptote(sizes, (0.3 + 2.0 * sizes**-0.8)[None])
    assert (a[0], b[0], c[0]) == (pytest.approx(0.3, abs=1e-6), pytest.approx(2.0, abs=1e-4), pytest.approx(0.8))
    rng = np.random.default_rng(4)
    own = rng.normal(0, 0.05, 40)  # some people are harder than others, at every size
    cells = [
        {
            "people": int(n),
            "visits": [
                {"person": str(i), "error": 0.3 + 2.0 * n**-0.8 + own[i] + rng.normal(0, 0.005)} for i in range(40)
            ],
        }
        for n in sizes
    ]
    found = asymptote(cells, Measure("error", "error", "lower"))
    assert found["low"] < 0.3 < found["high"]
    assert found["people"] == 40
