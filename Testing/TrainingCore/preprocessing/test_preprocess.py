"""`preprocess` over a cohort: what comes out, what is done again, what fails and what that means for the others."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from TrainingCore.data.cohort import Cohort
from TrainingCore.imaging.preparation import load_visit
from TrainingCore.preprocess import main
from TrainingCore.preprocessing.records import content_of, untouched
from TrainingCore.runtime.cli import run_command
from TrainingCore.runtime.errors import BadInput

ROOT = Path(__file__).resolve().parents[3]
RULE = {"rule": "percentile", "low": 2.5, "high": 97.5, "clip": True}
QUIET = ("--progress", "none", "--grid", "32", "--spacing", "6", "--jobs", "2")


def preprocess(data: Path, out: Path, *more: str) -> int:
    return run_command(main, ["--data", str(data), "--out", str(out), *QUIET, *more])


def changed(out: Path) -> dict[str, int]:
    """Time of last change of every record."""
    return {path.name: path.stat().st_mtime_ns for path in out.rglob("*_record.json")}


KILLED = """
import os, pathlib, signal, sys
from TrainingCore import preprocess
from TrainingCore.runtime import cli
started, *given = sys.argv[1:]
report = cli.Progress.report
def watched(self, step, fraction, message):
    report(self, step, fraction, message)
    if "prepared (1 of 4" in message:  # the next visit is under way, or waits
        own = pathlib.Path(f"/proc/{os.getpid()}/task")
        children = [path.read_text() for path in own.glob("*/children")]  # none where the system does not say
        pathlib.Path(started).write_text(" ".join(children))
        os.kill(os.getpid(), signal.SIGKILL)
