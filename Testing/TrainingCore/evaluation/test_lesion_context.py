"""What lesions are measured from, as one image: nothing is lost in it, and other lesions are no healthy tissue."""

from __future__ import annotations

import numpy as np
import pytest

from TrainingCore.evaluation.lesion_context import GREY, OTHER, WHITE, LesionContext, decode_context
from TrainingCore.evaluation.lesion_myelin import FEATURES

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])
REGRESSION = {"mean": [0.0] * 14, "sd": [1.0] * 14, "weights": [-0.5, *[0.0] * 13], "intercept": 0.0,
              "classes_mm3": [0.0], "half_width": [0.1]}  # fmt: skip


def head() -> tuple[LesionContext, np.ndarray]:
    """White matter of 100 +- 1, grey matter of 60, two lesions of 80 and 60 in T1w; labels on a grid of 1 mm."""
    random = np.random.default_rng(0)
    tissue = np.zeros((30, 30, 30), np.uint8)
    tissue[2:28, 2:28, 2:28] = WHITE
    tissue[2:28, 2:28, 2:6] = GREY
    tissue[2:28, 2:28, 25:28] = OTHER
    t1w = np.choose(tissue, [0.0, 30.0, 100.0, 60.0]) + random.normal(size=tissue.shape)
    t1w[6:9, 14:17, 14:17], t1w[12:15, 14:17, 14:17] = 80, 60
    flair = 50 + 2 * random.normal(size=tissue.shape)
    labels = np.zeros((60, 60, 60), np.int32)
    labels[12:18, 28:34, 28:34], labels[24:30, 28:34, 28:34] = 1, 2
    return LesionContext({"t1w": t1w, "flair": flair}, tissue, AFFINE), labels


FINE = np.array([[1.0, 0, 0, -0.5], [0, 1, 0, -0.5], [0, 0, 1, -0.5], [0, 0, 0, 1]])
ROWS = [{"id": number, "volume_mm3": 216.0, "corrected_ratio": 0.9} for number in (1, 2)]


def test_lesions_on_a_finer_grid_are_measured_on_that_of_the_model() -> None:
    context, labels = head()
    first, second = context.estimates(labels, FINE, ROWS, REGRESSION)
    assert (first["t1w_contrast"], second["t1w_contrast"]) == pytest.approx((-0.5, -1.0), abs=0.03)
    assert (first["estimated_loss"], second["estimated_loss"]) == pytest.approx((0.25, 0.5), abs=0.02)
    assert second["estimated_loss_high"] == pytest.approx(second["estimated_loss"] + 0.1)
    assert context.estimates(labels, FINE, ROWS, None)[0]["estimated_loss"] is None
    assert len(FEATURES) == 14


def test_the_coded_image_measures_the_same_and_says_what_is_missing() -> None:
    context, labels = head()
    coded = context.encode()
    assert coded.dtype == np.int32
    assert coded.min() >= 0
    again = decode_context(coded, AFFINE)
    assert np.array_equal(again.tissue, context.tissue)
    for row, other in zip(
        context.estimates(labels, FINE, ROWS, REGRESSION), again.estimates(labels, FINE, ROWS, REGRESSION)
    ):
        assert all(other[name] == pytest.approx(row[name], abs=1e-3) for name in row)
    without = LesionContext({"t1w": context.images["t1w"]}, context.tissue, AFFINE)
    row = decode_context(without.encode(), AFFINE).estimates(labels, FINE, ROWS, REGRESSION)[0]
    assert row["flair_contrast"] is None
    assert row["estimated_loss"] is None
    assert row["t1w_contrast"] == pytest.approx(-0.5, abs=0.03)


def test_the_coded_image_shows_no_face() -> None:
    context, _ = head()
    context.tissue[:, :, 15:] = 0  # the brain ends here, T1w and FLAIR go on
    coded = context.encode()
    assert (coded[:, :, 17:] == 0).all()
    assert (coded[5:25, 5:25, 15:17] > 0).all()


def test_lesions_of_another_layer_are_no_fluid() -> None:
    context, labels = head()
    by_shape = REGRESSION | {"weights": [0.002] * 14, "intercept": 0.3}
    together = context.estimates(labels, FINE, ROWS, by_shape)[0]
    one_layer = np.where(labels == 1, labels, 0)
    alone = context.estimates(one_layer, FINE, ROWS[:1], by_shape, lesional=labels > 0)[0]
    assert alone["estimated_loss"] == pytest.approx(together["estimated_loss"], abs=1e-6)
    assert 0 < together["estimated_loss"] < 1


def test_lesions_that_are_not_asked_for_are_no_surroundings() -> None:
    context, labels = head()
    context.images["t1w"][9:12, 14:17, 14:17] = 20  # a third lesion between the two
    third = np.zeros_like(labels)
    third[18:24, 28:34, 28:34] = 1
    alone = context.estimates(labels, FINE, ROWS, None)[0]
    known = context.estimates(labels, FINE, ROWS, None, lesional=(labels > 0) | (third > 0))[0]
    assert known["t1w_contrast"] == pytest.approx(-0.5, abs=0.03)
    assert alone["t1w_contrast"] > known["t1w_contrast"] + 0.02
