"""What blur takes from a lesion is given back: equal loss gives nearly equal ratios, whatever size and neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from TrainingCore.evaluation.blur_correction import BLUR_MM, corrected_ratios
from TrainingCore.evaluation.lesions import lesion_table
from TrainingCore.imaging.grid import SIGMA_PER_FWHM

WHITE, GREY, LESION = 1.2, 0.9, 0.84  # DVR; a lesion keeps 70 % of the DVR of white matter
TRUE_RATIO = LESION / WHITE


def scene(
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0), lost: bool = True, blur: float = BLUR_MM
) -> tuple[np.ndarray, ...]:
    """Labels, map, NAWM and affine: three balls of 2.5, 4 and 8 mm in white matter, one of 4 mm beside grey matter."""
    shape = tuple(round(length / step) for length, step in zip((96, 72, 60), spacing))
    x, y, z = np.meshgrid(*(step * (np.arange(n) + 0.5) for n, step in zip(shape, spacing)), indexing="ij")
    labels = np.zeros(shape, np.int32)
    for number, (centre, radius) in enumerate(
        [((20, 25, 30), 2.5), ((45, 25, 30), 4.0), ((72, 25, 30), 8.0), ((45, 55, 30), 4.0)], start=1
    ):
        labels[sum((a - b) ** 2 for a, b in zip((x, y, z), centre)) <= radius**2] = number
    grey = (y > 58) & (labels == 0)
    sharp = np.where(grey, GREY, np.where((labels > 0) & lost, LESION, WHITE))
    dvr = ndimage.gaussian_filter(sharp, blur * SIGMA_PER_FWHM / np.array(spacing), mode="nearest")
    return labels, dvr, ~grey & (labels == 0) & (y < 54), np.diag([*spacing, 1.0])


def ratios(labels: np.ndarray, dvr: np.ndarray, nawm: np.ndarray, affine: np.ndarray, name: str) -> np.ndarray:
    return np.array([row[name] for row in lesion_table(labels, dvr, nawm, affine)])


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (2.0, 1.0, 1.5)])
def test_lesions_that_lost_equally_get_equal_ratios(spacing: tuple[float, float, float]) -> None:
    content = scene(spacing)
    assert np.ptp(ratios(*content, "ratio_to_surrounding")) > 0.1
    assert ratios(*content, "corrected_ratio") == pytest.approx(TRUE_RATIO, abs=0.01)


@pytest.mark.parametrize("blur", [4.0, 5.0])
def test_more_blur_is_corrected_in_part(blur: float) -> None:
    content = scene(blur=blur)
    plain, corrected = ratios(*content, "ratio_to_surrounding"), ratios(*content, "corrected_ratio")
    assert np.ptp(corrected) < 0.95 * np.ptp(plain)
    assert (abs(corrected - TRUE_RATIO) < abs(plain - TRUE_RATIO)).all()


def test_grey_matter_beside_a_lesion_is_not_taken_for_loss() -> None:
    content = scene(lost=False)
    assert ratios(*content, "ratio_to_surrounding")[3] < 0.985
    assert ratios(*content, "corrected_ratio") == pytest.approx(1, abs=0.002)


def test_a_ratio_does_not_depend_on_what_is_far_away_or_on_the_order_of_axes() -> None:
    labels, dvr, _, affine = scene()
    around = np.full((1, 5), WHITE)
    whole = corrected_ratios(labels, [dvr], around, affine)
    box = (slice(30, 60), slice(12, 38), slice(17, 43))  # 8 mm around the second ball
    assert corrected_ratios(labels[box], [dvr[box]], around, affine)[0, 2] == pytest.approx(whole[0, 2], abs=1e-6)
    turned = corrected_ratios(labels.transpose(2, 1, 0), [dvr.transpose(2, 1, 0)], around, affine)
    assert turned == pytest.approx(whole, abs=1e-9, nan_ok=True)


def test_what_cannot_be_known_is_missing() -> None:
    labels, dvr, nawm, affine = scene()
    around = np.array([[np.nan, WHITE, np.nan, 0.0, WHITE]])
    dvr[labels == 4] = np.nan
    found = corrected_ratios(labels, [dvr], around, affine)
    assert np.isfinite(found[0, 1])
    assert np.isnan(found[0, [0, 2, 3, 4]]).all()
    assert all(row["corrected_ratio"] is None for row in lesion_table(labels, dvr, np.zeros_like(nawm), affine))
    holes = scene()[1]
    holes[nawm & (np.arange(96) % 7 == 0)[:, None, None]] = np.nan
    with_holes = corrected_ratios(labels, [holes], np.full((1, 5), WHITE), affine)
    assert with_holes[0, 1] == pytest.approx(found[0, 1], abs=0.02)
