"""What cannot be prepared is said in one sentence before anything is written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from small_head import AFFINE, make_head

from TrainingCore.imaging.volumes import Volume
from TrainingCore.patient.case_preparation import prepare_volumes
from TrainingCore.preprocess import main, settings_of
from TrainingCore.preprocessing.dataset import check_folders, claimed
from TrainingCore.runtime.cli import run_command
from TrainingCore.runtime.errors import BadInput

ROOT = Path(__file__).resolve().parents[3]


def refused(capsys: pytest.CaptureFixture[str], data: Path, out: Path, *more: str) -> str:
    """What is said on the way to exit code 2."""
    assert run_command(main, ["--data", str(data), "--out", str(out), "--progress", "none", *more]) == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--grid", "128x128"], "--grid 128x128"),
        (["--grid", "8"], "16 to 512"),
        (["--grid", "own", "--spacing", "1"], "Leave out --spacing"),
        (["--spacing", "20"], "20 mm"),
        (["--people", "P0", "nobody"], "no person called nobody"),
        (["--needs", "ct"], "unknown volume"),
        (["--needs", "t2w", "mtr"], "no visit with t2w and mtr"),
        (["--jobs", "-1"], "1 or more"),
    ],
)
def test_options_that_mean_nothing(
    raw_cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], words: str
) -> None:
    assert words in refused(capsys, raw_cohort, tmp_path / "out", *more)
    assert not (tmp_path / "out").exists()


def test_input_and_output_inside_each_other(cohort: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "holds the input" in refused(capsys, cohort, cohort)
    assert "holds the input" in refused(capsys, cohort, cohort.parent)
    assert "inside the input" in refused(capsys, cohort, cohort / "sub-P0")
    assert "derivatives/prepared" in refused(capsys, cohort, cohort / "derivatives")
    assert "not written by preprocess" in refused(capsys, cohort, cohort / "derivatives" / "phantom")


def test_a_folder_of_somebody_else_is_never_written_to(
    raw_cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    assert "not empty" in refused(capsys, raw_cohort, tmp_path / "thesis")
    assert "is a file" in refused(capsys, raw_cohort, tmp_path / "thesis" / "chapter.txt")
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["chapter.txt"]


def test_what_a_run_that_was_killed_at_its_beginning_left_is_no_hindrance_and_goes(
    raw_cohort: Path, tmp_path: Path
) -> None:
    left = [tmp_path / "out" / ".work", tmp_path / "out" / ".0123.partial.json", tmp_path / "out" / ".0123.partial"]
    for path in left:
        path.mkdir(parents=True) if path.suffix != ".json" else path.touch()
    check_folders(raw_cohort, tmp_path / "out")
    with claimed(tmp_path / "out"):
        assert not any(path.exists() for path in left)


def test_two_runs_do_not_write_to_one_folder(
    raw_cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with claimed(tmp_path / "out"):
        assert "Another preprocess" in refused(capsys, raw_cohort, tmp_path / "out")
    with pytest.raises(BadInput, match="Cannot write"), claimed(Path("/proc/nothing/out")):
        pass


def test_datasets_without_a_t1w_or_without_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    (data / "sub-01" / "anat").mkdir(parents=True)
    assert "nothing to prepare" in refused(capsys, data, tmp_path / "out")
    (data / "sub-01" / "anat" / "sub-01_MTRmap.nii.gz").touch()
    assert "sub-01 has no T1w and no FLAIR and no T2w" in refused(capsys, data, tmp_path / "out")
    (data / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz").touch()
    assert "sub-01 has no t1w" in refused(capsys, data, tmp_path / "out", "--needs", "t1w")
    assert "does not exist" in refused(capsys, tmp_path / "nowhere", tmp_path / "out")


def test_a_table_is_refused_or_its_bad_rows_are_failures(
    raw_cohort: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "cohort.csv"
    table.write_text("participant_id,flair\n01,x.nii.gz\n")
    assert "holds no visit with an MRI" in refused(capsys, table, tmp_path / "out")
    table.write_text("participant_id,t1w\n01,x.nii.gz\n")
    assert "line 2" in refused(capsys, table, tmp_path / "out")
    broken = tmp_path / "broken.nii.gz"
    broken.write_bytes(b"no image")
    table.write_text("participant_id,t1w\n01,nowhere.nii.gz\n02,broken.nii.gz\n")
    given = ["--data", str(table), "--out", str(tmp_path / "out"), "--progress", "none", "--jobs", "1"]
    capsys.readouterr()
    assert run_command(main, given) == 1
    said = capsys.readouterr().err
    assert said.count("broken.nii.gz is not a NIfTI file") == 1
    assert said.count("nowhere.nii.gz does not exist") == 1
    reasons = [failure["reason"] for failure in json.loads((tmp_path / "out" / "failures.json").read_text())]
    assert len(reasons) == 2
    assert any("broken.nii.gz is not a NIfTI file" in reason for reason in reasons)
    assert any("line 2" in reason for reason in reasons)


@pytest.mark.parametrize("outside", [0.25, 0.75])
def test_a_lesion_mask_that_lies_mostly_outside_the_brain_is_refused(outside: float) -> None:
    head = make_head()
    read = {name: Volume(head[name].astype(np.float32), AFFINE, f"{name}.nii") for name in ("t1w", "brain")}
    marks = np.zeros(head["brain"].shape, np.float32)
    marks[28:32, 20:40, 24:28] = 1
    beside = round(20 * outside)
    marks[28:32, 20 : 20 + beside, 24:28], marks[28:32, :beside, :4] = 0, 1
    read["lesions"] = Volume(marks, AFFINE, "lesions.nii")
    if outside > 0.5:
        with pytest.raises(
            BadInput, match=r"75 % of the lesion mask lesions\.nii lie outside the brain in the T1w t1w\.nii"
        ):
            prepare_volumes(read, settings_of("64", None, "t1w"), {}, {})
        return
    warnings = prepare_volumes(read, settings_of("64", None, "t1w"), {}, {}).warnings
    assert "25 % of the lesion mask lesions.nii lie outside the brain mask." in warnings


def test_help_and_bad_input_import_nothing_heavy() -> None:
    code = (
        "import sys; from TrainingCore.preprocess import main\n"
        "try: main(['--data', '/nowhere', '--out', '/tmp/never'])\n"
        "except Exception as error: print(error)\n"
        "print([name for name in ('torch', 'SimpleITK', 'matplotlib', 'dask', 'joblib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
