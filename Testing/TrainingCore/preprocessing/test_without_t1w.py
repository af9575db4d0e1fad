"""People without a T1w: what stands in for it, what follows for masks and transforms, and what is said."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from ball_cohort import write_ball_cohort

from TrainingCore.data.case import reference_of
from TrainingCore.data.cohort import Cohort
from TrainingCore.data.recipe import load_recipe
from TrainingCore.imaging.preparation import load_visit
from TrainingCore.imaging.transforms import read_transform, write_transform
from TrainingCore.preprocess import main
from TrainingCore.runtime.cli import run_command
from TrainingCore.systems.checks import training_volumes

KEPT = {"t2w", "flair", "brain", "lesions"}
SHIFT_MM = np.array([9.0, -6.0, 3.0])


def preprocess(data: Path, out: Path, *more: str) -> int:
    options = ["--data", str(data), "--out", str(out), "--progress", "none", "--grid", "32", "--spacing", "6"]
    return run_command(main, [*options, "--jobs", "1", *more])


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """P0: FLAIR and a T2w that lies elsewhere; P1: FLAIR alone; P2: T2w and the tissues, given."""
    root = write_ball_cohort(tmp_path_factory.mktemp("hospital") / "cohort", people=3, visits=1)
    for visit in Cohort.scan(root, raw=True, needs=["t1w"]).visits:
        kept = {"P0": KEPT, "P1": KEPT - {"t2w"}, "P2": KEPT - {"flair"} | {"white_matter", "grey_matter"}}
        for name in set(visit.files) - kept[visit.person]:
            visit.files[name].unlink()
    moved = next((root / "sub-P0").rglob("*_T2w.nii.gz"))
    image = nib.load(moved)
    data, affine = np.asanyarray(image.dataobj), image.affine.copy()
    affine[:3, 3] += SHIFT_MM
    nib.save(nib.Nifti1Image(data, affine), moved)
    return root


@pytest.fixture(scope="module")
def prepared(hospital: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared") / "out"
    assert preprocess(hospital, out) == 0
    return out


@pytest.mark.parametrize(
    ("there", "reference"),
    [
        (["flair", "t2w", "t1w"], "t1w"),
        (["t2w", "flair"], "flair"),
        (["t1ce", "t2w", "adc"], "t2w"),
        (["t1ce", "t1ce_low"], "t1ce_low"),
        (["t1ce", "mtr"], "t1ce"),
        (["mtr", "dvr"], None),
    ],
)
def test_the_order_in_which_an_image_is_preferred(there: list[str], reference: str | None) -> None:
    assert reference_of(there) == reference


def test_what_is_there_is_brought_to_the_flair_else_to_the_t2w(prepared: Path) -> None:
    records = {path.name[:6]: json.loads(path.read_text()) for path in prepared.rglob("*_record.json")}
    assert [records[f"sub-P{i}"]["reference"] for i in range(3)] == ["flair", "flair", "t2w"]
    (transform,) = prepared.rglob("*.tfm")
    assert transform.name == "sub-P0_ses-1_from-T2w_to-FLAIR_mode-image_xfm.tfm"
    np.testing.assert_allclose(read_transform(transform)[:3, 3], SHIFT_MM, atol=1.0)
    names = {path.name for path in (prepared / "sub-P0").rglob("*.nii.gz")}
    assert "sub-P0_ses-1_space-FLAIR_desc-preproc_T2w.nii.gz" in names
    assert json.loads(next(prepared.rglob("sub-P1*_FLAIR.json")).read_text())["SpatialReference"] == (
        "world of the FLAIR, RAS mm"
    )


def test_a_recipe_without_t1w_learns_from_them(prepared: Path, hospital: Path) -> None:
    recipe = load_recipe("mask_weighted_pix2pix", ["data.inputs=[t2w]", "data.target=flair"])
    needs = training_volumes(recipe)
    visit, *others = Cohort.read(prepared, ["flair", "t2w"]).usable_for_training(needs)
    assert (visit.person, others) == ("P0", [])
    case = load_visit(visit, (32, 32, 32), 6.0, recipe["data"]["intensity"], ["t2w", "flair"])
    truth = Cohort.scan(hospital, raw=True, needs=[]).visits[0]
    mask = np.asanyarray(nib.load(truth.files["lesions"]).dataobj)
    assert case.volumes["lesions"].sum() == mask.sum()
    lesions, brain = case.volumes["lesions"], case.volumes["brain"]
    for name in ("flair", "t2w"):  # both bright where the mask says: they lie on each other
        assert case.volumes[name][lesions].mean() > case.volumes[name][brain & ~lesions].mean()


def test_tissues_are_those_that_were_given_or_none(prepared: Path) -> None:
    found = {visit.person: set(visit.files) for visit in Cohort.scan(prepared, raw=False, needs=[]).visits}
    tissues = {"white_matter", "grey_matter", "nawm"}
    assert [found[f"P{i}"] & tissues for i in range(3)] == [set(), set(), tissues]


def test_what_lacks_and_what_follows_is_said_on_the_page_too(hospital: Path, prepared: Path, tmp_path: Path, capsys):
    page = (prepared / "qc.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 3
    assert "sub-P1_ses-1 has no T1w: its images were registered to its FLAIR; it has no tissue masks" in page
    assert "sub-P2_ses-1 has no T1w: its images were registered to its T2w<" in page
    assert preprocess(hospital, tmp_path / "none", "--needs", "t1w") == 2
    assert "no visit with t1w" in capsys.readouterr().err


def test_transforms_to_a_t1w_that_is_not_there_go_back_over_the_reference(hospital: Path, tmp_path: Path, capsys):
    visit = Cohort.scan(hospital, raw=True, needs=[]).visits[0]
    to_t1w, to_t2w = np.eye(4), np.eye(4)
    to_t1w[:3, 3] = [0.0, 5.0, 0.0]
    to_t2w[:3, 3] = SHIFT_MM + to_t1w[:3, 3]
    write_transform(tmp_path / "flair.tfm", to_t1w)
    write_transform(tmp_path / "t2w.tfm", to_t2w)
    head = "participant_id,t1w,flair,t2w,brain,flair_to_t1w,t2w_to_t1w\n"
    row = f"P0,,{visit.files['flair']},{visit.files['t2w']},{visit.files['brain']},"
    (tmp_path / "both.csv").write_text(f"{head}{row}flair.tfm,t2w.tfm\n")
    (tmp_path / "one.csv").write_text(f"{head}{row},t2w.tfm\n")
    assert preprocess(tmp_path / "both.csv", tmp_path / "both") == 0
    (transform,) = (tmp_path / "both").rglob("*.tfm")
    np.testing.assert_allclose(read_transform(transform)[:3, 3], SHIFT_MM, atol=1e-6)
    assert preprocess(tmp_path / "one.csv", tmp_path / "one") == 1
    assert "Give flair_to_t1w as well, because the images are registered to the FLAIR" in capsys.readouterr().err
