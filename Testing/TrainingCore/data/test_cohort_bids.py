"""Which file of a BIDS dataset is chosen for what, and how fast."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from benchmarks.indexing import write_empty_dataset

from TrainingCore.data.cohort import Cohort
from TrainingCore.data.cohort_bids import PREPARED_BY, SYNTHESIZED_BY
from TrainingCore.runtime.errors import BadInput


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def only(cohort: Cohort) -> dict[str, str]:
    (visit,) = [*cohort.visits, *cohort.incomplete]
    return {name: path.name for name, path in visit.files.items()}


def test_a_thousand_sessions_are_indexed_in_two_seconds_without_opening_an_image(tmp_path: Path) -> None:
    write_empty_dataset(tmp_path, 1000)
    began = time.process_time()
    cohort = Cohort.scan(tmp_path, raw=True)
    assert time.process_time() - began < 2
    assert len(cohort) == 1000
    assert len(cohort.people) == 500
    assert {"t1w", "flair", "t1ce", "brain", "lesions", "white_matter", "dvr"} <= set(cohort.visits[0].files)


@pytest.mark.parametrize("session", ["", "ses-1"])
@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_sessions_or_none_compressed_or_not(tmp_path: Path, session: str, ending: str) -> None:
    stem = f"sub-01_{session}_" if session else "sub-01_"
    touch(tmp_path, *(f"sub-01/{session}/anat/{stem}{name}{ending}" for name in ("T1w", "FLAIR")))
    (visit,) = Cohort.read(tmp_path).visits
    assert (visit.person, visit.visit) == ("01", session.removeprefix("ses-"))
    assert visit.files["t1w"].name == f"{stem}T1w{ending}"


def test_of_several_runs_the_last_is_taken_and_said(tmp_path: Path) -> None:
    names = ("run-1_T1w", "run-2_T1w", "run-10_T1w", "FLAIR")
    touch(tmp_path, *(f"sub-01/anat/sub-01_{name}.nii.gz" for name in names))
    cohort = Cohort.scan(tmp_path, raw=True)
    assert only(cohort)["t1w"] == "sub-01_run-10_T1w.nii.gz"
    (note,) = cohort.notes
    assert "run-10" in note
    assert "--choose" in note
    chosen = Cohort.scan(tmp_path, raw=True, choose=["run-1"])
    assert only(chosen)["t1w"] == "sub-01_run-1_T1w.nii.gz"


def test_contrast_agent_phase_images_and_other_spaces_are_no_t1w(tmp_path: Path) -> None:
    names = ("ce-gadolinium_T1w", "part-phase_T1w", "T1w", "space-MNI152_desc-brain_T1w", "FLAIR")
    touch(tmp_path, *(f"sub-01/anat/sub-01_{name}.nii.gz" for name in names))
    touch(tmp_path, "sub-01/anat/sub-01_space-MNI152_desc-brain_mask.nii.gz")
    cohort = Cohort.scan(tmp_path, raw=True)
    found = only(cohort)
    assert found["t1w"] == "sub-01_T1w.nii.gz"
    assert found["t1ce"] == "sub-01_ce-gadolinium_T1w.nii.gz"
    assert "brain" not in found
    assert any("was not used" in note for note in cohort.notes)


def test_a_lesion_mask_drawn_on_flair_is_known_as_such(tmp_path: Path) -> None:
    touch(tmp_path, *(f"sub-01/anat/sub-01_{name}.nii.gz" for name in ("T1w", "FLAIR")))
    touch(tmp_path, "derivatives/raters/sub-01/anat/sub-01_space-FLAIR_label-lesion_mask.nii.gz")
    (visit,) = Cohort.scan(tmp_path, raw=True).visits
    assert visit.spaces["lesions"] == "FLAIR"


@pytest.mark.parametrize(
    ("name", "space"),
    [
        ("label-lesion_mask", None),
        ("label-L_mask", None),
        ("desc-lesions_dseg", None),
        ("space-T1w_desc-lesions_dseg", "T1w"),
        ("space-FLAIR_label-lesion_mask", "FLAIR"),
        ("space-flair_seg-lst", "FLAIR"),
        ("space-flair_desc-annotated_seg-lst", "FLAIR"),
        ("lesionMask", None),
        ("FLAIR_lesionMask", "FLAIR"),
        ("desc-samsegLesions_mask", None),
        ("desc-nicmslesions_mask", None),
        ("desc-lst_probseg", None),
        ("label-WMH_mask", None),
        ("desc-T2lesion_mask", None),
        ("rater-1_label-lesion_mask", None),
    ],
)
def test_lesion_masks_of_other_tools_are_recognised_by_name(tmp_path: Path, name: str, space: str | None) -> None:
    touch(tmp_path, *(f"sub-01/anat/sub-01_{image}.nii.gz" for image in ("T1w", "FLAIR")))
    touch(tmp_path, f"derivatives/tool/sub-01/anat/sub-01_{name}.nii.gz")
    cohort = Cohort.scan(tmp_path, raw=True)
    assert only(cohort).get("lesions") == f"sub-01_{name}.nii.gz"
    assert cohort.visits[0].spaces.get("lesions") == space
    assert cohort.unused == []


@pytest.mark.parametrize(
    "name",
    ["desc-samseg_dseg", "label-blackhole_mask", "desc-newlesion_mask", "desc-consensus_mask", "desc-lesionfill_mask"],
)
def test_a_mask_that_may_be_of_something_else_is_not_used_and_said(tmp_path: Path, name: str) -> None:
    """SAMSEG's map of the whole brain, black holes and new lesions are not all lesions."""
    touch(tmp_path, *(f"sub-01/anat/sub-01_{image}.nii.gz" for image in ("T1w", "FLAIR")))
    touch(tmp_path, f"derivatives/tool/sub-01/anat/sub-01_{name}.nii.gz")
    cohort = Cohort.scan(tmp_path, raw=True)
    assert "lesions" not in only(cohort)
    (sentence,) = cohort.unused
    assert "does not identify the mask (label-lesion_mask" in sentence


