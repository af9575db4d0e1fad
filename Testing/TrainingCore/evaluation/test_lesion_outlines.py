"""From probabilities to lesions: bright in FLAIR, up to their border, the same wherever they are outlined."""

from __future__ import annotations

import numpy as np

from TrainingCore.data.case import Case
from TrainingCore.evaluation.lesion_outlines import extended, hyperintense_part, inner_part
from TrainingCore.evaluation.task import HYPERINTENSITIES, ModelImages
from TrainingCore.evaluation.tasks import DETECTION


def test_what_is_not_bright_in_flair_is_no_lesion() -> None:
    rng = np.random.default_rng(0)
    flair = (100 + 5 * rng.standard_normal((20, 20, 20))).astype(np.float32)
    lesions = np.zeros(flair.shape, bool)
    lesions[2:5, 2:5, 2:5] = lesions[10:13, 10:13, 10:13] = True
    flair[2:5, 2:5, 2:5] += 20
    flair[10:13, 10:13, 10:13] -= 5
    kept = hyperintense_part(lesions, flair, np.ones_like(lesions))
    assert kept[3, 3, 3]
    assert kept.sum() == 27
    assert not hyperintense_part(np.zeros_like(lesions), flair, np.ones_like(lesions)).any()


def test_a_small_lesion_that_is_a_little_brighter_than_the_brain_is_kept() -> None:
    """Small lesions of real patients are 0.7 to 1.4 SD of the brain above white matter, far less than large ones."""
    rng = np.random.default_rng(0)
    flair = (100 + 5 * rng.standard_normal((20, 20, 20))).astype(np.float32)
    lesions = np.zeros(flair.shape, bool)
    lesions[2:5, 2:5, 2:5] = True
    flair[lesions] = 105
    assert hyperintense_part(lesions, flair, np.ones_like(lesions)).sum() == 27


def test_lesions_extend_by_one_mm_and_only_where_they_are_probable() -> None:
    seed = np.zeros((21, 21, 21), bool)
    seed[10, 10, 10] = True
    probable = np.ones_like(seed)
    assert extended(seed, probable, (1.0, 1.0, 1.0)).sum() == 7  # the faces of one voxel
    assert extended(seed, probable, (0.5, 0.5, 0.5)).sum() == 33  # a ball of 2 voxels
    assert extended(seed, probable, (1.2, 1.2, 1.2)).sum() == 7
    assert extended(seed, probable, (0.9, 0.9, 3.0)).sum() == 5  # not into the next thick slice
    probable[:, :, 11:] = False
    assert extended(seed, probable, (1.0, 1.0, 1.0)).sum() == 6
    corner = np.zeros_like(seed)
    corner[0, 0, 20] = True
    assert extended(corner, np.ones_like(seed), (1.0, 1.0, 1.0)).sum() == 4  # at the edge of the image
    assert not extended(np.zeros_like(seed), probable, (1.0, 1.0, 1.0)).any()


def test_what_lies_at_the_surface_of_the_brain_is_no_lesion() -> None:
    """Veins, nerves and the base of the skull are bright in FLAIR, and the lower edge of a brain mask is uncertain."""
    brain = np.zeros((40, 40, 20), bool)
    brain[2:38, 2:38, :18] = True  # cut off by the image at its lower end
    lesions = np.zeros(brain.shape, bool)
    lesions[20:23, 3:6, 8:11] = True  # at the surface, at most 4 mm deep
    lesions[3:12, 20:23, 8:11] = True  # from the surface to 8 mm
    lesions[20:23, 20:23, 8:11] = True  # deep inside
    lesions[30:33, 30:33, 0:2] = True  # at the edge of the image, 6 mm from the surface
    kept = inner_part(lesions, brain, (1.0, 1.0, 3.0))
    assert not kept[:, :7][20:23].any()
    assert kept.sum() == lesions.sum() - 27
    assert kept[3, 21, 9]  # the whole of a lesion that reaches inside
    assert not inner_part(np.zeros_like(lesions), brain, (1.0, 1.0, 3.0)).any()
    assert inner_part(lesions, np.ones_like(brain), (1.0, 1.0, 3.0)).sum() == lesions.sum()  # no surface at all


def test_evaluate_measures_the_outlines_that_synthesize_would_draw() -> None:
    brain = np.zeros((24, 24, 24), bool)
    brain[1:23, 1:23, 1:23] = True
    truth, probability = np.zeros(brain.shape, bool), np.zeros(brain.shape, np.float32)
    truth[5:10, 5:10, 5:10] = True
    probability[5:10, 5:10, 5:10] = 0.6
    probability[6:9, 6:9, 6:9] = 0.99  # the core: without its rim 27 of 125 voxels
    probability[15:18, 15:18, 15:18] = 0.99  # as sure, but dark in FLAIR
    flair = np.random.default_rng(0).normal(0, 0.1, brain.shape).astype(np.float32) + 3 * truth
    flair[15:18, 15:18, 15:18] = -1
    volumes = {"brain": brain, "lesions": truth, "flair": flair}
    outputs = ModelImages({HYPERINTENSITIES: probability}, lesion_threshold=0.9)
    row, _ = DETECTION.measure(Case("01", "", volumes, np.eye(4)), outputs, {}, None)
    assert row["precision"] == 1
    assert row["dsc"] > 0.8
    row, _ = DETECTION.measure(Case("01", "", volumes | {"flair": truth * 0.0}, np.eye(4)), outputs, {}, None)
    assert row["precision"] == 0.5  # nothing is brighter than anything else
