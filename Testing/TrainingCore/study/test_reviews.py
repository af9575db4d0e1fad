"""A lesion that somebody rejected counts nowhere, without an export; a review is never lost."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from small_head import AFFINE, make_head
from untrained import untrained_bundle

from TrainingCore.bids_app import bids_app
from TrainingCore.data.cohort_bids import sessions
from TrainingCore.data.result import LESION_LABELS, Result
from TrainingCore.data.review import rejected_lesions
from TrainingCore.imaging.volumes import write_volume
from TrainingCore.runtime.errors import BadInput
from TrainingCore.runtime.files import write_json, write_text
from TrainingCore.study.dataset import note_failure
from TrainingCore.study.left_out import INCOMPLETE, REMOVED, left_out
from TrainingCore.study.names import result_record_path
from TrainingCore.study.reviews import bring_back, set_aside
from TrainingCore.study.sessions import SOURCE, dates_of_sessions, in_order, session_before, session_pairs
from TrainingCore.study.table import change_since, read_rows
from TrainingCore.study.visit_task import VisitTask

REJECTS_ONE = "id,state,comment,outline\n1,rejected,a vessel,\n2,accepted,,\n3,unreviewed,,\n"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One person with two sessions, synthesized and compared."""
    folder = tmp_path_factory.mktemp("reviews")
    untrained_bundle(folder / "model")
    for session in (1, 2):
        label = f"sub-1_ses-{session}_"
        anat = Path("sub-1", f"ses-{session}", "anat")
        head = make_head(session)
        write_volume(folder / "raw" / anat / f"{label}T1w.nii.gz", head["t1w"], AFFINE)
        write_volume(folder / "raw" / anat / f"{label}FLAIR.nii.gz", head["flair"], AFFINE)
        mask = folder / "raw/derivatives/manual" / anat / f"{label}space-T1w_label-lesion_mask.nii.gz"
        write_volume(mask, head["lesions"], AFFINE)
    for place in ("raw", "raw/derivatives/manual"):
        (folder / place / "dataset_description.json").write_text('{"Name": "test", "BIDSVersion": "1.9.0"}')
    run(folder)
    return folder


def run(study: Path, viewer: bool = False) -> None:
    bids_app(study / "raw", study / "maps", "participant", model=str(study / "model"), n_procs=1, device="cpu",
             session_label=["2"] if viewer else [], viewer=viewer, progress="none")  # fmt: skip


def test_the_change_is_that_since_the_session_before_even_if_it_got_its_map_later(tmp_path: Path) -> None:
    for session in ("1", "2", "10"):
        write_text(tmp_path / result_record_path("01", session), "{}")
    for before, after, change in (("1", "10", -0.08), ("1", "2", -0.06)):
        folder = tmp_path / "change" / f"sub-01_ses-{before}_ses-{after}"
        voxels = {"demyelination_index": 0.0, "remyelination_index": 0.0}
        write_json(folder / SOURCE, {"voxels": voxels, "mean_difference": change})
    assert change_since(tmp_path, "01", "2")["change_dvr"] == -0.06
    assert change_since(tmp_path, "01", "10") == {"outdated": True}
    write_json(tmp_path / "change/sub-01_ses-2_ses-10" / SOURCE, {"voxels": voxels, "mean_difference": -0.02})
    assert change_since(tmp_path, "01", "10")["change_dvr"] == -0.02
    assert change_since(tmp_path, "01", "1") == {}


def test_a_rejected_lesion_leaves_the_group_without_an_export(study: Path) -> None:
    before = read_rows(study / "raw", study / "maps")[1]
    assert before["lesions_rejected"] is None
    assert change_since(study / "maps", "1", "2")["change_dvr"] is not None
    folder = study / "maps/results/sub-1_ses-2"
    (folder / "review.csv").write_text(REJECTS_ONE)
    rejected, *others = Result.open(folder).lesions()
    row = read_rows(study / "raw", study / "maps")[1]
    assert (row["lesions"], row["lesions_rejected"]) == (before["lesions"] - 1, 1)
    assert row["lesion_load_ml"] == pytest.approx(before["lesion_load_ml"] - rejected["volume_mm3"] / 1000)
    volumes = [lesion["volume_mm3"] for lesion in others]
    assert row["lesion_dvr"] == pytest.approx(np.average([lesion["mean_dvr"] for lesion in others], weights=volumes))
    assert row["change_dvr"] is None
    assert "older than the review" in row["qc"]
    run(study)
    row = read_rows(study / "raw", study / "maps")[1]
    assert "older than the review" not in row["qc"]
    assert row["change_dvr"] is not None
    table = (study / "maps/change/sub-1_ses-1_ses-2/lesions_change.csv").read_text()
    assert sum(",gone," in line for line in table.splitlines()) == 1


