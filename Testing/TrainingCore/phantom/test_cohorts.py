"""Cohorts of every disease as files: names, columns, sites, and that a Cohort recognises all of it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from TrainingCore import simulate
from TrainingCore.data.case import ALL_MRI, MASKS
from TrainingCore.data.cohort import Cohort
from TrainingCore.imaging.preparation import load_visit
from TrainingCore.runtime.cli import run_command
from TrainingCore.runtime.files import sha256

DERIVED = Path("derivatives") / "myelinsynth-phantom"
ANATOMY = {"brain", "lesions", "white_matter", "grey_matter"}


def run(*arguments: object) -> int:
    return run_command(
        simulate.main, [*(str(argument) for argument in arguments), "--size", "32", "--progress", "none"]
    )


def made(tmp_path_factory, *arguments: object) -> Path:
    out = tmp_path_factory.mktemp("cohort") / "cohort"
    assert run(out, *arguments) == 0
    return out


def people(out: Path) -> list[dict[str, str]]:
    with open(out / "participants.tsv", encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


@pytest.fixture(scope="module")
def glioma(tmp_path_factory) -> Path:
    return made(tmp_path_factory, "--disease", "glioma", "--patients", 4, "--controls", 1, "--seed", 2)


@pytest.fixture(scope="module")
def wmh(tmp_path_factory) -> Path:
    return made(tmp_path_factory, "--disease", "wmh", "--patients", 4, "--controls", 2)


@pytest.fixture(scope="module")
def everything(tmp_path_factory) -> Path:
    names = ",".join((*ALL_MRI, "dvr"))
    return made(tmp_path_factory, "--patients", 1, "--controls", 1, "--visits", 1, "--contrasts", names)


def test_a_cohort_recognises_every_contrast(everything: Path) -> None:
    cohort = Cohort.read(everything, needs=(*ALL_MRI, "dvr", "dvr_clean", "brain", "lesions"))
    assert len(cohort) == 2
    assert not cohort.incomplete
    assert not cohort.notes
    for visit in cohort:
        assert set(visit.files) == {*ALL_MRI, "dvr", "dvr_clean", "myelin_loss", *ANATOMY}
        assert "ce-lowdose" in visit.files["t1ce_low"].name
        assert "ce-gadolinium" in visit.files["t1ce"].name
        assert "ce-" not in visit.files["t1w"].name
        for name in ("fa", "rd", "ad", "adc"):
            assert f"param-{name.upper()}_dwimap" in visit.files[name].name
    assert cohort.simulated


def test_a_person_who_lost_no_myelin_can_be_read(everything: Path) -> None:
    lost = set()
    for visit in Cohort.read(everything, needs=(*ALL_MRI, "dvr")):
        case = load_visit(
            visit, (32, 32, 32), 6.0, {"rule": "percentile", "low": 2.5, "high": 97.5, "clip": True}, ["t1w"]
        )
        assert case.volumes["myelin_loss"].any() == case.volumes["lesions"].any()
        lost.add(bool(case.volumes["myelin_loss"].any()))
    assert lost == {True, False}


def test_every_image_lies_on_the_grid_of_the_t1w(everything: Path, glioma: Path) -> None:
    for out in (everything, glioma):
        for visit in Cohort.read(out, needs=("t1w",)):
            reference = nibabel.load(visit.files["t1w"])
            for name, path in visit.files.items():
                image = nibabel.load(path)
                assert image.shape == reference.shape
                assert np.allclose(image.affine, reference.affine)
                assert image.get_data_dtype() == (np.uint8 if name in MASKS else np.float32)


def test_every_sidecar_says_simulated(everything: Path, glioma: Path) -> None:
    images = [path for out in (everything, glioma) for path in out.rglob("*.nii.gz")]
    beside = [path.with_name(path.name.replace(".nii.gz", ".json")) for path in images if not is_label(path)]
    assert len(beside) > 30
    for path in beside:
        assert json.loads(path.read_text())["Simulated"] is True, path


def is_label(path: Path) -> bool:
    return path.name.endswith(("_mask.nii.gz", "_dseg.nii.gz"))


def test_sidecars_of_maps_and_of_doses_carry_their_units(everything: Path) -> None:
    files = Cohort.read(everything, needs=("t1w",)).visits[0].files
    found = {name: json.loads(Path(str(files[name]).replace(".nii.gz", ".json")).read_text()) for name in ALL_MRI}
    assert found["mtr"]["Units"] == "percent"
    assert found["adc"]["Units"] == "um2/ms"
    assert found["adc"]["DiffusionBValue"] == pytest.approx(1000.0)
    assert found["t1ce"]["ContrastDose"] == pytest.approx(0.1)
    assert found["t1ce_low"]["ContrastDose"] == pytest.approx(0.025)
    assert "ContrastDose" not in found["t1w"]


def test_gliomas_have_the_columns_of_a_stratified_split(glioma: Path) -> None:
    rows = people(glioma)
    patients = [row for row in rows if row["group"] == "patient"]
    assert len(patients) == 4
    for row in patients:
        assert row["subtype"] in {"glioblastoma", "astrocytoma", "oligodendroglioma"}
        assert row["grade"] in {"2", "3", "4"}
        assert row["enhancement"] in {"yes", "no"}
    control = next(row for row in rows if row["group"] == "control")
    assert (control["subtype"], control["grade"], control["enhancement"]) == ("n/a",) * 3
    assert set(json.loads((glioma / "participants.json").read_text())) == set(rows[0]) - {"participant_id"}
    visit = Cohort.read(glioma, needs=("t1w", "t1ce")).visits[0]
    assert visit.info["grade"] == patients[0]["grade"]


def test_gliomas_come_with_their_parts_and_what_the_labels_mean(glioma: Path) -> None:
    parts = sorted(glioma.rglob("*_desc-tumour_dseg.nii.gz"))
    assert len(parts) == 4  # none for the control
    for path in parts:
        labels = np.asarray(nibabel.load(path).dataobj)
        mask = np.asarray(nibabel.load(str(path).replace("desc-tumour_dseg", "label-lesion_mask")).dataobj)
        assert np.array_equal(labels > 0, mask > 0)
        assert mask.any()
        enhancing = nibabel.load(str(path).replace("desc-tumour_dseg", "label-enhancing_mask"))
        assert np.array_equal(np.asarray(enhancing.dataobj) > 0, labels == 4)
    known = ["enhancing" in visit.files for visit in Cohort.read(glioma, needs=("t1w",))]
    assert known.count(True) == 4
    table = (glioma / DERIVED / "desc-tumour_dseg.tsv").read_text().splitlines()
    assert table[0] == "index\tname"
    assert [line.split("\t")[0] for line in table[1:]] == ["1", "2", "4"]


@pytest.mark.parametrize(
    ("disease", "images"),
    [("wmh", {"t1w", "flair"}), ("glioma", {"t1w", "flair", "t2w", "adc", "t1ce_low", "t1ce"})],
)
def test_defaults_are_what_the_papers_need_and_nothing_more(disease: str, images: set[str], request) -> None:
    for visit in Cohort.read(request.getfixturevalue(disease), needs=("t1w",)):
        tumour = {"enhancing"} if visit.info.get("subtype", "n/a") != "n/a" else set()
        assert set(visit.files) == images | ANATOMY | tumour
        assert visit.visit == "1"


def test_hyperintensities_come_from_three_sites_in_turn(wmh: Path) -> None:
    rows = people(wmh)
    assert [row["participant_id"] for row in rows] == [
        *("sub-A01", "sub-B01", "sub-C01", "sub-A02"),
        *("sub-AHC01", "sub-BHC01"),
    ]
    assert {row["site"] for row in rows} == {"A", "B", "C"}
    assert min(int(row["age"]) for row in rows) >= 50
    echoes = {
        json.loads((wmh / f"sub-{site}01/ses-1/anat/sub-{site}01_ses-1_FLAIR.json").read_text())["EchoTime"]
        for site in "ABC"
    }
    assert len(echoes) == 3
    assert not (wmh / DERIVED / "noise_ceiling.json").exists()


def test_a_larger_cohort_begins_with_the_same_people(wmh: Path, tmp_path: Path) -> None:
    assert run(tmp_path / "more", "--disease", "wmh", "--patients", 5) == 0
    for label in ("A01", "B01", "C01", "A02"):
        name = f"sub-{label}/ses-1/anat/sub-{label}_ses-1_FLAIR.nii.gz"
        assert sha256(tmp_path / "more" / name) == sha256(wmh / name)


def test_same_bytes_whatever_the_workers(glioma: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    assert run(again, "--disease", "glioma", "--patients", 4, "--controls", 1, "--seed", 2, "--workers", 2) == 0
    names = [path.relative_to(glioma) for path in glioma.rglob("*") if path.is_file()]
    assert len(names) > 50
    assert [sha256(again / name) for name in names] == [sha256(glioma / name) for name in names]


def test_a_rerun_without_pet_keeps_what_is_finished(glioma: Path) -> None:
    times = {path: path.stat().st_mtime_ns for path in glioma.rglob("sub-*_*.nii.gz")}
    assert run(glioma, "--disease", "glioma", "--patients", 4, "--controls", 1, "--seed", 2) == 0
    assert {path: path.stat().st_mtime_ns for path in glioma.rglob("sub-*_*.nii.gz")} == times


def test_another_disease_in_the_same_folder_needs_overwrite_and_leaves_nothing_behind(tmp_path: Path, capsys) -> None:
    out = tmp_path / "cohort"
    assert run(out, "--disease", "glioma", "--patients", 1) == 0
    assert run(out, "--disease", "wmh", "--patients", 1) == 2
    assert "other settings" in capsys.readouterr().err
    assert run(out, "--disease", "wmh", "--patients", 1, "--overwrite") == 0
    assert not list(out.rglob("*tumour*"))
    assert "subtype" not in people(out)[0]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--disease", "stroke"],
        ["--contrasts", "t1w,pet"],
        ["--disease", "glioma", "--contrasts", "dvr"],
        ["--site", "AAB"],
        ["--site", "AX"],
        ["--site", ""],
    ],
)
def test_what_cannot_be_simulated_gets_one_sentence_and_exit_2(arguments: list, tmp_path: Path, capsys) -> None:
    assert run(tmp_path / "out", *arguments) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: ")
    assert "\n" not in said
    assert not (tmp_path / "out").exists()


def test_contrasts_may_be_given_in_any_order_and_case_and_t1w_is_always_there(tmp_path: Path) -> None:
    assert run(tmp_path / "out", "--patients", 1, "--visits", 1, "--contrasts", " FA, mtr ") == 0
    assert set(Cohort.read(tmp_path / "out", needs=("t1w",)).visits[0].files) == {"t1w", "fa", "mtr"} | ANATOMY