def test_of_a_mask_and_its_probability_the_mask_is_taken(tmp_path: Path) -> None:
    touch(tmp_path, *(f"sub-01/anat/sub-01_{image}.nii.gz" for image in ("T1w", "FLAIR")))
    touch(tmp_path, *(f"derivatives/t/sub-01/anat/sub-01_label-lesion_{end}.nii.gz" for end in ("probseg", "mask")))
    cohort = Cohort.scan(tmp_path, raw=True)
    assert only(cohort)["lesions"] == "sub-01_label-lesion_mask.nii.gz"
    assert any("not sub-01_label-lesion_probseg.nii.gz" in note for note in cohort.notes)


def test_missing_modalities_are_said_per_person(tmp_path: Path) -> None:
    touch(tmp_path, "sub-01/anat/sub-01_T1w.nii.gz", "sub-01/anat/sub-01_FLAIR.nii.gz", "sub-02/anat/sub-02_T1w.nii.gz")
    cohort = Cohort.scan(tmp_path, raw=True)
    assert [visit.label for visit in cohort.visits] == ["sub-01"]
    assert cohort.notes == ["sub-02 has no flair"]


def test_a_network_gets_prepared_files_and_preprocess_gets_raw_ones(tmp_path: Path) -> None:
    prepared = tmp_path / "derivatives" / "prepared"
    touch(tmp_path, *(f"sub-01/anat/sub-01_{name}.nii.gz" for name in ("T1w", "FLAIR", "T2w")))
    names = ("desc-preproc_T1w", "desc-preproc_FLAIR", "desc-brain_mask")
    touch(prepared, *(f"sub-01/anat/sub-01_space-T1w_{name}.nii.gz" for name in names))
    about = {"GeneratedBy": [{"Name": PREPARED_BY}]}
    (prepared / "dataset_description.json").write_text(json.dumps(about))
    raw, ready = Cohort.scan(tmp_path, raw=True).visits[0], Cohort.read(tmp_path).visits[0]
    assert set(raw.files) == {"t1w", "flair", "t2w"}
    assert all("derivatives" not in path.parts for path in raw.files.values())
    assert set(ready.files) == {"t1w", "flair", "brain"}
    assert all("prepared" in path.parts for path in ready.files.values())
    assert ready.prepared
    assert set(Cohort.read(prepared).visits[0].files) == {"t1w", "flair", "brain"}


