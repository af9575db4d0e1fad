"""Cohorts are read from BIDS and split by person."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from TrainingCore.data.case import word_of
from TrainingCore.data.cohort import Cohort, Visit
from TrainingCore.data.recipe import load_recipe
from TrainingCore.experiments.folds import make_folds
from TrainingCore.imaging.preparation import load_visit
from TrainingCore.runtime.errors import BadInput
from TrainingCore.training.store import load_case

RULE = {"rule": "percentile", "low": 2.5, "high": 97.5, "clip": True}


def test_every_visit_and_volume_is_found(ball_cohort: Path) -> None:
    cohort = Cohort.read(ball_cohort)
    assert len(cohort) == 6
    assert cohort.people == ["P0", "P1", "P2"]
    assert cohort.simulated
    assert {"t1w", "flair", "dvr", "brain", "lesions", "white_matter", "grey_matter"} <= set(cohort.visits[0].files)


def test_split_never_separates_the_visits_of_a_person(ball_cohort: Path) -> None:
    cohort = Cohort.read(ball_cohort)
    for seed in range(5):
        training, validation = cohort.split(1, seed)
        assert not set(training.people) & set(validation.people)
        assert len(training) == 4
        assert len(validation) == 2


def test_a_loaded_case_is_what_a_network_expects(ball_cohort: Path) -> None:
    case = load_visit(Cohort.read(ball_cohort).visits[0], (32, 32, 32), 6.0, RULE)
    brain = case.volumes["brain"]
    for name in ("t1w", "flair"):
        inside = case.volumes[name][brain]
        assert (inside.min(), inside.max()) == (-1, 1)
        assert np.all(case.volumes[name][~brain] == -1)
    assert 0.9 < case.volumes["dvr"][brain].mean() < 1.3


@pytest.mark.parametrize("scale", [0.01, 100.0, -1.0])
@pytest.mark.parametrize("name", ["dvr", "dvr_clean"])
def test_another_map_in_the_place_of_the_dvr_is_no_target(ball_cohort: Path, tmp_path: Path, name, scale) -> None:
    visit = Cohort.read(ball_cohort).visits[0]
    image = nib.load(visit.files["dvr"])
    nib.save(nib.Nifti1Image(image.get_fdata() * scale, image.affine), tmp_path / "other.nii.gz")
    visit = replace(visit, files=visit.files | {name: tmp_path / "other.nii.gz"})
    with pytest.raises(
        BadInput, match=rf"The {word_of(name)} .*other\.nii\.gz has a median of .*, so it is no DVR map"
    ):
        load_case(visit, load_recipe("curricular", ("size=32",)))
    load_case(visit, load_recipe("curricular", ("size=32", "target=t2w")))  # does not learn it


def test_a_dvr_map_that_is_a_mask_is_refused(ball_cohort: Path) -> None:
    visit = Cohort.read(ball_cohort).visits[0]
    visit = replace(visit, files=visit.files | {"dvr": visit.files["brain"]})
    with pytest.raises(BadInput, match=r"The measured DVR .*brain_mask\.nii\.gz is 1 in the whole brain"):
        load_visit(visit, (32, 32, 32), 6.0, RULE)


def test_a_dvr_map_of_a_part_of_the_brain_is_a_target(ball_cohort: Path, tmp_path: Path) -> None:
    visit = Cohort.read(ball_cohort).visits[0]
    image = nib.load(visit.files["dvr"])
    covered = image.get_fdata()
    covered[:, :, :20] = 0
    nib.save(nib.Nifti1Image(covered, image.affine), tmp_path / "part.nii.gz")
    load_case(
        replace(visit, files=visit.files | {"dvr": tmp_path / "part.nii.gz"}), load_recipe("curricular", ["size=32"])
    )


def test_a_cropped_grid_cuts_without_blurring(ball_cohort: Path) -> None:
    visit = Cohort.read(ball_cohort).visits[0]
    whole, cropped = load_visit(visit, (32, 32, 32), 6.0, RULE), load_visit(visit, (28, 32, 28), 6.0, RULE)
    offset = np.rint((cropped.affine[:3, 3] - whole.affine[:3, 3]) / 6).astype(int)
    i, j, k = offset
    np.testing.assert_array_equal(cropped.volumes["dvr"], whole.volumes["dvr"][i : i + 28, j : j + 32, k : k + 28])


def test_missing_and_empty_datasets_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        Cohort.read(tmp_path / "nowhere")
    with pytest.raises(BadInput, match="no visit"):
        Cohort.read(tmp_path)


def test_too_few_people_to_validate_is_bad_input(ball_cohort: Path) -> None:
    with pytest.raises(BadInput, match="validation_people"):
        Cohort.read(ball_cohort).split(3, 0)


def glioma_like(people: int = 60) -> Cohort:
    """People of three grades, one in six of grade 4, and every second with enhancement, without files."""
    info = [{"grade": str(2 + (i % 6 == 0) + (i % 2)), "enhancement": "yes" if i % 2 else "no"} for i in range(people)]
    return Cohort([Visit(f"P{i:02d}", "", info=row) for i, row in enumerate(info)])


@pytest.mark.parametrize("seed", range(5))
def test_validation_people_are_alike_in_the_columns_asked_for(seed: int) -> None:
    cohort = glioma_like()
    stratum = cohort.strata(["grade", "enhancement"])
    training, validation = cohort.split(12, seed, ["grade", "enhancement"])
    assert len(validation) == 12
    assert not set(training.people) & set(validation.people)
    sizes, drawn = Counter(stratum.values()), Counter(stratum[person] for person in validation.people)
    for name, size in sizes.items():
        assert abs(drawn[name] - 12 / 60 * size) <= 1, name
    assert cohort.split(12, seed, ["grade", "enhancement"])[1].people == validation.people


def test_without_columns_the_draw_is_not_stratified() -> None:
    cohort = glioma_like()
    stratum = cohort.strata(["enhancement"])
    shares = [Counter(stratum[p] for p in cohort.split(12, seed)[1].people)["yes"] for seed in range(20)]
    assert any(abs(share - 6) > 1 for share in shares)


def test_small_strata_are_validated_as_often_as_large_ones() -> None:
    people = [Visit(f"P{i}", "", info={"grade": "4" if i == 0 else "2"}) for i in range(10)]
    drawn = sum("P0" in Cohort(people).split(2, seed, ["grade"])[1].people for seed in range(200))
    assert 20 <= drawn <= 60  # 40 expected, SD 5.7


def test_a_column_that_nobody_has_is_named() -> None:
    with pytest.raises(BadInput, match=r"no column 'stage'.*enhancement, grade"):
        glioma_like().split(2, 0, ["stage"])


def test_416_people_are_divided_as_those_of_genc_et_al() -> None:
    cohort, columns = glioma_like(416), ["grade", "enhancement"]
    test = make_folds(cohort.strata(columns), 5, seed=0)[0]
    training, validation = cohort.of(set(cohort.people) - set(test)).split(67, 0, columns)
    assert (len(training), len(validation), len(test)) == (265, 67, 84)
    stratum = cohort.strata(columns)
    whole = Counter(stratum.values())
    for part in (training.people, validation.people, test):
        for name, count in Counter(stratum[person] for person in part).items():
            assert count / len(part) == pytest.approx(whole[name] / 416, abs=0.02)


def test_what_preprocess_can_find_is_said_and_what_only_a_scanner_can_bring_is_not() -> None:
    lacks = Cohort([Visit("A", "1", files={"t1w": Path("t1w.nii.gz")})])
    with pytest.raises(BadInput) as brain:
        lacks.usable_for_training(["t1w", "brain", "white_matter"])
    assert str(brain.value).endswith(
        "The brain mask and the white matter mask: `preprocess` finds them; give its --out as --data."
    )
    with pytest.raises(BadInput) as scanner:
        lacks.usable_for_training(["t1w", "dvr"])
    assert str(scanner.value).endswith("sub-A_ses-1 lacks dvr.")
