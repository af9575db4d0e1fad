"""Which image a mask follows, tried on grids without any image in them, and on a lesion planted on the left."""

from __future__ import annotations

from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from TrainingCore.imaging.checks import check_lesion_load, lesions_on_grid
from TrainingCore.imaging.placement import (
    AXES,
    FIELD,
    NONE,
    PART,
    WHOLE,
    fit_to,
    in_reference_world,
    lost_header_hint,
    place,
)
from TrainingCore.imaging.volumes import Volume
from TrainingCore.runtime.errors import BadInput

SHAPE = (20, 24, 18)
LAS = np.array([[-2.0, 0, 0, 19], [0, 2, 0, -25], [0, 0, 2, -11], [0, 0, 0, 1]])
MOVED = np.eye(4)
MOVED[:3, 3] = (5, -4, 3)


def _volume(affine: np.ndarray, shape: tuple[int, ...] = SHAPE, name: str = "les.nii.gz") -> Volume:
    data = np.zeros(shape, np.float32)
    data[3:6, 10:13, 8:11] = 1
    return Volume(data, affine, name)


def _turned(volume: Volume) -> Volume:
    """The same voxels in RAS order."""
    image = nib.as_closest_canonical(nib.Nifti1Image(volume.data, volume.affine))
    return replace(volume, data=np.asarray(image.dataobj), affine=image.affine)


def _cropped(volume: Volume) -> Volume:
    """Only the box around what is marked, as 3D Slicer saves it."""
    affine = volume.affine.copy()
    affine[:3, 3] = (volume.affine @ [3, 10, 8, 1])[:3]
    return replace(volume, data=volume.data[3:6, 10:13, 8:11], affine=affine)


def _fine(volume: Volume) -> Volume:
    affine = volume.affine @ np.diag([0.5, 0.5, 0.5, 1])
    affine[:3, 3] = (volume.affine @ [-0.25, -0.25, -0.25, 1])[:3]
    return replace(volume, data=np.repeat(np.repeat(np.repeat(volume.data, 2, 0), 2, 1), 2, 2), affine=affine)


@pytest.fixture
def images() -> dict[str, Volume]:
    """A T1w and a FLAIR of one shape that lies 7 mm off by its header."""
    return {"t1w": _volume(LAS, name="t1.nii"), "flair": _volume(MOVED @ LAS, name="flair.nii")}


@pytest.mark.parametrize("drawn_on", ["t1w", "flair"])
@pytest.mark.parametrize(
    ("change", "fit"), [(lambda v: v, WHOLE), (_turned, WHOLE), (_cropped, PART), (_fine, FIELD)],
    ids=["same", "turned", "cropped", "finer"],
)  # fmt: skip
def test_a_mask_follows_the_image_it_was_drawn_on(change, fit, drawn_on, images):
    placed = place(change(replace(images[drawn_on], name="les.nii.gz")), "lesion mask", images)
    assert (placed.follows, placed.fit) == (drawn_on, fit)
    plain = drawn_on == "t1w" and fit == WHOLE
    assert ("follows the " + {"t1w": "T1w", "flair": "FLAIR"}[drawn_on] in placed.note) != plain


def test_the_space_entity_decides_before_the_grid(images):
    mask = replace(images["t1w"], name="sub-1_space-FLAIR_label-lesion_mask.nii.gz")
    assert place(mask, "lesion mask", images).follows == "flair"
    assert place(replace(mask, name="les.nii"), "lesion mask", images, space="FLAIR").follows == "flair"
    assert place(replace(mask, name="sub-1_space-MNI152_mask.nii"), "lesion mask", images).follows == "t1w"


@pytest.mark.parametrize("affine", [np.eye(4), np.diag([2.0, 2, 2, 1]), MOVED @ MOVED @ LAS], ids=["1", "2", "moved"])
def test_the_shape_of_an_image_under_another_header_is_refused(affine, images):
    with pytest.raises(BadInput, match=r"shape of the T1w t1\.nii .* its header was lost"):
        place(_volume(affine), "lesion mask", images)


@pytest.mark.parametrize(
    ("affine", "shape", "lost"),
    [
        (LAS, SHAPE, False),
        (MOVED @ LAS, SHAPE, False),  # of the FLAIR
        (LAS @ np.diag([1.5, 1.5, 1.5, 1]), SHAPE, True),
        (LAS @ np.diag([1.5, 1.5, 1.5, 1]), (14, 15, 16), False),
    ],
    ids=["t1w", "flair", "stretched", "own"],
)
def test_a_lost_header_is_suspected_where_only_the_shape_is_that_of_an_image(affine, shape, lost, images):
    hint = lost_header_hint(_volume(affine, shape), images)
    assert ("the shape of the T1w t1.nii (20 x 24 x 18 voxels) but another header" in hint) == lost


def test_a_grid_of_its_own_stays_in_the_world_of_the_t1w(images):
    far = np.diag([3.0, 3, 3, 1])
    placed = place(_volume(far, (14, 15, 16)), "lesion mask", images)
    assert (placed.follows, placed.fit) == ("t1w", NONE)
    assert "a grid of its own" in placed.note


def test_oblique_axes_tell_the_flair_from_the_t1w(images):
    c, s = np.cos(0.3), np.sin(0.3)
    turn = np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    images["flair"] = _volume(turn @ MOVED @ LAS, name="flair.nii")
    mask = _volume(turn @ LAS @ np.diag([0.7, 0.7, 0.7, 1]), (30, 30, 30))
    assert (fit_to(mask, images["flair"]), place(mask, "lesion mask", images).follows) == (AXES, "flair")


def test_a_mask_saved_with_the_form_of_the_header_that_was_not_used_comes_back(images):
    to_mni = np.array([[1.14, 0.02, -0.01, 3], [-0.015, 1.12, 0.06, -5], [0.01, -0.05, 1.16, 8], [0, 0, 0, 1]])
    t1w = replace(images["t1w"], other=to_mni @ LAS)
    moved = in_reference_world(
        {"t1w": t1w, "lesions": _cropped(_volume(to_mni @ LAS)), "flair": images["flair"]}, "t1w"
    )
    assert np.allclose(moved["lesions"].affine, _cropped(_volume(LAS)).affine)
    assert np.array_equal(moved["flair"].affine, images["flair"].affine)


@pytest.mark.parametrize("change", [lambda v: v, _turned, _cropped])
def test_a_lesion_on_the_left_stays_on_the_left(change, images):
    t1w = images["t1w"]
    brain = t1w.with_data(np.ones(SHAPE, np.float32))
    kept, _ = lesions_on_grid(change(_volume(LAS)), t1w, brain)
    assert np.array_equal(kept.data, t1w.data)


def test_a_lesion_load_that_cannot_be_is_refused(images):
    brain = images["t1w"].with_data(np.ones(SHAPE, np.float32))
    marks = np.zeros(SHAPE, np.float32)
    marks[:4] = 1
    assert "20 % of the brain" in check_lesion_load(brain.with_data(marks), brain)
    marks[:7] = 1
    with pytest.raises(BadInput, match="cannot be lesions"):
        check_lesion_load(brain.with_data(marks), brain)


def test_of_two_lattices_that_nearly_fit_the_exact_one_decides(images):
    nearly = np.eye(4)
    nearly[:3, 3] = (4.2, -3.8, 2.1)  # about whole voxels
    images["flair"] = _volume(nearly @ LAS, name="flair.nii")
    assert place(_cropped(_volume(nearly @ LAS)), "lesion mask", images).follows == "flair"
    assert place(_cropped(_volume(LAS)), "lesion mask", images).follows == "t1w"
