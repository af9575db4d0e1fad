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

from TrainingCore.evaluation.asymptotes import asymptote, fit_power_laws
from TrainingCore.evaluation.elimination import ALL, margin, name_without
from TrainingCore.evaluation.tasks import ENHANCEMENT
from TrainingCore.experiments.ablation import RoundProgress, round_ends
from TrainingCore.reporting.ablation_report import margin_text, tried_rows
from TrainingCore.runtime.cli import Progress

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ball_cohort(tmp_path_factory.mktemp("ablate") / "balls", people=6, visits=1, size=32)


def run(name: str, *words: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"TrainingCore.{name}", "--threads", "1", "--progress", "none", *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
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


def test_progress_goes_on_from_round_to_round() -> None:
    assert round_ends(4) == [0.0, 0.5, 0.8, 1.0]  # 5, 3 and 2 of 10 trainings
    told: list[tuple[float, str]] = []
    whole = Progress("none")
    whole.report = lambda step, fraction, message: told.append((fraction, message))
    RoundProgress(whole, 2, 0.5, 0.8).report("crossvalidate", 0.5, "epoch 1")
    assert told == [(pytest.approx(0.65), "round 2: epoch 1")]


def test_the_table_of_combinations_has_ticks_the_best_and_the_papers_numbers_beside() -> None:
    def visits(*errors: float) -> list[dict[str, object]]:
        keys = [measure.key for measure in ENHANCEMENT.measures]
        return [{"person": str(i), **dict.fromkeys(keys, error)} for i, error in enumerate(errors)]

    worse = {"t1ce_low": 9e-5, "t1w": 4e-5, "adc": 2e-5}
    tried = {ALL: visits(*[1e-5] * 8)} | {name_without(name): visits(*[error] * 8) for name, error in worse.items()}
    row = {"round": 1, "inputs": list(worse), "tried": tried, "dropped": "adc", "by": ENHANCEMENT.measures[0]}
    rows = tried_rows([row], ENHANCEMENT)
    low = next(one for one in rows if one["t1ce_low"] == "✗")
    assert (low["t1w"], low["adc"]) == ("✓", "✓")
    papers = rows[rows.index(low) + 1]
    assert (low["L2 (10⁻⁵)"], papers["L2 (10⁻⁵)"], papers["round"]) == ("9.0 (0.0)", "66.9 (30.9)", "paper")
    ours = [one for one in rows if one["round"] != "paper"]
    assert [one["L2 (10⁻⁵)"].endswith(" best") for one in ours] == [True, False, False, False]
    found = margin(row, row["by"])
    assert (found["runner_up"], found["n"]) == ("t1w", 8)
    assert found["difference"] == pytest.approx(2e-5)
    assert "cannot be distinguished" not in margin_text(row, found)
    row["tried"][name_without("t1w")] = visits(*(2e-5 + 1e-6 * (-1) ** i for i in range(8)))
    assert "cannot be distinguished" in margin_text(row, margin(row, row["by"]))


def test_one_input_and_a_folder_of_something_else_are_refused(cohort: Path, tmp_path: Path) -> None:
    words = ("--data", cohort, "--recipe", "linear", "--folds", 2, "--set", "size=32", "validation_people=1")
    done = run("ablate", "--out", tmp_path / "new", *words, "inputs=[t1w]", code=2)
    assert "no input to leave out" in done.stderr
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "report.html").write_text("mine")
    done = run("ablate", "--out", tmp_path / "thesis", *words, code=2)
    assert "other files" in done.stderr
    assert (tmp_path / "thesis" / "report.html").read_text() == "mine"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--fractions", 0.01, 0.02, 1), "0.01 and 0.02 both give 1 training"),
        (("--fractions", 1, "--widths", 0), "width must be at least 1"),
        (("--fractions", 1, "--set", "inputs=[t1w, t1w]"), "an MRI twice"),
    ],
)
def test_curves_that_cannot_be_drawn_are_refused_before_anything_is_written(
    cohort: Path, tmp_path: Path, words: tuple[object, ...], says: str
) -> None:
    base = ("--data", cohort, "--recipe", "l1_only", "--folds", 2, "--out", tmp_path / "curves", "--width-key")
    done = run("learning_curve", *base, "generator.width", *words, "--set", "size=32", "validation_people=1", code=2)
    assert says in done.stderr
    assert not (tmp_path / "curves").exists()


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
    ((a, b, c),) = fit_power_laws(sizes, (0.3 + 2.0 * sizes**-0.8)[None])
    assert (a, b, c) == (pytest.approx(0.3, abs=1e-6), pytest.approx(2.0, abs=1e-4), pytest.approx(0.8))
    found = asymptote(sizes, measured(0.3 + 2.0 * sizes**-0.8), "lower", 0.0)
    assert found.low < 0.3 < found.high
    assert found.farther_low < 0.3 + 2.0 * 160**-0.8 < found.farther_high
    assert found.farther_high - found.farther_low < found.high - found.low  # nearer, so surer
    assert found.people == 40


