"""A cohort becomes BIDS derivatives: complete, resumable, the same bytes however it is distributed."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_head import AFFINE, make_head
from untrained import untrained_bundle

from TrainingCore.bids_app import StudyDataset, _read_filters, _run, bids_app, main
from TrainingCore.data.cohort import Cohort
from TrainingCore.data.result import Result
from TrainingCore.imaging.brain_mask import Brain, find_brain
from TrainingCore.imaging.volumes import Volume, write_volume
from TrainingCore.preprocessing.worker import VisitOutcome
from TrainingCore.runtime.cli import Progress
from TrainingCore.runtime.errors import BadInput
from TrainingCore.study.bids_words import in_bids_words
from TrainingCore.study.table import read_rows, row_of
from TrainingCore.study.visit_task import VisitTask

DICOM = find_spec("highdicom") is not None


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw T1w and FLAIR, lesion masks in derivatives: sub-P0 with two sessions, sub-P1; sub-P2 has no FLAIR.

    sourcedata holds the DICOM of sub-P0's first session, another image for the second, and nothing of sub-P1.
    """
    root = tmp_path_factory.mktemp("study") / "raw"
    for number, session in ((0, 1), (0, 2), (1, 1), (2, 1)):
        head, label = make_head(number + 10 * session), f"sub-P{number}_ses-{session}"
        folder = Path(f"sub-P{number}", f"ses-{session}", "anat")
        for name, place in (("t1w", folder / f"{label}_T1w"), ("flair", folder / f"{label}_FLAIR")):
            if (name, number) != ("flair", 2):
                write_volume(root / f"{place}.nii.gz", head[name], AFFINE)
        mask = root / "derivatives" / "manual" / folder / f"{label}_space-T1w_label-lesion_mask.nii.gz"
        write_volume(mask, head["lesions"], AFFINE)
    if DICOM:
        add_sourcedata(root)
    about = {"Name": "test", "BIDSVersion": "1.9.0"}
    (root / "dataset_description.json").write_text(json.dumps(about))
    (root / "derivatives" / "manual" / "dataset_description.json").write_text(json.dumps(about))
    (root / "participants.tsv").write_text("participant_id\tage\nsub-P0\t40\nsub-P1\tn/a\n")
    return root


def add_sourcedata(root: Path) -> None:
    """DICOM of sub-P0's T1w; that of the second session lies 40 mm away from it."""
    from dicom_files import T1W, write_series

    elsewhere = AFFINE.copy()
    elsewhere[:3, 3] += 40
    for session, affine in ((1, AFFINE), (2, elsewhere)):
        data = make_head(10 * session)["t1w"].clip(0)
        write_series(root / "sourcedata" / "sub-P0" / f"ses-{session}" / "t1", Volume(data, affine), T1W)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained_bundle(tmp_path_factory.mktemp("model") / "bundle")


