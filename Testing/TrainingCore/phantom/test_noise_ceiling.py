from __future__ import annotations

import numpy as np
import pytest

from TrainingCore.phantom.noise_ceiling import noise_ceiling


def row(person: str, volume: float, measured: float, clean: float) -> dict[str, str | float]:
    return {"person": person, "volume_mm3": volume, "measured": measured, "clean": clean}


def test_ceiling_pools_lesions_and_weights_patients_by_volume() -> None:
    """A's lesions are of two visits: patients are people, not visits."""
    lesions = [row("A", 100, 1.0, 1.0), row("A", 300, 1.2, 1.1), row("B", 100, 0.8, 0.9), row("C", 200, 1.1, 1.2)]
    ceiling = noise_ceiling(lesions)
    clean, measured = [1.0, 1.1, 0.9, 1.2], [1.0, 1.2, 0.8, 1.1]
    assert ceiling["lesion_level_r"] == pytest.approx(np.corrcoef(clean, measured)[0, 1], abs=1e-6)
    weighted = np.array([[1.075, 1.15], [0.9, 0.8], [1.2, 1.1]])
    assert ceiling["patient_level_r"] == pytest.approx(np.corrcoef(weighted.T)[0, 1], abs=1e-6)
    assert (ceiling["lesions"], ceiling["people_with_lesions"]) == (4, 3)


def test_ceiling_of_too_few_lesions_is_not_defined() -> None:
    assert noise_ceiling([row("A", 100, 1.0, 1.0)])["lesion_level_r"] is None
    assert noise_ceiling([])["patient_level_r"] is None