def measured(curve: np.ndarray, people: int = 40, noise: float = 0.005) -> np.ndarray:
    """(people, sizes): the curve, with people who are harder than others at every size, and noise."""
    rng = np.random.default_rng(4)
    return curve + rng.normal(0, 0.05, (people, 1)) + rng.normal(0, noise, (people, len(curve)))


@pytest.mark.parametrize(
    ("curve", "better", "why"),
    [
        ([0.30, 0.32, 0.33, 0.35], "lower", "does not get better"),
        ([0.95, 0.94, 0.93, 0.92], "higher", "does not get better"),
        ([0.50, 0.40, 0.30, 0.20], "lower", "no sign of levelling off"),
        ([0.40, 0.36, 0.37, 0.365], "lower", ""),
    ],
)
def test_a_curve_that_has_no_asymptote_gets_none_and_the_reason(curve: list[float], better: str, why: str) -> None:
    found = asymptote(np.array([2, 4, 6, 8]), measured(np.array(curve)), better)
    if why:
        assert (found.a, found.low, found.high, found.farther) == (None,) * 4
        assert why in found.why
    else:
        assert found.low <= found.a <= found.high


def test_a_curve_of_nothing_but_noise_gets_no_interval() -> None:
    found = asymptote(np.array([2, 4, 6, 8]), measured(np.full(4, 0.3), people=8, noise=0.2), "lower")
    assert found.low is None
    assert found.why
    assert "sizes" in asymptote(np.array([2, 4]), measured(np.array([0.4, 0.3])), "lower").why
    assert "people" in asymptote(np.array([2, 4, 8]), measured(np.array([0.4, 0.3, 0.2]), people=2), "lower").why


def test_an_error_on_its_way_to_nothing_has_no_asymptote_and_still_says_what_twice_the_people_bring() -> None:
    sizes = np.array([2, 4, 6, 8])
    hard = np.random.default_rng(5).uniform(0.8, 1.2, (30, 1))
    found = asymptote(sizes, hard * 0.5 * sizes**-1.0, "lower", 0.0)
    assert (found.a, found.low, found.high) == (None,) * 3
    assert "no sign of levelling off" in found.why
    assert found.farther == pytest.approx(0.5 / 16, rel=0.1)
    assert found.farther_low < found.farther < found.farther_high


def test_an_error_never_approaches_less_than_nothing() -> None:
    sizes = np.array([2, 4, 6, 8])
    falling = measured(0.02 + 0.5 * sizes**-1.0 - 0.03, noise=0.0005) - 0.02
    free, bound = (
        fit_power_laws(sizes, falling.mean(axis=0)[None]),
        fit_power_laws(sizes, falling.mean(axis=0)[None], 0.0),
    )
    assert free[0, 0] < 0 <= bound[0, 0]
