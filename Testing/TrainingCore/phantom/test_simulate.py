from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest

from TrainingCore import simulate
from TrainingCore.phantom import template
from TrainingCore.phantom.bids import TRUTH_COLUMNS
from TrainingCore.phantom.edition import EDITION, fingerprint
from TrainingCore.phantom.lesion_classes import NAMES
from TrainingCore.runtime.cli import run_command
from TrainingCore.runtime.files import sha256

SMALL = ["--patients", "1", "--controls", "1", "--visits", "2", "--size", "32", "--progress", "none"]
DERIVED = Path("derivatives") / "myelinsynth-phantom"


def run(*arguments: object) -> int:
    return run_command(simulate.main, [str(argument) for argument in arguments])


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): sha256(path) for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("simulate") / "cohort"
    assert run(out, *SMALL, "--seed", 4) == 0
    return out


def test_the_cohort_has_the_promised_layout(cohort: Path) -> None:
    for name in ("dataset_description.json", "README", "participants.tsv", "participants.json"):
        assert (cohort / name).is_file()
    for label in ("A01", "AHC01"):
        for visit in (1, 2):
            session = f"sub-{label}/ses-{visit}"
            stem = f"sub-{label}_ses-{visit}"
            for suffix in ("T1w.nii.gz", "T1w.json", "FLAIR.nii.gz", "FLAIR.json"):
                assert (cohort / session / "anat" / f"{stem}_{suffix}").is_file()
            for suffix in ("desc-brain_mask", "label-lesion_mask", "label-WM_mask", "label-GM_mask"):
                assert (cohort / DERIVED / session / "anat" / f"{stem}_space-T1w_{suffix}.nii.gz").is_file()
            for kind in ("measured", "noisefree"):
                name = f"{stem}_space-T1w_trc-PiB_stat-dvr_desc-{kind}_mimap.nii.gz"
                assert (cohort / DERIVED / session / "pet" / name).is_file()


def test_participants_say_group_and_simulated(cohort: Path) -> None:
    lines = [line.split("\t") for line in (cohort / "participants.tsv").read_text().splitlines()]
    assert lines[0] == ["participant_id", "group", "site", "age", "sex", "simulated"]
    assert [line[1] for line in lines[1:]] == ["patient", "control"]
    assert {line[5] for line in lines[1:]} == {"true"}


def test_images_are_float_masks_are_bytes_and_the_grid_is_ras(cohort: Path) -> None:
    image = nibabel.load(cohort / "sub-A01/ses-1/anat/sub-A01_ses-1_T1w.nii.gz")
    mask = nibabel.load(cohort / DERIVED / "sub-A01/ses-1/anat/sub-A01_ses-1_space-T1w_desc-brain_mask.nii.gz")
    assert image.get_data_dtype() == np.float32
    assert mask.get_data_dtype() == np.uint8
    assert nibabel.aff2axcodes(image.affine) == ("R", "A", "S")
    assert image.header.get_zooms() == pytest.approx((6.0, 6.0, 6.0))
    assert np.all(np.asarray(image.dataobj)[np.asarray(mask.dataobj) == 0] == 0.0)


def test_sidecars_carry_the_protocol_in_seconds_and_say_simulated(cohort: Path) -> None:
    sidecar = json.loads((cohort / "sub-A01/ses-1/anat/sub-A01_ses-1_FLAIR.json").read_text())
    assert sidecar["Simulated"] is True
    assert sidecar["RepetitionTime"] == pytest.approx(8.0)
    assert sidecar["InversionTime"] == pytest.approx(2.35)


def test_sidecars_and_settings_say_which_edition_of_the_phantom(cohort: Path) -> None:
    sidecar = json.loads((cohort / "sub-A01/ses-1/anat/sub-A01_ses-1_T1w.json").read_text())
    assert (sidecar["PhantomEdition"], sidecar["PhantomConstants"]) == (EDITION, fingerprint())
    assert fingerprint() in (cohort / "dataset_description.json").read_text()


def test_every_lesion_has_its_truth_in_a_table(cohort: Path) -> None:
    path = cohort / DERIVED / "sub-A01/ses-1/anat/sub-A01_ses-1_space-T1w_desc-truth_lesions.tsv"
    header, *rows = (line.split("\t") for line in path.read_text().splitlines())
    assert header == list(TRUTH_COLUMNS)
    assert rows
    for row in rows:
        facts = dict(zip(header, row))
        assert facts["class"] in NAMES
        assert 0.0 <= float(facts["myelin_loss"]) <= 1.0
        assert 0.5 < float(facts["dvr_noisefree"]) < 1.6