cli.Progress.report = watched
raise SystemExit(cli.run_command(preprocess.main, given))
"""


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture(scope="module")
def prepared(raw_cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "out"
    assert preprocess(raw_cohort, out) == 0
    return out


def test_train_and_evaluate_can_read_what_comes_out(prepared: Path, raw_cohort: Path) -> None:
    cohort = Cohort.read(prepared).usable_for_training()
    assert len(cohort) == 4
    assert cohort.simulated
    visit = cohort.visits[0]
    case = load_visit(visit, (32, 32, 32), 6.0, RULE)
    stored = nib.load(visit.files["t1w"])
    np.testing.assert_allclose(case.affine, stored.affine)  # on its lattice: nothing is resampled a second time
    truth = load_visit(Cohort.read(raw_cohort).visits[0], (32, 32, 32), 6.0, RULE)
    brain = case.volumes["brain"] & truth.volumes["brain"]
    assert brain.sum() > 0.95 * truth.volumes["brain"].sum()
    assert case.volumes["lesions"].sum() == truth.volumes["lesions"].sum()
    np.testing.assert_allclose(case.volumes["dvr"][brain].mean(), truth.volumes["dvr"][brain].mean(), atol=0.01)
    assert {"nawm", "grey_matter", "white_matter"} <= set(case.volumes)


def test_every_visit_says_how_it_was_made(prepared: Path, raw_cohort: Path) -> None:
    record = json.loads(next(prepared.rglob("sub-P0*_record.json")).read_text())
    assert set(record["inputs"]) == {"t1w", "flair", "dvr", "brain", "lesions", "white_matter", "grey_matter"}
    assert all(len(one["sha256"]) == 64 for one in record["inputs"].values())
    assert all((prepared / name).is_file() for name in record["outputs"])
    assert record["simulated"]
    assert str(raw_cohort) not in json.dumps(record)
    sidecar = json.loads(next(prepared.rglob("sub-P0*_FLAIR.json")).read_text())
    assert sidecar["Sources"] == ["sub-P0_ses-1_FLAIR.nii.gz"]
    assert sidecar["Simulated"]
    assert json.loads((prepared / "failures.json").read_text()) == []
    assert not (prepared / ".work").exists()


def test_the_table_of_lesions_is_that_of_the_given_mask(prepared: Path, raw_cohort: Path) -> None:
    mask = nib.load(next(raw_cohort.rglob("sub-P0*_label-lesion_mask.nii.gz")))
    rows = next(prepared.rglob("sub-P0*_morph.tsv")).read_text().splitlines()[1:]
    volumes = [float(row.split("\t")[1]) for row in rows]
    assert sum(volumes) == pytest.approx(np.count_nonzero(np.asanyarray(mask.dataobj)) * 216.0, rel=1e-3)
    shares = nib.load(next(prepared.rglob("sub-P0*_probseg.nii.gz")))
    assert np.asanyarray(shares.dataobj).sum() * 216.0 == pytest.approx(sum(volumes), rel=1e-4)


def test_the_page_shows_every_case_and_loads_nothing(prepared: Path) -> None:
    page = (prepared / "qc.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 4
    assert all(f"sub-P{number}_ses-1" in page for number in range(4))
    assert "http" not in page.replace("http-equiv", "")
    assert "Simulated" in page


def test_a_second_run_does_nothing_and_a_touched_file_is_only_read(cohort: Path, tmp_path: Path) -> None:
    out = cohort / "derivatives" / "prepared"
    assert preprocess(cohort, out, "--people", "P0", "P1") == 0
    first = changed(out)
    assert preprocess(cohort, out, "--people", "P0", "P1") == 0
    assert changed(out) == first
    image = next((cohort / "sub-P0").rglob("*_T1w.nii.gz"))
    before = next(out.rglob("sub-P0*_T1w.nii.gz")).stat().st_mtime_ns
    os.utime(image)
    assert preprocess(cohort, out, "--people", "P0", "P1") == 0
    assert next(out.rglob("sub-P0*_T1w.nii.gz")).stat().st_mtime_ns == before
    other = next((cohort / "sub-P2").rglob("*_T1w.nii.gz")).read_bytes()
    image.write_bytes(other)
    assert preprocess(cohort, out, "--people", "P0", "P1") == 0
    assert next(out.rglob("sub-P0*_T1w.nii.gz")).stat().st_mtime_ns != before
    (name,) = [name for name in first if "P1" in name]
    assert changed(out)[name] == first[name]
    table = (out / "participants.tsv").read_text()
    assert "sub-P0" in table
    assert "sub-P1" in table


def test_a_broken_patient_is_said_and_the_others_are_made(cohort: Path, tmp_path: Path, capsys) -> None:
    image = next((cohort / "sub-P1").rglob("*_FLAIR.nii.gz"))
    image.write_bytes(image.read_bytes()[:3000])
    next((cohort / "sub-P2").rglob("*_T1w.nii.gz")).unlink()
    out = tmp_path / "out"
    assert preprocess(cohort, out, "--people", "P0", "P1", "P2") == 1
    assert [visit.person for visit in Cohort.read(out)] == ["P0"]
    (failure,) = json.loads((out / "failures.json").read_text())
    assert failure["visit"] == "sub-P1_ses-1"
    assert "damaged" in failure["reason"]
    said = capsys.readouterr().err
    assert "sub-P1_ses-1: The FLAIR" in said
    assert "sub-P2_ses-1 has no T1w: its images were registered to its FLAIR" in said
    assert "Not prepared (1)" in (out / "qc.html").read_text(encoding="utf-8")


def test_pet_space_keeps_the_measured_dvr_as_it_is(raw_cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    given = ["--data", str(raw_cohort), "--out", str(out), "--progress", "none", "--jobs", "1", "--people", "P0"]
    assert run_command(main, [*given, "--space", "pet", "--grid", "own"]) == 0
    made = nib.load(next(out.rglob("*space-PET*stat-dvr_desc-measured_mimap.nii.gz")))
    given_map = nib.load(next(raw_cohort.rglob("sub-P0*desc-measured_mimap.nii.gz")))
    np.testing.assert_array_equal(np.asanyarray(made.dataobj) > 0, np.asanyarray(given_map.dataobj) > 0)
    inside = np.asanyarray(made.dataobj) > 0
    np.testing.assert_array_equal(np.asanyarray(made.dataobj)[inside], np.asanyarray(given_map.dataobj)[inside])


def test_a_run_that_was_killed_goes_on_where_it_was(cohort: Path, tmp_path: Path) -> None:
    out, started = tmp_path / "out", tmp_path / "processes"
    given = ["--data", str(cohort), "--out", str(out), *QUIET, "--jobs", "1"]
    killed = subprocess.run([sys.executable, "-c", KILLED, str(started), *given], cwd=ROOT, timeout=900)
    assert killed.returncode == -signal.SIGKILL
    processes = [int(word) for word in started.read_text().split()]
    deadline = time.monotonic() + 600
    while any(map(alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(alive, processes)), "a process works on for nobody"
    done = changed(out)
    assert 1 <= len(done) < 4
    assert preprocess(cohort, out) == 0
    after = changed(out)
    assert len(after) == 4
    assert {name: after[name] for name in done} == done
    assert not (out / ".work").exists()


def test_a_visit_whose_new_input_is_unusable_leaves_no_old_images(cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert preprocess(cohort, out, "--people", "P1") == 0
    image = next((cohort / "sub-P1").rglob("*_T1w.nii.gz"))
    zeros = nib.load(image)
    nib.Nifti1Image(np.zeros(zeros.shape, np.float32), zeros.affine).to_filename(image)
    assert preprocess(cohort, out, "--people", "P1") == 1
    with contextlib.suppress(BadInput):
        assert Cohort.read(out).people == []
    assert not list(out.rglob("*_T1w.nii.gz"))


def test_the_voxels_of_a_header_are_part_of_its_hash(tmp_path: Path) -> None:
    (tmp_path / "les.mhd").write_text("ObjectType = Image\nElementDataFile = other.raw\n")
    for name in ("other.raw", "unrelated.raw"):
        (tmp_path / name).write_bytes(b"0")
    before = content_of(tmp_path / "les.mhd")
    (tmp_path / "unrelated.raw").write_bytes(b"1")
    assert content_of(tmp_path / "les.mhd", before)["sha256"] == before["sha256"]
    (tmp_path / "other.raw").write_bytes(b"1")
    assert content_of(tmp_path / "les.mhd", before)["sha256"] != before["sha256"]
    assert not untouched({"lesions": tmp_path / "les.mhd"}, {"inputs": {"lesions": before}})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "slice").write_bytes(b"0")
    folder = tmp_path / "dicom"
    folder.mkdir()
    (folder / "link").symlink_to(elsewhere)
    linked = content_of(folder)
    (elsewhere / "slice").write_bytes(b"1")
    assert content_of(folder)["sha256"] != linked["sha256"]
