from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from TrainingCore.data.case import MASKS
from TrainingCore.phantom.patient import draw_person, simulate_case, simulate_person_visit, simulate_visit
from TrainingCore.runtime.errors import BadInput


@pytest.fixture(scope="module")
def case():
    return simulate_visit(21, 1, "A", 64)


def test_a_visit_holds_every_volume_on_one_grid(case) -> None:
    masks = {"lesions", "white_matter", "grey_matter", "brain"}
    assert set(case.volumes) == {"t1w", "flair", "dvr", "dvr_clean", "myelin_loss", *masks}
    assert case.shape == (64, 64, 64)
    assert case.voxel_volume == pytest.approx(27.0)
    for name, volume in case.volumes.items():
        assert volume.dtype == (bool if name in MASKS else np.float32), name
        assert np.isfinite(volume).all()


def test_nothing_lies_outside_the_brain(case) -> None:
    outside = ~case.volumes["brain"]
    for name, volume in case.volumes.items():
        assert not volume[outside].any(), name


def test_masks_agree_with_each_other(case) -> None:
    lesions, white, grey = (case.volumes[name] for name in ("lesions", "white_matter", "grey_matter"))
    assert not (lesions & ~white).any()
    assert not (white & grey).any()


def test_lesions_are_low_in_the_clean_map(case) -> None:
    nawm = case.volumes["white_matter"] & ~case.volumes["lesions"]
    clean = case.volumes["dvr_clean"]
    assert clean[case.volumes["lesions"]].mean() < clean[nawm].mean()
    assert clean[nawm].mean() > clean[case.volumes["grey_matter"]].mean() * 1.1


def test_myelin_is_lost_in_lesions_alone(case) -> None:
    loss, lesions = case.volumes["myelin_loss"], case.volumes["lesions"]
    assert not loss[~lesions].any()
    assert 0.0 <= loss.min() < loss[lesions].mean() < loss.max() <= 1.0


def test_the_same_seed_gives_the_same_visit(case) -> None:
    again = simulate_visit(21, 1, "A", 64)
    for name, volume in case.volumes.items():
        assert np.array_equal(volume, again.volumes[name]), name


def test_a_case_is_one_random_visit_at_a_spacing(case) -> None:
    one = simulate_case(21, "A", 3.0)
    assert one.shape == (64, 64, 64)
    assert np.array_equal(one.volumes["t1w"], case.volumes["t1w"])
    with pytest.raises(BadInput, match=r"2\.3 mm"):
        simulate_case(21, "A", 2.3)


def test_visits_share_the_anatomy_but_not_the_noise(case) -> None:
    later = simulate_visit(21, 2, "A", 64)
    assert np.array_equal(case.volumes["brain"], later.volumes["brain"])
    assert not np.array_equal(case.volumes["dvr"], later.volumes["dvr"])
    assert later.volumes["lesions"][case.volumes["lesions"]].all()


def test_site_r_changes_the_contrast_between_visits() -> None:
    first, second = (simulate_visit(5, visit, "R", 64) for visit in (1, 2))
    assert first.info["protocol"] != second.info["protocol"]


def test_controls_have_no_lesions() -> None:
    control = simulate_visit(8, 1, "B", 64, patient=False)
    assert not control.volumes["lesions"].any()
    assert control.info["group"] == "control"


def test_provenance_says_simulated_and_names_the_protocol(case) -> None:
    assert case.info["simulated"] is True
    assert case.info["protocol"]["t1w"]["kind"] == "mprage"
    assert case.info["sex"] in ("F", "M")


def test_site_b_is_another_population() -> None:
    ages = {site: np.mean([draw_person(seed, site).age for seed in range(200)]) for site in "AB"}
    assert ages["B"] > ages["A"] + 6.0


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"site": "Z"}, "Site"),
        ({"size": 60}, "Size"),
        ({"size": 16}, "Size"),
        ({"size": 0}, "Size"),
        ({"visit": 0}, "Visit"),
    ],
)
def test_what_cannot_be_simulated_is_said_in_one_sentence(arguments: dict, word: str) -> None:
    with pytest.raises(BadInput, match=word):
        simulate_visit(1, **arguments)


def test_importing_the_digital_patient_loads_nothing_heavy() -> None:
    code = (
        "import sys, TrainingCore.phantom.patient, TrainingCore.simulate; "
        "print([m for m in ('torch', 'matplotlib', 'nilearn', 'nibabel', 'scipy') if m in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_a_scan_without_a_change_differs_in_the_scan_alone() -> None:
    person = replace(draw_person(21, "A"), changes=False)
    first, second = (simulate_person_visit(person, visit, 48, ("t1w", "flair", "dvr")) for visit in (1, 2))
    for name in ("lesions", "white_matter", "brain", "myelin_loss"):
        assert np.array_equal(first.volumes[name], second.volumes[name]), name
    assert not np.array_equal(first.volumes["t1w"], second.volumes["t1w"])
    changed = simulate_person_visit(draw_person(21, "A"), 2, 48, ("t1w", "flair", "dvr"))
    assert not np.array_equal(changed.volumes["myelin_loss"], second.volumes["myelin_loss"])


def test_visits_may_be_scanned_elsewhere() -> None:
    person = replace(draw_person(21, "A"), scanners="AB")
    protocols = [simulate_person_visit(person, visit, 48, ("t1w",)).info["protocol"] for visit in (1, 2)]
    assert [protocol["t1w"]["kind"] for protocol in protocols] == ["mprage", "spoiled"]
