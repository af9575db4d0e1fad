"""What the numbers of a mask file mean, on a drawn lesion of known volume."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from TrainingCore.imaging.mask_values import binary_mask, understand
from TrainingCore.runtime.errors import BadInput

LABEL = "The lesion mask les.nii.gz"


@pytest.fixture(scope="module")
def lesions() -> np.ndarray:
    """Two balls, bool (40, 40, 40)."""
    x, y, z = np.indices((40, 40, 40))
    first = (x - 14) ** 2 + (y - 15) ** 2 + (z - 20) ** 2 < 49
    return first | ((x - 29) ** 2 + (y - 27) ** 2 + (z - 20) ** 2 < 25)


@pytest.fixture(scope="module")
def probability(lesions: np.ndarray) -> np.ndarray:
    """The balls blurred, 0 to 1."""
    blurred = ndimage.gaussian_filter(lesions.astype(np.float32), 0.8)
    return blurred / blurred.max()


def _spm(probability: np.ndarray) -> np.ndarray:
    """uint8 with a slope of 1/255, whose maximum is 1.0000000149 and more."""
    return np.round(255 * probability).astype(np.float32) * np.float32(0.00392157)


SCALES = {
    "probability": lambda p: p,
    "spm": _spm,
    "percent": lambda p: 100 * p,
    "whole percent": lambda p: np.round(100 * p),
    "eight bits": lambda p: np.round(255 * p),
    "per mille": lambda p: np.round(1000 * p),
    "sixteen bits": lambda p: np.round(65535 * p),
}


@pytest.mark.parametrize("scale", SCALES)
def test_probabilities_of_every_scale_are_cut_at_one_half(scale, probability):
    found, note = binary_mask(SCALES[scale](probability).astype(np.float32), LABEL)
    assert abs(int(found.sum()) - np.count_nonzero(probability >= 0.5)) <= 12  # rounding at the edge
    assert "cut at" in note


@pytest.mark.parametrize(("outside", "inside"), [(0, 1), (0, 255), (0, 100), (1, 2), (-1, 1), (0, 1.0000003)])
def test_two_values_are_outside_and_inside(outside, inside, lesions):
    found, note = binary_mask(np.where(lesions, inside, outside).astype(np.float32), LABEL)
    assert np.array_equal(found > 0, lesions)
    assert bool(note) != (outside == 0 and abs(inside - 1) < 1e-3)


@pytest.mark.parametrize("top", [1, 2, 255])
@pytest.mark.parametrize("order", [1, 3])
def test_a_resampled_mask_keeps_its_volume(order, top, lesions):
    data = lesions.astype(np.float32) * top
    moved = ndimage.shift(ndimage.shift(data, 0.4, order=order), (-0.4, -0.3, 0.2), order=order)
    found, note = binary_mask(moved, LABEL)
    assert abs(found.sum() / lesions.sum() - 1) < 0.05
    assert "cut at" in note


def test_labels_count_as_one(lesions):
    labels, count = ndimage.label(lesions)
    for values in (labels, labels * 7, labels + 40 * (labels > 0)):
        found, note = binary_mask(values.astype(np.float32), LABEL)
        assert np.array_equal(found > 0, lesions)
        assert f"{count} labels" in note


@pytest.mark.parametrize("scale", [0.45, 45.0])
def test_a_map_that_never_reaches_one_half_is_refused_not_called_empty(scale, probability):
    with pytest.raises(BadInput, match=r"never reaches .*half of its scale"):
        binary_mask((scale * probability).astype(np.float32), LABEL)


def test_values_without_a_meaning_are_refused(probability):
    for values in (4 * probability, 3000 * probability - 1500, -(probability > 0.5).astype(np.float32)):
        with pytest.raises(BadInput, match="les"):
            binary_mask(values.astype(np.float32), LABEL)
    assert understand(np.zeros((4, 4, 4), np.float32), LABEL).kind == "empty"


def test_agreement_of_raters_is_a_probability_and_few_labels_are_labels(lesions):
    x = np.indices(lesions.shape)[0]
    raters = np.where(lesions, np.where(x < 12, 25, np.where(x < 16, 50, np.where(x < 28, 75, 100))), 0)
    found, note = binary_mask(raters.astype(np.float32), LABEL)
    assert np.array_equal(found > 0, raters >= 50)
    assert "percent" in note
    few = np.where(lesions, np.where(x % 2, 12, 40), 0)
    assert np.array_equal(binary_mask(few.astype(np.float32), LABEL)[0] > 0, lesions)