@pytest.fixture(scope="module")
def made(dataset: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "maps"
    study = make(dataset, out, model)
    assert [row["visit"] for row in study.failures] == [Cohort.scan(dataset, raw=True).incomplete[0].label]
    return out


def make(dataset: Path, out: Path, model: Path) -> StudyDataset:
    return bids_app(
        dataset, out, "participant", model=str(model), dicom=DICOM, n_procs=1, device="cpu", progress="none"
    )


def hashes(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.name.endswith("_record.json")
    }


def test_every_visit_has_bids_names_sidecars_and_a_result(made: Path, dataset: Path) -> None:
    for visit in Cohort.scan(dataset, raw=True).visits:
        folder = made / f"sub-{visit.person}" / f"ses-{visit.visit}"
        image = folder / "pet" / f"{visit.label}_space-T1w_trc-PiB_desc-synthetic_stat-dvr_mimap.nii.gz"
        about = json.loads(image.with_name(image.name.replace(".nii.gz", ".json")).read_text())
        assert "not measured by PET" in about["Description"]
        assert about["Sources"] == [f"bids:raw:{visit.files[name].name}" for name in ("t1w", "flair")]
        result = Result.open(made / "results" / visit.label)
        assert image.read_bytes() == (result.path / "dvr.nii.gz").read_bytes()
        assert len(result.lesions()) > 0
        table = folder / "anat" / f"{visit.label}_space-T1w_desc-lesions_morph.tsv"
        assert len(table.read_text().splitlines()) == 1 + len(result.lesions())
        assert "seconds" not in result.provenance
    assert (
        json.loads((made / "dataset_description.json").read_text())["GeneratedBy"][0]["Name"] == "MyelinSynth bids_app"
    )


def test_slicers_worklist_names_every_visit_with_its_images(made: Path, dataset: Path) -> None:
    listed = json.loads((made / "results" / "worklist.json").read_text())
    visits = Cohort.scan(dataset, raw=True).visits
    assert set(listed) == {visit.label for visit in visits}
    for visit in visits:
        entry, complete = listed[visit.label], visit.person != "P2"
        assert Path(entry["files"]["t1w"]) == visit.files["t1w"].absolute()
        assert ({"t1w", "flair", "lesions"} <= set(entry["files"])) == complete
        assert (made / "results" / entry["result"]).is_dir() == complete


def test_sessions_of_one_person_are_compared_once(made: Path) -> None:
    [folder] = (made / "change").iterdir()
    assert folder.name == "sub-P0_ses-1_ses-2"
    summary = json.loads((folder / "change.json").read_text())
    assert summary["lesions"] > 0
    assert abs(summary["mean_difference"]) < 0.1  # the same head with other noise


def test_an_empty_mask_is_said_where_its_session_is_compared(
    dataset: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, out = tmp_path / "raw", tmp_path / "maps"
    shutil.copytree(dataset, raw, ignore=shutil.ignore_patterns("sourcedata"))
    [mask] = raw.glob("derivatives/manual/sub-P0/ses-1/anat/*_mask.nii.gz")
    write_volume(mask, np.zeros_like(make_head()["lesions"]), AFFINE)
    how = {"model": str(model), "participant_label": ["P0"], "n_procs": 1, "device": "cpu", "progress": "none"}
    bids_app(raw, out, "participant", **how)
    warning = "The lesion mask of sub-P0_ses-1 is empty, so every lesion of the other visit counts as new."
    [folder] = (out / "change").iterdir()
    [said] = json.loads((folder / "change.json").read_text())["warnings"]
    assert said.startswith(warning)
    assert capsys.readouterr().err.count(f"Warning: {warning}") == 1
    first, second = read_rows(raw, out)
    assert "The lesion mask is empty" in first["qc"]
    assert warning in second["qc"]


def test_files_that_are_not_used_are_listed(tmp_path: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A link whose content was not fetched must not look like a FLAIR that was never acquired."""
    anat = tmp_path / "raw" / "sub-P0" / "anat"
    anat.mkdir(parents=True)
    (anat / "sub-P0_FLAIR.nii.gz").symlink_to(tmp_path / "not_fetched")
    (anat / "sub-P0_T2w.nii.gz").write_bytes(b"0" * 2000)
    bids_app(tmp_path / "raw", tmp_path / "out", "participant", model=str(model), progress="none")
    assert "sub-P0_FLAIR.nii.gz: is a link to a file that is not there" in capsys.readouterr().err


@pytest.mark.skipif(not DICOM, reason="pip install highdicom")
def test_dicom_is_written_from_sourcedata_and_what_has_none_is_listed(
    made: Path, dataset: Path, model: Path, tmp_path: Path
) -> None:
    folders = {path.name: path / "dicom" for path in (made / "results").glob("sub-*")}
    assert {name for name, folder in folders.items() if folder.is_dir()} == {"sub-P0_ses-1"}
    files = {path.name for path in folders["sub-P0_ses-1"].iterdir()}
    assert files == {"dvr_map.dcm", "lesions.dcm", "lesion_report.dcm", "README.txt"}
    for name in ("sub-P0_ses-2", "sub-P1_ses-1"):
        assert Result.open(made / "results" / name).lesions()
    out = tmp_path / "maps"
    shutil.copytree(made, out)
    other, missing = make(dataset, out, model).notes
    assert other.startswith("sub-P0_ses-2: DICOM was not written. The DICOM ")
    assert "does not show the same image" in other
    assert missing == (
        "sub-P1_ses-1: DICOM was not written. The DICOM series of the T1w is missing: there is no "
        "sourcedata/sub-P1/ses-1."
    )
    with pytest.raises(BadInput, match="--dicom-reference"):
        bids_app(dataset, out, "participant", dicom_reference=tmp_path / "nothing", progress="none")


def test_a_warning_names_its_visit(tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Processes and machines that work on visits are silent: of a thousand visits, which one has the empty mask?"""
    outcome = VisitOutcome("sub-P7", "synthesized", warnings=["The mask is empty."], notes=["sub-P7: no DICOM"])
    monkeypatch.setattr("TrainingCore.bids_app._outcomes", lambda *_: iter([outcome]))
    assert _run([None], tmp_path, 1, None, Progress("none")) == ["sub-P7: no DICOM"]
    Progress("silent").say("Warning: The mask is empty.")
    assert capsys.readouterr().err == "Warning: sub-P7: The mask is empty.\n"


def test_the_visit_that_fails_is_listed_and_stops_nothing(made: Path) -> None:
    [log] = (made / "logs").glob("*.json")
    assert json.loads(log.read_text())["reason"] == "The model untrained needs the FLAIR. Give it."


def test_remedies_name_no_option_that_bids_app_lacks(made: Path) -> None:
    """A visit's sentences come from `synthesize`, which takes files where `bids_app` takes a dataset."""
    empty, head = Volume(np.zeros((4, 4, 4)), np.eye(4)), Volume(np.ones((4, 4, 4)), np.eye(4))
    with pytest.raises(BadInput, match="--brain-mask") as error:
        find_brain(head, empty)
    sentences = [str(error.value), Brain(head, "given").warning]
    for sentence in sentences:
        assert "--brain-mask" in sentence
        assert "--" not in in_bids_words(sentence)
        assert "derivatives/" in in_bids_words(sentence)
    result = Result.open(min((made / "results").glob("sub-*")))
    result.provenance["warnings"] = sentences[1:]
    assert "--" not in row_of(result, "P0", "1", {}, {})["qc"]


def test_one_job_per_person_gives_the_same_bytes(made: Path, dataset: Path, model: Path, tmp_path: Path) -> None:
    for person in sorted({visit.person for visit in Cohort.scan(dataset, raw=True).visits}):
        words = [dataset, tmp_path / "maps", "participant", "--participant-label", f"sub-{person}", "--model", model]
        words += ["--dicom"] if DICOM else []
        assert main([*map(str, words), "--n-procs", "1", "--device", "cpu", "--progress", "none"]) == 0
    others = {name: digest for name, digest in hashes(made).items() if not name.startswith("logs/")}
    assert hashes(tmp_path / "maps") == others


def test_the_same_command_again_makes_nothing_and_a_lost_file_is_made_again(
    made: Path, dataset: Path, model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "maps"
    shutil.copytree(made, out)
    before = hashes(out)
    image = min(out.rglob("*stat-dvr_mimap.nii.gz"))
    image.unlink()
    untouched = [path for path in (out / "results").rglob("dvr.nii.gz") if path.parent.name not in image.name]
    times = {path: path.stat().st_mtime_ns for path in untouched}
    study = make(dataset, out, model)
    assert len(study.notes) == 2 * DICOM, "visits that are unchanged say again why they have no DICOM"
    assert hashes(out) == before
    assert times == {path: path.stat().st_mtime_ns for path in untouched}


def test_bad_input_is_one_sentence(dataset: Path, made: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no 'P9'"):
        bids_app(dataset, tmp_path / "out", "participant", participant_label=["sub-P9"], progress="none")
    with pytest.raises(BadInput, match="holds the input"):
        bids_app(dataset, dataset, "participant", progress="none")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("mine")
    with pytest.raises(BadInput, match="not empty"):
        bids_app(dataset, tmp_path / "thesis", "participant", progress="none")
    with pytest.raises(BadInput, match="participant level first"):
        bids_app(dataset, tmp_path / "nothing", "group", progress="none")
    (tmp_path / "filter.json").write_text('{"t1w": {"colour": "red"}}')
    with pytest.raises(BadInput, match="There is no folder"):
        bids_app(tmp_path / "nowhere", tmp_path / "out", "participant", progress="none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match="has no T1w and no FLAIR"):
        bids_app(tmp_path / "empty", tmp_path / "out", "participant", progress="none")
    with pytest.raises(BadInput, match=r"model .* does not exist"):
        bids_app(dataset, tmp_path / "out", "participant", model=str(tmp_path / "nowhere"), progress="none")
    for name, scheduler in (("gpu", None), ("cuda:99", "local:2"), ("gpu", "tcp://127.0.0.1:9")):
        with pytest.raises(BadInput, match=f"--device {name}"):
            bids_app(dataset, tmp_path / "out", "participant", device=name, scheduler=scheduler, progress="none")
    (tmp_path / "other.json").write_text('{"t1w": {"acquisition": "mprage"}}')
    with pytest.raises(BadInput, match="has acq-mprage"):
        bids_app(dataset, tmp_path / "out", "participant", bids_filter_file=tmp_path / "other.json", progress="none")
    for words in ({"outcome": ["nawm_dvr"]}, {"outcome": ["age"], "covariate": ["age"]}):
        with pytest.raises(BadInput, match="Choose another --outcome"):
            bids_app(dataset, made, "group", progress="none", **words)
    with pytest.raises(BadInput, match="'colour'"):
        bids_app(dataset, tmp_path / "out", "participant", bids_filter_file=tmp_path / "filter.json", progress="none")


def test_a_visit_without_a_lesion_mask_has_no_lesion_load(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "result"
    shutil.copytree(min((made / "results").iterdir()), folder)
    assert row_of(Result.open(folder), "P0", "1", {}, {})["lesion_load_ml"] > 0
    (folder / "lesion_labels.nii.gz").unlink()
    row = row_of(Result.open(folder), "P0", "1", {}, {})
    assert (row["lesion_load_ml"], row["lesions"], row["lesions_of_50_mm3"]) == (None, None, None)
    assert "no lesion mask" in row["qc"]
    result = Result.open(folder)
    result.provenance["inputs"]["lesions_found_by"] = {"name": "the finder"}
    result.provenance["warnings"] = ["Lesions were segmented automatically (the finder).", "The T1w has no header."]
    assert row_of(result, "P0", "1", {}, {})["qc"].startswith("The T1w has no header; ")


def test_the_estimated_loss_of_a_visit_is_that_of_its_lesions_by_volume(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "result"
    shutil.copytree(min((made / "results").iterdir()), folder)
    assert row_of(Result.open(folder), "P0", "1", {}, {})["estimated_loss"] is None  # its model has no estimate
    lines = ["id,volume_mm3,mean_dvr,demyelinated_share,estimated_loss", "1,300,1,0.5,0.2", "2,100,1,0.5,0.6"]
    (folder / "lesions.csv").write_text("\n".join([*lines, "3,90,1,0.5,", "4,20,1,0.5,0.9"]) + "\n")
    row = row_of(Result.open(folder), "P0", "1", {}, {})
    assert row["estimated_loss"] == pytest.approx(0.3)  # neither of the unknown one nor of the one below 50 mm3


def test_the_group_level_writes_table_dictionary_and_page(made: Path, dataset: Path, tmp_path: Path) -> None:
    tables = tmp_path / "tables"
    tables.mkdir()
    (tables / "participants.tsv").write_text("participant_id\tage\nsub-P0\t40\nsub-P1\t-\n")
    bids_app(tables, made, "group", outcome=["age"], progress="none")
    ages = [line.split("\t")[-1] for line in (made / "group.tsv").read_text().splitlines()]
    assert ages == ["age", "40", "40", "n/a"], "a dash among numbers is a missing value"
    study = bids_app(dataset, made, "group", progress="none")
    head, *rows = [line.split("\t") for line in (made / "group.tsv").read_text().splitlines()]
    assert len(rows) == 3
    assert {"participant_id", "session_id", "lesion_dvr", "nawm_dvr", "qc"} <= set(head)
    assert [row[head.index("simulated_patient")] for row in rows] == ["false"] * 3
    dictionary = json.loads((made / "group.json").read_text())
    assert dictionary["lesion_load_ml"]["Units"] == "ml"
    page = study.page.read_text(encoding="utf-8")
    for part in (
        "All DVR values on this page are synthetic",
        "simulated",
        "sub-P2_ses-1",
        "needs the FLAIR",
        "Research use only",
    ):
        assert part in page


def test_a_second_run_inside_the_dataset_reads_nothing_of_the_first(dataset: Path, model: Path, tmp_path: Path) -> None:
    """As the documentation says: hospital/derivatives/myelinsynth."""
    raw = tmp_path / "raw"
    shutil.copytree(dataset, raw, ignore=shutil.ignore_patterns("sourcedata"))
    out = raw / "derivatives" / "myelinsynth"
    how = {"model": str(model), "participant_label": ["P1"], "n_procs": 1, "device": "cpu", "progress": "none"}
    bids_app(raw, out, "participant", **how)
    image = out / "results" / "sub-P1_ses-1" / "dvr.nii.gz"
    stamp = image.stat().st_mtime_ns
    bids_app(raw, out, "participant", **how)
    assert image.stat().st_mtime_ns == stamp, "unchanged"
    (visit,) = [visit for visit in Cohort.scan(raw, raw=True).visits if visit.person == "P1"]
    assert "dvr" not in visit.files
    assert "manual" in str(visit.files["lesions"])


@pytest.mark.parametrize(
    ("content", "chosen"),
    [
        ({"t1w": {"run": "1"}, "flair": {"run": "2"}}, ["t1w:run-1", "flair:run-2"]),
        ({"T1w": {"run": ["1", "2"], "suffix": "T1w"}}, ["t1w:run-1", "t1w:run-2"]),
        ({"flair": {"session": "2"}}, "--session-label"),
        ({"bold": {"run": "1"}}, "unknown image 'bold'"),
    ],
)
def test_filters_are_for_the_image_that_they_name(content: Any, chosen: Any, tmp_path: Path) -> None:
    path = tmp_path / "filter.json"
    path.write_text(json.dumps(content))
    if isinstance(chosen, list):
        assert _read_filters(path) == chosen
    else:
        with pytest.raises(BadInput, match=chosen):
            _read_filters(path)


@pytest.mark.skipif(not DICOM, reason="pip install highdicom")
def test_the_dicom_of_a_reviewed_visit_has_no_rejected_lesion(
    made: Path, dataset: Path, model: Path, tmp_path: Path
) -> None:
    from pydicom import dcmread

    out = tmp_path / "maps"
    shutil.copytree(made, out)
    folder = out / "results" / "sub-P0_ses-1"
    before = [one.SegmentLabel for one in dcmread(folder / "dicom" / "lesions.dcm").SegmentSequence]
    ids = [row["id"] for row in Result.open(folder).lesions()]
    assert len(before) == len(ids)
    states = "".join(f"{number},{'rejected' if number == ids[0] else 'accepted'},,\n" for number in ids)
    (folder / "review.csv").write_text("id,state,comment,outline\n" + states)
    make(dataset, out, model)
    if len(ids) == 1:
        assert not (folder / "dicom" / "lesions.dcm").exists()
    else:
        assert len(dcmread(folder / "dicom" / "lesions.dcm").SegmentSequence) == len(ids) - 1
    stamp = (folder / "dicom" / "dvr_map.dcm").stat().st_mtime_ns
    make(dataset, out, model)
    assert (folder / "dicom" / "dvr_map.dcm").stat().st_mtime_ns == stamp, "once"


def test_other_intervals_or_another_estimate_make_other_results(tmp_path: Path) -> None:
    from TrainingCore.data.bundle import Bundle

    bundle = Bundle.open(untrained_bundle(tmp_path / "bundle"))
    changes = ({}, {"myelin": {"intercept": 0.1}}, {"repeatability": {"sd": [0.1]}}, {"licence": "CC0-1.0"})
    keys = [replace(bundle, description=bundle.description | change).sha256_of_results for change in changes]
    assert len(set(keys)) == 3
    assert keys[0] == keys[3]


def test_a_mask_drawn_on_the_flair_says_so_to_the_pipeline() -> None:
    files = {"t1w": "a", "flair": "b", "lesions": "c"}
    task = VisitTask("1", "", files, {"lesions": "FLAIR"}, "model", "cpu", False, "out")
    assert task.options().lesion_space == "FLAIR"
    assert VisitTask("1", "", files, {}, "model", "cpu", False, "out").options().lesion_space is None
