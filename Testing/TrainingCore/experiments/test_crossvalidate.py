"""`python -m TrainingCore.crossvalidate`, run as a user runs it, on a cohort of balls."""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from ball_cohort import write_ball_cohort
from strikes import struck_command

from TrainingCore.crossvalidate import main
from TrainingCore.data.bundle import Bundle
from TrainingCore.data.cohort import Cohort
from TrainingCore.experiments.folds import folds_of_units, make_folds
from TrainingCore.experiments.recipes import name_recipes_without_key, open_recipes
from TrainingCore.runtime.cli import run_command
from TrainingCore.runtime.errors import BadInput
from TrainingCore.systems.loading import load_system

ROOT = Path(__file__).resolve().parents[3]
SMALL = ["--set", "size=32", "width=4", "levels=2", "discriminator.widths=[8, 8, 8, 8]", "patches=4"]
SMALL += ["validation_people=1", "epochs=2", "pictures_every=0", "generator_rate=3e-3"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ball_cohort(tmp_path_factory.mktemp("cv") / "balls", people=6, visits=1, size=32)


def command(cohort: Path, out: Path, *more: object) -> list[str]:
    return [sys.executable, "-m", "TrainingCore.crossvalidate", *given(cohort, out, *more)]


def given(cohort: Path, out: Path, *more: object) -> list[str]:
    base = ["--data", cohort, "--out", out, "--folds", 3, "--threads", 1, "--progress", "none", *SMALL]
    return [str(word) for word in (*base, *more)]


def run(cohort: Path, out: Path, *more: object, code: int = 0) -> str:
    done = subprocess.run(command(cohort, out, *more), cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == code, done.stderr
    return done.stderr


@pytest.fixture(scope="module")
def unbroken(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cv") / "unbroken"
    run(cohort, out, "--recipe", "l1_only", "--compare", "linear")
    return out


def rows(out: Path) -> list[dict[str, str]]:
    with open(out / "visits.csv", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_a_change_is_made_in_every_recipe_that_has_the_key_and_told_of_the_others() -> None:
    changes = ["epochs=3", "generator.width=4", "network.features=2"]
    recipes = open_recipes(["sketcher_refiner", "dnn=two_layer_dnn"], changes)
    assert [recipe["epochs"] for recipe in recipes.values()] == [3, 3]
    assert recipes["sketcher_refiner"]["generator"]["width"] == 4
    assert recipes["dnn"]["network"]["features"] == 2
    told = name_recipes_without_key(recipes, changes)
    assert "dnn without --set generator.width; sketcher_refiner without --set network.features" in told
    assert name_recipes_without_key(recipes, ["epochs=3"]) == ""
    for wanted in (["sketcher_refiner", "two_layer_dnn"], ["two_layer_dnn"]):
        with pytest.raises(BadInput, match=r"there is no recipe key 'generator.widht'"):
            open_recipes(wanted, ["generator.widht=4"])
    with pytest.raises(BadInput, match=r"there is no recipe key 'generator.width'"):
        open_recipes(["two_layer_dnn"], ["generator.width=4"])


def test_everybody_is_measured_once_by_a_model_that_never_saw_them(unbroken: Path) -> None:
    plan = json.loads((unbroken / "plan.json").read_text())
    for name in ("l1_only", "linear"):
        assert sorted(row["person"] for row in rows(unbroken) if row["recipe"] == name) == [f"P{i}" for i in range(6)]
    for number, left_out in enumerate(plan["folds"], start=1):
        people = json.loads((unbroken / "l1_only" / f"fold-{number}" / "run" / "run.json").read_text())["people"]
        assert not set(left_out) & set(people["training"] + people["validation"])
        assert len(people["training"] + people["validation"] + left_out) == 6


def test_the_report_has_mean_sd_and_the_paired_comparison(unbroken: Path) -> None:
    page = (unbroken / "report.html").read_text(encoding="utf-8")
    summary = json.loads((unbroken / "summary.json").read_text())
    found = summary["recipes"]["linear"]["mae_lesions"]
    assert f"{found['mean']:.3f} ({found['sd']:.3f})" in page
    values = {name: {row["person"]: float(row["mae_lesions"]) for row in rows(unbroken) if row["recipe"] == name}
              for name in ("l1_only", "linear")}  # fmt: skip
    gaps = [values["linear"][person] - values["l1_only"][person] for person in values["linear"]]
    assert summary["against"]["linear"]["mae_lesions"]["difference"] == pytest.approx(sum(gaps) / 6)
    assert "linear beside l1_only" in page
    assert "Research use only" in page
    assert "imulated" in page


def test_last_epochs_are_measured_and_compared_where_they_are_not_the_best(
    cohort: Path, unbroken: Path, tmp_path: Path
) -> None:
    out = tmp_path / "cv"
    shutil.copytree(unbroken, out)
    for name in ("l1_only", "linear"):
        for fold in (1, 2, 3):
            folder = out / name / f"fold-{fold}"
            kept = json.loads((folder / "rows.json").read_text())
            bundles = [Bundle.open(folder / "run" / "bundles" / which).sha256 for which in ("best", "last")]
            assert (kept["last_epoch"] is None) == (bundles[0] == bundles[1])
            worse = [{**row, "mae_brain": row["mae_brain"] + 0.25} for row in kept["visits"]]
            kept["last_epoch"] = {"visits": worse, "lesions": kept["lesions"]} if name == "l1_only" else None
            (folder / "rows.json").write_text(json.dumps(kept))
    run(cohort, out, "--recipe", "l1_only", "--compare", "linear")
    summary = json.loads((out / "summary.json").read_text())
    best, last = summary["recipes"], summary["last_epoch"]["recipes"]
    assert last["l1_only"]["mae_brain"]["mean"] == pytest.approx(best["l1_only"]["mae_brain"]["mean"] + 0.25)
    assert last["linear"]["mae_brain"] == best["linear"]["mae_brain"]
    gaps = [
        part["linear"]["mae_brain"]["difference"] for part in (summary["against"], summary["last_epoch"]["against"])
    ]
    assert gaps[1] == pytest.approx(gaps[0] - 0.25)
    assert "Last epochs" in (out / "report.html").read_text(encoding="utf-8")


def test_killed_in_fold_2_and_started_again_gives_the_same_numbers(
    cohort: Path, unbroken: Path, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    words = given(cohort, out, "--recipe", "l1_only", "--compare", "linear")
    at_work = struck_command("crossvalidate", "l1_only, fold 2: epoch 2/2", signal.SIGKILL, *words)
    assert subprocess.run(at_work, cwd=ROOT, timeout=900).returncode == -signal.SIGKILL
    assert (out / "l1_only" / "fold-2" / "run" / "checkpoints" / "last.safetensors").is_file()
    assert (out / "l1_only" / "fold-1" / "rows.json").is_file()
    assert not (out / "l1_only" / "fold-3" / "rows.json").exists()
    run(cohort, out, "--recipe", "l1_only", "--compare", "linear")
    assert (out / "visits.csv").read_bytes() == (unbroken / "visits.csv").read_bytes()
    assert (out / "lesions.csv").read_bytes() == (unbroken / "lesions.csv").read_bytes()


def test_single_folds_are_jobs_of_their_own_and_the_last_one_writes_the_report(
    cohort: Path, unbroken: Path, tmp_path: Path
) -> None:
    out = tmp_path / "jobs"
    said = run(cohort, out, "--recipe", "linear", "--fold", 2)
    assert "missing" in said
    assert not (out / "report.html").exists()
    run(cohort, out, "--recipe", "linear", "--jobs", 2)
    assert (out / "report.html").is_file()
    mine = [row["mae_brain"] for row in rows(out)]
    assert mine == [row["mae_brain"] for row in rows(unbroken) if row["recipe"] == "linear"]


def test_one_fold_is_a_stratified_training_validation_and_test_set_with_a_report(cohort: Path, tmp_path: Path) -> None:
    columns = {"P0": "4", "P1": "4", "P2": "4", "P3": "2", "P4": "2", "P5": "2"}
    own, out = tmp_path / "cohort.csv", tmp_path / "one_split"
    visits = Cohort.read(cohort).visits
    names = ["t1w", "flair", "dvr", "brain", "lesions", "white_matter"]
    with open(own, "w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(["participant_id", "grade", *names])
        for visit in visits:
            table.writerow([visit.person, columns[visit.person], *(visit.files[name] for name in names)])
    run(own, out, "--recipe", "linear", "--compare", "l1_only", "--fold", 2, "--report", "--stratify", "grade",
        "--set", "validation_people=2")  # fmt: skip
    people = json.loads((out / "l1_only" / "fold-2" / "run" / "run.json").read_text())["people"]
    left_out = json.loads((out / "plan.json").read_text())["folds"][1]
    for part in (people["training"], people["validation"], left_out):
        assert sorted(columns[person] for person in part) == ["2", "4"]
    summary = json.loads((out / "summary.json").read_text())
    assert (summary["people"], summary["measured_folds"]) == (2, [2])
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "only fold 2 is reported here" in page
    assert "1 / 1 / 1" in page  # of each grade
    assert "2 / 2 / 2" in page  # of all
    assert "By grade" in page
    for row in rows(out):  # one person of each grade: their means are their own values
        assert f"{float(row['mae_lesions']):.3f}" in page.split("By grade")[1]


def test_another_plan_in_the_folder_is_refused(cohort: Path, unbroken: Path) -> None:
    assert "another cross-validation" in run(cohort, unbroken, "--recipe", "linear", code=2)


def test_what_cannot_work_is_refused_before_anything_is_written(cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "new"
    assert "no fold 4" in run(cohort, out, "--recipe", "linear", "--fold", 4, code=2)
    assert "at least 1, not 0" in run(cohort, out, "--recipe", "linear", "--jobs", 0, code=2)
    assert "validation" in run(cohort, out, "--recipe", "linear", "--set", "validation_people=4", code=2)
    assert not out.exists()


def test_visits_left_out_are_said_alike_in_jobs_of_their_own_and_no_name_reaches_a_table(tmp_path: Path) -> None:
    data = write_ball_cohort(tmp_path / "balls", people=4, visits=2, size=32)
    next((data / "sub-P1" / "ses-2").rglob("*FLAIR.nii.gz")).unlink()
    people = [f"sub-P{i}\ttrue\tDoe^Jane\tA" for i in range(4)]
    (data / "participants.tsv").write_text("\n".join(["participant_id\tsimulated\tname\tsite", *people]) + "\n")
    for out, more in ((tmp_path / "one", ()), (tmp_path / "two", ("--jobs", 2))):
        said = run(data, out, "--recipe", "linear", "--folds", 2, *more)
        assert "1 of 8 visits are not used: sub-P1_ses-2 has no flair" in said
    assert (tmp_path / "one" / "visits.csv").read_bytes() == (tmp_path / "two" / "visits.csv").read_bytes()
    assert len(rows(tmp_path / "one")) == 7
    assert {row["site"] for row in rows(tmp_path / "one")} == {"A"}
    for path in (tmp_path / "one").rglob("*"):
        assert not path.is_file() or b"Jane" not in path.read_bytes(), path
    next((data / "sub-P2" / "ses-1").rglob("*FLAIR.nii.gz")).unlink()
    assert "files (sub-P2_ses-1) differ" in run(data, tmp_path / "one", "--recipe", "linear", "--folds", 2, code=2)


def test_a_failing_training_is_named_with_its_reason(cohort: Path, tmp_path: Path) -> None:
    said = run(cohort, tmp_path / "failing", "--recipe", "linear", "--jobs", 2, "--device", "cuda:7", code=1)
    assert "linear, fold " in said  # whichever of the two was faster
    assert "GPU" in said


def test_the_folds_become_an_ensemble_with_their_out_of_fold_measures(unbroken: Path, tmp_path: Path) -> None:
    import torch

    from TrainingCore.export import main as export

    out = tmp_path / "ensemble"
    assert export(["--crossvalidation", str(unbroken), "--licence", "CC0-1.0", "--out", str(out)]) == 0
    ensemble = Bundle.open(out)
    inputs = torch.randn(1, 2, 32, 32, 32)
    single = [
        load_system(Bundle.open(unbroken / "l1_only" / f"fold-{fold}" / "run" / "bundles" / "best")).predict(inputs)
        for fold in (1, 2, 3)
    ]
    assert torch.allclose(load_system(ensemble).predict(inputs), torch.stack(single).mean(dim=0), atol=1e-6)
    assert not torch.allclose(single[0], single[1])
    summary = json.loads((unbroken / "summary.json").read_text())["recipes"]["l1_only"]["mae_brain"]
    assert ensemble.description["performance"]["MAE in the brain (DVR)"].startswith(f"{summary['mean']:.3f}")
    assert "mean of 3 networks" in (out / "README.md").read_text(encoding="utf-8")


def test_folds_are_alike_in_every_stratum_and_in_size() -> None:
    stratum = {f"p{i}": "patient" if i < 18 else "control" for i in range(28)}
    folds = make_folds(stratum, 3, seed=5)
    assert sorted(person for fold in folds for person in fold) == sorted(stratum)
    assert sorted(map(len, folds)) == [9, 9, 10]
    assert [Counter(stratum[person] for person in fold)["patient"] for fold in folds] == [6, 6, 6]
    assert folds == make_folds(dict(reversed(stratum.items())), 3, seed=5)
    assert folds != make_folds(stratum, 3, seed=6)


def test_people_with_the_lesions_of_one_real_mask_are_in_one_fold() -> None:
    stratum = {f"p{i:02d}": "" for i in range(24)}
    units = {person: f"mask {int(person[1:]) % 11}" for person in stratum}
    folds = folds_of_units(stratum, units, 5, seed=0)
    assert sorted(person for fold in folds for person in fold) == sorted(stratum)
    for mask in set(units.values()):
        assert sum(any(units[person] == mask for person in fold) for fold in folds) == 1
    assert max(map(len, folds)) - min(map(len, folds)) <= 4
    alone = {person: person for person in stratum}
    assert folds_of_units(stratum, alone, 5, seed=0) == make_folds(stratum, 5, seed=0)
    with pytest.raises(BadInput, match="11 real masks"):
        folds_of_units(stratum, units, 12, seed=0)


def test_more_folds_than_people_are_refused() -> None:
    with pytest.raises(BadInput, match="3 people"):
        make_folds(dict.fromkeys("abc", ""), 4, seed=0)


def test_a_recipe_without_the_measure_has_no_empty_place_in_the_figure_by_person():
    from TrainingCore.evaluation.tasks import WMH
    from TrainingCore.reporting.result_tables import measure_by_person_figure

    segments = [{"person": "a", "dsc": 3.0}, {"person": "b", "dsc": 5.0}]
    makes_flair_alone = [{"person": "a", "mae": 0.4}, {"person": "b", "mae": 0.5}]
    figure = measure_by_person_figure(
        WMH.measures[0], {"joint": {"visits": segments}, "linear": {"visits": makes_flair_alone}}
    )
    assert [text.get_text() for text in figure.axes[0].get_xticklabels()] == ["joint"]


@pytest.mark.parametrize("fold", ["0", "-1", "4"])
def test_a_fold_that_does_not_exist_is_refused(
    fold: str, ball_cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--data", str(ball_cohort), "--recipe", "l1_only", "--folds", "3", "--out", str(tmp_path / "out")]
    with contextlib.suppress(SystemExit):  # by the command line or by the command
        assert run_command(main, [*asked, "--fold", fold]) == 2
    assert "fold" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