def test_a_review_outlives_the_next_synthesis(study: Path) -> None:
    folder = study / "maps/results/sub-1_ses-2"
    (folder / "review.csv").write_text(REJECTS_ONE)
    (folder / "lesions.csv").write_text((folder / "lesions.csv").read_text() + "\n")  # Slicer wrote it again
    stamp = (folder / "dvr.nii.gz").stat().st_mtime_ns
    run(study)
    assert (folder / "dvr.nii.gz").stat().st_mtime_ns == stamp
    run(study, viewer=True)
    assert (folder / "viewer.html").is_file()
    assert rejected_lesions(folder) == {1}
    assert not list((study / "maps/results/reviewed_before").glob("*"))


def test_a_review_of_other_lesions_is_kept_beside(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "sub-1"
    folder.mkdir(parents=True)
    for name, text in (("review.csv", REJECTS_ONE), (LESION_LABELS, "edited by hand")):
        (folder / name).write_text(text)
    set_aside(folder)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / LESION_LABELS).write_text("found again")
    assert "kept in results/reviewed_before/sub-1" in bring_back(folder)
    assert rejected_lesions(folder) == set()
    assert (tmp_path / "results/reviewed_before/sub-1" / LESION_LABELS).read_text() == "edited by hand"


def test_a_file_that_is_no_review_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "review.csv").write_text("lesion;state\n1;rejected\n")
    with pytest.raises(BadInput, match="is not a review"):
        rejected_lesions(tmp_path)


def test_a_stale_map_does_not_count(study: Path, tmp_path: Path) -> None:
    """A visit whose last attempt failed, or that was removed from the dataset, leaves the table and is listed."""
    maps, raw = tmp_path / "maps", tmp_path / "raw"
    shutil.copytree(study / "maps", maps)
    for session in ("1", "2"):
        (raw / "sub-1" / f"ses-{session}").mkdir(parents=True)
    assert len(read_rows(raw, maps)) == 2
    (raw / "sub-1" / "ses-1").rmdir()
    assert left_out(raw, maps) == {"sub-1_ses-1": REMOVED}
    (raw / "sub-1" / "ses-1").mkdir()
    (maps / result_record_path("1", "1")).unlink()
    assert left_out(raw, maps) == {"sub-1_ses-1": INCOMPLETE}
    [row] = read_rows(raw, maps)
    assert row["session_id"] == "ses-2"
    assert row["change_dvr"] is None
    assert "run participant again" in row["qc"]
    note_failure(maps, "sub-1_ses-2", "The T1w is zero in every voxel.")
    assert left_out(raw, maps)["sub-1_ses-2"] == "The T1w is zero in every voxel."
    assert read_rows(raw, maps) == []


def test_the_newest_review_is_brought_back(tmp_path: Path) -> None:
    folder = tmp_path / "results" / "sub-1"
    for labels, rejected in (("A", 1), ("B", 2)):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / LESION_LABELS).write_text(labels)
        (folder / "review.csv").write_text(f"id,state,comment,outline\n{rejected},rejected,,\n")
        set_aside(folder)
    folder.mkdir()
    (folder / LESION_LABELS).write_text("B")
    assert bring_back(folder) == ""
    assert rejected_lesions(folder) == {2}
    (older,) = (tmp_path / "results" / "reviewed_before").iterdir()
    assert rejected_lesions(older) == {1}


@pytest.mark.parametrize(
    ("labels", "dates", "expected"),
    [
        (["M12", "M0", "M6", "M24"], {}, ["M0", "M6", "M12", "M24"]),
        (["10", "2", "2b"], {}, ["2", "2b", "10"]),
        (["pre", "post"], {}, None),
        (["baseline", "12months"], {}, None),
        (["post", "pre"], {"pre": "2020-01-02", "post": "2021-03-04T10:00:00"}, ["pre", "post"]),
        (["1", "2"], {"1": "2022-01-01", "2": "2021-01-01"}, ["2", "1"]),
        (["only"], {}, ["only"]),
    ],
)
def test_sessions_are_in_the_order_of_time_or_in_none(
    labels: list[str], dates: dict[str, str], expected: list[str] | None
) -> None:
    assert in_order(labels, dates) == expected


def test_sessions_without_an_order_are_not_compared_and_it_is_said(tmp_path: Path) -> None:
    out, raw, notes = tmp_path / "maps", tmp_path / "raw", []
    tasks = [VisitTask("1", visit, {}, {}, "m", "cpu", False, str(out)) for visit in ("post", "pre")]
    for task in tasks:
        write_text(out / result_record_path("1", task.visit), "{}")
    (raw / "sub-1").mkdir(parents=True)
    assert list(session_pairs(tasks, raw, notes.append)) == []
    assert "acq_time" in notes[0]
    (raw / "sub-1" / "sub-1_sessions.tsv").write_text(
        "session_id\tacq_time\nses-pre\t2020-01-01\nses-post\t2021-01-01\n"
    )
    (pair,) = session_pairs(tasks, raw, notes.append)
    assert pair.label == "sub-1_ses-pre_ses-post"
    assert session_before(out, "1", "post", dates_of_sessions(sessions(raw, "1"))) == "pre"
