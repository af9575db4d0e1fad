from __future__ import annotations

import numpy as np
import pytest

from TrainingCore.phantom.noise_ceiling import lesion_means, noise_ceiling


def row(volume: float, measured: float, clean: float) -> dict[str, float]:
    return {"volume_mm3": volume, "measured": measured, "clean": clean}


def test_lesion_means_are_means_over_components_of_at_least_50_mm3() -> None:
    lesions = np.zeros((12, 12, 12), bool)
    lesions[1:4, 1:4, 1:4] = True  # 27 voxels of 8 mm3
    lesions[8, 8, 8] = True  # 8 mm3: too small
    measured = np.where(lesions, 1.0, 5.0)
    measured[1, 1, 1] = 1.27
    rows = lesion_means(lesions, measured, np.full(lesions.shape, 0.9), 8.0)
    assert rows == [{"volume_mm3": 216.0, "measured": pytest.approx(1.01), "clean": pytest.approx(0.9)}]


def test_lesions_that_touch_at_a_corner_are_one() -> None:
    lesions = np.zeros((6, 6, 6), bool)
    lesions[1, 1, 1] = lesions[2, 2, 2] = True
    assert len(lesion_means(lesions, np.ones(lesions.shape), np.ones(lesions.shape), 100.0)) == 1


def test_ceiling_pools_lesions_and_weights_patients_by_volume() -> None:
    visits = [[row(100, 1.0, 1.0), row(300, 1.2, 1.1)], [row(100, 0.8, 0.9)], [row(200, 1.1, 1.2)], []]
    ceiling = noise_ceiling(visits)
    clean, measured = [1.0, 1.1, 0.9, 1.2], [1.0, 1.2, 0.8, 1.1]
    assert ceiling["lesion_level_r"] == pytest.approx(np.corrcoef(clean, measured)[0, 1], abs=1e-6)
    weighted = np.array([[1.075, 1.15], [0.9, 0.8], [1.2, 1.1]])
    assert ceiling["patient_level_r"] == pytest.approx(np.corrcoef(weighted.T)[0, 1], abs=1e-6)
    assert (ceiling["lesions"], ceiling["visits_with_lesions"]) == (4, 3)


def test_ceiling_of_too_few_lesions_is_not_defined() -> None:
    assert noise_ceiling([[row(100, 1.0, 1.0)]])["lesion_level_r"] is None
    assert noise_ceiling([])["patient_level_r"] is None
