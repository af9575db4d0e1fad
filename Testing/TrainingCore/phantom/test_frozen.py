"""The second edition of the digital patient is frozen: same constants, same logic, same people.

The fingerprint in sidecars and cards covers constants only. What they are used for is frozen by these numbers, which
change if a person is drawn or imaged in another way; commit 5249ac4, which froze the edition, gives the same. Do not
adjust them: a change of what is simulated is a new edition.
"""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from Testing.TrainingCore.phantom.frozen_people import COHORTS
from Testing.TrainingCore.phantom.frozen_people import measured as measured_images
from TrainingCore.phantom.edition import phantom_edition
from TrainingCore.simulate import simulate

SIZE, SEED = 48, 11
NAMES = ("lesional voxels", "T1w", "FLAIR", "FLAIR of lesions", "DVR", "DVR of lesions", "myelin loss")
FROZEN = {
    "A": (244, 838.643, 1127.51, 1525.62, 1.03257, 0.955455, 0.556229),
    "B": (360, 791.665, 1031.61, 1350.83, 1.02377, 0.983498, 0.61395),
    "C": (261, 886.55, 883.859, 952.218, 1.02175, 0.941333, 0.688978),
    "R": (601, 703.458, 932.937, 1198.97, 1.00363, 1.11672, 0.238348),
}


def measured(folder: Path) -> dict[str, float]:
    """Means over the only visit of a cohort."""

    def volume(pattern: str) -> np.ndarray:
        (path,) = folder.rglob(pattern)
        return np.asarray(nibabel.load(path).dataobj, dtype=float)

    lesions, brain = volume("*label-lesion_mask.nii.gz") > 0, volume("*desc-brain_mask.nii.gz") > 0
    t1w, flair = volume("*_T1w.nii.gz"), volume("*_FLAIR.nii.gz")
    dvr, clean = volume("*desc-measured_mimap.nii.gz"), volume("*desc-noisefree_mimap.nii.gz")
    loss = volume("*param-myelinloss_map.nii.gz")
    mri = (t1w[brain].mean(), flair[brain].mean(), flair[lesions].mean())
    values = (lesions.sum(), *mri, dvr[brain].mean(), clean[lesions].mean(), loss[lesions].mean())
    return dict(zip(NAMES, map(float, values), strict=True))


def test_the_constants_are_those_of_the_edition() -> None:
    assert phantom_edition() == {"edition": 2, "constants": "b52703148e89cd05"}


@pytest.mark.parametrize("site", ["A", "B", "C", "R"])
def test_the_same_person_is_drawn_and_imaged_as_when_the_edition_was_frozen(site: str, tmp_path: Path) -> None:
    simulate(tmp_path / "cohort", patients=1, visits=1, site=site, seed=SEED, size=SIZE, progress="none")
    frozen = dict(zip(NAMES, FROZEN[site], strict=True))
    assert measured(tmp_path / "cohort") == pytest.approx(frozen, rel=1e-4)


@pytest.mark.parametrize("name", COHORTS)
def test_every_image_of_frozen_people_has_the_same_mean_and_sd(name: str, tmp_path: Path) -> None:
    """All contrasts, second visits, fine voxels, random protocols, other diseases, real masks."""
    frozen = json.loads((Path(__file__).parent / "frozen.json").read_text())[name]
    found = measured_images(name, tmp_path)
    assert found.keys() == frozen.keys()
    for image, values in found.items():
        assert values == pytest.approx(frozen[image], rel=1e-4, abs=1e-6), image


def test_dvr_is_rounded_as_when_the_edition_was_frozen(tmp_path: Path) -> None:
    simulate(tmp_path / "cohort", patients=1, visits=1, seed=SEED, size=32, progress="none")
    (path,) = (tmp_path / "cohort").rglob("*desc-measured_mimap.nii.gz")
    steps = np.asarray(nibabel.load(path).dataobj, dtype=float) * 8192
    assert np.array_equal(steps, np.round(steps))
    assert np.unique(np.round(steps) % 16).size == 16  # it is not rounded further