def test_columns_of_participants_and_sessions_reach_the_visit(tmp_path: Path) -> None:
    for session in ("1", "2"):
        names = ("T1w", "FLAIR")
        touch(tmp_path, *(f"sub-01/ses-{session}/anat/sub-01_ses-{session}_{name}.nii.gz" for name in names))
    (tmp_path / "participants.tsv").write_text("participant_id\tsite\nsub-01\tA\n")
    (tmp_path / "sub-01" / "sub-01_sessions.tsv").write_text("session_id\tage\nses-1\t30\nses-2\t32\n")
    infos = [visit.info for visit in Cohort.read(tmp_path).visits]
    assert infos == [{"site": "A", "age": "30"}, {"site": "A", "age": "32"}]


def test_a_broken_participants_table_is_named(tmp_path: Path) -> None:
    touch(tmp_path, *(f"sub-01/anat/sub-01_{name}.nii.gz" for name in ("T1w", "FLAIR")))
    (tmp_path / "participants.tsv").write_bytes(b"participant_id\tage\nsub-01\t\xff\xfe\n")
    with pytest.raises(BadInput, match=r"participants\.tsv"):
        Cohort.read(tmp_path)


def test_without_t1w_the_masks_of_another_mri_are_taken_before_those_of_the_t1w(tmp_path: Path) -> None:
    folder = tmp_path / "sub-01" / "anat"
    folder.mkdir(parents=True)
    names = ("T2w", "FLAIR", "space-T2w_desc-brain_mask", "space-T1w_desc-brain_mask", "space-T1w_label-lesion_mask")
    for end in (*names, "space-MNI152_label-WM_mask"):
        (folder / f"sub-01_{end}.nii.gz").touch()
    (visit,) = Cohort.read(tmp_path, ["t2w", "flair"]).visits
    assert sorted(visit.files) == ["brain", "flair", "lesions", "t2w"]
    assert visit.files["brain"].name == "sub-01_space-T2w_desc-brain_mask.nii.gz"
    assert any("not in the space of its FLAIR or T2w" in note for note in visit.notes)
    with pytest.raises(BadInput, match=r"lacks white_matter \(.*label-WM_mask.nii.gz was not used"):
        Cohort.read(tmp_path, ["t2w", "flair"]).usable_for_training(["t2w", "white_matter"])


def test_what_bids_app_wrote_is_neither_measured_nor_drawn(tmp_path: Path) -> None:
    touch(tmp_path, "sub-01/anat/sub-01_T1w.nii.gz", "sub-01/anat/sub-01_FLAIR.nii.gz")
    own = "derivatives/myelinsynth/sub-01"
    map_ = f"{own}/pet/sub-01_space-T1w_trc-PiB_desc-synthetic_stat-dvr_mimap.nii.gz"
    touch(tmp_path, map_, f"{own}/anat/sub-01_space-T1w_desc-lesions_dseg.nii.gz",
          f"{own}/anat/sub-01_space-T1w_desc-brain_mask.nii.gz")  # fmt: skip
    (tmp_path / "derivatives/myelinsynth/dataset_description.json").write_text(
        json.dumps({"GeneratedBy": [{"Name": SYNTHESIZED_BY}]})
    )
    for raw in (True, False):
        assert set(only(Cohort.scan(tmp_path, raw=raw))) == {"t1w", "flair"}
    (tmp_path / "derivatives/myelinsynth/dataset_description.json").unlink()  # whoever copied it
    assert "dvr" not in only(Cohort.scan(tmp_path, raw=True))
    touch(tmp_path, map_.replace("desc-synthetic_", ""))
    assert "dvr" in only(Cohort.scan(tmp_path, raw=True))


def test_a_choice_can_be_for_one_image(tmp_path: Path) -> None:
    touch(tmp_path, *(f"sub-01/anat/sub-01_run-{run}_{name}.nii.gz" for run in (1, 2) for name in ("T1w", "FLAIR")))
    chosen = only(Cohort.scan(tmp_path, raw=True, choose=["t1w:run-1"]))
    assert (chosen["t1w"], chosen["flair"]) == ("sub-01_run-1_T1w.nii.gz", "sub-01_run-2_FLAIR.nii.gz")
    chosen = only(Cohort.scan(tmp_path, raw=True, choose=["t1w:run-2", "flair:run-1"]))
    assert (chosen["t1w"], chosen["flair"]) == ("sub-01_run-2_T1w.nii.gz", "sub-01_run-1_FLAIR.nii.gz")
