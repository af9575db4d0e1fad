"""The search: a planted optimum, two workers on one study, a kill in between."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ball_cohort import write_ball_cohort
from strikes import struck_command, waiting_command

from TrainingCore.data.cohort import Cohort, Visit
from TrainingCore.data.recipe import load_recipe, value_of
from TrainingCore.experiments.space import Dimension, default_space, read_space, spaces
from TrainingCore.reporting.document import SIMULATED_BANNER
from TrainingCore.runtime.errors import BadInput, MyelinSynthError

optuna = pytest.importorskip("optuna", reason="the search needs Optuna: pip install optuna")
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ball_cohort(tmp_path_factory.mktemp("tune") / "balls", people=4, visits=1, size=32)


def command(cohort: Path, out: Path, space: Path, *more: object) -> list[str]:
    return [sys.executable, "-m", "TrainingCore.tune", *given(cohort, out, space, *more)]


def given(cohort: Path, out: Path, space: Path, *more: object) -> list[str]:
    base = ["--data", cohort, "--space", space, "--out", out]
    small = ["--set", "size=32", "width=4", "levels=2", "validation_people=1", "epochs=3", "pictures_every=0"]
    return [str(word) for word in (*base, "--recipe", "l1_only", "--threads", 1, "--progress", "none", *more, *small)]


def write_space(folder: Path, **content: object) -> Path:
    path = folder / "space.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def quadratic(_trial: object, values: dict[str, float]) -> float:
    """Best at rate 1e-4 and weight 3."""
    import math

    return (math.log10(values["optimizer.generator_rate"]) + 4) ** 2 + (values["losses.l1"] - 3) ** 2


PLANE = [Dimension("optimizer.generator_rate", 1e-6, 1e-1, log=True), Dimension("losses.l1", 0.0, 10.0)]


def test_a_planted_optimum_is_found(tmp_path: Path) -> None:
    from TrainingCore.experiments.search import open_study, run_trials

    study = open_study(tmp_path / "study", {"recipe": 1}, seed=3)
    run_trials(study, PLANE, quadratic, 60)
    assert abs(study.best_params["losses.l1"] - 3) < 0.7
    assert 2e-5 < study.best_params["optimizer.generator_rate"] < 5e-4
    assert study.best_value < 0.5  # of 60 random points the best lies above that in three of four seeds


def test_the_report_tells_what_mattered_once_enough_trials_have_finished(tmp_path: Path) -> None:
    from TrainingCore.experiments.search import open_study, run_trials
    from TrainingCore.reporting.search_report import write_search

    recipe, cohort = load_recipe("curricular"), Cohort([Visit("A", "1", info={"simulated": "true"})], tmp_path)
    study, pages = open_study(tmp_path / "study", {"recipe": 1}, seed=3), []
    for trials in (4, 16):
        run_trials(study, PLANE, quadratic, trials)
        summary = write_search(tmp_path / "study", study, recipe, PLANE, cohort)
        pages.append((tmp_path / "study" / "report.html").read_text(encoding="utf-8"))
    assert sum(summary["importance"].values()) == pytest.approx(1)
    assert "importance of keys needs at least 10 finished trials" in pages[0]
    assert "Importance of each key for a good score" in pages[1]
    assert all(SIMULATED_BANNER in page for page in pages)
    best = summary["best"]["values"]["losses.l1"]
    assert f"<td>{best:.4g}</td>" in pages[1].replace(' class=""', "")
    assert load_recipe(str(tmp_path / "study" / "best_recipe.yaml"))["losses"]["l1"] == best


def test_values_that_make_a_loss_no_number_do_not_end_the_search(tmp_path: Path) -> None:
    from TrainingCore.experiments.search import open_study, run_trials
    from TrainingCore.reporting.search_report import REASON

    def breaks(trial: object, values: dict[str, float]) -> float:
        if values["losses.l1"] > 5:
            raise MyelinSynthError("Training stopped in epoch 1: l1 became NaN or infinite.")
        return values["losses.l1"]

    study = open_study(tmp_path / "study", {"recipe": 1}, seed=0)
    run_trials(study, PLANE, breaks, 12)
    reasons = [trial.user_attrs[REASON] for trial in study.trials if REASON in trial.user_attrs]
    assert reasons
    assert all("NaN or infinite" in reason for reason in reasons)
    assert study.best_value < 5


def test_two_workers_that_both_draw_the_last_trial_do_not_train_one_too_many(tmp_path: Path, monkeypatch) -> None:
    from TrainingCore.experiments.search import open_study, run_trials

    study = open_study(tmp_path / "study", {"recipe": 1}, seed=0)
    own = study.optimize

    def optimize_while_another_draws(*given: object, **named: object) -> None:
        theirs = study.ask()  # by then this worker has seen that a trial is missing
        own(*given, **named)
        study.tell(theirs, 1.0)

    monkeypatch.setattr(study, "optimize", optimize_while_another_draws)
    run_trials(study, PLANE, quadratic, 3)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "COMPLETE", "COMPLETE", "FAIL"]
    assert not study.trials[-1].params


class StandInTrial:
    """What Course asks of a trial."""

    number = 0

    def __init__(self) -> None:
        self.told: dict[int, float] = {}
        self.attributes: dict[str, object] = {}

    def set_user_attr(self, key: str, value: object) -> None:
        self.attributes[key] = value

    def report(self, score: float, part: int) -> None:
        self.told[part] = score

    def should_prune(self) -> bool:
        return max(self.told) == 7


def trained_until_pruned(epochs: int) -> StandInTrial:
    from TrainingCore.experiments.trials import Course
    from TrainingCore.runtime.cli import Progress

    trial = StandInTrial()
    course = Course(trial, [], Progress("none", ""))
    for epoch in range(1, epochs + 1):
        course.report("train", epoch / epochs, "")
        try:
            course.epoch({"epoch": epoch, "validation_score": 1 - epoch / epochs})
        except optuna.TrialPruned:
            return trial
    raise AssertionError("the trial was not pruned")


def test_trials_are_compared_after_the_same_share_of_their_training_not_at_the_same_epoch() -> None:
    few, many = (trained_until_pruned(epochs) for epochs in (10, 75))
    assert list(few.told) == list(many.told) == [1, 2, 3, 4, 5, 6, 7]
    assert few.told[5] == pytest.approx(many.told[5], abs=0.02)
    assert (few.attributes["epochs"], many.attributes["epochs"]) == (7, 53)


def test_two_workers_find_the_better_rate_and_leave_a_recipe_that_loads(cohort: Path, tmp_path: Path) -> None:
    # from a rate of 1e-6 nothing is learnt in three epochs: the better end of the range is known
    space = write_space(tmp_path, generator_rate={"low": 1e-6, "high": 1e-2, "log": True})
    out = tmp_path / "study"
    # the first waits in its first trial until the other one, which takes longer to start, has begun the second
    words = waiting_command("tune", "trial 0: epoch 1", out / "trials" / "0001", *given(cohort, out, space, "--trials",
                            6, "--workers", 2))  # fmt: skip
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    with open(out / "trials.csv", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    finished = [row for row in rows if row["state"] in {"complete", "pruned"}]
    assert len(finished) == 6
    assert len({row["optimizer.generator_rate"] for row in finished}) == 6
    workers = {trial.user_attrs["worker"] for trial in _study(out).trials}
    assert len(workers) == 2
    best = load_recipe(str(out / "best_recipe.yaml"))
    summary = json.loads((out / "summary.json").read_text())
    assert best["optimizer"]["generator_rate"] == summary["best"]["values"]["optimizer.generator_rate"] > 3e-5
    assert best["losses"]["adversarial"] == 0
    assert best["data"]["size"] == 32
    assert "History" in (out / "report.html").read_text(encoding="utf-8")


def _study(out: Path):
    backend = optuna.storages.journal.JournalFileBackend(str(out / "study.journal"))
    return optuna.load_study(study_name="myelinsynth", storage=optuna.storages.JournalStorage(backend))


def test_a_killed_search_takes_up_its_trial_where_it_stopped(cohort: Path, tmp_path: Path) -> None:
    space = write_space(tmp_path, generator_rate={"low": 1e-4, "high": 1e-2, "log": True})
    out = tmp_path / "study"
    more = ("--trials", 2, "--no-pruning")
    at_work = struck_command("tune", "trial 0: epoch 2/3", signal.SIGKILL, *given(cohort, out, space, *more))
    assert subprocess.run(at_work, cwd=ROOT, timeout=900).returncode == -signal.SIGKILL
    assert (out / "trials" / "0000" / "run" / "checkpoints" / "last.safetensors").is_file()
    done = subprocess.run(command(cohort, out, space, *more), cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    trials = _study(out).trials
    assert [trial.state.name for trial in trials] == ["FAIL", "COMPLETE", "COMPLETE"]
    assert trials[1].user_attrs["continues"] == 0
    assert trials[1].params == trials[0].params
    log = [json.loads(line) for line in (out / "trials" / "0000" / "run" / "log.jsonl").read_text().splitlines()]
    assert [entry["epoch"] for entry in log] == [1, 2, 3]
    assert not (out / "trials" / "0001").exists()  # it went on in the folder of the killed one


@pytest.mark.parametrize("system", spaces())
def test_every_space_that_comes_with_a_system_holds_the_settings_of_its_paper(system: str) -> None:
    recipe = load_recipe(system)
    dimensions = default_space(recipe)
    assert dimensions
    for dimension in dimensions:
        value = value_of(recipe, dimension.key)
        assert value in dimension.choices if dimension.choices else dimension.low <= value <= dimension.high


def test_the_five_hyper_parameters_of_genc_et_al_are_searched_around_both_of_their_optima() -> None:
    for name in ("mask_weighted_pix2pix", "mask_weighted_pix2pix_t1"):
        recipe = load_recipe(name)
        found = {one.key: one for one in default_space(recipe)}
        assert set(found) == {"data.visits_per_step", "samples", "optimizer.rate", "losses.l1", "losses.mask"}
        assert all(one.low < value_of(recipe, key) < one.high for key, one in found.items())


def test_a_twin_keeps_what_makes_it_one_when_it_is_searched() -> None:
    keys = [one.key for one in default_space(load_recipe("mask_weighted_pix2pix_without_mask"))]
    assert "losses.mask" not in keys
    assert "losses.l1" in keys
    with pytest.raises(BadInput, match="--space FILE"):
        default_space(load_recipe("mask_weighted_pix2pix_linear"))


def test_half_a_line_in_the_journal_is_forgotten_and_rubbish_is_named(tmp_path: Path) -> None:
    from TrainingCore.experiments.search import open_study, run_trials

    run_trials(open_study(tmp_path / "study", {"recipe": 1}, seed=0), PLANE, quadratic, 3)
    journal = tmp_path / "study" / "study.journal"
    whole = journal.read_bytes()
    journal.write_bytes(whole + whole.splitlines()[-1][:20])  # as a full disk leaves it
    study = open_study(tmp_path / "study", {"recipe": 1}, seed=0)
    run_trials(study, PLANE, quadratic, 5)
    assert len(study.trials) == 5
    journal.write_text("rubbish\nrubbish\n")
    with pytest.raises(BadInput, match="is damaged"):
        open_study(tmp_path / "study", {"recipe": 1}, seed=0)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"generator_rat": {"low": 1e-5, "high": 1e-3}}, "generator_rate"),
        ({"generator_rate": {"low": 1e-3, "high": 1e-5}}, "below high"),
        ({"generator_rate": {"low": 0, "high": 1e-3, "log": True}}, "above 0"),
        ({"schedule.name": {"choices": ["curricular"]}}, "two or more"),
        ({"generator.width": {"low": "a", "high": 8}}, "numbers"),
        ({"losses": 3}, "no recipe key"),
        ({"generator.levels": {"low": 2, "high": 90}}, "levels must be between"),
        ({"losses.l1": {"low": 0, "high": float("inf")}}, "finite"),
        ({"generator.width": {"low": 8, "high": 32, "step": 0}}, "step"),
        ({"generator.width": {"low": 8, "high": 32, "step": "x"}}, "step"),
        ({"system": {"choices": ["curricular", "linear"]}}, "cannot be compared"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused_in_one_sentence(
    tmp_path: Path, content: dict[str, object], says: str
) -> None:
    with pytest.raises(BadInput, match=says):
        read_space(write_space(tmp_path, **content), load_recipe("curricular"))


def test_trials_close_together_on_a_log_axis_get_few_labels_that_span_what_was_searched() -> None:
    from types import SimpleNamespace

    from TrainingCore.reporting.search_report import keys_figure

    dimensions = [Dimension("optimizer.rate", 1e-5, 1e-3, log=True), Dimension("samples", 1, 16, log=True, whole=True)]
    trials = [
        SimpleNamespace(number=i, state=SimpleNamespace(name="COMPLETE"), value=0.1 * i, intermediate_values={},
                        params={"optimizer.rate": 2e-4 + 1e-5 * i, "samples": 4})
        for i in range(3)
    ]  # fmt: skip
    axes = keys_figure(trials, dimensions).axes[:2]
    assert [[label.get_text() for label in axis.get_xticklabels()] for axis in axes] == [
        ["1e-05", "0.0001", "0.001"], ["1", "2", "4", "8", "16"],
    ]  # fmt: skip
    assert all(len(axis.get_xticklabels(minor=True)) == 0 for axis in axes)


def test_every_choice_has_its_place_whether_it_was_drawn_or_not() -> None:
    from types import SimpleNamespace

    from TrainingCore.reporting.search_report import keys_figure, trial_row

    dimensions = [
        Dimension("optimizer.betas", choices=([0.5, 0.999], [0.9, 0.99])),
        Dimension("norm", choices=("a", "b")),
    ]
    params = {"optimizer.betas": "[0.9, 0.99]", "norm": '"b"'}
    drawn = SimpleNamespace(number=0, state=SimpleNamespace(name="COMPLETE"), value=0.1, intermediate_values={},
                            duration=None, user_attrs={}, params=params)  # fmt: skip
    axes = keys_figure([drawn], dimensions).axes
    assert [[label.get_text() for label in axis.get_xticklabels()] for axis in axes] == [
        ["[0.5, 0.999]", "[0.9, 0.99]"], ["a", "b"],
    ]  # fmt: skip
    assert [axis.collections[0].get_offsets()[0][0] for axis in axes] == [1, 1]
    assert trial_row(drawn, dimensions)["norm"] == "b"


def test_what_the_papers_own_search_found_stands_beside_what_was_found_here() -> None:
    from TrainingCore.reporting.document import Report
    from TrainingCore.reporting.search_report import add_best

    best = {"trial": 3, "score": 0.2, "values": {"optimizer.rate": 2e-4, "generator.norm": "instance"}}
    pages = []
    for name in ("mask_weighted_pix2pix_t1", "contrast_enhancement"):
        recipe = load_recipe(name, ["optimizer.rate=5e-4"])
        values = best["values"] if "pix2pix" in name else {"optimizer.rate": 2e-4}
        report = Report("Search")
        add_best(report, best | {"values": values}, recipe)
        pages.append(report.html())
    assert [word for word in ("0.0002", "0.0005", "0.000149", "cannot be equal") if word not in pages[0]] == []
    assert "paper" not in pages[1].partition("<main>")[2].lower()


@pytest.mark.parametrize("name", ["mask_weighted_pix2pix", "mask_weighted_pix2pix_t1"])
def test_the_recipes_of_genc_et_al_hold_what_the_report_calls_the_papers_best(name: str) -> None:
    from TrainingCore.systems.registry import reported_for

    recipe = load_recipe(name)
    papers = reported_for("translation").searched[recipe["data"]["target"]]
    assert {key: value_of(recipe, key) for key in papers} == papers