def test_a_tiny_cohort_says_that_its_information_ceiling_is_not_estimated(cohort: Path) -> None:
    found = json.loads((cohort / DERIVED / "information_ceiling.json").read_text())
    assert "too few" in found["skipped"]
    assert found["phantom"]["edition"] == EDITION


def test_noise_ceiling_comes_with_the_cohort(cohort: Path) -> None:
    ceiling = json.loads((cohort / DERIVED / "noise_ceiling.json").read_text())
    assert ceiling["lesions"] > 10
    assert 0.2 < ceiling["lesion_level_r"] <= 1.0
    assert ceiling["simulated"] is True


def test_same_seed_same_bytes_whatever_the_workers(cohort: Path, tmp_path: Path) -> None:
    assert run(tmp_path / "again", *SMALL, "--seed", 4, "--workers", 2) == 0
    assert contents(tmp_path / "again") == contents(cohort)


def test_another_seed_gives_other_people(cohort: Path, tmp_path: Path) -> None:
    assert run(tmp_path / "other", *SMALL, "--seed", 5) == 0
    name = "sub-A01/ses-1/anat/sub-A01_ses-1_T1w.nii.gz"
    assert sha256(tmp_path / "other" / name) != sha256(cohort / name)


def test_a_rerun_keeps_what_is_finished_and_replaces_what_is_not(cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "cohort"
    assert run(out, *SMALL, "--seed", 4) == 0
    kept = out / "sub-A01/ses-1/anat/sub-A01_ses-1_T1w.nii.gz"
    before = kept.stat().st_mtime_ns
    (out / DERIVED / "sub-A01/ses-2/pet/sub-A01_ses-2_space-T1w_trc-PiB_desc-lesions_stats.json").unlink()
    (out / "sub-A01/ses-2/anat/sub-A01_ses-2_T1w.nii.gz").write_bytes(b"half")
    (out / "sub-A01/ses-2/anat/.abc.partial.nii.gz").write_bytes(b"half")
    assert run(out, *SMALL, "--seed", 4) == 0
    assert kept.stat().st_mtime_ns == before
    assert contents(out) == contents(cohort)


def test_another_cohort_is_replaced_only_when_asked(cohort: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "cohort"
    assert run(out, "--patients", 2, "--visits", 1, "--size", 32, "--seed", 9, "--site", "B", "--progress", "none") == 0
    before = contents(out)
    assert run(out, *SMALL, "--seed", 4) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert contents(out) == before
    assert run(out, *SMALL, "--seed", 4, "--overwrite") == 0
    assert contents(out) == contents(cohort)


def test_fewer_visits_leave_no_older_visit_behind_and_go_only_when_asked(cohort: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "cohort"
    shutil.copytree(cohort, out)
    assert run(out, *SMALL, "--seed", 4, "--visits", 1) == 2
    assert "more people or visits" in capsys.readouterr().err
    assert contents(out) == contents(cohort)
    assert run(out, *SMALL, "--seed", 4, "--visits", 1, "--overwrite") == 0
    assert not list(out.rglob("ses-2"))
    kept = {name for name in contents(cohort) if "ses-1" in name}
    assert {name for name in contents(out) if "ses-" in name} == kept


def test_a_replacement_that_is_interrupted_leaves_nothing_that_counts_as_finished(
    cohort: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "cohort"
    shutil.copytree(cohort, out)
    removed = []

    def stop_after_one(folder: Path) -> None:
        if removed:
            raise KeyboardInterrupt
        removed.append(folder)
        really(folder)

    really = shutil.rmtree
    monkeypatch.setattr(shutil, "rmtree", stop_after_one)
    with pytest.raises(KeyboardInterrupt):
        simulate.simulate(out, patients=1, controls=1, visits=2, size=32, seed=5, overwrite=True, progress="none")
    monkeypatch.undo()
    assert run(out, *SMALL, "--seed", 4) == 0
    assert contents(out) == contents(cohort)


@pytest.mark.parametrize("gone", ["sub-A01/ses-2/anat/sub-A01_ses-2_FLAIR.nii.gz", "sub-A01"])
def test_images_that_somebody_deleted_are_made_again(gone: str, cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "cohort"
    shutil.copytree(cohort, out)
    (shutil.rmtree if (out / gone).is_dir() else os.unlink)(out / gone)
    assert run(out, *SMALL, "--seed", 4) == 0
    assert contents(out) == contents(cohort)


def test_the_scanner_of_every_visit_is_written_and_read(cohort: Path, tmp_path: Path) -> None:
    from TrainingCore.data.cohort import Cohort

    out = tmp_path / "cohort"
    assert run(out, *SMALL, "--seed", 4, "--scanners", "AB") == 0
    sites = {visit.label: visit.info["site"] for visit in Cohort.read(out, ["t1w"])}
    assert sites == {
        f"sub-{person}_ses-{visit}": site for person in ("A01", "AHC01") for visit, site in ((1, "A"), (2, "B"))
    }
    before = contents(out)
    assert run(out, *SMALL, "--seed", 4, "--scanners", "AB") == 0
    assert contents(out) == before
    assert run(out, *SMALL, "--seed", 4, "--overwrite") == 0
    assert contents(out) == contents(cohort)


@pytest.mark.parametrize("blow", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_run_leaves_no_half_file_and_can_be_finished(blow: int, cohort: Path, tmp_path: Path) -> None:
    out = tmp_path / "cohort"
    command = [sys.executable, "-m", "TrainingCore.simulate", str(out), *SMALL, "--seed", "4"]
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[3])
    deadline = time.monotonic() + 600.0
    while time.monotonic() < deadline and not list(out.glob("sub-*/ses-*/anat/*_T1w.nii.gz")):
        time.sleep(0.01)
    child.send_signal(blow)
    child.wait(timeout=900)
    finished = contents(cohort)
    for name, digest in contents(out).items():
        if ".partial" not in name and name.endswith(".nii.gz"):
            assert digest == finished[name]
    if blow == signal.SIGTERM:
        assert not [name for name in contents(out) if ".partial" in name]
    assert run(out, *SMALL, "--seed", 4) == 0
    assert contents(out) == finished


@pytest.mark.parametrize(
    "arguments",
    [
        ["--patients", 0],
        ["--patients", -1],
        ["--patients", 1, "--controls", -2],
        ["--visits", 0],
        ["--size", 60],
        ["--size", 8],
        ["--site", "Z"],
        ["--seed", -1],
        ["--workers", 0],
    ],
)
def test_bad_options_get_one_sentence_and_exit_2(arguments: list, tmp_path: Path, capsys) -> None:
    assert run(tmp_path / "out", *arguments) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: ")
    assert "\n" not in said
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path, capsys) -> None:
    (tmp_path / "sub-mine").mkdir()
    (tmp_path / "thesis.txt").write_text("years of work")
    assert run(tmp_path, *SMALL) == 2
    assert "not empty" in capsys.readouterr().err
    assert (tmp_path / "sub-mine").is_dir()


def test_people_of_somebody_else_in_a_cohort_are_never_touched(cohort: Path, tmp_path: Path, capsys) -> None:
    for strange in ("sub-A01/ses-baseline", "sub-mine/ses-1", "derivatives/myelinsynth-phantom/sub-A01/ses-baseline"):
        out = tmp_path / strange.replace("/", "_")
        shutil.copytree(cohort, out)
        (out / strange).mkdir(parents=True)
        assert run(out, *SMALL, "--seed", 4, "--overwrite") == 2
        assert "was not written by simulate" in capsys.readouterr().err
        assert (out / strange).is_dir()
        assert contents(out) == contents(cohort)


@pytest.mark.parametrize("made", ['{"GeneratedBy": []}', '{"GeneratedBy": {}}', "[]", '{"GeneratedBy": ["x"]}'])
def test_a_description_that_names_no_generator_is_somebody_elses(made: str, tmp_path: Path, capsys) -> None:
    (tmp_path / "dataset_description.json").write_text(made)
    assert run(tmp_path, *SMALL) == 2
    assert "holds no simulated cohort" in capsys.readouterr().err


def test_an_output_that_cannot_be_written_is_said(tmp_path: Path, capsys) -> None:
    (tmp_path / "file").write_text("")
    assert run(tmp_path / "file", *SMALL) == 2
    assert run(tmp_path / "file" / "below", *SMALL) == 2
    assert "Cannot write" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_output_is_said(tmp_path: Path, capsys) -> None:
    tmp_path.chmod(0o500)
    assert run(tmp_path / "out", *SMALL) == 2
    tmp_path.chmod(0o700)
    assert "Cannot write" in capsys.readouterr().err


def test_without_nilearn_the_command_says_what_to_install(monkeypatch, tmp_path: Path, capsys) -> None:
    monkeypatch.setattr(template.importlib.util, "find_spec", lambda name: None)
    assert run(tmp_path / "out", *SMALL) == 2
    assert "pip install nilearn" in capsys.readouterr().err
